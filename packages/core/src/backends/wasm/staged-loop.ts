/** Loops over arrays that are not in float32, by way of float32 copies of a few elements. */

import type { Loop, Plan } from '../../plan/plan.ts'
import { type StagedStorage, type StorageName, storageOf } from '../../storage/storage.ts'
import { isAside } from './aside.ts'
import type { FunctionBuilder, Local } from './assembler.ts'
import type { EntryLayout } from './entry.ts'
import { GatheringLoopGenerator, type RowPlace } from './gathering-loop.ts'
import { countUp } from './library.ts'
import { isFlat } from './loop.ts'
import {
  decodeFour,
  decodeName,
  encodeName,
  keepScale,
  largestOf,
  noteLargest,
  raiseSmall,
  storeBytes,
  storePlaces,
  unsignedBits,
} from './staged.ts'
import { alignedElements, segmentElements, stagedArrays } from './staged-memory.ts'

/** An array of codes of a byte in a loop over whole blocks. */
interface Block {
  /** Where the codes lie that a turn reads, and what multiplies their numbers. */
  readonly codes: Local
  readonly scale: Local
  readonly table: Local
  /** The largest sizes of what the block gets. */
  readonly largest: Local
  /** Where the numbers lie that a turn encodes, where the places of their entries, where their codes belong, and 1 over their scale. */
  readonly back: Local
  readonly places: Local
  readonly out: Local
  readonly inverse: Local
}

/** The storages whose blocks a loop decodes and encodes within its own body. */
const ofBytes = new Set<StorageName>(['dynamic8', 'unsignedDynamic8'])

/** Bytes of the float32 copy of a block. */
const copyBytes = 4 * alignedElements

/** Where in the copy of an array codes go that nobody reads, and where the places of entries lie. */
const nowhere = 2 * copyBytes
const placesOffset = nowhere + alignedElements

/**
 * Elements that turns read ahead in arrays of float32. Between two of their lines a processor decodes and encodes for so long that it
 * does not come to wait for the next page early enough.
 */
const aheadElements = 2048

/** Writes the function of a loop that decodes, computes and encodes a segment or a row after the other. */
export class StagedLoopGenerator extends GatheringLoopGenerator {
  /** Where the copies begin that this thread has, and the element that they begin with. */
  private readonly copies: ReadonlyMap<number, Local>
  private readonly window: Local
  /** Where in a copy the numbers of the block begin, in a loop over whole blocks, which needs those of the block before too. */
  private readonly half: Local
  private readonly blocks: ReadonlyMap<number, Block>
  private readonly unsign: Local
  /** Bytes that turns read ahead of arrays in float32, 0 near the end; and where they read of others, with the bits of an element. */
  private readonly ahead: Local
  private readonly aheadOfCodes: readonly {
    readonly array: number
    readonly what: 'elements' | 'others'
    readonly bits: number
    readonly pointer: Local
  }[]
  /** Whether turns read and write codes themselves. */
  private inTurns = false

  constructor(plan: Plan, layout: EntryLayout, loop: Loop, index: number, name: string, again = false) {
    super(plan, layout, loop, index, name, again)
    const { f } = this
    this.window = f.local('i32')
    this.half = f.local('i32')
    this.unsign = f.local('v128')
    this.ahead = f.local('i32')
    const arrays = stagedArrays(plan, plan.loops[index]!)
    this.copies = new Map(arrays.map((array) => [array, f.local('i32')]))
    this.aheadOfCodes = arrays.flatMap((array) => {
      const { bits } = storageOf(plan.arrays[array]!.storage)
      const part = (what: 'elements' | 'others', bits: number) => ({ array, what, bits, pointer: f.local('i32') })
      return bits === 24 ? [part('elements', 16), part('others', 8)] : [part('elements', bits)]
    })
    const whole = !again && isFlat(loop)
    const inBlocks = arrays.filter((array) => whole && ofBytes.has(plan.arrays[array]!.storage))
    const block = (): Block => ({
      codes: f.local('i32'),
      scale: f.local('v128'),
      table: f.local('i32'),
      largest: f.local('v128'),
      back: f.local('i32'),
      places: f.local('i32'),
      out: f.local('i32'),
      inverse: f.local('v128'),
    })
    this.blocks = new Map(inBlocks.map((array) => [array, block()]))
  }

  protected override loadScalars(): void {
    super.loadScalars()
    for (const [index, copy] of [...this.copies.values()].entries()) {
      this.word({ kind: 'staged', what: 'copies' }).thread('get')
      this.word({ kind: 'staged', what: 'copies' }, 4).op('i32.mul', 'i32.add')
      this.word({ kind: 'staged', what: 'copies' }, 8).i32(index).op('i32.mul', 'i32.add').set(copy)
    }
  }

  protected override placeOf(array: number, element: Local): FunctionBuilder {
    const copy = this.copies.get(array)
    if (!copy) return super.placeOf(array, element)
    this.f.get(copy)
    if (this.blocks.size > 0) this.f.get(this.half).op('i32.add')
    return this.f.get(element).get(this.window).op('i32.sub')
  }

  protected override flat(): void {
    const { f, window, first, last } = this
    if (this.again) {
      // The copies still hold the segment that is summed again.
      f.get(first).i32(-segmentElements).op('i32.and').set(window)
      super.flat()
      return
    }
    const [next, end] = [f.local('i32'), f.local('i32')]
    f.get(first).set(window)
    if (this.blocks.size > 0) this.wholeBlocks()
    countUp(f, window, segmentElements, last, () => {
      f.get(window).i32(segmentElements).op('i32.add').tee(next).get(last)
      f.get(next).get(last).op('i32.lt_u', 'select').set(end)
      this.decode(window, end)
      this.lookAhead(window, end, last)
      this.between(window, end)
      this.encode(end)
    })
  }

  /**
   * Runs over whole blocks of codes of a byte. A turn decodes sixteen elements where its body reads them, and encodes sixteen of the
   * block before, whose scale is known: so a processor has something to do while it waits for roots and quotients.
   */
  private wholeBlocks(): void {
    const { f, first, last, window, half, blocks } = this
    const [end, left] = [f.local('i32'), f.local('i32')]
    const stored = [...blocks].filter(([array]) => this.loop.stores.some((store) => store.array === array))
    f.fourOf(unsignedBits).set(this.unsign)
    for (const [array, block] of blocks) {
      this.word({ kind: 'staged', what: 'table', storage: this.plan.arrays[array]!.storage }).set(block.table)
      // What comes before the first block are zeros, which lie there like a block that a turn has computed.
      f.get(this.copies.get(array)!).i32(0).i32(nowhere).fill()
      this.inCopy(array, nowhere).set(block.out)
    }
    f.i32(copyBytes).set(half)
    for (const [array, block] of stored) this.storePlaces(array, block)
    f.i32(0).set(half)
    const other = (local: Local) => f.i32(copyBytes).get(half).op('i32.sub').set(local)
    const turns = (body: () => void) => {
      f.i32(alignedElements / 16).set(left)
      f.loop(() => {
        body()
        for (const [array, { back, places, out }] of stored) {
          f.get(out)
          storeBytes(f, back, places, this.plan.arrays[array]!.storage as StagedStorage)
        }
        const move = (bytes: number, ...pointers: Local[]) => {
          for (const pointer of pointers) f.get(pointer).i32(bytes).op('i32.add').set(pointer)
        }
        for (const { codes, back, places, out } of blocks.values()) {
          move(16, codes, out)
          move(64, back, places)
        }
        f.get(left).i32(1).op('i32.sub').tee(left).branchIf(0)
      })
    }
    const before = () => {
      for (const [array, { back, places }] of blocks) {
        other(back)
        f.get(back).get(this.copies.get(array)!).op('i32.add').set(back)
        this.inCopy(array, placesOffset).set(places)
      }
    }
    f.block(() => {
      f.loop(() => {
        f.get(window).i32(alignedElements).op('i32.add').tee(end).get(last).op('i32.gt_u').branchIf(1)
        for (const [array, { codes, scale, largest }] of blocks) {
          this.word({ kind: 'staged', what: 'elements', array }).get(window).op('i32.add').set(codes)
          this.scaleOf(array).at('v128.load32_splat').set(scale)
          f.zeroVector().set(largest)
        }
        this.decode(window, end, this.blocks)
        before()
        this.lookAhead(window, end, last)
        this.startPointers(window)
        this.inTurns = true
        turns(() => {
          this.turn()
          this.advance(16)
        })
        this.inTurns = false
        for (const [array, block] of stored) this.endBlock(array, block, end)
        this.encode(end, this.blocks)
        other(half)
        f.get(end).set(window)
        f.branch(0)
      })
    })
    f.get(window)
      .get(first)
      .op('i32.gt_u')
      .if(() => {
        before()
        turns(() => {})
      })
    f.i32(0).set(half)
  }

  /** Has turns from one element to another read ahead if as many follow them before an end. */
  private lookAhead(from: Local, to: Local, end: Local): void {
    const { f, ahead } = this
    f.i32(4 * aheadElements)
      .i32(0)
      .get(to)
      .i32(aheadElements)
      .op('i32.add')
      .get(end)
    f.op('i32.le_u', 'select').set(ahead)
    for (const { array, what, bits, pointer } of this.aheadOfCodes) {
      this.word({ kind: 'staged', what, array }).get(from).get(ahead).i32(2).op('i32.shr_u', 'i32.add')
      f.i32(bits).op('i32.mul').i32(3).op('i32.shr_u', 'i32.add').set(pointer)
    }
  }

  protected override turn(): void {
    super.turn()
    for (const [array, pointer] of this.pointers) {
      if (this.copies.has(array) || isAside(array)) continue
      this.f.get(pointer).get(this.ahead).op('i32.add').at('i32.load').drop()
    }
    for (const { array, pointer, bits } of this.aheadOfCodes) {
      // What turns decode themselves they come to steadily, which a processor sees.
      if (this.inTurns && this.blocks.has(array)) continue
      this.f.get(pointer).at('i32.load').drop()
      this.move(pointer, 2 * bits)
    }
  }

  /** Leaves the address of the scale of the block that begins with the window. */
  private scaleOf(array: number): FunctionBuilder {
    this.word({ kind: 'staged', what: 'others', array }).get(this.window).i32(Math.log2(alignedElements))
    return this.f.op('i32.shr_u').i32(2).op('i32.shl', 'i32.add')
  }

  /** Leaves an address in the copy of an array. */
  private inCopy(array: number, offset: number): FunctionBuilder {
    return this.f.get(this.copies.get(array)!).i32(offset).op('i32.add')
  }

  /** Finds the scale of a block that turns have computed, and the places of its entries, for the turns of the next one. */
  private endBlock(array: number, block: Block, end: Local): void {
    const { f, window, half } = this
    const { largest, inverse, out } = block
    const { storage } = this.plan.arrays[array]!
    const [bits, copy, last] = [f.local('i32'), f.local('i32'), f.local('i32')]
    largestOf(f, largest, bits).if(() => {
      // What is infinite or not a number is replaced there.
      this.argumentsFor(array, window, end).callHelper(encodeName(storage))
      f.zeroVector().set(inverse)
      this.inCopy(array, nowhere).set(out)
      f.op('else')
      this.scaleOf(array)
      keepScale(f, bits, inverse)
      if (storage === 'unsignedDynamic8') {
        f.get(this.copies.get(array)!).get(half).op('i32.add').tee(copy).i32(copyBytes).op('i32.add').set(last)
        raiseSmall(f, copy, last, inverse)
      }
      this.word({ kind: 'staged', what: 'elements', array }).get(window).op('i32.add').set(out)
    })
    this.storePlaces(array, block)
  }

  /** Stores the places of the entries of what the copy of a block holds. */
  private storePlaces(array: number, { table, inverse }: Block): void {
    const { f } = this
    const [copy, places] = [f.local('i32'), f.local('i32')]
    f.get(this.copies.get(array)!).get(this.half).op('i32.add').set(copy)
    this.inCopy(array, placesOffset).set(places)
    const { storage } = this.plan.arrays[array]!
    storePlaces(f, { copy, places, table }, alignedElements, inverse, storage as StagedStorage)
  }

  protected override loadVector(array: number, lane: number): void {
    const block = this.inTurns ? this.blocks.get(array) : undefined
    if (block) decodeFour(this.f, block.codes, 4 * lane, block.table, block.scale)
    else super.loadVector(array, lane)
  }

  protected override storeVector(array: number, value: Local, lane: number): void {
    super.storeVector(array, value, lane)
    const block = this.inTurns ? this.blocks.get(array) : undefined
    if (block) noteLargest(this.f.get(value), block.largest, this.unsign)
  }

  /** The copies begin with the last block that is not complete, of which the rows before left what they computed. */
  protected override beginRow(start: Local, { batch, rows, columns }: RowPlace): void {
    const { f } = this
    f.get(start).i32(-alignedElements).op('i32.and').set(this.window)
    if (this.again) return
    const end = f.local('i32')
    f.get(start).get(columns).op('i32.add').set(end)
    this.decode(start, end)
    const batchEnd = f.local('i32')
    f.get(batch).i32(1).op('i32.add').get(rows).op('i32.mul').get(columns).op('i32.mul').set(batchEnd)
    this.lookAhead(start, end, batchEnd)
  }

  /** Writes the blocks that the row has completed, in the last row of the chunk all, and keeps the rest for the next row. */
  protected override endRow(start: Local, { columns, row, rowEnd, slice }: RowPlace): void {
    const { f } = this
    const [end, to, left] = [f.local('i32'), f.local('i32'), f.local('i32')]
    f.get(start).get(columns).op('i32.add').tee(end).get(end).i32(-alignedElements).op('i32.and')
    f.get(slice!).i32(1).op('i32.add').get(this.last).op('i32.eq')
    f.get(row).i32(1).op('i32.add').get(rowEnd!).op('i32.eq', 'i32.and', 'select').set(to)
    this.encode(to)
    f.get(end).get(to).op('i32.sub').i32(4).op('i32.mul').set(left)
    for (const { array } of this.loop.stores) {
      const copy = this.copies.get(array)
      if (!copy) continue
      f.get(copy).get(copy).get(to).get(this.window).op('i32.sub').i32(4).op('i32.mul', 'i32.add').get(left)
      f.push(0xfc, 0x0a, 0x00, 0x00)
    }
  }

  /** Leaves what decoding and encoding take. */
  private argumentsFor(array: number, from: Local, to: Local): FunctionBuilder {
    this.word({ kind: 'staged', what: 'others', array })
    this.word({ kind: 'staged', what: 'elements', array }).get(from).get(to)
    this.placeOf(array, from).i32(4).op('i32.mul', 'i32.add')
    return this.word({ kind: 'staged', what: 'table', storage: this.plan.arrays[array]!.storage })
  }

  /** Reads elements into the copies of the arrays that the loop reads, but those that turns read themselves. */
  private decode(from: Local, to: Local, but?: ReadonlyMap<number, Block>): void {
    for (const array of this.copies.keys()) {
      if (but?.has(array) || !this.loop.body.some((use) => 'array' in use && use.array === array)) continue
      this.argumentsFor(array, from, to).callHelper(decodeName(this.plan.arrays[array]!.storage))
    }
  }

  /** Writes what the copies hold of the arrays that the loop writes, up to an element, but those that turns write themselves. */
  private encode(to: Local, but?: ReadonlyMap<number, Block>): void {
    for (const { array, stream = [] } of this.loop.stores) {
      if (but?.has(array) || !this.copies.has(array)) continue
      this.argumentsFor(array, this.window, to)
      for (const number of stream) this.number(number).op('i32.trunc_sat_f64_u')
      this.f.callHelper(encodeName(this.plan.arrays[array]!.storage))
    }
  }
}
