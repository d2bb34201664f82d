import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'

/**
 * FOCUS: Signum that is drawn towards the average of its parameters, which keeps it in the middle of narrow valleys.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * θ̄ ← β2 θ̄ + (1 - β2) θ,   θ̂ = θ̄ / (1 - β2ᵗ)
 * θ ← θ - η (sign(m) + γ sign(θ - θ̂) + λ θ̂)
 * ```
 *
 * Defaults of the official code: η 0.01, β (0.9, 0.999), γ 0.1, λ 0. Decay is the rule's own and acts by the average. State: `m`
 * and `average` (θ̂, corrected as it goes), shaped like the parameter.
 *
 * At the first step θ̂ is θ and nothing draws; in the official code rounding decides. pytorch_optimizer decays before it looks
 * where the parameter is.
 *
 * Liu, Liu, Gore 2025, FOCUS: First Order Concentrated Updating Scheme, arXiv 2501.12243.
 */
export const focus = defineOptimizer({
  name: 'focus',
  title: 'FOCUS',
  family: 'sign',
  paper: {
    title: 'FOCUS: First Order Concentrated Updating Scheme',
    authors: 'Liu, Liu, Gore',
    year: 2025,
    arxiv: '2501.12243',
  },
  hyper: {
    learningRate: nonNegative(0.01),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    gamma: nonNegative(0.1),
    weightDecay: nonNegative(0),
  },
  state: { m: zeros(), average: zeros() },
  decay: 'own',
  search: { learningRate: logUniform(1e-5, 1e-2), gamma: oneOf(0.1, 0.2, 0.4) },
  rule({ p, g, t, state, hyper, ownWeightDecay }) {
    const { beta1, beta2, gamma } = hyper
    const m = ema(state.m, g, beta1)
    const share = beta2.negated().plus(1).over(biasCorrection(beta2, t))
    const average = state.average.times(share.negated().plus(1)).plus(p.times(share))
    const away = p.minus(state.average).sign().times(share.negated().plus(1).sign())
    return {
      direction: m.sign().plus(away.times(gamma)).plus(average.times(ownWeightDecay)),
      state: { m, average },
    }
  },
})
