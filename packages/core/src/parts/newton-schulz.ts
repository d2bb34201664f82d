import { symmetricProduct } from '../language/factorizations.ts'
import type { ParameterShape } from '../language/slots.ts'
import type { Operand, Value } from '../language/value.ts'
import { identityLike } from './diagonal.ts'

/**
 * X with singular values near 1 by a quintic iteration, unless told otherwise that of Muon, whose coefficients make it steep at 0.
 * `epsilon` keeps the division by the norm, with which it starts, from dividing by 0. `coefficients` may be others for every step,
 * such as `polarExpress`. A long matrix costs what its short side asks.
 */
export function newtonSchulz(
  matrix: Value,
  steps: number,
  epsilon: Operand = 1e-7,
  coefficients: QuinticCoefficients = [[3.4445, -4.775, 2.0315]],
): Value {
  if (matrix.rows > matrix.columns) {
    return newtonSchulz(matrix.transposed(), steps, epsilon, coefficients).transposed()
  }
  const start = matrix.over(frobeniusNorm(matrix).plus(epsilon))
  if (steps === 0) return start
  const at = (step: number) => coefficients[Math.min(step, coefficients.length - 1)]!
  if (matrix.columns > longSide * matrix.rows) return throughGram(start, steps, at)
  let x = start
  for (let step = 0; step < steps; step++) {
    const [a, b, c] = at(step)
    const gram = x.matmul(x.transposed())
    const polynomial = gram.times(b).plus(gram.matmul(gram).times(c))
    x = x.times(a).plus(polynomial.matmul(x))
  }
  return x
}

/** a, b and c of each step's a X + b (X Xᵀ) X + c (X Xᵀ)² X; the last ones are those of all further steps. */
export type QuinticCoefficients = readonly (readonly [a: number, b: number, c: number])[]

/** From this many times as many columns as rows on, it is quicker to iterate on the Gram matrix of the rows. */
const longSide = 2

/**
 * The same iteration with matrices as small as the shorter side: X is a polynomial Q of the first Gram matrix times the first X, so Q and
 * the Gram matrix go on by themselves.
 */
function throughGram(start: Value, steps: number, at: (step: number) => readonly [number, number, number]): Value {
  let gram = start.matmul(start.transposed())
  const identity = identityLike(gram)
  let q: Value | undefined
  for (let step = 0; step < steps; step++) {
    const [a, b, c] = at(step)
    const z = identity.times(a).plus(gram.times(b)).plus(gram.matmul(gram).times(c))
    if (step < steps - 1) gram = symmetricProduct(z, symmetricProduct(gram, z))
    q = q ? symmetricProduct(z, q) : z
  }
  return q!.matmul(start)
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
