/** What a step runs, as items of work in the order in which one or several threads take them. */

import type { ReductionKind } from '../../graph/node.ts'
import { type Round, schedule } from '../../plan/schedule.ts'
import type { LibraryIndices } from './kernels.ts'
import { type Items, oneItem, type PreparedProgram, type PreparedStage } from './prepared.ts'

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
 * Makes the work list of programs that run in the same step.
 * @param members the tensor that each program is of.
 * @param sideBySide for several threads.
 */
export type ListWork = (
  members: readonly number[],
  ready: readonly Pick<PreparedProgram, 'stages'>[],
  totals: TotalsPlace,
  sideBySide: boolean,
) => WorkList

/** Of programs whose stages are in the order of a schedule, where none waits for another: for one thread, tensor by tensor. */
export const listApart: ListWork = (_members, ready) => {
  const items = ready.flatMap(({ stages }) => {
    const rounds = stages.map(({ kind, items }) => ({ kind, items: items.flatMap(callsOf) }))
    turnRound(rounds)
    return rounds.flatMap((round) => round.items.flat())
  })
  return { items: Int32Array.from(items), rounds: [[0, items.length / 5]], totals: new Int32Array() }
}

/** True where a program must not run beside others as `listApart` lists it. */
export const waitsForOthers = ({ stages }: Pick<PreparedProgram, 'stages'>): boolean =>
  stages.some(({ kind, shared }) => kind === 'totals' || shared)

/** A pass over the arrays begins where the one before it ended: that much is still in the caches. */
function turnRound(rounds: readonly { readonly kind: string; readonly items: unknown[] }[]): void {
  const chunks = rounds.map(({ kind, items }) => (kind === 'loops' ? items.length : 0))
  let backwards = false
  for (const [index, { items }] of rounds.entries()) {
    if (backwards) items.reverse()
    if (2 * chunks[index]! > Math.max(...chunks)) backwards = !backwards
  }
}

/** Of any programs. */
export const listTogether: ListWork = (members, ready, totals, sideBySide) => {
  const words: number[] = []
  const rounds = schedule(ready, ({ keys = [] }) => keys).map(({ kind, together, work }) => ({
    kind,
    together,
    items:
      kind === 'totals'
        ? cut(-1, totalItems(work, totals, words))
        : work.flatMap(({ member, stage }) => cut(together ? -1 : members[member]!, stage.items)),
  }))
  turnRound(rounds)
  return sideBySide ? inRounds(rounds, words) : byTensor(rounds, words)
}

/** One item for every total over tensors that becomes known in a round. */
function totalItems(
  work: Round<PreparedStage>['work'],
  { region, addresses, kernels }: TotalsPlace,
  words: number[],
): Items[] {
  const parts = new Map<string, { kind: ReductionKind; addresses: number[] }>()
  for (const { key, reduction, address } of work.flatMap(({ stage }) => stage.totals ?? [])) {
    const known = parts.get(key) ?? { kind: reduction, addresses: [] }
    known.addresses.push(address)
    parts.set(key, known)
  }
  return [...parts].map(([key, part]) => {
    const entry = region + 4 * words.length
    words.push(addresses.get(key)!, part.addresses.length, ...part.addresses)
    return oneItem(kernels[part.kind]!, entry)
  })
}

/** One call of a kernel. */
interface Item {
  readonly tensor: number
  /** Kernel, entry, first and last element or row, and chunk. */
  readonly words: readonly number[]
  readonly waits: boolean
}

function cut(tensor: number, items: readonly Items[]): Item[] {
  return items.flatMap((each) => callsOf(each).map((words) => ({ tensor, words, waits: each.waits === true })))
}

function callsOf({ kernel, entry, count, perItem }: Items): number[][] {
  const calls: number[][] = []
  for (let first = 0; first < count; first += perItem) {
    calls.push([kernel, entry, first, Math.min(first + perItem, count), calls.length])
  }
  return calls
}

/** Calls of kernels as words. */
export function encodeItems(items: readonly Items[]): Int32Array {
  return Int32Array.from(items.flatMap(callsOf).flat())
}

const wordsOf = (items: readonly Item[]): Int32Array => Int32Array.from(items.flatMap(({ words }) => words))

type Rounds = readonly { readonly items: readonly Item[]; readonly together: boolean }[]

/** For several threads: round by round, all tensors side by side. */
function inRounds(rounds: Rounds, totals: readonly number[]): WorkList {
  const bounds: [number, number][] = []
  const items: Item[] = []
  for (const round of rounds) {
    for (const waits of [false, true]) {
      const some = round.items.filter((item) => item.waits === waits)
      if (some.length === 0) continue
      bounds.push([items.length, some.length])
      items.push(...some)
    }
  }
  return { items: wordsOf(items), rounds: bounds, totals: Int32Array.from(totals) }
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
    for (const item of round.items) {
      const list = waiting.get(item.tensor) ?? []
      waiting.set(item.tensor, list)
      list.push(item)
    }
    if (round.together) flush()
  }
  flush()
  return { items: wordsOf(items), rounds: [[0, items.length]], totals: Int32Array.from(totals) }
}
