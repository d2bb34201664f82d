import { float, openStudy, type Sampler, space, type TrialRecord } from '../../src/index.ts'

export const line = space({ x: float(0, 1) })

/** A value that rungs rank as the end does: the coordinate, and something that becomes less with the resource. */
export const value = (x: number, until: number) => x + 1 / until

/** Runs a study from 1 to a maximum, with objectives that pause where they are told to; some throw. */
export async function run(
  sampler: Sampler,
  {
    maximum = 81,
    minimum = 1,
    trials = 1e6,
    parallel = 1,
    resource: budget = Infinity,
    fails = () => false,
  }: {
    maximum?: number
    minimum?: number
    trials?: number
    parallel?: number
    resource?: number
    fails?: (number: number, from: number) => boolean
  } = {},
) {
  const resource = { name: 'epoch', minimum, maximum }
  const study = await openStudy({ space: line, sampler, resource, seed: 1 })
  let used = 0
  const evaluations: { number: number; until: number }[] = []
  const standing = await study.optimize(
    async (trial) => {
      const until = trial.until ?? maximum
      evaluations.push({ number: trial.number, until })
      await new Promise((resolve) => setTimeout(resolve, parallel > 1 ? trial.number % 3 : 0))
      if (fails(trial.number, trial.from)) throw new Error('it fails')
      used += until - trial.from
      await trial.report(until, value(trial.parameters.x, until))
      return value(trial.parameters.x, until)
    },
    { trials, parallel, failures: 'continue', ...(budget < Infinity && { resource: budget }) },
  )
  return { study, used, evaluations, reason: standing.reason, records: await study.trials() }
}

/** How many trials have been at each amount of the resource. */
export function countByUntil(evaluations: readonly { until: number }[]): Record<number, number> {
  const counts: Record<number, number> = {}
  for (const { until } of evaluations) counts[until] = (counts[until] ?? 0) + 1
  return counts
}

export const xOf = ({ point }: TrialRecord) => point[0]!
