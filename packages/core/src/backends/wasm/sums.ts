/**
 * How the sums of a loop are taken: in float32 within short blocks, in float64 across them, always in the same order.
 *
 * - **Block**: 128 to 256 elements, counted from the start of the chunk or of the row. The four vectors of a turn are added
 *   in pairs, or one after the other where rows go side by side, and their sum to one vector of four float32 sums; at the end of
 *   the block these are added to float64 sums. What is left over, short rows and small tensors are summed in float64.
 * - **Columns**: a float32 sum for every column over up to 16 rows, or 16 times four rows that go side by side, then float64.
 * - **Again in float64**: a block whose float32 sums are not finite, or so small that products may have vanished, is summed
 *   again from what memory holds, in float64 with products from their float32 factors. So one element of 1e20 has a finite
 *   norm, elements of 1e-30 have one that is not 0, and what is not finite ends as it does in float64.
 *
 * Bound: with u = 2^-24 a summand is rounded once as a product, two or three times within its turn, fifteen times across the turns; what
 * products lose to underflow is less than u of the block's sum. So the sum s of the summands x_i is off by at most
 * 19 u / (1 - 19 u) sum |x_i|, which is less than 1.14e-6 sum |x_i|, however many there are (float64 adds less than 1e-9
 * of it up to 2^22 blocks); sums over columns by 18 u. Roundings of both signs cancel, so usual errors are about u.
 */

import type { Instruction, Loop, LoopReduction } from '../../plan/plan.ts'
import { toAside } from './aside.ts'

/** Elements of a block at most, and at least: sixteen and eight turns. */
export const blockElements = 256
export const shortestBlock = 128

/** Rows over which a column is summed in float32. */
export const blockRows = 16

/** Sums of products with a smaller float32 sum are taken again: 64 products lose less than 2^-24 of a larger one. */
export const smallestOfProducts = 2 ** -120

/** For every register whether its value can be found again when the loop has stored what it stores. */
function recoverable({ body, stores }: Loop): readonly boolean[] {
  const overwritten = new Set(stores.map(({ array }) => array))
  const stored = new Set(stores.map(({ register }) => register))
  const found: boolean[] = []
  body.forEach((instruction, register) => {
    const kept = !('array' in instruction) || !overwritten.has(instruction.array)
    const computed = kept && instruction.inputs.every((input) => found[input])
    found.push(stored.has(register) || computed)
  })
  return found
}

/** Whether columns have float32 sums first, or maxima, which are exact in float32. */
export function hasNarrowColumns(loop: Loop, { reduction, over, registers }: LoopReduction): boolean {
  if (loop.elementwise || over !== 'column') return false
  // What is read by way of a copy is gone when a block of rows is to be summed again.
  if (loop.staged && reduction !== 'maximum') return false
  // Products would need a look at every column, of which many may be all zeros; what cannot be found again is too much to keep.
  return reduction === 'maximum' || (registers.length === 1 && recoverable(loop)[registers[0]!]!)
}

/** The registers whose values are put aside until the end of their block, because they could not be found again. */
export function putAside(loop: Loop): number[] {
  if (loop.elementwise) return []
  const found = recoverable(loop)
  const summed = loop.reductions.filter(({ reduction, over }) => reduction === 'sum' && over !== 'column')
  return [...new Set(summed.flatMap(({ registers }) => registers.filter((register) => !found[register])))]
}

/** A loop that computes one reduction again from what memory holds. */
export function loopAgain(loop: Loop, reduction: LoopReduction): Loop {
  const found = recoverable(loop)
  const body: Instruction[] = []
  const places = new Map<number, number>()
  const visit = (register: number): number => {
    const known = places.get(register)
    if (known !== undefined) return known
    const instruction = loop.body[register]!
    const stored = loop.stores.find((store) => store.register === register)?.array
    const array = stored ?? (found[register] ? undefined : toAside(register))
    const again: Instruction =
      array === undefined
        ? ({ ...instruction, inputs: instruction.inputs.map(visit) } as Instruction)
        : { operation: 'load', inputs: [], array }
    const place = body.push(again) - 1
    places.set(register, place)
    return place
  }
  const registers = reduction.registers.map(visit)
  return { ...loop, body, stores: [], reductions: [{ ...reduction, registers }] }
}
