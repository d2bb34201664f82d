import type { Value } from '../language/value.ts'

/** What a step with decay of its own is taken with. */
export interface Decaying {
  readonly p: Value
  readonly ownWeightDecay: Value
  readonly hyper: { readonly learningRate: Value }
}

/** The direction that steps first and decays what it comes to: θ ← (1 - η λ) (θ - η step). */
export function decayedAfter(step: Value, { p, ownWeightDecay, hyper }: Decaying): Value {
  return step.times(hyper.learningRate.times(ownWeightDecay).negated().plus(1)).plus(p.times(ownWeightDecay))
}
