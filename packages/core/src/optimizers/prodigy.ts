import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, positive, smallDivisor } from '../language/hyperparameters.ts'
import { copyOfParameter, sharedScalar, zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * Prodigy: Adam that estimates its own learning rate d, a lower bound of the distance to the solution.
 *
 * ```text
 * γ ← d η                                  times √(1 - β2ᵗ) / (1 - β1ᵗ) with biasCorrection
 * a ← β3 a + (d / d0) γ ⟨g, θ0 - θ⟩        summed over all tensors; θ0 is the parameter before the first step
 * s ← β3 s + (d / d0) γ g
 * m ← β1 m + (1 - β1) d g
 * v ← β2 v + (1 - β2) (d g)²
 * d̂ ← dCoefficient a / ‖s‖₁                ‖·‖₁ over all tensors
 * d⁺ ← max of all d̂ so far and d0, growing by at most growthRate per step
 * θ ← (1 - γ λ) θ - γ m / (√v + d⁺ ε)
 * d ← d⁺
 * ```
 *
 * Defaults of the official code: η 1 (leave it, or give a schedule's shape), β (0.9, 0.999), β3 √β2 (written 0), ε 1e-8,
 * λ 0 decoupled, d0 1e-6, dCoefficient 1, growthRate unlimited (written 0), no bias correction. `safeguardWarmup` takes
 * d instead of γ in s, for learning rates that warm up. `slice` n estimates d from every n-th element of each tensor.
 * State: `m`, `v`, `s` and `start` (θ0), shaped like the parameter; `d`, `dMaximum` and `numerator` shared by all tensors.
 *
 * The official code corrects no bias by default, the paper's analysis does. Its `slice_p` also shrinks s and θ0; here they
 * keep the parameter's shape. When all gradients so far were zero it neither moves nor counts the step; here it does not
 * move, but counts.
 *
 * Mishchenko, Defazio 2023, Prodigy: An Expeditiously Adaptive Parameter-Free Learner, arXiv 2306.06101.
 */
export const prodigy = defineOptimizer({
  name: 'prodigy',
  title: 'Prodigy',
  family: 'stepSize',
  paper: {
    title: 'Prodigy: An Expeditiously Adaptive Parameter-Free Learner',
    authors: 'Mishchenko, Defazio',
    year: 2023,
    arxiv: '2306.06101',
  },
  hyper: {
    learningRate: nonNegative(1),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    beta3: decayRate(0),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
    d0: positive(1e-6),
    dCoefficient: positive(1),
    growthRate: nonNegative(0),
  },
  options: { biasCorrection: false, safeguardWarmup: false, slice: 1 },
  state: {
    m: zeros(),
    v: zeros(),
    s: zeros({ exact: true }),
    start: copyOfParameter(),
    d: sharedScalar(0),
    dMaximum: sharedScalar(0),
    numerator: sharedScalar(0),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(0.1, 10) },
  largestGradient: largestSquared,
  rule({ p, g, step, state, hyper, options, disabled }) {
    const { beta1, beta2, epsilon, d0 } = hyper
    const beta3 = disabled('beta3') ? beta2.sqrt() : hyper.beta3
    // Shared state starts at 0, which stands for d0: hyperparameters are not known when slots are declared.
    const d = where(state.d.isGreaterThan(0), state.d, d0)
    const correction = biasCorrection(beta2, step).sqrt().over(biasCorrection(beta1, step))
    const gamma = d.times(options.biasCorrection ? hyper.learningRate.times(correction) : hyper.learningRate)
    const relative = d.over(d0)

    const sampled = options.slice > 1 ? where(g.everyElement(options.slice), g, 0) : g
    const travelled = sampled.times(state.start.minus(p)).times(relative.times(gamma))
    const numerator = state.numerator.times(beta3).plus(travelled.sum('all'))
    const s = state.s.times(beta3).plus(sampled.times(relative.times(options.safeguardWarmup ? d : gamma)))
    const denominator = s.abs().sum('all')
    const moved = denominator.isGreaterThan(0)
    const estimate = where(moved, numerator.times(hyper.dCoefficient).over(denominator), d)

    const dMaximum = state.dMaximum.maximum(d).maximum(estimate)
    const base = where(d.equals(d0), d.maximum(estimate), d)
    const next = disabled('growthRate') ? dMaximum : dMaximum.minimum(base.times(hyper.growthRate))

    const m = ema(state.m, g.times(d), beta1)
    const v = emaOfSquare(state.v, g.times(d), beta2)
    return {
      direction: m.over(v.sqrt().plus(next.times(epsilon))),
      learningRate: where(moved, gamma, 0),
      state: { m, v, s, d: where(moved, next, d), dMaximum, numerator },
    }
  },
})
