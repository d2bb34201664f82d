import type { ParameterShape } from '../language/slots.ts'
import type { Operand, Value } from '../language/value.ts'

/**
 * X with singular values near 1: the quintic iteration of Muon, whose coefficients make it steep at 0. `epsilon` keeps the
 * division by the norm, with which it starts, from dividing by 0.
 */
export function newtonSchulz(matrix: Value, steps: number, epsilon: Operand = 1e-7): Value {
  if (matrix.rows > matrix.columns) return newtonSchulz(matrix.transposed(), steps, epsilon).transposed()
  let x = matrix.over(frobeniusNorm(matrix).plus(epsilon))
  for (let step = 0; step < steps; step++) {
    const a = x.matmul(x.transposed())
    const polynomial = a.times(-4.775).plus(a.matmul(a).times(2.0315))
    x = x.times(3.4445).plus(polynomial.matmul(x))
  }
  return x
}

/**
 * A convolution kernel of four dimensions, and every depthwise one, as one matrix of outputs and inputs; others are a batch of
 * matrices in their last two dimensions.
 */
export function asMatrix(value: Value, { matrix, rank, layout }: ParameterShape): Value {
  return rank === 4 || layout === 'depthwise' ? value.as(matrix) : value
}

/**
 * The sides of a matrix that official codes scale its step by: outputs and inputs, but of a convolution kernel of four dimensions height
 * and width.
 */
export function scaledSides(matrix: Value, { rank, outputFirst }: ParameterShape): readonly [number, number] {
  return rank === 4 ? [outputFirst[2]!, outputFirst[3]!] : [matrix.outputs, matrix.inputs]
}

/** One norm per matrix of the batch. */
export function frobeniusNorm(matrix: Value): Value {
  return matrix.batch === 1 ? matrix.norm() : matrix.square().sum('columns').sum('rows').sqrt()
}
