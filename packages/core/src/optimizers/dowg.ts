import { defineOptimizer } from '../language/definition.ts'
import { logUniform, nonNegative, positive, smallDivisor } from '../language/hyperparameters.ts'
import { copyOfParameter, sharedScalar } from '../language/slots.ts'
import { where } from '../language/value.ts'

/**
 * DoWG, distance over weighted gradients: like DoG, but gradients count by the distance at which they were taken, so that
 * the early ones, near the start, do not hold the step size down.
 *
 * ```text
 * r² ← max(r², ‖θ - θ0‖²)                  r² starts at initialSquaredDistance
 * V ← V + r² ‖g‖²
 * θ ← θ - η r² / (√V + ε) g
 * ```
 *
 * The norms are over all tensors. Defaults: η 1 (leave it), initialSquaredDistance and ε 1e-4, λ 0 and coupled. State:
 * `start` (θ0), shaped like the parameter; the numbers `squaredDistance` and `weightedGradients`, shared by all tensors.
 *
 * The paper's Algorithm 1 has no ε; the official code has one setting of 1e-4 for both numbers.
 *
 * Khaled, Mishchenko, Jin 2023, DoWG Unleashed: An Efficient Universal Parameter-Free Gradient Descent Method,
 * arXiv 2305.16284.
 */
export const dowg = defineOptimizer({
  name: 'dowg',
  title: 'DoWG',
  family: 'stepSize',
  paper: {
    title: 'DoWG Unleashed: An Efficient Universal Parameter-Free Gradient Descent Method',
    authors: 'Khaled, Mishchenko, Jin',
    year: 2023,
    arxiv: '2305.16284',
  },
  hyper: {
    learningRate: nonNegative(1),
    initialSquaredDistance: positive(1e-4),
    epsilon: smallDivisor(1e-4),
    weightDecay: nonNegative(0),
  },
  state: { start: copyOfParameter(), squaredDistance: sharedScalar(0), weightedGradients: sharedScalar(0) },
  decay: 'coupled',
  search: { learningRate: logUniform(0.1, 10) },
  rule({ p, g, state, hyper }) {
    const travelled = p.minus(state.start).square().sum('all')
    const squaredDistance = state.squaredDistance.maximum(hyper.initialSquaredDistance).maximum(travelled)
    const weightedGradients = state.weightedGradients.plus(squaredDistance.times(g.square().sum('all')))
    const root = weightedGradients.sqrt().plus(hyper.epsilon)
    const stepSize = where(root.isGreaterThan(0), hyper.learningRate.times(squaredDistance).over(root), 0)
    return { direction: g, learningRate: stepSize, state: { squaredDistance, weightedGradients } }
  },
})
