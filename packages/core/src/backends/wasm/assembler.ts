/** A small WebAssembly assembler: instructions by name in, bytes out. */

export type ValueType = 'i32' | 'f32' | 'f64' | 'v128'

const typeCodes: Record<ValueType, number> = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b }
const emptyBlock = 0x40

/** Instructions without immediates. A code above 0xff has a prefix byte, then the rest, of one or two bytes, as LEB128. */
export const plain = {
  else: 0x05,
  end: 0x0b,
  return: 0x0f,
  drop: 0x1a,
  select: 0x1b,
  'i32.eqz': 0x45,
  'i32.eq': 0x46,
  'i32.ne': 0x47,
  'i32.lt_u': 0x49,
  'i32.gt_u': 0x4b,
  'i32.le_u': 0x4d,
  'i32.ge_u': 0x4f,
  'f32.eq': 0x5b,
  'f32.ne': 0x5c,
  'f32.lt': 0x5d,
  'f32.le': 0x5f,
  'f64.eq': 0x61,
  'f64.ne': 0x62,
  'f64.lt': 0x63,
  'f64.le': 0x65,
  'i32.add': 0x6a,
  'i32.sub': 0x6b,
  'i32.mul': 0x6c,
  'i32.div_u': 0x6e,
  'i32.rem_u': 0x70,
  'i32.and': 0x71,
  'i32.or': 0x72,
  'i32.shl': 0x74,
  'i32.shr_u': 0x76,
  'f32.abs': 0x8b,
  'f32.floor': 0x8e,
  'f32.sqrt': 0x91,
  'f32.add': 0x92,
  'f32.sub': 0x93,
  'f32.mul': 0x94,
  'f32.div': 0x95,
  'f64.abs': 0x99,
  'f64.neg': 0x9a,
  'f64.floor': 0x9c,
  'f64.sqrt': 0x9f,
  'f64.add': 0xa0,
  'f64.sub': 0xa1,
  'f64.mul': 0xa2,
  'f64.div': 0xa3,
  'f64.min': 0xa4,
  'f64.max': 0xa5,
  'f64.copysign': 0xa6,
  'f32.convert_i32_u': 0xb3,
  'f32.demote_f64': 0xb6,
  'f64.convert_i32_u': 0xb8,
  'f64.promote_f32': 0xbb,
  'i32.trunc_sat_f64_u': 0xfc03,
  'i32x4.splat': 0xfd11,
  'f32x4.splat': 0xfd13,
  'f64x2.splat': 0xfd14,
  'i32x4.ne': 0xfd38,
  'i32x4.gt_s': 0xfd3b,
  'f32x4.eq': 0xfd41,
  'f32x4.ne': 0xfd42,
  'f32x4.lt': 0xfd43,
  'f32x4.gt': 0xfd44,
  'f32x4.le': 0xfd45,
  'f64x2.eq': 0xfd47,
  'f64x2.lt': 0xfd49,
  'f64x2.gt': 0xfd4a,
  'v128.not': 0xfd4d,
  'v128.and': 0xfd4e,
  'v128.or': 0xfd50,
  'v128.xor': 0xfd51,
  'v128.bitselect': 0xfd52,
  'v128.any_true': 0xfd53,
  'f32x4.demote_f64x2_zero': 0xfd5e,
  'f64x2.promote_low_f32x4': 0xfd5f,
  'f32x4.floor': 0xfd68,
  'f64x2.nearest': 0xfd94,
  'i32x4.shl': 0xfdab,
  'i32x4.shr_u': 0xfdad,
  'i32x4.add': 0xfdae,
  'i32x4.sub': 0xfdb1,
  'i32x4.max_s': 0xfdb8,
  'i64x2.extend_low_i32x4_s': 0xfdc7,
  'i64x2.shl': 0xfdcb,
  'i64x2.shr_u': 0xfdcd,
  'i64x2.add': 0xfdce,
  'i64x2.extmul_low_i32x4_u': 0xfdde,
  'i64x2.extmul_high_i32x4_u': 0xfddf,
  'f32x4.abs': 0xfde0,
  'f32x4.sqrt': 0xfde3,
  'f32x4.add': 0xfde4,
  'f32x4.sub': 0xfde5,
  'f32x4.mul': 0xfde6,
  'f32x4.div': 0xfde7,
  'f32x4.pmin': 0xfdea,
  'f32x4.pmax': 0xfdeb,
  'f64x2.abs': 0xfdec,
  'f64x2.neg': 0xfded,
  'f64x2.add': 0xfdf0,
  'f64x2.sub': 0xfdf1,
  'f64x2.mul': 0xfdf2,
  'f64x2.div': 0xfdf3,
  'f64x2.max': 0xfdf5,
  'f64x2.pmin': 0xfdf6,
  'f64x2.pmax': 0xfdf7,
  'f32x4.convert_i32x4_u': 0xfdfb,
  'i32x4.trunc_sat_f64x2_s_zero': 0xfdfc,
  'f32x4.relaxed_madd': 0xfd0105,
} as const

/** Loads and stores: code and natural alignment exponent. Arrays may be unaligned, so SIMD promises 4 bytes only. */
export const memory = {
  'i32.load': [0x28, 2],
  'f32.load': [0x2a, 2],
  'f64.load': [0x2b, 3],
  'i32.store': [0x36, 2],
  'f32.store': [0x38, 2],
  'f64.store': [0x39, 3],
  'v128.load': [0xfd00, 2],
  'v128.load32_splat': [0xfd09, 2],
  'v128.load64_splat': [0xfd0a, 3],
  'v128.store': [0xfd0b, 2],
  'i32.atomic.load': [0xfe10, 2],
  'i32.atomic.rmw.add': [0xfe1e, 2],
} as const

export type PlainInstruction = keyof typeof plain
export type MemoryInstruction = keyof typeof memory

export function unsigned(value: number): number[] {
  const bytes: number[] = []
  let rest = value >>> 0
  do {
    const low = rest & 0x7f
    rest >>>= 7
    bytes.push(rest === 0 ? low : low | 0x80)
  } while (rest !== 0)
  return bytes
}

function signed(value: number): number[] {
  const bytes: number[] = []
  let rest = value | 0
  for (;;) {
    const low = rest & 0x7f
    rest >>= 7
    if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) {
      bytes.push(low)
      return bytes
    }
    bytes.push(low | 0x80)
  }
}

function append(target: number[], bytes: readonly number[]): void {
  for (const byte of bytes) target.push(byte)
}

function opcode(code: number): number[] {
  if (code > 0xffff) return [code >> 16, ...unsigned(code & 0xffff)]
  return code > 0xff ? [code >> 8, ...unsigned(code & 0xff)] : [code]
}

/** A local variable of a function. */
export interface Local {
  readonly index: number
  readonly type: ValueType
}

/** What a global holds: two float64 alike, four whole numbers alike, or which thread this is. */
type GlobalValue = number | `four ${number}` | 'thread'

/** One function being written. Every method appends one instruction. */
export class FunctionBuilder {
  readonly name: string
  readonly parameters: readonly Local[]
  readonly results: readonly ValueType[]
  readonly code: number[] = []
  /** Where in the code the numbers of called functions belong. */
  readonly calls: { readonly position: number; readonly name: string }[] = []
  /** Where in the code the numbers of globals belong: those of two float64 alike, of four whole numbers alike, of the thread. */
  readonly constants: { readonly position: number; readonly value: GlobalValue }[] = []
  readonly locals: Local[] = []

  constructor(name: string, parameters: readonly ValueType[], results: readonly ValueType[] = []) {
    this.name = name
    this.results = results
    this.parameters = parameters.map((type, index) => ({ index, type }))
  }

  local(type: ValueType): Local {
    const local = { index: this.parameters.length + this.locals.length, type }
    this.locals.push(local)
    return local
  }

  get(local: Local): this {
    return this.push(0x20, ...unsigned(local.index))
  }

  set(local: Local): this {
    return this.push(0x21, ...unsigned(local.index))
  }

  tee(local: Local): this {
    return this.push(0x22, ...unsigned(local.index))
  }

  i32(value: number): this {
    return this.push(0x41, ...signed(value))
  }

  f32(value: number): this {
    return this.push(0x43, ...new Uint8Array(Float32Array.of(value).buffer))
  }

  f64(value: number): this {
    return this.push(0x44, ...new Uint8Array(Float64Array.of(value).buffer))
  }

  zeroVector(): this {
    return this.push(0xfd, 0x0c, ...new Array<number>(16).fill(0))
  }

  op(...names: PlainInstruction[]): this {
    for (const name of names) this.push(...opcode(plain[name]))
    return this
  }

  at(name: MemoryInstruction, offset = 0): this {
    const [code, align] = memory[name]
    return this.push(...opcode(code), align, ...unsigned(offset))
  }

  /** Discards the value on the stack. */
  drop(): this {
    return this.op('drop')
  }

  /** The upper two floats moved to the lower half; takes the vector twice. */
  upperHalf(): this {
    return this.floats(2, 3, 2, 3)
  }

  /** The lower two floats of each of two vectors. */
  lowerHalves(): this {
    return this.floats(0, 1, 4, 5)
  }

  /** The upper two floats of each of two vectors. */
  upperHalves(): this {
    return this.floats(2, 3, 6, 7)
  }

  /** The lower two floats of two vectors in turns: one of the first, one of the second. */
  lowerInTurns(): this {
    return this.floats(0, 4, 1, 5)
  }

  /** The upper two floats of two vectors in turns. */
  upperInTurns(): this {
    return this.floats(2, 6, 3, 7)
  }

  /** Four of the eight floats of two vectors. */
  private floats(...places: readonly number[]): this {
    return this.shuffle(places.flatMap((place) => [0, 1, 2, 3].map((byte) => 4 * place + byte)))
  }

  private shuffle(lanes: readonly number[]): this {
    return this.push(0xfd, 0x0d, ...lanes)
  }

  /** Stores two floats of a vector, the lower (`half` 0) or the upper (`half` 1); takes address and vector from the stack. */
  storeHalf(half: 0 | 1): this {
    return this.push(0xfd, 0x5b, 2, 0, half)
  }

  /** The lower (`first` 0) or upper (`first` 1) words of the four 64-bit numbers of two vectors. */
  words(first: 0 | 1): this {
    const lanes = [0, 8, 16, 24].flatMap((start) => [0, 1, 2, 3].map((byte) => start + 4 * first + byte))
    return this.shuffle(lanes)
  }

  /** Four whole numbers. */
  i32x4(values: readonly [number, number, number, number]): this {
    const bytes = new Uint8Array(Int32Array.from(values).buffer)
    return this.push(0xfd, 0x0c, ...bytes)
  }

  extract(type: 'f32x4' | 'f64x2', lane: number): this {
    return this.push(0xfd, type === 'f32x4' ? 0x1f : 0x21, lane)
  }

  /** Sets `[address, address + length)` to a byte; takes address, byte and length from the stack. */
  fill(): this {
    return this.push(0xfc, 0x0b, 0x00)
  }

  if(body: () => void): this {
    return this.structure(0x04, body)
  }

  /** Repeats the body as long as it ends with `continueIf`. */
  loop(body: () => void): this {
    return this.structure(0x03, body)
  }

  block(body: () => void): this {
    return this.structure(0x02, body)
  }

  /** Branches to the `depth`-th enclosing structure if the value on the stack is not zero. */
  branchIf(depth: number): this {
    return this.push(0x0d, ...unsigned(depth))
  }

  branch(depth: number): this {
    return this.push(0x0c, ...unsigned(depth))
  }

  /** Calls an imported function. */
  call(index: number): this {
    return this.push(0x10, ...unsigned(index))
  }

  /** Calls a function of the same module by its name. */
  callHelper(name: string): this {
    this.push(0x10)
    this.calls.push({ position: this.code.length, name })
    return this.leaveNumber()
  }

  /** Two float64 alike from a constant global: one load, where an instruction with the number makes it from parts each time. */
  pairOf(value: number): this {
    return this.global('get', value)
  }

  /** Four whole numbers alike from a constant global. */
  fourOf(value: number): this {
    return this.global('get', `four ${value}`)
  }

  /** Reads or writes which thread this is: 0 where nobody writes it. */
  thread(access: 'get' | 'set'): this {
    return this.global(access, 'thread')
  }

  private global(access: 'get' | 'set', value: GlobalValue): this {
    this.push(access === 'get' ? 0x23 : 0x24)
    this.constants.push({ position: this.code.length, value })
    return this.leaveNumber()
  }

  /** The number is filled in when the module is put together: five bytes, whatever its size. */
  private leaveNumber(): this {
    for (let byte = 0; byte < 5; byte++) this.code.push(0)
    return this
  }

  /** Calls through the table; takes the arguments, then the index, from the stack. */
  callIndirect(type: number): this {
    return this.push(0x11, ...unsigned(type), 0x00)
  }

  /** Appends the encoded function to a module, with the numbers of the functions it calls and of the globals it reads. */
  write(module: number[], functions: ReadonlyMap<string, number>, globals: ReadonlyMap<GlobalValue, number>): void {
    for (const { position, name } of this.calls) this.fillIn(position, functions.get(name)!)
    for (const { position, value } of this.constants) this.fillIn(position, globals.get(value)!)
    const locals = unsigned(this.locals.length)
    append(module, unsigned(locals.length + 2 * this.locals.length + this.code.length + 1))
    append(module, locals)
    for (const { type } of this.locals) module.push(1, typeCodes[type])
    append(module, this.code)
    module.push(plain.end)
  }

  private fillIn(position: number, number: number): void {
    for (let byte = 0; byte < 5; byte++) {
      this.code[position + byte] = ((number >>> (7 * byte)) & 0x7f) | (byte < 4 ? 0x80 : 0)
    }
  }

  private structure(code: number, body: () => void): this {
    this.push(code, emptyBlock)
    body()
    return this.push(plain.end)
  }

  /** Appends an instruction by its bytes. */
  push(...bytes: number[]): this {
    for (const byte of bytes) this.code.push(byte)
    return this
  }
}

/** The signature of every kernel function: `(entry, first, last, chunk)`. */
export const kernelParameters: readonly ValueType[] = ['i32', 'i32', 'i32', 'i32']

/** A function that a module imports from `env`. */
export interface ImportedFunction {
  readonly name: string
  readonly parameters: readonly ValueType[]
}

/** The bytes of a vector that a global holds. */
function vectorBytes(value: Exclude<GlobalValue, 'thread'>): Uint8Array {
  if (typeof value === 'number') return new Uint8Array(Float64Array.of(value, value).buffer)
  return new Uint8Array(new Int32Array(4).fill(Number(value.slice('four '.length))).buffer)
}

/** What writes the functions that kernels may call, by name: only those that are called are written. */
export type Helpers = Readonly<Record<string, () => FunctionBuilder>>

/** The helpers that functions call, and those that these call, each once. */
function calledBy(functions: readonly FunctionBuilder[], helpers: Helpers): FunctionBuilder[] {
  const called = new Map<string, FunctionBuilder>()
  const visit = (f: FunctionBuilder): void => {
    for (const { name } of f.calls) {
      if (called.has(name)) continue
      if (!Object.hasOwn(helpers, name)) throw new Error(`no function ${name} to call`)
      const helper = helpers[name]!()
      called.set(name, helper)
      visit(helper)
    }
  }
  for (const f of functions) visit(f)
  return [...called.values()]
}

/**
 * A module of kernel functions, all in one table, a driver that is exported as `run`, and those of the helpers that are
 * called. The memory is imported as `env.memory`; a module for several threads imports a shared one, and functions.
 */
export function assembleModule(
  kernels: readonly FunctionBuilder[],
  driver: FunctionBuilder,
  helpers: Helpers,
  shared: readonly ImportedFunction[] | undefined,
): Uint8Array<ArrayBuffer> {
  const imported = shared ?? []
  const section = (id: number, content: readonly number[]) => [id, ...unsigned(content.length), ...content]
  const text = (value: string) => [...unsigned(value.length), ...[...value].map((char) => char.charCodeAt(0))]
  const called = calledBy([...kernels, driver], helpers)
  const own = [driver, ...called]
  const signatures = [
    { parameters: kernelParameters, results: [] },
    ...imported.map(({ parameters }) => ({ parameters, results: [] })),
    ...own.map(({ parameters, results }) => ({ parameters: parameters.map(({ type }) => type), results })),
  ]
  const valueTypes = (types: readonly ValueType[]) => [
    ...unsigned(types.length),
    ...types.map((type) => typeCodes[type]),
  ]
  const types = signatures.flatMap(({ parameters, results }) => [
    0x60,
    ...valueTypes(parameters),
    ...valueTypes(results),
  ])
  const limits = shared ? [0x03, 0, ...unsigned(65536)] : [0x00, 0]
  const imports = imported.flatMap(({ name }, index) => [...text('env'), ...text(name), 0x00, ...unsigned(1 + index)])
  const count = unsigned(kernels.length)
  const functions = unsigned(kernels.length + own.length)
  // Imported functions come first in the numbering of functions.
  const first = imported.length
  const numbers = new Map(called.map(({ name }, index) => [name, first + kernels.length + 1 + index]))
  const bodies = [...functions]
  const constants = [...new Set([...kernels, ...own].flatMap((f) => f.constants.map(({ value }) => value)))]
  const globals = new Map(constants.map((value, index) => [value, index]))
  for (const builder of [...kernels, ...own]) builder.write(bodies, numbers, globals)
  const pairs = constants.flatMap((value) =>
    value === 'thread'
      ? [typeCodes.i32, 0x01, 0x41, 0x00, plain.end]
      : [typeCodes.v128, 0x00, 0xfd, 0x0c, ...vectorBytes(value), plain.end],
  )
  const parts = [
    [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    section(1, [...unsigned(signatures.length), ...types]),
    section(2, [...unsigned(1 + first), ...imports, ...text('env'), ...text('memory'), 0x02, ...limits]),
    section(3, [...functions, ...kernels.map(() => 0), ...own.flatMap((_, index) => unsigned(1 + first + index))]),
    section(4, [1, 0x70, 0x00, ...count]),
    section(6, [...unsigned(constants.length), ...pairs]),
    section(7, [1, ...text('run'), 0x00, ...unsigned(first + kernels.length)]),
    section(9, [1, 0x00, 0x41, 0x00, plain.end, ...count, ...kernels.flatMap((_, index) => unsigned(first + index))]),
    [10, ...unsigned(bodies.length)],
    bodies,
  ]
  const bytes: number[] = []
  for (const part of parts) append(bytes, part)
  return new Uint8Array(bytes)
}
