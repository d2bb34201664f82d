import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { sharedScalar, zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * SWATS: Adam that switches to SGD with momentum by itself, once the learning rate that SGD would need has settled.
 *
 * ```text
 * Adam: m ← β1 m + (1 - β1) g,   v ← β2 v + (1 - β2) g²
 *       d ← √(1 - β2ᵗ) / (1 - β1ᵗ) m / (√v + ε),   θ ← θ - η d
 *       γ ← ⟨d, d⟩ / ⟨d, g⟩                   the rate, over η, of an SGD step that projects to d; over all tensors
 *       λ ← β2 λ + (1 - β2) γ                 neither where ⟨d, g⟩ is 0
 *       after step 1, when |λ / (1 - β2ᵗ) - γ| < tolerance and λ > 0:  Λ ← λ / (1 - β2ᵗ),  m ← 0, and from then on
 * SGD:  m ← β1 m + g,   θ ← θ - η (1 - β1) Λ m
 * ```
 *
 * Defaults of the paper: η 1e-3, β (0.9, 0.999), ε 1e-9, tolerance 1e-6; λ (weight decay) 0 coupled. State: `m` and `v`,
 * shaped like the parameter, `vMaximum` with `amsgrad: true`, and shared by all tensors `rate` (λ), `sgdRate` (Λ, 0 before
 * the switch) and `sgdSteps`. One more read for the products; it stays when they are no longer needed.
 *
 * Rates are kept over η, so that a schedule goes on after the switch; the paper's tolerance of 1e-9 is 1e-6 times its η.
 * pytorch_optimizer decides for each tensor alone but switches all, in the middle of a step.
 *
 * Keskar, Socher 2017, Improving Generalization Performance by Switching from Adam to SGD, arXiv 1712.07628.
 */
export const swats = defineOptimizer({
  name: 'swats',
  title: 'SWATS',
  family: 'adaptive',
  paper: {
    title: 'Improving Generalization Performance by Switching from Adam to SGD',
    authors: 'Keskar, Socher',
    year: 2017,
    arxiv: '1712.07628',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-9),
    tolerance: nonNegative(1e-6),
    weightDecay: nonNegative(0),
  },
  options: { amsgrad: false },
  state: {
    m: zeros(),
    v: zeros(),
    vMaximum: zeros({ when: ({ options }) => options.amsgrad === true }),
    rate: sharedScalar(0),
    sgdRate: sharedScalar(0),
    sgdSteps: sharedScalar(0),
  },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-4, 3e-2), tolerance: oneOf(1e-6, 1e-3) },
  largestGradient: largestSquared,
  rule({ g, t, step, state, hyper, options }) {
    const { beta1, beta2, epsilon, tolerance } = hyper
    const switched = state.sgdRate.isGreaterThan(0)
    const sgdSteps = where(switched, state.sgdSteps.plus(1), 0)
    const share = where(switched, 1, beta1.negated().plus(1))
    const kept = where(sgdSteps.equals(1), 0, beta1)
    const m = state.m.times(kept).plus(g.times(share))
    const v = emaOfSquare(state.v, g, beta2)
    const vMaximum = options.amsgrad ? state.vMaximum.maximum(v) : v

    const correction = biasCorrection(beta2, t).sqrt().over(biasCorrection(beta1, t))
    const adam = m.times(correction).over(vMaximum.sqrt().plus(epsilon))
    const along = adam.times(g).sum('all')
    const projects = along.equals(0).not().and(switched.not())
    const gamma = where(projects, adam.times(adam).sum('all').over(along), 0)
    const rate = where(projects, ema(state.rate, gamma, beta2), state.rate)
    const settled = rate.over(biasCorrection(beta2, step))
    const agrees = settled.minus(gamma).abs().isLessThan(tolerance).and(settled.isGreaterThan(0))
    const switches = projects.and(agrees).and(step.isGreaterThan(1))
    const direction = where(switched, m.times(state.sgdRate.times(beta1.negated().plus(1))), adam)
    const sgdRate = where(switches, settled, state.sgdRate)
    return { direction, state: { m, v, rate, sgdRate, sgdSteps, ...(options.amsgrad ? { vMaximum } : {}) } }
  },
})
