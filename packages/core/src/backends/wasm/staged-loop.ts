/** Loops over arrays that are not in float32, by way of float32 copies of a few elements. */

import type { Loop, Plan } from '../../plan/plan.ts'
import type { FunctionBuilder, Local } from './assembler.ts'
import type { EntryLayout } from './entry.ts'
import { GatheringLoopGenerator, type RowPlace } from './gathering-loop.ts'
import { countUp } from './library.ts'
import { decodeName, encodeName } from './staged.ts'
import { alignedElements, segmentElements, stagedArrays } from './staged-memory.ts'

/** Writes the function of a loop that decodes, computes and encodes a segment or a row after the other. */
export class StagedLoopGenerator extends GatheringLoopGenerator {
  /** Where the copies begin that this thread has, and the element that they begin with. */
  private readonly copies: ReadonlyMap<number, Local>
  private readonly window: Local

  constructor(plan: Plan, layout: EntryLayout, loop: Loop, index: number, name: string, again = false) {
    super(plan, layout, loop, index, name, again)
    this.window = this.f.local('i32')
    this.copies = new Map(stagedArrays(plan, plan.loops[index]!).map((array) => [array, this.f.local('i32')]))
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
    return copy ? this.f.get(copy).get(element).get(this.window).op('i32.sub') : super.placeOf(array, element)
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
    countUp(f, window, segmentElements, last, () => {
      f.get(window).i32(segmentElements).op('i32.add').tee(next).get(last)
      f.get(next).get(last).op('i32.lt_u', 'select').set(end)
      this.decode(window, end)
      this.between(window, end)
      this.encode(end)
    })
  }

  /** The copies begin with the last block that is not complete, of which the rows before left what they computed. */
  protected override beginRow(start: Local, { columns }: RowPlace): void {
    const { f } = this
    f.get(start).i32(-alignedElements).op('i32.and').set(this.window)
    if (this.again) return
    const end = f.local('i32')
    f.get(start).get(columns).op('i32.add').set(end)
    this.decode(start, end)
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

  /** Reads elements into the copies of the arrays that the loop reads. */
  private decode(from: Local, to: Local): void {
    for (const array of this.copies.keys()) {
      if (!this.loop.body.some((use) => 'array' in use && use.array === array)) continue
      this.argumentsFor(array, from, to).callHelper(decodeName(this.plan.arrays[array]!.storage))
    }
  }

  /** Writes what the copies hold of the arrays that the loop writes, up to an element. */
  private encode(to: Local): void {
    for (const { array, stream = [] } of this.loop.stores) {
      if (!this.copies.has(array)) continue
      this.argumentsFor(array, this.window, to)
      for (const number of stream) this.number(number).op('i32.trunc_sat_f64_u')
      this.f.callHelper(encodeName(this.plan.arrays[array]!.storage))
    }
  }
}
