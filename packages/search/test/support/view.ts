import type { Json, Resource, SeenTrial, Space, View } from '../../src/index.ts'
import { isEnd } from '../../src/index.ts'

/** A trial as a sampler sees it; by default complete, without anything known of it. */
export function seen(number: number, parts: Partial<SeenTrial> = {}): SeenTrial {
  return {
    number,
    state: 'complete',
    point: [0.5],
    losses: null,
    reports: [],
    until: null,
    violations: [],
    cost: null,
    note: null as Json,
    ...parts,
  }
}

/** A trial with reports at steps 1, 2, ... */
export function curve(number: number, values: readonly number[], parts: Partial<SeenTrial> = {}): SeenTrial {
  return seen(number, { reports: values.map((value, index) => ({ step: index + 1, value })), ...parts })
}

/** A view of given trials. */
export function viewOf(
  space: Space,
  trials: readonly SeenTrial[],
  {
    resource = null,
    seed = 0,
    direction = 'minimize' as 'minimize' | 'maximize',
  }: {
    resource?: Resource | null
    seed?: number
    direction?: 'minimize' | 'maximize'
  } = {},
): View {
  return {
    space,
    objectives: [{ name: 'value', direction }],
    resource,
    seed,
    ended: trials.filter(({ state }) => isEnd(state)),
    results: trials.filter(({ state }) => state === 'complete' || state === 'pruned').length,
    open: trials.filter(({ state }) => !isEnd(state)),
    trial: (number) => trials.find((trial) => trial.number === number),
  }
}
