import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive } from '../language/hyperparameters.ts'
import { inputArray } from '../language/inputs.ts'
import { copyOfParameter, sharedScalar, zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'

/**
 * OASIS: gradient descent scaled by an average of the diagonal of the Hessian, with a step size that follows from how far the
 * gradient has changed in those scales.
 *
 * ```text
 * D ← β2 D + (1 - β2) z ⊙ H z              z of -1 and 1; D ← z ⊙ H z at the first step
 * A ← max(|D|, α)
 * ρ ← min(√(1 + q) ρ₋, ‖θ - θ₋‖_A / (2 ‖g - g₋‖_(1/A))),  q = ρ₋ / ρ₋₋         ρ = initialStepSize at the first step
 * θ ← θ - η ρ g / A
 * ```
 *
 * ‖x‖_A is √Σ A x² over all tensors; q has no bound before there are two steps. g₋ is the gradient of this batch at the parameters
 * of the step before, a second evaluation, the first of the two, so it needs `minimize`. With `difference: 'consecutive'` it is the
 * gradient of the step before on its own batch, which costs nothing, but the noise of batches then makes ρ fall towards 0.
 * `stepSize: 'fixed'` is the variant with momentum:
 *
 * ```text
 * D ← β2 D + (1 - β2) z ⊙ H z              from 0
 * m ← β1 m + (1 - β1) g
 * θ ← (1 - η λ) θ - η (m / (1 - β1ᵗ)) / max(|D|, α)
 * ```
 *
 * The input `hessianDiagonal` is z ⊙ H z with its sign, where the parameters stand. Defaults: η 1, initialStepSize (ρ) 1e-3, β1 0.9
 * (fixed only), β2 0.999, α 1e-3, λ 0; give the fixed variant η 1e-3 or so. State: `d` (D), shaped like the parameter; `m` when
 * fixed; when adaptive `previous` (g₋) and `previousParameter` (θ₋), and, shared by all tensors, `rate` (ρ₋) and `ratio` (q, 0 where
 * it has no bound).
 *
 * The absolute value is taken after averaging. Decay is decoupled from the step and, when adaptive, part of how far the parameters
 * have moved.
 *
 * Jahani, Rusakov, Shi, Richtárik, Mahoney, Takáč 2021, Doubly Adaptive Scaled Algorithm for Machine Learning Using Second-Order
 * Information, arXiv 2109.05198.
 */
export const oasis = defineOptimizer({
  name: 'oasis',
  title: 'OASIS',
  family: 'curvature',
  paper: {
    title: 'Doubly Adaptive Scaled Algorithm for Machine Learning Using Second-Order Information',
    authors: 'Jahani, Rusakov, Shi, Richtárik, Mahoney, Takáč',
    year: 2021,
    arxiv: '2109.05198',
  },
  hyper: {
    learningRate: nonNegative(1),
    initialStepSize: positive(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    alpha: positive(1e-3),
    weightDecay: nonNegative(0),
  },
  options: {
    stepSize: 'adaptive' as 'adaptive' | 'fixed',
    difference: 'sameBatch' as 'sameBatch' | 'consecutive',
  },
  choices: { stepSize: ['adaptive', 'fixed'], difference: ['sameBatch', 'consecutive'] },
  inputs: { hessianDiagonal: inputArray('z ⊙ H z, an estimate of the diagonal of the Hessian with z of -1 and 1') },
  state: {
    d: zeros(),
    m: zeros({ when: ({ options }) => options.stepSize === 'fixed' }),
    previous: zeros({ when: ({ options }) => options.stepSize === 'adaptive' }),
    previousParameter: copyOfParameter({ when: ({ options }) => options.stepSize === 'adaptive' }),
    rate: sharedScalar(0, { when: ({ options }) => options.stepSize === 'adaptive' }),
    ratio: sharedScalar(0, { when: ({ options }) => options.stepSize === 'adaptive' }),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 1), alpha: oneOf(1e-3, 1e-2, 1e-1) },
  // Between the evaluations the two parameters change places.
  evaluations: ({ stepSize, difference }) =>
    stepSize === 'adaptive' && difference === 'sameBatch'
      ? [
          {
            wants: ['gradient'],
            at: ({ p, state }) => ({ parameter: state.previousParameter, state: { previousParameter: p } }),
          },
          {
            wants: ['gradient'],
            at: ({ p, g, state }) => ({
              parameter: state.previousParameter,
              state: { previousParameter: p, previous: g },
            }),
          },
        ]
      : [],
  rule({ p, g, t, state, hyper, options, inputs }) {
    const { learningRate, alpha } = hyper
    const average = ema(state.d, inputs.hessianDiagonal, hyper.beta2)
    if (options.stepSize === 'fixed') {
      const m = ema(state.m, g, hyper.beta1)
      const direction = m.over(average.abs().maximum(alpha)).over(biasCorrection(hyper.beta1, t))
      return { direction, state: { d: average, m } }
    }
    const d = where(t.equals(1), inputs.hessianDiagonal, average)
    const scale = d.abs().maximum(alpha)
    const root = scale.sqrt()
    const moved = p.minus(state.previousParameter).times(root).norm('all')
    const changed = g.minus(state.previous).over(root).norm('all')
    const grown = state.rate.times(state.ratio.plus(1).sqrt())
    const measured = where(changed.isGreaterThan(0), moved.over(changed).times(0.5), grown)
    const later = where(state.ratio.equals(0), measured, measured.minimum(grown))
    const rate = where(state.rate.equals(0), hyper.initialStepSize, later)
    const ratio = where(state.rate.isGreaterThan(0), rate.over(state.rate), 0)
    const kept = options.difference === 'consecutive' ? { previous: g } : {}
    return {
      direction: g.over(scale),
      learningRate: rate.times(learningRate),
      state: { d, rate, ratio, previousParameter: p, ...kept },
    }
  },
})
