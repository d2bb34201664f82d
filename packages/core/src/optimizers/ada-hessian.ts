import { defineOptimizer } from '../language/definition.ts'
import { decayRate, fraction, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { inputArray } from '../language/inputs.ts'
import { type ParameterShape, zeros } from '../language/slots.ts'
import { biasCorrection, ema, type Value } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { largestDivisor } from '../parts/largest-divisor.ts'
import { outputsAsRows } from '../parts/oriented.ts'
import { spreadOver } from '../parts/spread.ts'

/**
 * AdaHessian: Adam with an estimate of the diagonal of the Hessian where Adam has the gradient.
 *
 * ```text
 * D ← |z ⊙ H z|                            z of -1 and 1; averaged over height and width of four dimensions,
 *                                          over blocks of `blockLength` elements of two
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) D²
 * θ ← (1 - η λ) θ - η (m / (1 - β1ᵗ)) / ((v / (1 - β2ᵗ))^(k/2) + ε)
 * ```
 *
 * The input `hessianDiagonal` is z ⊙ H z, from a Hessian-vector product with z of -1 and 1, or by differences,
 * z ⊙ (∇L(θ + δ z) - ∇L(θ)) / δ. Defaults of the official code: η 0.15, β (0.9, 0.999), ε 1e-4, λ 0 decoupled, Hessian
 * power k 1, blockLength 1. State: m and v.
 *
 * The official code averages D over the kernel of a convolution, and for tensors of three and five dimensions takes the
 * D of the tensor before, which is a mistake; here only four dimensions are averaged. Its variant for transformers averages D of
 * matrices over blocks of consecutive elements, row by row with outputs first, across the ends of rows where the length asks for
 * it: `blockLength`. There the length must divide the size; here a matrix whose size it does not divide takes the next smaller
 * divisor. The power makes this slower than other elementwise rules, beside the Hessian-vector product it does not count.
 *
 * Yao, Gholami, Shen, Mustafa, Keutzer, Mahoney 2020, ADAHESSIAN: An Adaptive Second Order Optimizer for Machine
 * Learning, arXiv 2006.00719.
 */
export const adaHessian = defineOptimizer({
  name: 'adaHessian',
  title: 'AdaHessian',
  family: 'curvature',
  paper: {
    title: 'ADAHESSIAN: An Adaptive Second Order Optimizer for Machine Learning',
    authors: 'Yao, Gholami, Shen, Mustafa, Keutzer, Mahoney',
    year: 2020,
    arxiv: '2006.00719',
  },
  hyper: {
    learningRate: nonNegative(0.15),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-4),
    hessianPower: fraction(1),
    weightDecay: nonNegative(0),
  },
  options: { blockLength: 1 },
  inputs: { hessianDiagonal: inputArray('z ⊙ H z, an estimate of the diagonal of the Hessian with z of -1 and 1') },
  state: { m: zeros(), v: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 1), hessianPower: oneOf(0.5, 1) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options, inputs, shape }) {
    const { beta1, beta2, epsilon, hessianPower } = hyper
    const magnitude = inputs.hessianDiagonal.abs().limited(largestSquared)
    const diagonal =
      shape.rank === 4
        ? overPlaces(magnitude, shape)
        : shape.rank === 2 && options.blockLength > 1
          ? overBlocks(magnitude, shape, options.blockLength)
          : magnitude
    const m = ema(state.m, g, beta1)
    const v = emaOfSquare(state.v, diagonal, beta2)
    const exponent = hessianPower.over(2)
    // The powers apart: a v at the limit of float32, divided, would be infinite.
    const root = v.power(exponent).over(biasCorrection(beta2, t).power(exponent))
    return { direction: m.over(biasCorrection(beta1, t)).over(root.plus(epsilon)), state: { m, v } }
  },
})

/** The mean over height and width of a kernel. */
function overPlaces(x: Value, { shape, layout }: ParameterShape): Value {
  if (layout === 'outputFirst') return x.mean('columns').mean('rows')
  const [height, width, input, output] = shape as [number, number, number, number]
  return x
    .as([1, height * width, input * output])
    .mean('rows')
    .as([1, input, output])
}

/** The mean over each block of consecutive elements of a matrix with its outputs first. */
function overBlocks(x: Value, shape: ParameterShape, limit: number): Value {
  const { size, outputs, inputs } = shape
  const length = largestDivisor(size, limit)
  const blocks = outputsAsRows(x, shape).as([1, size / length, length])
  const means = spreadOver(blocks, blocks.mean('columns')).as([1, outputs, inputs])
  return outputsAsRows(means, shape).as(x)
}
