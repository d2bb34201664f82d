import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive, smallDivisor } from '../language/hyperparameters.ts'
import { sharedScalar, zeros } from '../language/slots.ts'
import { ema, where } from '../language/value.ts'
import { currentDistance, grownDistance, withoutRate } from '../parts/distance.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * D-Adapt Adan: Adan whose learning rate is a growing lower bound d of the distance to the solution.
 *
 * ```text
 * γ ← d η
 * δ ← g - g₋                               0 at the first step; g₋ is the previous g
 * m ← β1 m + (1 - β1) γ g
 * v ← β2 v + (1 - β2) γ δ
 * n ← β3 n + (1 - β3) (g + β2 δ)²
 * a ← β3 a + (1 - β3) γ² Σ g² / (√n + ε)   summed over all tensors
 * s ← β3 s + (1 - β3) γ g
 * d̂ ← (Σ s² / (√n + ε) / (1 - β3) - a) / ‖s‖₁
 * d⁺ ← max(d, min(d̂, d growthRate))
 * θ ← θ - (m + β2 v) / (√n + ε)
 * θ ← θ / (1 + γ λ)                        proximal decay
 * d ← d⁺, g₋ ← g
 * ```
 *
 * Defaults of the official code (`DAdaptAdan`): η 1 (leave it, or give a schedule's shape), β (0.98, 0.92, 0.99), ε 1e-8,
 * λ 0.02, d0 1e-6, growthRate unlimited (written 0). `decay: 'decoupled'` is its `no_prox`. State: `m`, `v`, `n`, `s` and
 * `previous`, shaped like the parameter; the numbers `d` and `squares` (a), shared by all tensors.
 *
 * No average is bias-corrected, other than in Adan. While η is 0 nothing moves, where the official code refuses it. When
 * all gradients so far were zero it does not count the step; here it counts.
 *
 * Defazio, Mishchenko 2023, Learning-Rate-Free Learning by D-Adaptation, arXiv 2301.07733. The paper has no Adan: the
 * official code is the only source.
 */
export const dAdaptAdan = defineOptimizer({
  name: 'dAdaptAdan',
  title: 'D-Adapt Adan',
  family: 'stepSize',
  paper: {
    title: 'Learning-Rate-Free Learning by D-Adaptation',
    authors: 'Defazio, Mishchenko',
    year: 2023,
    arxiv: '2301.07733',
  },
  hyper: {
    learningRate: nonNegative(1),
    beta1: decayRate(0.98),
    beta2: decayRate(0.92),
    beta3: decayRate(0.99),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0.02),
    d0: positive(1e-6),
    growthRate: nonNegative(0),
  },
  state: {
    m: zeros(),
    v: zeros(),
    n: zeros(),
    s: zeros({ exact: true }),
    previous: zeros(),
    d: sharedScalar(0),
    squares: sharedScalar(0),
  },
  decay: 'proximal',
  search: { learningRate: logUniform(0.1, 10), weightDecay: oneOf(0, 0.02) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, disabled }) {
    const { beta1, beta2, beta3, epsilon } = hyper
    const d = currentDistance(state.d, hyper.d0)
    const gamma = d.times(hyper.learningRate)
    const difference = where(t.equals(1), 0, g.minus(state.previous))
    const m = ema(state.m, g.times(gamma), beta1)
    const v = ema(state.v, difference.times(gamma), beta2)
    const n = emaOfSquare(state.n, g.plus(difference.times(beta2)), beta3)
    const root = n.sqrt().plus(epsilon)

    const squares = ema(state.squares, g.times(gamma).times(g.times(gamma).over(root)).sum('all'), beta3)
    const s = ema(state.s, g.times(gamma), beta3)
    const travelled = s.times(s.over(root)).sum('all').over(beta3.negated().plus(1))
    const growthRate = disabled('growthRate') ? undefined : hyper.growthRate
    return {
      direction: withoutRate(m.plus(v.times(beta2)).over(root), gamma),
      learningRate: gamma,
      state: {
        ...{ m, v, n, s, squares, previous: g },
        d: grownDistance(d, travelled.minus(squares), s.abs().sum('all'), growthRate),
      },
    }
  },
})
