import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, real, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { largestSquared } from '../parts/ema-of-square.ts'

/**
 * Yogi: {@link adam} whose second moment moves towards g² by a share of g² and not of the difference, so that it does not
 * forget large gradients quickly.
 *
 * ```text
 * m ← β1 m + (1 - β1) g                    m starts at initialMomentum
 * v ← v - (1 - β2) sign(v - g²) g²         v starts at initialAccumulator
 * θ ← θ - η √(1 - β2ᵗ) / (1 - β1ᵗ) m / (√v + ε)
 * ```
 *
 * Defaults of the paper and of TensorFlow Addons: η 0.01, β (0.9, 0.999), ε 1e-3, v from 1e-6, m from 0; λ 0, decoupled. State: `m`
 * and `v`, shaped like the parameter.
 *
 * The corrections are those of TensorFlow Addons; the paper's box has none. optax and pytorch_optimizer add ε after the
 * correction of v, and start m at 1e-6 too (`initialMomentum`).
 *
 * Zaheer, Reddi, Sachan, Kale, Kumar 2018, Adaptive Methods for Nonconvex Optimization.
 */
export const yogi = defineOptimizer({
  name: 'yogi',
  title: 'Yogi',
  family: 'adaptive',
  paper: {
    title: 'Adaptive Methods for Nonconvex Optimization',
    authors: 'Zaheer, Reddi, Sachan, Kale, Kumar',
    year: 2018,
    url: 'https://papers.nips.cc/paper/8186-adaptive-methods-for-nonconvex-optimization',
  },
  hyper: {
    learningRate: nonNegative(0.01),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-3),
    initialAccumulator: nonNegative(1e-6),
    initialMomentum: real(0),
    weightDecay: nonNegative(0),
  },
  state: { m: zeros(), v: zeros({ nonNegative: true }) },
  decay: 'decoupled',
  search: { learningRate: logUniform(3e-4, 1e-1), epsilon: oneOf(1e-8, 1e-3) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper }) {
    const { beta1, beta2, epsilon } = hyper
    const first = t.equals(1)
    const m = ema(where(first, hyper.initialMomentum, state.m), g, beta1)
    const old = where(first, hyper.initialAccumulator, state.v)
    // The share is squared after it is scaled: g² alone is infinite in float32 for huge gradients.
    const share = g.times(beta2.negated().plus(1).sqrt()).square()
    const v = old.plus(share.times(g.square().minus(old).sign())).limited()
    const corrected = biasCorrection(beta2, t).sqrt().over(biasCorrection(beta1, t))
    return { direction: m.times(corrected).over(v.sqrt().plus(epsilon)), state: { m, v } }
  },
})
