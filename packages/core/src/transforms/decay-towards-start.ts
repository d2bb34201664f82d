import { defineTransform } from '../language/definition.ts'
import { nonNegative } from '../language/hyperparameters.ts'
import { copyOfParameter } from '../language/slots.ts'

/**
 * Decays parameters towards where they were before the first step in place of 0, as for fine-tuning: L2-SP.
 *
 * ```text
 * θ ← θ - η (direction + λ (θ - θ₀))
 * ```
 *
 * Hyperparameter `weightDecay` λ, default 0.01. Set the decay of the optimizer itself to 0. State: `start` (θ₀), a copy of the
 * parameter.
 *
 * The paper adds the penalty λ/2 ‖θ - θ₀‖² to the loss. Here, as with decoupled weight decay, the pull does not pass through
 * moments; for gradient descent that is the same.
 *
 * Li, Grandvalet, Davoine 2018, Explicit Inductive Bias for Transfer Learning with Convolutional Networks, arXiv 1802.01483.
 */
export const decayTowardsStart = defineTransform({
  name: 'decayTowardsStart',
  title: 'Decay towards the start',
  paper: {
    title: 'Explicit Inductive Bias for Transfer Learning with Convolutional Networks',
    authors: 'Li, Grandvalet, Davoine',
    year: 2018,
    arxiv: '1802.01483',
  },
  hyper: { weightDecay: nonNegative(0.01) },
  state: { start: copyOfParameter() },
  direction: ({ direction, p, state, hyper }) => ({
    direction: direction.plus(p.minus(state.start).times(hyper.weightDecay)),
  }),
})
