import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/** Averages of squares below are those of gradients that float32 cannot square. */
const smallest = 1e-37

/**
 * Adai: SGD whose momentum, not its step size, is fitted to every element: less inertia where gradients are large.
 *
 * ```text
 * v  ← β2 v + (1 - β2) g²,   v̂ = v / (1 - β2ᵗ)
 * β1 ← clip(1 - β0 v̂ / mean v̂, 0, 1 - ε)    per element; the mean is over all tensors
 * m  ← β1 m + (1 - β1) g
 * w  ← β1 w + (1 - β1)                        1 - the product of all β1 so far
 * θ  ← θ - η m / w
 * ```
 *
 * Defaults of the official code: β0 0.1, β2 0.99, ε 1e-3, λ 0 coupled; its η is required, 0.1 here. State: `m`, `v` and
 * `weight` (w), shaped like the parameter. One more read of gradient and v for the mean.
 *
 * Where all gradients are too small for squares in float32 the inertia is 1 - ε; the official code divides by 0 there. The official AdaiW is
 * `decay: 'decoupled'`; its later variant with dampening (AdaiV2) is not in the paper and not here.
 *
 * Xie, Wang, Zhang, Sato, Sugiyama 2020, Adaptive Inertia: Disentangling the Effects of Adaptive Learning Rate and
 * Momentum, arXiv 2006.15815.
 */
export const adai = defineOptimizer({
  name: 'adai',
  title: 'Adai',
  family: 'momentum',
  paper: {
    title: 'Adaptive Inertia: Disentangling the Effects of Adaptive Learning Rate and Momentum',
    authors: 'Xie, Wang, Zhang, Sato, Sugiyama',
    year: 2020,
    arxiv: '2006.15815',
  },
  hyper: {
    learningRate: nonNegative(0.1),
    beta0: nonNegative(0.1),
    beta2: decayRate(0.99),
    epsilon: smallDivisor(1e-3),
    weightDecay: nonNegative(0),
  },
  state: { m: zeros(), v: zeros(), weight: zeros() },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-2, 3), beta0: oneOf(0.05, 0.1, 0.2) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper }) {
    const { beta0, beta2, epsilon } = hyper
    const v = emaOfSquare(state.v, g, beta2)
    const correction = biasCorrection(beta2, t)
    const mean = v.over(correction).mean('all')
    const ofMean = where(mean.isGreaterThan(smallest), beta0.over(mean.times(correction)), 0)
    // 1 - β1, which keeps the digits that 1 - ε would lose in float32.
    const share = v.times(ofMean).minimum(1).maximum(epsilon)
    const m = state.m.plus(g.minus(state.m).times(share))
    const weight = state.weight.plus(state.weight.negated().plus(1).times(share))
    return { direction: m.over(weight), state: { m, v, weight } }
  },
})
