import { openStudy } from '@fallline/search'
import { type Summary, summarize } from '../statistics.ts'
import { plainSamplers } from './bookkeeping.ts'
import { problems } from './problems.ts'

/** How far the best trial is from the smallest value, over seeds. */
export interface Regret {
  readonly sampler: string
  readonly problem: string
  readonly after: number
  /** One for each seed. */
  readonly values: readonly number[]
  readonly regret: Summary
}

/** Numbers of trials after which it is looked. */
export const after = [25, 50, 100]

/** Searches every problem with some samplers. */
export async function measureRegrets(
  names: readonly string[],
  seeds: number,
  progress: (text: string) => void,
): Promise<Regret[]> {
  const regrets: Regret[] = []
  for (const sampler of names) {
    const [, make] = plainSamplers.find(([each]) => each === sampler)!
    for (const { name: problem, space, minimum, value } of problems) {
      progress(`${sampler}: ${problem}`)
      const bests: number[][] = after.map(() => [])
      for (let seed = 0; seed < seeds; seed++) {
        const study = await openStudy({ space, sampler: make(), seed })
        await study.optimize(({ record }) => value(record.parameters), { trials: after.at(-1)! })
        const values = (await study.trials()).map((trial) => trial.values?.[0] ?? Infinity)
        for (const [index, count] of after.entries()) {
          bests[index]!.push(Math.min(...values.slice(0, count)) - minimum)
        }
      }
      for (const [index, count] of after.entries()) {
        const values = bests[index]!
        regrets.push({ sampler, problem, after: count, values, regret: summarize(values) })
      }
    }
  }
  return regrets
}
