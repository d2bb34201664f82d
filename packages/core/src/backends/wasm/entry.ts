/** How a kernel finds the arrays, numbers and sizes of the tensor that it works on. */

import type { Plan } from '../../plan/plan.ts'
import { provided } from '../../storage/provided.ts'
import type { StagedWord } from './staged-word.ts'
import { hasNarrowColumns, putAside } from './sums.ts'

/** What one or more words of an entry hold. */
export type EntryWord =
  /** The address of an array. */
  | { readonly kind: 'array'; readonly array: number }
  /** Rows, columns, rows per slice and slices per batch of a loop that follows rows. */
  | { readonly kind: 'geometry'; readonly loop: number }
  /** Where the partial results of a reduction lie, and how many there are. */
  | { readonly kind: 'partial'; readonly loop: number; readonly reduction: number }
  /** Where the float32 sums of columns lie. */
  | { readonly kind: 'narrow'; readonly loop: number; readonly reduction: number }
  /** What loops over arrays need that are not in float32. */
  | StagedWord
  /** Where each chunk puts the values of a register aside. */
  | { readonly kind: 'aside'; readonly loop: number; readonly register: number }
  /** Rows and columns of a broadcast that does not follow the loop's own. */
  | { readonly kind: 'apart'; readonly loop: number; readonly position: number }
  /** The address of a number kept as state. */
  | { readonly kind: 'number'; readonly key: string }
  /** The address of a total over all tensors. */
  | { readonly kind: 'total'; readonly key: string }

const wordCounts: Readonly<Record<EntryWord['kind'], number>> = {
  array: 1,
  geometry: 4,
  partial: 2,
  narrow: 1,
  aside: 1,
  apart: 2,
  staged: 3,
  number: 1,
  total: 1,
}

/**
 * The layout of an entry: the block of 32-bit words that tells a kernel where one tensor's arrays and numbers are and
 * how large its loops run. It depends on the plan alone, so that tensors of different size share kernels.
 */
export class EntryLayout {
  /** Where the host arguments begin (float64 each, in the order of `plan.arguments`). */
  readonly hostArguments = 0
  /** Where the scalars begin (float64 each, in the order of `plan.scalars`). */
  readonly scalars = 4
  readonly words: { readonly offset: number; readonly word: EntryWord }[] = []
  private readonly offsets = new Map<string, number>()
  private next = 8

  constructor(plan: Plan) {
    for (const loop of plan.loops) {
      for (const use of [...loop.body, ...loop.stores])
        if ('array' in use) this.add({ kind: 'array', array: use.array })
      for (const use of loop.reductions) if (use.over !== 'all') this.add({ kind: 'array', array: use.array })
      if (loop.staged) for (const word of provided().words(plan, loop)) this.add(word)
    }
    plan.loops.forEach((loop, index) => {
      if (loop.view) this.add({ kind: 'geometry', loop: index })
      loop.reductions.forEach((_, reduction) => {
        this.add({ kind: 'partial', loop: index, reduction })
        if (hasNarrowColumns(loop, loop.reductions[reduction]!)) this.add({ kind: 'narrow', loop: index, reduction })
      })
      for (const register of putAside(loop)) this.add({ kind: 'aside', loop: index, register })
      loop.body.forEach((instruction, position) => {
        if (instruction.operation === 'broadcast' && instruction.apart)
          this.add({ kind: 'apart', loop: index, position })
      })
    })
    for (const scalar of plan.scalars) {
      if (scalar.kind === 'slot') this.add({ kind: 'number', key: scalar.key })
      if (scalar.kind === 'total') this.add({ kind: 'total', key: scalar.key })
    }
    for (const { target } of plan.scalarOutputs)
      if (target.kind === 'slot') this.add({ kind: 'number', key: target.key })
  }

  get bytes(): number {
    return this.next
  }

  offset(word: EntryWord): number {
    const offset = this.offsets.get(JSON.stringify(word))
    if (offset === undefined) throw new Error(`no word for ${JSON.stringify(word)} in the entry`)
    return offset
  }

  private add(word: EntryWord): void {
    const text = JSON.stringify(word)
    if (this.offsets.has(text)) return
    this.offsets.set(text, this.next)
    this.words.push({ offset: this.next, word })
    this.next += 4 * wordCounts[word.kind]
  }
}
