/**
 * How kernels read and write storages other than float32: a few elements at a time are decoded into a float32 copy, on which the loop
 * works, and are encoded again from there, while all of it lies in the nearest cache.
 */

import { largestBfloat16, largestScale, midpoints, smallestScale } from '../../storage/codecs.ts'
import { type StagedStorage, type StorageName, storageOf } from '../../storage/storage.ts'
import { FunctionBuilder, type Local, unsigned } from './assembler.ts'
import { philoxOfStream } from './philox-rounds.ts'
import { bitsOf, type Coding, codingOf } from './staged-tables.ts'

export const decodeName = (storage: StorageName): string => `decode_${storage}`
export const encodeName = (storage: StorageName): string => `encode_${storage}`

/** Elements that are decoded and encoded together. */
const sixteen = 16

const instructions = {
  'f32.min': [0x96],
  'f32.max': [0x97],
  'f32.reinterpret_i32': [0xbe],
  'f32x4.ge': [0xfd, 0x46],
  'f32x4.ceil': [0xfd, 0x67],
  'i8x16.swizzle': [0xfd, 0x0e],
  'f32x4.pmin': [0xfd, 0xea, 0x01],
  'i8x16.narrow_i16x8_s': [0xfd, 0x65],
  'i8x16.narrow_i16x8_u': [0xfd, 0x66],
  'i16x8.narrow_i32x4_s': [0xfd, 0x85, 0x01],
  'i16x8.narrow_i32x4_u': [0xfd, 0x86, 0x01],
  'i16x8.shr_u': [0xfd, 0x8d, 0x01],
  'i32x4.extend_low_i16x8_s': [0xfd, 0xa7, 0x01],
  'i32x4.extend_high_i16x8_s': [0xfd, 0xa8, 0x01],
  'i16x8.abs': [0xfd, 0x80, 0x01],
  'i16x8.add': [0xfd, 0x8e, 0x01],
  'i16x8.eq': [0xfd, 0x2d],
  'i8x16.min_u': [0xfd, 0x77],
  'i32x4.shr_s': [0xfd, 0xac, 0x01],
  'i32x4.min_s': [0xfd, 0xb6, 0x01],
} as const

const accesses = {
  'i32.load8_s': [0x2c],
  'i32.load8_u': [0x2d],
  'i32.load16_u': [0x2f],
  'v128.load8x8_s': [0xfd, 0x01],
  'v128.load16x4_u': [0xfd, 0x04],
  'v128.load32_zero': [0xfd, 0x5c],
  'v128.load64_zero': [0xfd, 0x5d],
} as const

/** Appends instructions that only these functions have. */
function op(f: FunctionBuilder, ...names: (keyof typeof instructions)[]): FunctionBuilder {
  for (const name of names) f.push(...instructions[name])
  return f
}

function load(f: FunctionBuilder, name: keyof typeof accesses, offset = 0): FunctionBuilder {
  return f.push(...accesses[name], 0, ...unsigned(offset))
}

/** Puts the float32 at the address on the stack into a lane of the vector under it. */
function loadLane(f: FunctionBuilder, lane: number, offset = 0): FunctionBuilder {
  return f.push(0xfd, 0x56, 0, ...unsigned(offset), lane)
}

/** Stores the lower half of the vector on the stack at the address under it. */
function storeHalf(f: FunctionBuilder, offset = 0): FunctionBuilder {
  return f.push(0xfd, 0x5b, 0, ...unsigned(offset), 0)
}

const extractLane = (f: FunctionBuilder, lane: number) => f.push(0xfd, 0x1b, lane)

/** A vector that is read once, before the loops: one that code holds engines make from parts wherever it is used, also in loops. */
function hoistedInteger(f: FunctionBuilder, value: number): Local {
  const local = f.local('v128')
  f.fourOf(value).set(local)
  return local
}

const hoistedNumber = (f: FunctionBuilder, value: number) => hoistedInteger(f, bitsOf(value))

/** The parameters of decoding and encoding, in their order. */
interface Parameters {
  /** Where scales lie, or bytes of what is left over. */
  readonly first: Local
  /** Where the elements lie. */
  readonly elements: Local
  /** The elements `[from, to)`. */
  readonly from: Local
  readonly to: Local
  /** Where their float32 copies lie. */
  readonly copy: Local
  readonly table: Local
}

function start(name: string, more: number): { f: FunctionBuilder; parameters: Parameters; others: readonly Local[] } {
  const f = new FunctionBuilder(name, new Array<'i32'>(6 + more).fill('i32'))
  const [first, elements, from, to, copy, table, ...others] = f.parameters as [Local, Local, Local, Local, Local, Local]
  return { f, parameters: { first, elements, from, to, copy, table }, others }
}

/**
 * Repeats a body for `step` elements from `from` on while there are any before `to`, and moves `from` and `copy`. The condition comes
 * last in the loop: engines take out of it only what runs whenever it does.
 */
function repeat(f: FunctionBuilder, { from, to, copy }: Parameters, step: number, body: () => void, also = () => {}) {
  const goesOn = () => {
    f.get(from).get(to).op('i32.lt_u')
    also()
  }
  goesOn()
  f.if(() => {
    f.loop(() => {
      body()
      f.get(from).i32(step).op('i32.add').set(from)
      f.get(copy)
        .i32(4 * step)
        .op('i32.add')
        .set(copy)
      goesOn()
      f.branchIf(0)
    })
  })
}

/**
 * Decodes single elements up to a multiple of sixteen, then sixteen at a time, also beyond the last one.
 * @param sixteenOf appends what is done once, and gives what decodes sixteen.
 */
function decoder(
  storage: StagedStorage,
  single: (f: FunctionBuilder, p: Parameters) => void,
  sixteenOf: (f: FunctionBuilder, p: Parameters) => () => void,
) {
  const { f, parameters } = start(decodeName(storage), 0)
  const whole = sixteenOf(f, parameters)
  const untilWhole = () =>
    void f
      .get(parameters.from)
      .i32(sixteen - 1)
      .op('i32.and')
      .i32(0)
      .op('i32.ne', 'i32.and')
  const one = () => {
    f.get(parameters.copy)
    single(f, parameters)
    f.at('f32.store')
  }
  repeat(f, parameters, 1, one, untilWhole)
  repeat(f, parameters, sixteen, whole)
  return f
}

/** Leaves the address of the first byte of element `from`. */
function address(f: FunctionBuilder, { elements, from }: Parameters, bits: number): FunctionBuilder {
  f.get(elements).get(from)
  if (bits === 4) f.i32(1).op('i32.shr_u')
  if (bits === 16) f.i32(1).op('i32.shl')
  return f.op('i32.add')
}

/** Leaves the address of the scale of element `from`. */
function scaleAddress(f: FunctionBuilder, { first, from }: Parameters, block: number): FunctionBuilder {
  return f.get(first).get(from).i32(Math.log2(block)).op('i32.shr_u').i32(2).op('i32.shl', 'i32.add')
}

/** Bytes of two vectors, or pairs of bytes, in turns: of their lower or upper halves. */
function interleave(f: FunctionBuilder, width: 1 | 2, upper: boolean): FunctionBuilder {
  const lanes = Array.from({ length: 8 / width }, (_, place) => {
    const first = width * place + (upper ? 8 : 0)
    return [0, 16].flatMap((from) => Array.from({ length: width }, (_, byte) => from + first + byte))
  }).flat()
  return f.push(0xfd, 0x0d, ...lanes)
}

/** Of codes of four bits the numbers fit into vectors: each byte of them is looked up for sixteen at once. */
function sixteenBySwizzling(f: FunctionBuilder, p: Parameters, storage: StagedStorage): () => void {
  const { block } = storageOf(storage)
  const { codes: numbers, words } = codingOf(storage)
  const low = hoistedInteger(f, 0x0f0f0f0f)
  const planes = [0, 1, 2, 3].map((byte) => {
    const plane = f.local('v128')
    const first = numbers.length + 4 * byte
    // Of round numbers the lower bytes are 0, as the local is.
    if (!words.subarray(first, first + 4).some((word) => word !== 0)) return { plane, zero: true }
    f.get(p.table)
      .at('v128.load', 4 * first)
      .set(plane)
    return { plane, zero: false }
  })
  return () => {
    const [scale, codes] = [f.local('v128'), f.local('v128')]
    if (block) scaleAddress(f, p, block).at('v128.load32_splat').set(scale)
    load(address(f, p, 4), 'v128.load64_zero').tee(codes)
    f.get(low).op('v128.and').get(codes).i32(4)
    interleave(op(f, 'i16x8.shr_u').get(low).op('v128.and'), 1, false).set(codes)
    const found = planes.map(({ plane, zero }) => {
      if (zero) return plane
      const local = f.local('v128')
      f.get(plane).get(codes)
      op(f, 'i8x16.swizzle').set(local)
      return local
    })
    const pairs = [false, true].map((upper) =>
      [0, 2].map((first) => {
        if (planes[first]!.zero && planes[first + 1]!.zero) return planes[first]!.plane
        const local = f.local('v128')
        interleave(f.get(found[first]!).get(found[first + 1]!), 1, upper).set(local)
        return local
      }),
    )
    for (let group = 0; group < 4; group++) {
      const [low, high] = pairs[group >> 1]! as [Local, Local]
      interleave(f.get(p.copy).get(low).get(high), 2, group % 2 === 1)
      if (block) f.get(scale).op('f32x4.mul')
      f.at('v128.store', 16 * group)
    }
  }
}

/** Leaves the numbers of four codes of a byte that begin so many bytes behind an address. */
export function decodeFour(
  f: FunctionBuilder,
  codes: Local,
  offset: number,
  table: Local,
  scale: Local,
): FunctionBuilder {
  const numbers = f.local('v128')
  for (let lane = 0; lane < 4; lane++) {
    load(f.get(codes), 'i32.load8_u', offset + lane)
      .i32(2)
      .op('i32.shl')
      .get(table)
      .op('i32.add')
    if (lane === 0) load(f, 'v128.load32_zero')
    else loadLane(f.get(numbers), lane)
    f.set(numbers)
  }
  return f.get(numbers).get(scale).op('f32x4.mul')
}

function decodeCodes(storage: StagedStorage): FunctionBuilder {
  const { bits, block } = storageOf(storage)
  const single = (f: FunctionBuilder, p: Parameters) => {
    load(address(f, p, bits), 'i32.load8_u')
    if (bits === 4) f.get(p.from).i32(1).op('i32.and').i32(2).op('i32.shl', 'i32.shr_u').i32(15).op('i32.and')
    f.i32(2).op('i32.shl').get(p.table).op('i32.add').at('f32.load')
    if (block) scaleAddress(f, p, block).at('f32.load').op('f32.mul')
  }
  if (bits === 4) return decoder(storage, single, (f, p) => sixteenBySwizzling(f, p, storage))
  const whole = (f: FunctionBuilder, p: Parameters) => () => {
    const [scale, codes] = [f.local('v128'), f.local('i32')]
    scaleAddress(f, p, block!).at('v128.load32_splat').set(scale)
    address(f, p, bits).set(codes)
    for (let group = 0; group < 4; group++) {
      f.get(p.copy)
      decodeFour(f, codes, 4 * group, p.table, scale).at('v128.store', 16 * group)
    }
  }
  return decoder(storage, single, whole)
}

/** Puts 0 behind the last element, up to a multiple of sixteen. */
function padCopy(f: FunctionBuilder, { from, to, copy }: Parameters): void {
  const missing = f.local('i32')
  f.i32(0)
    .get(to)
    .op('i32.sub')
    .i32(sixteen - 1)
    .op('i32.and')
    .tee(missing)
  f.if(() => {
    f.get(copy).get(to).get(from).op('i32.sub').i32(2).op('i32.shl', 'i32.add').i32(0)
    f.get(missing).i32(2).op('i32.shl').fill()
  })
}

/** What is left of a float32 without its sign. */
export const unsignedBits = 0x7fffffff

/** Takes the sizes of the four numbers on the stack into account, where `unsign` holds `unsignedBits`. */
export function noteLargest(f: FunctionBuilder, largest: Local, unsign: Local): void {
  f.get(unsign).op('v128.and').get(largest).op('i32x4.max_s').set(largest)
}

/** Leaves the bits of the largest of four numbers that have no sign, and whether it is infinite or not a number. */
export function largestOf(f: FunctionBuilder, largest: Local, bits: Local): FunctionBuilder {
  const other = f.local('i32')
  f.get(largest).get(largest).get(largest).upperHalf().op('i32x4.max_s').set(largest)
  extractLane(f.get(largest), 0).set(bits)
  extractLane(f.get(largest), 1).set(other)
  f.get(bits).get(other).get(bits).get(other).op('i32.gt_u', 'select').tee(bits)
  return f.i32(bitsOf(largestScale)).op('i32.gt_u')
}

/** Stores the scale of these bits at the address on the stack, and keeps 1 over it in `inverse`. */
export function keepScale(f: FunctionBuilder, bits: Local, inverse: Local): void {
  f.get(bits).i32(0).get(bits).i32(bitsOf(smallestScale)).op('i32.ge_u', 'select').tee(bits).at('i32.store')
  f.f32(1).get(bits)
  op(f, 'f32.reinterpret_i32').op('f32.div').f32(0).get(bits).op('select', 'f32x4.splat').set(inverse)
}

/** Finds the largest magnitude of the block that begins with `from`, stores it as the scale, and leaves 1 over it in `inverse`. */
function findScale(f: FunctionBuilder, p: Parameters, block: number, last: Local, inverse: Local): void {
  const [at, bits] = [f.local('i32'), f.local('i32')]
  const largest = Array.from({ length: 4 }, () => f.local('v128'))
  const [a, b, c, d] = largest as [Local, Local, Local, Local]
  const unsign = hoistedInteger(f, unsignedBits)
  f.loop(() => {
    for (const local of largest) f.zeroVector().set(local)
    f.get(p.copy).set(at)
    f.loop(() => {
      largest.forEach((local, group) => {
        f.get(at).at('v128.load', 16 * group)
        noteLargest(f, local, unsign)
      })
      f.get(at).i32(64).op('i32.add').tee(at).get(last)
      f.op('i32.lt_u').branchIf(0)
    })
    f.get(a).get(b).op('i32x4.max_s').get(c).get(d).op('i32x4.max_s', 'i32x4.max_s').set(a)
    // What is infinite or not a number has larger bits than all others: they are replaced, and the block is looked at again.
    largestOf(f, a, bits).if(() => {
      makeFinite(f, p.copy, last)
      f.branch(1)
    })
  })
  scaleAddress(f, p, block)
  keepScale(f, bits, inverse)
}

/** Puts 0 for what is not a number, and the largest number for what is infinite. */
function makeFinite(f: FunctionBuilder, copy: Local, last: Local): void {
  const [at, value] = [f.local('i32'), f.local('v128')]
  f.get(copy).set(at)
  f.loop(() => {
    f.get(at)
    f.get(at).at('v128.load').tee(value).get(value).get(value).op('f32x4.eq', 'v128.and')
    f.fourOf(bitsOf(largestScale)).op('f32x4.pmin').fourOf(bitsOf(-largestScale)).op('f32x4.pmax')
    f.at('v128.store').get(at).i32(16).op('i32.add').tee(at).get(last).op('i32.lt_u').branchIf(0)
  })
}

/** Finds the codes of a group of four numbers of the copy, as four whole numbers. */
type GroupCodes = (group: number) => Local

/** How the codes of a block are found: four at a time, and what is left to do to sixteen of them. */
interface Finding {
  readonly group: GroupCodes
  /** Turns what `group` gives of sixteen, of which each vector on the stack holds eight, into codes. */
  readonly eight?: () => void
  /** The same, where the vector on the stack holds all sixteen. */
  readonly sixteen?: () => void
}

/** Codes of equal distances are rounded to; their middles are 16 times what they are, less a half. */
function evenCodes(f: FunctionBuilder, p: Parameters, inverse: Local): Finding {
  const half = hoistedNumber(f, 0.5)
  const least = hoistedNumber(f, 1)
  // Added to a whole number, this leaves it in the lowest bits.
  const shift = hoistedNumber(f, 2 ** 23)
  const first = hoistedInteger(f, bitsOf(2 ** 23 + 1))
  const most = hoistedInteger(f, 0x0f0f0f0f)
  return {
    group(group) {
      const result = f.local('v128')
      // The second where it is larger: what is not a number never is.
      f.get(least)
        .get(p.copy)
        .at('v128.load', 16 * group)
      f.get(inverse).op('f32x4.mul').get(half).op('f32x4.sub')
      op(f, 'f32x4.ceil').op('f32x4.pmax').get(shift).op('f32x4.add').get(first).op('i32x4.sub').set(result)
      return result
    },
    sixteen: () => void op(f.get(most), 'i8x16.min_u'),
  }
}

/**
 * Few codes are found by comparing with all halves above 0. What the bits of a number are, without their sign, is compared as a whole
 * number; below 0 the code farther from 0 is the lower one, which halves get.
 */
function comparedCodes(f: FunctionBuilder, p: Parameters, inverse: Local, { codes }: Coding): Finding {
  const bounds = midpoints(codes).filter((bound) => bound > 0)
  const above = bounds.map((bound) => hoistedInteger(f, bitsOf(bound) - 1))
  const [unsign, belowZero] = [hoistedInteger(f, unsignedBits), hoistedInteger(f, -1)]
  const zero = hoistedInteger(f, 0x10001 * codes.indexOf(0))
  return {
    group(group) {
      const [bits, positive, size, passed] = [f.local('v128'), f.local('v128'), f.local('v128'), f.local('v128')]
      f.get(p.copy)
        .at('v128.load', 16 * group)
        .get(inverse)
        .op('f32x4.mul')
        .tee(bits)
        .get(unsign)
        .op('v128.and')
      f.get(bits).get(belowZero).op('i32x4.gt_s').tee(positive).op('i32x4.add').set(size)
      above.forEach((bound, index) => {
        f.get(size).get(bound).op('i32x4.gt_s')
        if (index > 0) f.op('i32x4.add')
      })
      // A comparison that holds is -1.
      f.get(positive).op('v128.xor').get(positive).op('i32x4.sub').set(passed)
      return passed
    },
    // Beyond the lowest code nothing is left of what is below 0.
    eight: () => void op(f.get(zero), 'i16x8.add'),
  }
}

/** What finding the places of entries needs in every group: vectors that are read once. */
interface Bins {
  readonly coding: Coding
  /** What is left of a shifted number where an entry lies. */
  readonly words: Local
  readonly entries: Local
}

function binsOf(f: FunctionBuilder, table: Local, coding: Coding): Bins {
  const entries = f.local('v128')
  f.get(table)
    .i32(4 * coding.entries)
    .op('i32.add', 'i32x4.splat')
    .set(entries)
  // Codes without sign have no entries below 0: there the sign stays with the number, and makes the code 0.
  const words = (coding.signed ? -1 : unsignedBits >> (coding.shift - 2)) & -4
  return { coding, words: hoistedInteger(f, words), entries }
}

/** Leaves where the entries of four numbers of a copy lie, and these over their scale in `scaled`. */
function placesOfFour(f: FunctionBuilder, copy: Local, group: number, inverse: Local, bins: Bins, scaled: Local) {
  const { coding, words, entries } = bins
  f.get(copy)
    .at('v128.load', 16 * group)
    .get(inverse)
    .op('f32x4.mul')
  return f
    .tee(scaled)
    .i32(coding.shift - 2)
    .op('i32x4.shr_u')
    .get(words)
    .op('v128.and')
    .get(entries)
    .op('i32x4.add')
}

/** Reads the entries at four places, and leaves the codes of four numbers in a local: of signed ones below 0 less than 0 by them. */
function codesAt(f: FunctionBuilder, place: (lane: number) => void, scaled: () => void, { shift }: Coding): Local {
  const [entry, address] = [f.local('v128'), f.local('i32')]
  for (let lane = 0; lane < 4; lane++) {
    place(lane)
    if (lane === 0) load(f, 'v128.load32_zero')
    else loadLane(f.set(address).get(address).get(entry), lane)
    f.set(entry)
  }
  f.get(entry)
  scaled()
  f.op('i32x4.add').i32(shift)
  op(f, 'i32x4.shr_s').set(entry)
  return entry
}

/** Codes that are looked up. */
function foundCodes(f: FunctionBuilder, { copy, table }: Parameters, inverse: Local, coding: Coding): Finding {
  const bins = binsOf(f, table, coding)
  const group: GroupCodes = (group) => {
    const [places, scaled] = [f.local('v128'), f.local('v128')]
    placesOfFour(f, copy, group, inverse, bins, scaled).set(places)
    return codesAt(
      f,
      (lane) => extractLane(f.get(places), lane),
      () => f.get(scaled),
      coding,
    )
  }
  return { group, ...withoutSign(f, coding) }
}

/** Of signed codes below 0 entries give less than 0 by them. */
const withoutSign = (f: FunctionBuilder, { signed }: Coding) => (signed ? { eight: () => void op(f, 'i16x8.abs') } : {})

/**
 * Divides the numbers of a block by its scale, where they lie, and stores where the entries of their codes lie: what was stored long
 * before is read sooner than what has just been, and with less work than out of a vector.
 * @param count a multiple of sixteen.
 */
export function storePlaces(
  f: FunctionBuilder,
  { copy, places, table }: Readonly<Record<'copy' | 'places' | 'table', Local>>,
  count: number,
  inverse: Local,
  storage: StagedStorage,
): void {
  const [from, to, last, scaled] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('v128')]
  const bins = binsOf(f, table, codingOf(storage))
  f.get(places).set(to).get(copy).tee(from)
  f.i32(4 * count)
    .op('i32.add')
    .set(last)
  f.loop(() => {
    for (let group = 0; group < 4; group++) {
      placesOfFour(f.get(to), from, group, inverse, bins, scaled).at('v128.store', 16 * group)
      f.get(from)
        .get(scaled)
        .at('v128.store', 16 * group)
    }
    f.get(to).i32(64).op('i32.add').set(to)
    f.get(from).i32(64).op('i32.add').tee(from).get(last).op('i32.lt_u').branchIf(0)
  })
}

/** Stores the codes of a byte of sixteen numbers over their scale at the address on the stack. */
export function storeBytes(f: FunctionBuilder, copy: Local, places: Local, storage: StagedStorage): void {
  const coding = codingOf(storage)
  const codes = [0, 1, 2, 3].map((group) =>
    codesAt(
      f,
      (lane) => f.get(places).at('i32.load', 16 * group + 4 * lane),
      () => f.get(copy).at('v128.load', 16 * group),
      coding,
    ),
  )
  packed(f, codes, withoutSign(f, coding)).at('v128.store')
}

/** Leaves the bytes of sixteen codes. */
function packed(
  f: FunctionBuilder,
  codes: readonly Local[],
  { eight, sixteen }: Omit<Finding, 'group'>,
): FunctionBuilder {
  for (const pair of [0, 2]) {
    op(f.get(codes[pair]!).get(codes[pair + 1]!), 'i16x8.narrow_i32x4_s')
    eight?.()
  }
  op(f, 'i8x16.narrow_i16x8_u')
  sixteen?.()
  return f
}

/**
 * Of a scale of 2 or more, or of 0, numbers above 0 may become 0 when they are divided by it: raises those before `last` that are as
 * small, by so little that their codes stay the same.
 */
export function raiseSmall(f: FunctionBuilder, copy: Local, last: Local, inverse: Local): void {
  const [at, least, value] = [f.local('i32'), f.local('v128'), f.local('v128')]
  const one = (number: number) => f.f32(number).op('f32x4.splat')
  f.get(inverse).extract('f32x4', 0).f32(0.5).op('f32.le')
  f.if(() => {
    f.get(inverse)
    one(1).get(inverse).zeroVector().op('f32x4.ne', 'v128.bitselect').set(inverse)
    one(2 ** -30)
      .get(inverse)
      .op('f32x4.div')
      .set(least)
    f.get(copy).set(at)
    f.loop(() => {
      f.get(at).get(at).at('v128.load').tee(value).get(least).op('f32x4.pmax').get(value).zeroVector()
      f.op('f32x4.gt', 'v128.and').at('v128.store').get(at).i32(16).op('i32.add').tee(at).get(last)
      f.op('i32.lt_u').branchIf(0)
    })
  })
}

function encodeCodes(storage: StagedStorage): FunctionBuilder {
  const { bits, block } = storageOf(storage)
  const coding = codingOf(storage)
  const { f, parameters: p } = start(encodeName(storage), 0)
  const [end, inverse, limit, next, last] = [
    f.local('i32'),
    f.local('v128'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
  ]
  const even = bits === 4 && !coding.signed
  const scaling = hoistedNumber(f, even ? 16 : 1)
  const lowBytes = hoistedInteger(f, 0x00ff00ff)
  padCopy(f, p)
  f.get(p.to).set(limit)
  f.get(scaling).set(inverse)
  const finding = even
    ? evenCodes(f, p, inverse)
    : bits === 4
      ? comparedCodes(f, p, inverse, coding)
      : foundCodes(f, p, inverse, coding)
  const vectors = (to: Local) =>
    repeat(f, { ...p, to }, sixteen, () => {
      const codes = [0, 1, 2, 3].map(finding.group)
      packed(address(f, p, bits), codes, finding)
      if (bits === 8) f.at('v128.store')
      else {
        const bytes = f.local('v128')
        f.tee(bytes).get(bytes).i32(4)
        op(f, 'i16x8.shr_u').op('v128.or').get(lowBytes).op('v128.and').zeroVector()
        storeHalf(op(f, 'i8x16.narrow_i16x8_u'))
      }
    })
  if (!block) {
    vectors(limit)
    return f
  }
  f.block(() => {
    f.loop(() => {
      f.get(p.from).get(limit).op('i32.ge_u').branchIf(1)
      f.get(p.from).i32(block).op('i32.add').tee(next).get(limit).get(next).get(limit)
      f.op('i32.lt_u', 'select').set(end)
      f.get(p.copy).get(end).get(p.from).op('i32.sub').i32(2).op('i32.shl', 'i32.add').set(last)
      findScale(f, p, block, last, inverse)
      if (even) f.get(inverse).get(scaling).op('f32x4.mul').set(inverse)
      else if (!coding.signed) raiseSmall(f, p.copy, last, inverse)
      vectors(end)
      // The last one went up to a multiple of sixteen, and with it the loop ends.
      f.branch(0)
    })
  })
  return f
}

/** Leaves the bits of four numbers within what bfloat16 holds; what is smaller than a normal number or none is 0. */
function limitedBits(f: FunctionBuilder, { copy }: Parameters, group: number, limits: Limits): FunctionBuilder {
  const value = f.local('v128')
  f.get(copy)
    .at('v128.load', 16 * group)
    .tee(value)
    .get(limits.largest)
  op(f, 'f32x4.pmin')
    .get(limits.least)
    .op('f32x4.pmax')
    .get(value)
    .get(limits.unsign)
    .op('v128.and')
    .get(limits.smallest)
  return op(f, 'f32x4.ge').op('v128.and')
}

interface Limits {
  readonly largest: Local
  readonly least: Local
  readonly smallest: Local
  /** Takes the sign away: the instruction that does makes this anew each time. */
  readonly unsign: Local
}

const limitsOf = (f: FunctionBuilder): Limits => ({
  largest: hoistedNumber(f, largestBfloat16),
  least: hoistedNumber(f, -largestBfloat16),
  smallest: hoistedNumber(f, smallestScale),
  unsign: hoistedInteger(f, unsignedBits),
})

function decodeBfloat16(): FunctionBuilder {
  return decoder(
    'bfloat16',
    (f, p) => {
      load(address(f, p, 16), 'i32.load16_u')
        .i32(16)
        .op('i32.shl')
      op(f, 'f32.reinterpret_i32')
    },
    (f, p) => () => {
      for (let group = 0; group < 4; group++) {
        f.get(p.copy)
        load(address(f, p, 16), 'v128.load16x4_u', 8 * group)
          .i32(16)
          .op('i32x4.shl')
          .at('v128.store', 16 * group)
      }
    },
  )
}

/** Thirty-two elements share four counters: the second sixteen of them have the upper halves of their words. */
function encodeBfloat16(): FunctionBuilder {
  const { f, parameters: p, others } = start(encodeName('bfloat16'), 3)
  padCopy(f, p)
  const words = philoxOfStream(f, ...(others as [Local, Local, Local]))
  const [lower, lanes] = [hoistedInteger(f, 0xffff), f.local('v128')]
  const [smallest, unsign, magnitude, infinite] = [
    hoistedNumber(f, smallestScale),
    hoistedInteger(f, unsignedBits),
    hoistedInteger(f, 0x7fff7fff),
    hoistedInteger(f, 0x7f807f80),
  ]
  f.i32x4([0, 1, 2, 3]).set(lanes)
  repeat(f, p, 2 * sixteen, () => {
    const places = f.local('v128')
    f.get(p.from).i32(5).op('i32.shr_u').i32(2).op('i32.shl', 'i32x4.splat').get(lanes).op('i32x4.add').set(places)
    const drawn = words(places)
    const halves = (half: 0 | 1) => {
      for (const pair of [0, 2]) {
        address(f, p, 16)
        for (const group of [pair, pair + 1]) {
          const value = f.local('v128')
          f.get(p.copy)
            .at('v128.load', 64 * half + 16 * group)
            .tee(value)
          // What is smaller than a normal number or none is 0.
          op(f.get(value).get(unsign).op('v128.and').get(smallest), 'f32x4.ge').op('v128.and').get(drawn[group]!)
          if (half === 0) f.get(lower).op('v128.and')
          else f.i32(16).op('i32x4.shr_u')
          f.op('i32x4.add').i32(16).op('i32x4.shr_u')
        }
        const rounded = f.local('v128')
        // What became infinite is 1 more than the largest number.
        op(f, 'i16x8.narrow_i32x4_u').tee(rounded).get(rounded).get(magnitude).op('v128.and').get(infinite)
        op(f, 'i16x8.eq', 'i16x8.add').at('v128.store', 32 * half + 8 * pair)
      }
    }
    halves(0)
    f.get(p.from)
      .i32(sixteen)
      .op('i32.add')
      .get(p.to)
      .op('i32.lt_u')
      .if(() => halves(1))
  })
  return f
}

function decodeBfloat16AndByte(): FunctionBuilder {
  const rest = (f: FunctionBuilder, p: Parameters) => f.get(p.first).get(p.from).op('i32.add')
  return decoder(
    'bfloat16AndByte',
    (f, p) => {
      load(address(f, p, 16), 'i32.load16_u')
        .i32(16)
        .op('i32.shl')
      load(rest(f, p), 'i32.load8_s').i32(8).op('i32.shl', 'i32.add')
      op(f, 'f32.reinterpret_i32')
    },
    (f, p) => {
      const [zero, signs, sign] = [f.local('v128'), hoistedInteger(f, 0x80808080 | 0), hoistedInteger(f, 0x8000)]
      return () => {
        const [bytes, eight, upper] = [f.local('v128'), f.local('v128'), f.local('v128')]
        // 128 more than a byte is never below 0, and is taken off again where it stands in a word.
        rest(f, p).at('v128.load').get(signs).op('v128.xor').set(bytes)
        for (const half of [0, 1]) {
          interleave(f.get(zero).get(bytes), 1, half === 1).set(eight)
          address(f, p, 16)
            .at('v128.load', 16 * half)
            .set(upper)
          for (const quarter of [0, 1]) {
            interleave(f.get(p.copy).get(eight).get(upper), 2, quarter === 1)
              .get(sign)
              .op('i32x4.sub')
              .at('v128.store', 16 * (2 * half + quarter))
          }
        }
      }
    },
  )
}

function encodeBfloat16AndByte(): FunctionBuilder {
  const { f, parameters: p } = start(encodeName('bfloat16AndByte'), 0)
  padCopy(f, p)
  const limits = limitsOf(f)
  const [half, middle, second] = [hoistedInteger(f, 0x80), hoistedInteger(f, 0x8000), hoistedInteger(f, 0xff00)]
  repeat(f, p, sixteen, () => {
    // The second byte of these is what is left over: of 24 bits the lowest, whatever the upper half is rounded to.
    const groups = [0, 1, 2, 3].map((group) => {
      const rounded = f.local('v128')
      limitedBits(f, p, group, limits).get(half).op('i32x4.add').set(rounded)
      return rounded
    })
    for (const pair of [0, 2]) {
      address(f, p, 16)
      for (const group of [pair, pair + 1]) f.get(groups[group]!).get(middle).op('i32x4.add').i32(16).op('i32x4.shr_u')
      op(f, 'i16x8.narrow_i32x4_u').at('v128.store', 8 * pair)
    }
    f.get(p.first).get(p.from).op('i32.add')
    for (const pair of [0, 2]) {
      for (const group of [pair, pair + 1]) f.get(groups[group]!).get(second).op('v128.and')
      op(f, 'i16x8.narrow_i32x4_u').i32(8)
      op(f, 'i16x8.shr_u')
    }
    op(f, 'i8x16.narrow_i16x8_u').at('v128.store')
  })
  return f
}

interface Functions {
  readonly decode: (storage: StagedStorage) => FunctionBuilder
  readonly encode: (storage: StagedStorage) => FunctionBuilder
}

const coded: Functions = { decode: decodeCodes, encode: encodeCodes }

/** One that is missing does not compile. */
const functions: Readonly<Record<StagedStorage, Functions>> = {
  bfloat16: { decode: decodeBfloat16, encode: encodeBfloat16 },
  bfloat16AndByte: { decode: decodeBfloat16AndByte, encode: encodeBfloat16AndByte },
  dynamic8: coded,
  unsignedDynamic8: coded,
  dynamic4: coded,
  unsignedLinear4: coded,
  sixteenths: coded,
}

export const decodeFunction = (storage: StagedStorage): FunctionBuilder => functions[storage].decode(storage)
export const encodeFunction = (storage: StagedStorage): FunctionBuilder => functions[storage].encode(storage)
