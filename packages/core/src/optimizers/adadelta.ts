import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * Adadelta: the gradient over the root of its average square, times the root of the average square of the steps so far,
 * which gives the step the unit of the parameter.
 *
 * ```text
 * v ← ρ v + (1 - ρ) g²
 * d ← g √(u + ε) / √(v + ε)
 * u ← ρ u + (1 - ρ) d²
 * θ ← θ - η d
 * ```
 *
 * Defaults of PyTorch: η 1, ρ 0.9, ε 1e-6, coupled weight decay 0; the paper has no learning rate (η 1) and uses ρ 0.95. ε also
 * sets how long the first steps are. State: `v` and `u`, shaped like the parameter.
 *
 * Zeiler 2012, ADADELTA: An Adaptive Learning Rate Method, arXiv 1212.5701.
 */
export const adadelta = defineOptimizer({
  name: 'adadelta',
  title: 'Adadelta',
  family: 'adaptive',
  paper: {
    title: 'ADADELTA: An Adaptive Learning Rate Method',
    authors: 'Zeiler',
    year: 2012,
    arxiv: '1212.5701',
  },
  hyper: {
    learningRate: nonNegative(1),
    rho: decayRate(0.9),
    epsilon: smallDivisor(1e-6),
    weightDecay: nonNegative(0),
  },
  state: { v: zeros(), u: zeros() },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-2, 10), rho: oneOf(0.9, 0.95, 0.99) },
  largestGradient: largestSquared,
  rule({ g, state, hyper }) {
    const { rho, epsilon } = hyper
    const v = emaOfSquare(state.v, g, rho)
    const direction = g.times(state.u.plus(epsilon).sqrt().over(v.plus(epsilon).sqrt()))
    return { direction, state: { v, u: emaOfSquare(state.u, direction, rho) } }
  },
})
