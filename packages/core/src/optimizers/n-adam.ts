import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { scalar, zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * NAdam: {@link adam} with Nesterov momentum, whose rate grows slowly towards β1.
 *
 * ```text
 * μₜ ← β1 (1 - ½ 0.96^(t momentumDecay)),  Π ← μ1 μ2 ... μₜ
 * m  ← β1 m + (1 - β1) g
 * v  ← β2 v + (1 - β2) g²
 * θ  ← θ - η (μₜ₊₁ m / (1 - Π μₜ₊₁) + (1 - μₜ) g / (1 - Π)) / (√(v / (1 - β2ᵗ)) + ε)
 * ```
 *
 * Defaults of PyTorch: η 2e-3, β (0.9, 0.999), ε 1e-8, momentumDecay 4e-3, coupled weight decay 0. State: `m` and `v`, shaped like
 * the parameter, and the number `momentumProduct` Π per tensor.
 *
 * As in PyTorch m is averaged with β1 itself while the paper takes μₜ there, and Π is the product of all μ, not a power; PyTorch
 * 1.13 multiplied one μ too many. optax has a constant μ and the power β1ᵗ⁺¹, which is a quarter longer a first step.
 *
 * Dozat 2016, Incorporating Nesterov Momentum into Adam.
 */
export const nAdam = defineOptimizer({
  name: 'nAdam',
  title: 'NAdam',
  family: 'adaptive',
  paper: {
    title: 'Incorporating Nesterov Momentum into Adam',
    authors: 'Dozat',
    year: 2016,
    url: 'https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ',
  },
  hyper: {
    learningRate: nonNegative(2e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    momentumDecay: nonNegative(4e-3),
    weightDecay: nonNegative(0),
  },
  state: { m: zeros(), v: zeros(), momentumProduct: scalar(1) },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-4, 3e-2), beta2: oneOf(0.99, 0.999) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper }) {
    const { beta1, beta2, epsilon, momentumDecay } = hyper
    const rate = (step: typeof t) => {
      const left = step.times(momentumDecay).times(Math.log(0.96)).exp().times(0.5)
      return beta1.times(left.negated().plus(1))
    }
    const [now, next] = [rate(t), rate(t.plus(1))]
    const momentumProduct = state.momentumProduct.times(now)
    const ahead = momentumProduct.times(next)
    const m = ema(state.m, g, beta1)
    const v = emaOfSquare(state.v, g, beta2)
    const fromMomentum = m.times(next.over(ahead.negated().plus(1)))
    const fromGradient = g.times(now.negated().plus(1).over(momentumProduct.negated().plus(1)))
    const root = v.sqrt().over(biasCorrection(beta2, t).sqrt())
    const direction = fromMomentum.plus(fromGradient).over(root.plus(epsilon))
    return { direction, state: { m, v, momentumProduct } }
  },
})
