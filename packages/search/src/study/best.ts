import { compareLosses, firstFront } from './dominance.ts'
import type { TrialRecord } from './trial.ts'
import { type Objective, signOf } from './view.ts'

/** The best trial of a study, and what it was chosen from. */
export interface Best {
  readonly trial: TrialRecord
  readonly value: number
  /** It is the best of so many complete trials. */
  readonly of: number
  /** So many more completed without meeting a constraint on the outcome. */
  readonly infeasible: number
}

/** The complete trials that meet their constraints. */
export function feasible(records: readonly TrialRecord[]): TrialRecord[] {
  return records.filter(
    ({ state, constraints }) => state === 'complete' && Object.values(constraints).every((value) => value <= 0),
  )
}

/** The best of the complete trials; among equal ones the earliest. `null` without one that meets its constraints. */
export function bestOf(records: readonly TrialRecord[], { direction }: Objective): Best | null {
  const chosen = feasible(records)
  const sign = signOf(direction)
  const loss = ({ values }: TrialRecord) => sign * values![0]!
  const [first, ...others] = chosen
  if (!first) return null
  const complete = records.filter(({ state }) => state === 'complete').length
  const trial = others.reduce((best, record) => (loss(record) < loss(best) ? record : best), first)
  return { trial, value: trial.values![0]!, of: chosen.length, infeasible: complete - chosen.length }
}

/** The complete trials that meet their constraints and that no other one dominates: none is at least as good in all objectives and better in one. */
export function frontOf(records: readonly TrialRecord[], objectives: readonly Objective[]): TrialRecord[] {
  const sign = objectives.map(({ direction }) => signOf(direction))
  const chosen = feasible(records).map((record, place) => {
    return { record, place, losses: sign.map((each, index) => each * record.values![index]!) }
  })
  chosen.sort((a, b) => compareLosses(a.losses, b.losses) || a.place - b.place)
  const { front } = firstFront(chosen, ({ losses }) => losses)
  return front.sort((a, b) => a.place - b.place).map(({ record }) => record)
}
