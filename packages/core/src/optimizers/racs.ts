import type { Dimensions } from '../graph/node.ts'
import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive, smallDivisor } from '../language/hyperparameters.ts'
import { outputSide } from '../language/layout.ts'
import { type ParameterShape, scalar, shaped } from '../language/slots.ts'
import { ema, type Value, where } from '../language/value.ts'
import { largestSquared } from '../parts/ema-of-square.ts'
import { limitedGrowth } from '../parts/limited-growth.ts'

/**
 * RACS, row and column scaled SGD: the gradient with its outputs and its inputs scaled to even size, in the memory of SGD.
 *
 * ```text
 * a ← 1;  `iterations` times:  b ← G² a / ‖a‖²,  a ← (G²)ᵀ b / ‖b‖²       b: one number per output, a: one per input
 * s ← β s + (1 - β) b,   q ← β q + (1 - β) a
 * D ← G / (√(s + ε) √(q + ε))
 * n ← γ / max(‖D‖ / φ, γ)                  1 at the first step
 * φ ← n ‖D‖
 * θ ← (1 - η λ) θ - η α n D
 * ```
 *
 * b aᵀ is what the iteration finds to come closest to the squared gradient, the diagonal of its Fisher matrix. Defaults: η 0.02, β
 * 0.9, α (`scale`) 0.05, γ (`growth`) 1.01, 5 iterations, ε 1e-8, λ 0. State: `s`, one number per output, `q`, one per input, and φ
 * (`length`). A vector is a matrix with one input; kernels are seen as outputs and inputs.
 *
 * The paper has no ε. pytorch_optimizer takes the means of the squares in the place of the iteration, and starts q at 1.
 *
 * Gong, Scetbon, Ma, Meeds 2025, Towards Efficient Optimizer Design for LLM via Structured Fisher Approximation with a Low-Rank
 * Extension, arXiv 2502.07752.
 */
export const racs = defineOptimizer({
  name: 'racs',
  title: 'RACS',
  family: 'matrix',
  paper: {
    title: 'Towards Efficient Optimizer Design for LLM via Structured Fisher Approximation with a Low-Rank Extension',
    authors: 'Gong, Scetbon, Ma, Meeds',
    year: 2025,
    arxiv: '2502.07752',
  },
  hyper: {
    learningRate: nonNegative(0.02),
    beta: decayRate(0.9),
    scale: positive(0.05),
    growth: positive(1.01),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  options: { iterations: 5 },
  state: {
    s: shaped((shape) => sidesOf(shape).outputs),
    q: shaped((shape) => sidesOf(shape).inputs),
    length: scalar(0),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 1), scale: oneOf(0.05, 0.1, 0.2) },
  largestGradient: largestSquared,
  rule({ g, state, hyper, options, shape }) {
    const { beta, growth, epsilon } = hyper
    const matrix = g.as(matrixOf(shape))
    const largest = matrix.abs().largest().maximum(0)
    // Relative to the largest element, so that float32 holds the squares.
    const square = matrix.over(where(largest.isGreaterThan(0), largest, 1)).square()
    const perSquare = (x: Value) => where(x.square().sum().isGreaterThan(0), x.over(x.square().sum()), 0)
    let outputs = square.mean('inputs')
    let inputs = square.times(perSquare(outputs)).sum('outputs')
    for (let iteration = 1; iteration < options.iterations; iteration++) {
      outputs = square.times(perSquare(inputs)).sum('inputs')
      inputs = square.times(perSquare(outputs)).sum('outputs')
    }
    const s = ema(state.s, outputs.times(largest.square()), beta).limited()
    const q = ema(state.q, inputs, beta)
    const scaled = matrix.over(s.plus(epsilon).sqrt()).over(q.plus(epsilon).sqrt())
    const { share, length } = limitedGrowth(scaled.norm(), state.length, growth, 0)
    return { direction: scaled.times(share.times(hyper.scale)).as(g), state: { s, q, length } }
  },
})

/** A vector has one input. */
function matrixOf({ rank, size, matrix }: ParameterShape): Dimensions {
  return rank < 2 ? [1, size, 1] : matrix
}

function sidesOf(shape: ParameterShape): { outputs: Dimensions; inputs: Dimensions } {
  const [, rows, columns] = matrixOf(shape)
  const [perRow, perColumn]: Dimensions[] = [
    [1, rows, 1],
    [1, 1, columns],
  ]
  return outputSide(shape) === 'rows'
    ? { outputs: perRow!, inputs: perColumn! }
    : { outputs: perColumn!, inputs: perRow! }
}
