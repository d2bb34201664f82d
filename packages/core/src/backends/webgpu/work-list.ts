/** What a step runs, as dispatches in their order. */

import type { ReductionKind } from '../../graph/node.ts'
import type { Stage } from '../../plan/plan.ts'
import { type Round, schedule, sharedKeys } from '../../plan/schedule.ts'
import type { Dispatch, Item, Prepared } from './builder.ts'
import { totalsKernel } from './library.ts'

/**
 * The dispatches of programs that run in the same step: those of one kind of all tensors together.
 * @param totals the place of every total.
 */
export function dispatchesOf(
  ready: readonly Prepared[],
  totals: ReadonlyMap<string, number>,
  heaps: number,
): Dispatch[] {
  const keysOf = (stage: Stage, member: number) => sharedKeys(ready[member]!.plan, stage)
  const plans = ready.map(({ plan }) => plan)
  return schedule(plans, keysOf).flatMap(({ kind, work }) =>
    kind === 'totals'
      ? totalDispatches(work, ready, totals, heaps)
      : merged(work.flatMap(({ member, stage }) => stageDispatches(ready[member]!, stage))),
  )
}

/** Dispatches one after the other, with those that may run side by side as one where they have the same kernel and buffers. */
export function merged(parallel: readonly (readonly Dispatch[])[]): Dispatch[] {
  const result: Dispatch[] = []
  const turns = parallel.reduce((most, list) => Math.max(most, list.length), 0)
  for (let turn = 0; turn < turns; turn++) {
    const together = new Map<string, Dispatch & { items: Item[] }>()
    for (const list of parallel) {
      const dispatch = list[turn]
      if (!dispatch) continue
      const { items } = dispatch
      const key = `${dispatch.buffersOf} ${dispatch.kernel.key}`
      const known = together.get(key) ?? { ...dispatch, items: [] }
      together.set(key, known)
      for (const item of items) known.items.push(item)
    }
    result.push(...together.values())
  }
  return result.filter(({ items }) => items.length > 0)
}

/** What a stage of one tensor runs: lists that may run side by side. */
function stageDispatches(prepared: Prepared, stage: Stage): (readonly Dispatch[])[] {
  const { plan, loops, routines, stages } = prepared
  const own = () => [[stages.get(plan.stages.indexOf(stage))!]]
  switch (stage.kind) {
    case 'scalars':
    case 'commit':
      return own()
    case 'loops':
      return stage.loops.map((loop) => loops[loop]!)
    case 'routines':
      return stage.routines.map((routine) => routines[routine]!)
    case 'totals':
      return []
  }
}

/** One dispatch for all totals of a kind that become known in a round, an item for each. */
function totalDispatches(
  work: Round<Stage>['work'],
  ready: readonly Prepared[],
  places: ReadonlyMap<string, number>,
  heaps: number,
): Dispatch[] {
  const parts = new Map<string, { kind: ReductionKind; places: [number, number][] }>()
  for (const { member, stage } of work) {
    if (stage.kind !== 'totals') continue
    const { plan, scalars, hostNumbers } = ready[member]!
    for (const index of stage.scalars) {
      const scalar = plan.scalars[index]!
      if (scalar.kind !== 'total') continue
      const { key, reduction, part } = scalar
      const known = parts.get(key) ?? { kind: reduction, places: [] }
      parts.set(key, known)
      const host = part.kind === 'argument'
      known.places.push(host ? [hostNumbers + 2 * part.index, 1] : [scalars + part.index, 0])
    }
  }
  return (['sum', 'maximum'] as const).flatMap((kind) => {
    const own = [...parts].filter(([, part]) => part.kind === kind)
    if (own.length === 0) return []
    const lists: Item[] = []
    const heads = own.map(([key, part]): Item => {
      const first = own.length + lists.length
      for (const [place, host] of part.places) lists.push([place, host, 0, 0])
      return [1, part.places.length, first, places.get(key)!]
    })
    return [{ kernel: totalsKernel(heaps, kind), items: [...heads, ...lists], groups: heads.length }]
  })
}
