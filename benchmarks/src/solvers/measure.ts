import { performance } from 'node:perf_hooks'
import { messageOf } from '../measure.ts'
import { type Summary, summarize } from '../statistics.ts'
import { type Contender, Evaluations } from './contenders.ts'
import type { SolverPart, Subject } from './problems.ts'

/** One solver on one problem. */
export interface SolverRow {
  readonly part: SolverPart
  readonly library: string
  readonly method: string
  readonly problem: string
  readonly iterations?: number
  readonly values?: number
  readonly gradients?: number
  /** What it has come to: the smaller the better. */
  readonly value?: number
  /** Of a whole run. */
  readonly seconds?: Summary
  /** Of these, what no evaluation took. */
  readonly beyond?: Summary
  readonly error?: string
}

/** How long one measures: until both are reached, or the longest. */
export const effort = { warmUp: 0.05, rounds: 5, seconds: 0.1, most: 3 }

export type SolverEffort = typeof effort

/** Runs one contender on one problem again and again. */
export function measureSolver(
  { part, library, method, run }: Contender,
  subject: Subject,
  { warmUp, rounds, seconds, most }: SolverEffort = effort,
): SolverRow {
  const row = { part, library, method, problem: subject.name }
  const once = () => {
    const evaluations = new Evaluations()
    const start = performance.now()
    const outcome = run(subject, evaluations)
    const took = (performance.now() - start) / 1000
    return { outcome, evaluations, took }
  }
  try {
    // The engine first runs quickly made code.
    let spent = 0
    let last = once()
    for (spent = last.took; spent < warmUp; spent += last.took) last = once()
    const whole: number[] = []
    const beyond: number[] = []
    spent = 0
    while (spent < most && (whole.length < rounds || spent < seconds)) {
      last = once()
      whole.push(last.took)
      beyond.push(last.took - last.evaluations.seconds)
      spent += last.took
    }
    const { values, gradients } = last.evaluations
    const { iterations, value } = last.outcome
    const counts = { values, gradients, value, ...(iterations !== undefined && { iterations }) }
    return { ...row, ...counts, seconds: summarize(whole), beyond: summarize(beyond) }
  } catch (error) {
    return { ...row, error: messageOf(error) }
  }
}
