import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, positive, smallDivisor } from '../language/hyperparameters.ts'
import { copyOfParameter, sharedScalar, zeros } from '../language/slots.ts'
import { currentDistance, grownDistance, withoutRate } from '../parts/distance.ts'
import { largestSquared } from '../parts/ema-of-square.ts'
import { sumOfSquares } from '../parts/sum-of-squares.ts'

/**
 * D-Adapt AdaGrad: dual averaging with AdaGrad's scaling, whose learning rate is a growing lower bound d of the distance
 * to the solution.
 *
 * ```text
 * γ ← d η
 * α ← α + g²                               starts at 1e-6
 * a ← a + γ² Σ g² / (√α + ε)               summed over all tensors
 * s ← s + γ g
 * d̂ ← (Σ s² / (√α + ε) - a) / ‖s‖₁
 * d⁺ ← max(d, min(d̂, d growthRate))
 * θ ← momentum θ + (1 - momentum) (θ0 - s / (√α + ε))      θ0 is the parameter before the first step
 * d ← d⁺
 * ```
 *
 * Defaults of the official code (`DAdaptAdaGrad`): η 1 (leave it, or give a schedule's shape), momentum 0, λ 0 and coupled,
 * ε 1e-6, d0 1e-6, growthRate unlimited (written 0). State: `sumOfSquares` (α without its start), `s` and `start` (θ0),
 * shaped like the parameter; the numbers `d` and `squares` (a), shared by all tensors.
 *
 * Without momentum θ is built anew from θ0 at every step, so decay that is not coupled shows in one step only. The authors
 * advise Adam or SGD instead: this one adapts more slowly. While η is 0 nothing moves, where the official code refuses it.
 *
 * Defazio, Mishchenko 2023, Learning-Rate-Free Learning by D-Adaptation, arXiv 2301.07733.
 */
export const dAdaptAdaGrad = defineOptimizer({
  name: 'dAdaptAdaGrad',
  title: 'D-Adapt AdaGrad',
  family: 'stepSize',
  paper: {
    title: 'Learning-Rate-Free Learning by D-Adaptation',
    authors: 'Defazio, Mishchenko',
    year: 2023,
    arxiv: '2301.07733',
  },
  hyper: {
    learningRate: nonNegative(1),
    momentum: decayRate(0),
    epsilon: smallDivisor(1e-6),
    weightDecay: nonNegative(0),
    d0: positive(1e-6),
    growthRate: nonNegative(0),
  },
  state: {
    sumOfSquares: zeros(),
    s: zeros({ exact: true }),
    start: copyOfParameter(),
    d: sharedScalar(0),
    squares: sharedScalar(0),
  },
  decay: 'coupled',
  search: { learningRate: logUniform(0.1, 10) },
  largestGradient: largestSquared,
  rule({ p, g, state, hyper, disabled }) {
    const d = currentDistance(state.d, hyper.d0)
    const gamma = d.times(hyper.learningRate)
    const accumulated = sumOfSquares(state.sumOfSquares, g)
    const root = accumulated.plus(1e-6).sqrt().plus(hyper.epsilon)
    const squares = state.squares.plus(g.times(gamma).times(g.times(gamma).over(root)).sum('all'))
    const s = state.s.plus(g.times(gamma))
    const travelled = s.times(s.over(root)).sum('all')
    const growthRate = disabled('growthRate') ? undefined : hyper.growthRate
    const pull = p.minus(state.start).plus(s.over(root)).times(hyper.momentum.negated().plus(1))
    return {
      direction: withoutRate(pull, gamma),
      learningRate: gamma,
      state: {
        ...{ sumOfSquares: accumulated, s, squares },
        d: grownDistance(d, travelled.minus(squares), s.abs().sum('all'), growthRate),
      },
    }
  },
})
