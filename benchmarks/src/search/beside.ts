import { type Bookkeeping, compared } from './bookkeeping.ts'
import type { Regret } from './regret.ts'

/** Our storages with those of Optuna that do the same. */
export const storages: Readonly<Record<string, string>> = {
  memory: 'memory',
  PGlite: 'SQLite',
  PostgreSQL: 'PostgreSQL',
}

/** How many times as fast asking and telling is as with a sampler of Optuna. */
export interface SpeedBeside {
  readonly sampler: string
  readonly storage: string
  readonly peer: string
  readonly trials: number
  readonly ratio: number
}

/** In which share of all pairs of seeds the regret is smaller than with a sampler of Optuna, equal ones counted half. */
export interface RegretBeside {
  readonly sampler: string
  readonly peer: string
  readonly problem: string
  readonly after: number
  readonly share: number
  /** The interval that has the share of two samplers that are alike in 95 of 100 cases. */
  readonly low: number
  readonly high: number
}

/** Every pair that was measured on both sides. */
export function speedsBeside(bookkeeping: readonly Bookkeeping[]): SpeedBeside[] {
  return bookkeeping.flatMap(({ sampler, storage, trials, seconds }) =>
    (compared[sampler] ?? []).flatMap((peer): SpeedBeside[] => {
      const other = bookkeeping.find(
        (row) => row.sampler === peer && row.storage === storages[storage] && row.trials === trials,
      )
      if (!seconds || !other?.seconds) return []
      return [{ sampler, storage, peer, trials, ratio: other.seconds.median / seconds.median }]
    }),
  )
}

/** The same for regret: Mann and Whitney's statistic with its normal approximation. */
export function regretsBeside(regrets: readonly Regret[]): RegretBeside[] {
  return regrets.flatMap(({ sampler, problem, after, values }) =>
    (compared[sampler] ?? []).flatMap((peer): RegretBeside[] => {
      const other = regrets.find((row) => row.sampler === peer && row.problem === problem && row.after === after)
      if (!other) return []
      const [own, theirs] = [values.length, other.values.length]
      const wins = values.reduce(
        (sum, mine) => sum + other.values.reduce((inner, its) => inner + (mine < its ? 1 : mine === its ? 0.5 : 0), 0),
        0,
      )
      const half = 1.96 * Math.sqrt((own + theirs + 1) / (12 * own * theirs))
      return [{ sampler, peer, problem, after, share: wins / (own * theirs), low: 0.5 - half, high: 0.5 + half }]
    }),
  )
}
