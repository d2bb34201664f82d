import type { Dimensions } from '../graph/node.ts'
import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { outputSide } from '../language/layout.ts'
import { type ParameterShape, scalar, shaped } from '../language/slots.ts'
import { biasCorrection, type Value, where } from '../language/value.ts'
import { largestSquared } from '../parts/ema-of-square.ts'

/**
 * Nero: every neuron turns by the same angle, and its weights stay on the sphere around 0 with mean 0.
 *
 * ```text
 * first step:  θ ← project(θ);  σ ← mean of ‖θᵢ‖, 0.01 if that is 0
 * vᵢ ← β vᵢ + (1 - β) ‖gᵢ‖²
 * θᵢ ← θᵢ - η σ gᵢ / (√(vᵢ / (1 - βᵗ)) + ε)
 * θ ← project(θ)                           θᵢ ← θᵢ - mean(θᵢ), then θᵢ ← θᵢ / (‖θᵢ‖ + ε)
 * ```
 *
 * A neuron i is an output, by the layout of the parameter; vectors and scalars have one element per neuron and are not projected.
 *
 * Defaults: η 0.01, β 0.999, ε 1e-8, constraints true. State: one number per neuron (for vectors per element), `v`, and σ,
 * one number per tensor.
 *
 * The official code has no ε and sets what is not a number to 0; ε is pytorch_optimizer's. The official code projects when
 * the optimizer is made; here, as in pytorch_optimizer, the first step does, so that the first gradient is that at the given
 * parameter. A neuron of one weight, or of equal weights, becomes 0, as there: give such tensors to another optimizer by
 * `groups`.
 *
 * Liu, Bernstein, Meister, Yue 2021, Learning by Turning: Neural Architecture Aware Optimisation, arXiv 2102.07227.
 */
export const nero = defineOptimizer({
  name: 'nero',
  title: 'Nero',
  family: 'layerwise',
  paper: {
    title: 'Learning by Turning: Neural Architecture Aware Optimisation',
    authors: 'Liu, Bernstein, Meister, Yue',
    year: 2021,
    arxiv: '2102.07227',
  },
  hyper: { learningRate: nonNegative(0.01), beta: decayRate(0.999), epsilon: smallDivisor(1e-8) },
  options: { constraints: true },
  state: {
    v: shaped((shape) => {
      const [, rows, columns] = neurons(shape)
      return outputSide(shape) === 'rows' ? [1, rows, 1] : [1, 1, columns]
    }),
    scale: scalar(0),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 1e-1), beta: oneOf(0.99, 0.999) },
  largestGradient: largestSquared,
  rule({ p, g, t, state, hyper, options, shape }) {
    const { learningRate, beta, epsilon } = hyper
    const byNeuron = (x: Value) => x.as(neurons(shape))
    const project = (x: Value) => {
      if (!options.constraints || shape.rank < 2) return x
      const centred = x.minus(x.mean('inputs'))
      const length = centred.norm('inputs')
      // What float32 leaves of equal weights is no direction.
      const differs = length.isGreaterThan(x.norm('inputs').times(1e-6))
      return where(differs, centred.over(length.plus(epsilon)), 0)
    }
    const first = t.equals(1)
    const before = where(first, project(byNeuron(p)), byNeuron(p))
    const length = before.norm('inputs').mean()
    const scale = where(first, where(length.isGreaterThan(0), length, 0.01), state.scale)
    // Summed after scaling: float32 rows cannot hold the squares of a huge gradient, an infinite average would stay.
    const square = byNeuron(g).times(beta.negated().plus(1).sqrt()).square().sum('inputs')
    const v = state.v.times(beta).plus(square).limited()
    const root = v.sqrt().over(biasCorrection(beta, t).sqrt()).plus(epsilon)
    const turned = before.minus(byNeuron(g).over(root).times(scale.times(learningRate)))
    const move = byNeuron(p).minus(project(turned))
    const share = where(learningRate.isGreaterThan(0), learningRate.power(-1), 0)
    return { direction: move.times(share).as(p), state: { v, scale } }
  },
})

/** Neurons and their weights. */
function neurons({ rank, size, matrix }: ParameterShape): Dimensions {
  return rank < 2 ? [1, size, 1] : matrix
}
