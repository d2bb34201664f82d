import type { Policy } from '../policy.ts'
import { halving } from './halving.ts'

export { guaranteedRuns, ladderFor } from './finalists.ts'
export { type HalvingOptions, halving } from './halving.ts'
export { type RisingBanditOptions, risingBandit } from './rising-bandit.ts'
export { type TrialsOptions, trials } from './trials.ts'

/**
 * The policy that measures best on the recorded table over budgets from 23 to 92 runs, with priors that are right, absent and wrong. With a
 * right one the rising bandit is better at small budgets, with a wrong one much worse.
 */
export const defaultPolicy: Policy<unknown> = halving() as Policy<unknown>
