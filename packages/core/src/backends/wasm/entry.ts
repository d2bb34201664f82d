/** How a kernel finds the arrays, numbers and sizes of the tensor that it works on. */

import type { Loop, Plan } from '../../plan/plan.ts'
import type { StagedWord } from './staged-word.ts'

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

/**
 * The layout of an entry: the block of 32-bit words that tells a kernel where one tensor's arrays and numbers are and
 * how large its loops run. It depends on the plan alone, so that tensors of different size share kernels. This one has what plain plans
 * need; `GatheringEntryLayout` has all.
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
    for (const loop of plan.loops) this.addArrays(loop, plan)
  }

  get bytes(): number {
    return this.next
  }

  offset(word: EntryWord): number {
    const offset = this.offsets.get(JSON.stringify(word))
    if (offset === undefined) throw new Error(`no word for ${JSON.stringify(word)} in the entry`)
    return offset
  }

  protected addArrays({ body, stores }: Loop, _plan: Plan): void {
    for (const use of [...body, ...stores]) if ('array' in use) this.add({ kind: 'array', array: use.array })
  }

  /** @param count how many words it is. */
  protected add(word: EntryWord, count = 1): void {
    const text = JSON.stringify(word)
    if (this.offsets.has(text)) return
    this.offsets.set(text, this.next)
    this.words.push({ offset: this.next, word })
    this.next += 4 * count
  }
}
