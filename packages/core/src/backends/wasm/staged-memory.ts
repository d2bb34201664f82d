/** What loops over arrays that are not in float32 need in memory. */

import { dimensionsOf, elementsOf, type Loop, type Plan, type Sizes } from '../../plan/plan.ts'
import { partsOf, type StorageName } from '../../storage/storage.ts'
import type { MemoryLayout } from './memory.ts'
import { tableOf } from './staged-tables.ts'
import type { StagedMemory, StagedWord } from './staged-word.ts'

/** Elements that a flat loop decodes, computes and encodes before it goes on: few enough for the nearest cache. */
export const segmentElements = 1024

/** What all blocks divide: where the copy of a loop that follows rows may begin. */
export const alignedElements = 256

/** Bytes between copies, which must not begin at equal places of a page, and have room for sixteen elements behind them. */
const apart = 576

/** The arrays that a loop works on by way of a copy, in the order of their copies. */
export function stagedArrays(plan: Plan, { body, stores }: Loop): number[] {
  const used = [...body, ...stores].flatMap((use) => ('array' in use ? [use.array] : []))
  return [...new Set(used)].filter((array) => array >= 0 && plan.arrays[array]!.storage !== 'float32')
}

/** The words of an entry for such a loop. */
export function wordsFor(plan: Plan, loop: Loop): StagedWord[] {
  const kind = 'staged'
  const arrays = stagedArrays(plan, loop).flatMap((array): StagedWord[] => [
    { kind, what: 'elements', array },
    { kind, what: 'others', array },
    { kind, what: 'table', storage: plan.arrays[array]!.storage },
  ])
  return [{ kind, what: 'copies' }, ...arrays]
}

/** Bytes of the copies that one thread needs for a plan: of each, and of all. */
function copyBytes(plan: Plan, sizes: Sizes): { readonly each: number; readonly together: number } {
  const loops = plan.loops.filter(({ staged }) => staged)
  const elements = loops.map(({ view }) => (view ? dimensionsOf(view, sizes)[2] + alignedElements : segmentElements))
  const each = Math.ceil(Math.max(...elements) / 16) * 64 + apart
  return { each, together: each * Math.max(...loops.map((loop) => stagedArrays(plan, loop).length)) }
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b)
}

/** See `Provision.unit`. */
export function unitOf(batch: number, rows: number, columns: number): { rows: number; batches: number } {
  const aligned = (elements: number) => alignedElements / commonDivisor(alignedElements, elements)
  const batches = batch > 1 ? aligned(rows * columns) : 1
  return { rows: batches > 1 ? rows : aligned(columns), batches }
}

/** Keeps account of tables and copies while a memory is laid out. */
export class StagedMemoryLayout implements StagedMemory {
  private readonly layout: MemoryLayout
  private readonly words: { address: number; value: number }[]
  private readonly users: number[] = []
  private copyBytes = 0
  readonly tables = new Map<StorageName, number>()

  constructor(layout: MemoryLayout, words: { address: number; value: number }[]) {
    this.layout = layout
    this.words = words
  }

  place(word: StagedWord, address: number, plan: Plan, sizes: Sizes, addresses: readonly number[]): void {
    if (word.what === 'copies') {
      const { each, together } = copyBytes(plan, sizes)
      this.words.push({ address: address + 8, value: each })
      this.users.push(address)
      this.copyBytes = Math.max(this.copyBytes, together)
      return
    }
    this.words.push({ address, value: this.valueOf(word, plan, sizes, addresses) })
  }

  reserve(threads: number): void {
    const address = this.layout.reserve(this.copyBytes * threads, 64)
    for (const user of this.users) {
      this.words.push({ address: user, value: address }, { address: user + 4, value: this.copyBytes })
    }
  }

  private valueOf(
    word: Exclude<StagedWord, { readonly what: 'copies' }>,
    plan: Plan,
    sizes: Sizes,
    addresses: readonly number[],
  ): number {
    if (word.what === 'table') return this.table(word.storage)
    const { storage, extent } = plan.arrays[word.array]!
    return addresses[word.array]! + partsOf(storage, elementsOf(extent, sizes))[word.what]
  }

  private table(storage: StorageName): number {
    const known = this.tables.get(storage)
    if (known !== undefined) return known
    const address = this.layout.reserve(4 * tableOf(storage).length)
    this.tables.set(storage, address)
    return address
  }
}
