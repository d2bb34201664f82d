import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, smallDivisor } from '../language/hyperparameters.ts'
import { copyOfParameter, scalar, zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'
import { largestSquared } from '../parts/ema-of-square.ts'

/**
 * AdaSmooth: RMSProp whose average is short for elements that move straight ahead and long for those that go to and fro.
 *
 * ```text
 * e ← |θ - θ′| / (sum of |Δθ| since θ′)      θ′ is the parameter when the window began; 1 while nothing has moved
 * c ← (ρ2 - ρ1) e + 1 - ρ2
 * v ← (1 - c²) v + c² g²
 * θ ← θ - η g / √(v + ε)
 * ```
 *
 * Defaults of the paper: η 1e-3, ρ (0.5, 0.99), ε 1e-6; λ 0 coupled. Every `window` steps a new window begins, in the paper
 * after an epoch; 0, the default here, never begins one. All per element. State: `start` (θ′), `previous`, `path` (the
 * sum) and `v`, shaped like the parameter, and `age`, one number per tensor.
 *
 * pytorch_optimizer sums e over the tensor, and counts the first parameter itself as a move.
 *
 * Lu 2022, AdaSmooth: An Adaptive Learning Rate Method based on Effective Ratio, arXiv 2204.00825.
 */
export const adaSmooth = defineOptimizer({
  name: 'adaSmooth',
  title: 'AdaSmooth',
  family: 'adaptive',
  paper: {
    title: 'AdaSmooth: An Adaptive Learning Rate Method based on Effective Ratio',
    authors: 'Lu',
    year: 2022,
    arxiv: '2204.00825',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    rho1: decayRate(0.5),
    rho2: decayRate(0.99),
    window: nonNegative(0),
    epsilon: smallDivisor(1e-6),
    weightDecay: nonNegative(0),
  },
  state: {
    start: copyOfParameter(),
    previous: copyOfParameter(),
    path: zeros(),
    v: zeros({ nonNegative: true }),
    age: scalar(0, { when: ({ disabled }) => !disabled('window') }),
  },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-4, 3e-2) },
  largestGradient: largestSquared,
  rule({ p, g, state, hyper, disabled }) {
    const { rho1, rho2, window, epsilon } = hyper
    const walked = state.path.plus(p.minus(state.previous).abs())
    const windows = !disabled('window')
    const renews = windows ? state.age.isAtLeast(window) : undefined
    const start = renews ? where(renews, p, state.start) : state.start
    const path = renews ? where(renews, 0, walked) : walked
    const ratio = where(path.isGreaterThan(0), p.minus(start).abs().over(path), 1)
    const c = ratio.times(rho2.minus(rho1)).plus(rho2.negated().plus(1))
    const v = state.v.minus(state.v.times(c.square())).plus(g.times(c).square()).limited()
    return {
      direction: g.over(v.plus(epsilon).sqrt()),
      state: {
        previous: p,
        path,
        v,
        ...(renews ? { start, age: where(renews, 1, state.age.plus(1)) } : {}),
      },
    }
  },
})
