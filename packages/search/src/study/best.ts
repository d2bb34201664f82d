import type { TrialRecord } from './trial.ts'
import type { Objective } from './view.ts'

/** The best trial of a study, and what it was chosen from. */
export interface Best {
  readonly trial: TrialRecord
  readonly value: number
  /** It is the best of so many complete trials. */
  readonly of: number
  /** So many more completed without meeting a constraint on the outcome. */
  readonly infeasible: number
}

/** Whether a complete trial meets its constraints. */
function feasible({ constraints }: TrialRecord): boolean {
  return Object.values(constraints).every((value) => value <= 0)
}

/** The best of the complete trials; among equal ones the earliest. `null` without one that meets its constraints. */
export function bestOf(records: readonly TrialRecord[], { direction }: Objective): Best | null {
  const complete = records.filter(({ state }) => state === 'complete')
  const chosen = complete.filter(feasible)
  const sign = direction === 'minimize' ? 1 : -1
  const loss = ({ values }: TrialRecord) => sign * values![0]!
  const [first, ...others] = chosen
  if (!first) return null
  const trial = others.reduce((best, record) => (loss(record) < loss(best) ? record : best), first)
  return { trial, value: trial.values![0]!, of: chosen.length, infeasible: complete.length - chosen.length }
}

/** The complete trials that meet their constraints and that no other one dominates: none is at least as good in all objectives and better in one. */
export function frontOf(records: readonly TrialRecord[], objectives: readonly Objective[]): TrialRecord[] {
  const chosen = records.filter((record) => record.state === 'complete' && feasible(record))
  const losses = chosen.map(({ values }) =>
    objectives.map(({ direction }, index) => (direction === 'minimize' ? 1 : -1) * values![index]!),
  )
  // In this order nothing is dominated by what comes later, so each is compared with the front alone.
  const order = chosen
    .map((_, index) => index)
    .sort((a, b) => {
      const place = objectives.findIndex((_, index) => losses[a]![index] !== losses[b]![index])
      return place < 0 ? a - b : losses[a]![place]! - losses[b]![place]!
    })
  const front: number[] = []
  for (const candidate of order) {
    const dominated = front.some(
      (other) =>
        losses[other]!.every((loss, index) => loss <= losses[candidate]![index]!) &&
        losses[other]!.some((loss, index) => loss < losses[candidate]![index]!),
    )
    if (!dominated) front.push(candidate)
  }
  return front.sort((a, b) => a - b).map((index) => chosen[index]!)
}
