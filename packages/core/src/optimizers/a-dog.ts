import { defineOptimizer } from '../language/definition.ts'
import { fraction, logUniform, nonNegative, oneOf, positive, smallDivisor } from '../language/hyperparameters.ts'
import { copyOfParameter, sharedScalar, zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'

/**
 * A-DoG: accelerated gradient descent (AcceleGrad) with the step size of {@link dog}, in one gradient per step; the sibling of
 * {@link uDoG}, which takes two.
 *
 * ```text
 * r = S = relativeDistance (1 + ‖θ0‖),  α = max(1, c)  before the first step
 * G ← G + α² ‖g‖²;  ρ = η r / (√G + ε)
 * w ← μ w + (1 - μ) θ - α ρ g
 * y ← θ - ρ g
 * r ← max(r, ‖w - θ0‖);  S ← S + r;  α ← max(1, c S / r)
 * θ ← (1 - 1 / α) y + w / α                where the next gradient is taken
 * ```
 *
 * The norms are over all tensors. Defaults: η 1 (leave it), relativeDistance 1e-6, c (`alphaConstant`) 0.5, μ (`momentum`) 1, ε
 * 1e-8, λ 0 and coupled. State: w - θ0 (`moved`), which float32 tells from 0 where it cannot tell w from θ0, and θ0 (`start`), shaped like the parameter; the numbers `distance` (r), `distances` (S) and
 * `gradients` (G), shared by all tensors. `distance` 0 stands for the beginning.
 *
 * As in the class AcceleDoG of the experiments (version 1.0.0), from which the constant c is too: the paper's analysis is of U-DoG.
 *
 * Kreisler, Ivgi, Hinder, Carmon 2024, Accelerated Parameter-Free Stochastic Optimization, arXiv 2404.00666.
 */
export const aDoG = defineOptimizer({
  name: 'aDoG',
  title: 'A-DoG',
  family: 'stepSize',
  paper: {
    title: 'Accelerated Parameter-Free Stochastic Optimization',
    authors: 'Kreisler, Ivgi, Hinder, Carmon',
    year: 2024,
    arxiv: '2404.00666',
  },
  hyper: {
    learningRate: nonNegative(1),
    relativeDistance: nonNegative(1e-6),
    alphaConstant: positive(0.5),
    momentum: fraction(1),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  state: {
    moved: zeros({ exact: true }),
    start: copyOfParameter(),
    distance: sharedScalar(0),
    distances: sharedScalar(0),
    gradients: sharedScalar(0),
  },
  decay: 'coupled',
  search: { learningRate: logUniform(0.1, 10), alphaConstant: oneOf(0.25, 0.5, 1) },
  rule({ p, g, state, hyper }) {
    const { learningRate, alphaConstant, momentum, epsilon } = hyper
    const first = state.distance.equals(0)
    const initial = p.norm('all').plus(1).times(hyper.relativeDistance)
    const r = where(first, initial, state.distance)
    const sum = where(first, initial, state.distances)
    const alphaOf = (distances: typeof r, distance: typeof r) =>
      where(distance.isGreaterThan(0), distances.over(distance), 1).times(alphaConstant).maximum(1)
    const alpha = alphaOf(sum, r)
    const gradients = state.gradients.plus(g.square().sum('all').times(alpha.square()))
    const root = gradients.sqrt().plus(epsilon)
    const stepSize = where(root.isGreaterThan(0), r.times(learningRate).over(root), 0)
    return {
      direction: g,
      state: { gradients },
      apply(direction, project) {
        const step = direction.times(stepSize)
        const behind = p.minus(state.start)
        const free = state.moved.minus(behind).times(momentum).plus(behind).minus(step.times(alpha))
        const w = state.start.plus(free)
        const moved = free.plus(project(w).minus(w))
        const distance = r.maximum(moved.norm('all'))
        const distances = sum.plus(distance)
        const y = behind.minus(step)
        const x = y.plus(moved.minus(y).over(alphaOf(distances, distance)))
        return { parameter: state.start.plus(x), state: { moved, distance, distances } }
      },
    }
  },
})
