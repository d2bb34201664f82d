import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive } from '../language/hyperparameters.ts'
import { copyOfParameter, scalar, zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { sumOfSquares } from '../parts/sum-of-squares.ts'

/**
 * A2Grad: accelerated gradient descent whose steps shrink, element by element, with the noise of the gradients. Train with θ,
 * evaluate with `evaluationParameters()`, the average x̄.
 *
 * ```text
 * ḡ ← ḡ + (g - ḡ) / t,  δ ← g - ḡ          the mean of all gradients, and the noise
 * v ← v + δ²,                h = √v         variant 'uniform'
 * v ← ((t - 1) / t)² v + δ², h = √v         variant 'incremental'
 * a ← ρ a + (1 - ρ) δ²,      h = √(t v),  v ← max(v, a)       variant 'exponential'
 * u ← η g / (2 L / t + β h)
 * x ← x - u
 * x̄ ← θ - 2 / (t + 1) u
 * θ ← t / (t + 2) x̄ + 2 / (t + 2) x
 * ```
 *
 * Defaults: smoothness L 10, β 10, ρ 0.5, variant 'uniform'. The method has no learning rate; η 1 multiplies its step. State: `x`,
 * `mean` and `v`, shaped like the parameter, `a` with 'exponential', and the number `reach` per tensor, by which x̄ follows from θ and x.
 * Since the rule moves several sequences it applies the learning rate itself.
 *
 * The noise is the paper's δ = g - ḡ with the mean of the gradients for the unknown true one, and the scaling is diagonal, as there.
 * pytorch_optimizer moves its mean by t + 1 times the difference, not by the t-th part, and sums δ² over the tensor.
 *
 * Deng, Cheng, Lan 2018, Optimal Adaptive and Accelerated Stochastic Gradient Descent, arXiv 1810.00553.
 */
export const a2Grad = defineOptimizer({
  name: 'a2Grad',
  title: 'A2Grad',
  family: 'averaging',
  paper: {
    title: 'Optimal Adaptive and Accelerated Stochastic Gradient Descent',
    authors: 'Deng, Cheng, Lan',
    year: 2018,
    arxiv: '1810.00553',
  },
  hyper: {
    learningRate: nonNegative(1),
    smoothness: positive(10),
    beta: nonNegative(10),
    rho: decayRate(0.5),
  },
  options: { variant: 'uniform' as 'uniform' | 'incremental' | 'exponential' },
  choices: { variant: ['uniform', 'incremental', 'exponential'] },
  state: {
    x: copyOfParameter(),
    mean: zeros(),
    v: zeros(),
    a: zeros({ when: ({ options }) => options.variant === 'exponential' }),
    reach: scalar(0),
  },
  decay: 'own',
  search: { learningRate: logUniform(1e-1, 10), smoothness: oneOf(1, 10, 100), beta: oneOf(1, 10, 100) },
  largestGradient: largestSquared,
  rule({ p, g, t, state, hyper, options }) {
    const mean = state.mean.plus(g.minus(state.mean).over(t))
    // Exactly the mean at the first step, which rounding in float32 would not keep.
    const noise = where(t.equals(1), 0, g.minus(mean))
    const exponential = options.variant === 'exponential'
    const kept = options.variant === 'incremental' ? t.minus(1).over(t).square() : 1
    const a = exponential ? emaOfSquare(state.a, noise, hyper.rho) : undefined
    const v = a ? state.v.maximum(a) : sumOfSquares(state.v.times(kept), noise)
    const h = a ? v.sqrt().times(t.sqrt()) : v.sqrt()
    const gamma = hyper.smoothness.times(2).over(t)
    return {
      direction: g.over(h.times(hyper.beta).plus(gamma)),
      state: { mean, v, ...(a ? { a } : {}), reach: t.power(-1).times(2) },
      apply: (direction, project) => {
        const step = direction.times(hyper.learningRate)
        const free = state.x.minus(step)
        const x = project(free)
        const moved = x === free ? step.negated() : x.minus(state.x)
        const average = p.plus(moved.times(t.plus(1).power(-1).times(2)))
        const share = t.plus(2).power(-1).times(2)
        return { parameter: average.plus(x.minus(average).times(share)), state: { x } }
      },
    }
  },
  average: ({ p, state }) => p.plus(p.minus(state.x).times(state.reach)),
})
