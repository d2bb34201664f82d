/** What a step runs, as items of work in the order in which one or several threads take them. */

import type { ReductionKind } from '../../graph/node.ts'
import type { Stage } from '../../plan/plan.ts'
import { type Round, schedule } from '../../plan/schedule.ts'
import type { LibraryIndices } from './kernels.ts'
import type { Item, Prepared } from './prepared.ts'

/** A work list as words, ready to be copied into the memory. */
export interface WorkList {
  readonly items: Int32Array
  /** First item and number of items of each round. */
  readonly rounds: readonly (readonly [number, number])[]
  readonly totals: Int32Array
}

/** Where totals over tensors lie, and the kernels that compute them. */
export interface TotalsPlace {
  /** Where the pointers to the parts of totals begin. */
  readonly region: number
  /** The address of every total. */
  readonly addresses: ReadonlyMap<string, number>
  readonly kernels: LibraryIndices['totals']
}

/**
 * The work list of programs that run in the same step.
 * @param members the tensor that each program is of.
 * @param sideBySide for several threads.
 */
export function workList(
  members: readonly number[],
  ready: readonly Prepared[],
  totals: TotalsPlace,
  sideBySide: boolean,
): WorkList {
  const words: number[] = []
  const rounds = schedule(ready.map(({ plan }) => plan)).map(({ kind, together, work }) => ({
    kind,
    together,
    items:
      kind === 'totals'
        ? totalItems(work, ready, totals, words).map((item) => ({ tensor: -1, item }))
        : work.flatMap(({ member, stage }) =>
            stageItems(ready[member]!, stage).map((item) => ({
              tensor: together ? -1 : members[member]!,
              item,
            })),
          ),
  }))
  // A pass over the arrays begins where the one before it ended: that much is still in the caches.
  const chunks = rounds.map(({ kind, items }) => (kind === 'loops' ? items.length : 0))
  let backwards = false
  for (const [index, { items }] of rounds.entries()) {
    if (backwards) items.reverse()
    if (2 * chunks[index]! > Math.max(...chunks)) backwards = !backwards
  }
  return sideBySide ? inRounds(rounds, words) : byTensor(rounds, words)
}

/** One item for every total over tensors that becomes known in a round. */
function totalItems(
  work: Round['work'],
  ready: readonly Prepared[],
  { region, addresses, kernels }: TotalsPlace,
  words: number[],
): Item[] {
  const parts = new Map<string, { kind: ReductionKind; addresses: number[] }>()
  for (const { member, stage } of work) {
    if (stage.kind !== 'totals') continue
    const { plan, scalars, hostArguments } = ready[member]!
    for (const index of stage.scalars) {
      const scalar = plan.scalars[index]!
      if (scalar.kind !== 'total') continue
      const { key, reduction, part } = scalar
      const known = parts.get(key) ?? { kind: reduction, addresses: [] }
      known.addresses.push((part.kind === 'argument' ? hostArguments : scalars) + 8 * part.index)
      parts.set(key, known)
    }
  }
  return [...parts].map(([key, part]) => {
    const entry = region + 4 * words.length
    words.push(addresses.get(key)!, part.addresses.length, ...part.addresses)
    return { kernel: kernels[part.kind]!, entry, first: 0, last: 0, chunk: 0 }
  })
}

/** The items of one stage of one tensor. */
function stageItems(prepared: Prepared, stage: Stage): readonly Item[] {
  const { plan, kernels, entry, loopItems, routineItems } = prepared
  const kernel = () => {
    const index = kernels.stages.get(plan.stages.indexOf(stage))!
    return [{ kernel: index, entry, first: 0, last: 0, chunk: 0 }]
  }
  switch (stage.kind) {
    case 'scalars':
    case 'commit':
      return kernel()
    case 'loops':
      return stage.loops.flatMap((loop) => loopItems[loop]!)
    case 'routines':
      return stage.routines.flatMap((routine) => routineItems[routine]!)
    case 'totals':
      return []
  }
}

/** Items as words. */
export function encodeItems(items: readonly Item[]): Int32Array {
  const words = new Int32Array(5 * items.length)
  items.forEach(({ kernel, entry, first, last, chunk }, index) => {
    words.set([kernel, entry, first, last, chunk], 5 * index)
  })
  return words
}

type Rounds = readonly {
  readonly items: readonly { readonly tensor: number; readonly item: Item }[]
  readonly together: boolean
}[]

/** For several threads: round by round, all tensors side by side. */
function inRounds(rounds: Rounds, totals: readonly number[]): WorkList {
  const bounds: [number, number][] = []
  const items: Item[] = []
  for (const round of rounds) {
    bounds.push([items.length, round.items.length])
    items.push(...round.items.map(({ item }) => item))
  }
  return { items: encodeItems(items), rounds: bounds, totals: Int32Array.from(totals) }
}

/** For one thread: tensor by tensor between sums over all tensors, so that a tensor's later passes find it in the cache. */
function byTensor(rounds: Rounds, totals: readonly number[]): WorkList {
  const items: Item[] = []
  const waiting = new Map<number, Item[]>()
  const flush = () => {
    for (const list of waiting.values()) items.push(...list)
    waiting.clear()
  }
  for (const round of rounds) {
    if (round.together) flush()
    for (const { tensor, item } of round.items) {
      const list = waiting.get(tensor) ?? []
      waiting.set(tensor, list)
      list.push(item)
    }
    if (round.together) flush()
  }
  flush()
  return { items: encodeItems(items), rounds: [[0, items.length]], totals: Int32Array.from(totals) }
}
