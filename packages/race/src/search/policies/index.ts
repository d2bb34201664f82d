import type { Policy } from '../policy.ts'
import { halving } from './halving.ts'

export { guaranteedRuns, ladderFor } from './finalists.ts'
export { type HalvingOptions, halving } from './halving.ts'
export { type RisingBanditOptions, risingBandit } from './rising-bandit.ts'
export { type TrialsOptions, trials } from './trials.ts'

/** The policy that measures best on the recorded table, whichever task of it is left out of the prior. */
export const defaultPolicy: Policy<unknown> = halving() as Policy<unknown>
