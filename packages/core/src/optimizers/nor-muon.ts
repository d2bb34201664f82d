import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf } from '../language/hyperparameters.ts'
import { relativeRate } from '../language/relative-rate.ts'
import { perOutput, rows, zeros } from '../language/slots.ts'
import { ema } from '../language/value.ts'
import { asMatrix, frobeniusNorm, newtonSchulz, scaledSides } from '../parts/newton-schulz.ts'
import { adamW } from './adam-w.ts'

/**
 * NorMuon: Muon with one second moment for each neuron, which evens out how far they move; the size of the step stays that of Muon.
 *
 * ```text
 * b ← μ b + (1 - μ) g
 * O ← Newton-Schulz((1 - μ) g + μ b)
 * v ← β2 v + (1 - β2) mean over inputs of O²          one number per output
 * q ← O / (√v + 1e-10)
 * θ ← (1 - η λ) θ - η √max(1, outputs / inputs) q ‖O‖ / (‖q‖ + 1e-10)
 * ```
 *
 * Defaults of the official code: η 0.02, μ 0.95, β2 0.95, λ 0, 5 Newton-Schulz steps. State: `b`, shaped like the parameter, and
 * `v`.
 *
 * For hidden matrices only. What has fewer than two dimensions goes to `fallback`, by default AdamW with the official auxiliary
 * settings β (0.9, 0.95), ε 1e-10, λ 0 and a rate of 0.5 η, 0.01 by default, which follows η.
 *
 * As in the official code a convolution kernel of four dimensions is one matrix of outputs and inputs for Newton-Schulz only: its
 * second moments are means over its last dimension, its norms those of its last two, and the factor comes from height and width. What
 * has more than two dimensions is seen so whatever its layout. The official iteration runs in bfloat16, here in float32.
 *
 * Li, Liu, Liang, Chen, Zhao 2025, NorMuon: Making Muon more efficient and scalable, arXiv 2510.05491.
 */
export const norMuon = defineOptimizer({
  name: 'norMuon',
  title: 'NorMuon',
  family: 'matrix',
  paper: {
    title: 'NorMuon: Making Muon more efficient and scalable',
    authors: 'Li, Liu, Liang, Chen, Zhao',
    year: 2025,
    arxiv: '2510.05491',
  },
  hyper: {
    learningRate: nonNegative(0.02),
    momentum: decayRate(0.95),
    beta2: decayRate(0.95),
    weightDecay: nonNegative(0),
  },
  options: { newtonSchulzSteps: 5 },
  state: {
    b: zeros(),
    v: perOutput({ when: ({ shape }) => shape.rank === 2 }),
    vOfRows: rows({ when: ({ shape }) => shape.rank > 2 }),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 1e-1), momentum: oneOf(0.9, 0.95), beta2: oneOf(0.9, 0.95, 0.99) },
  accepts: ({ rank }) => rank >= 2,
  needs: 'a matrix',
  fallback: () => adamW({ learningRate: relativeRate(0.5), beta1: 0.9, beta2: 0.95, epsilon: 1e-10, weightDecay: 0 }),
  rule({ p, g, state, hyper, options, shape }) {
    const { momentum, beta2 } = hyper
    const b = ema(state.b, g, momentum)
    const matrix = asMatrix(ema(b, g, momentum), shape)
    const orthogonal = newtonSchulz(matrix, options.newtonSchulzSteps).as(p)
    const square = orthogonal.square()
    const isMatrix = shape.rank === 2
    const v = isMatrix
      ? ema(state.v, square.as(shape.matrix).mean('inputs'), beta2)
      : ema(state.vOfRows, square.mean('columns'), beta2)
    const normalized = orthogonal.over(v.sqrt().plus(1e-10))
    const [outputs, inputs] = scaledSides(matrix, shape)
    const scale = frobeniusNorm(orthogonal).over(frobeniusNorm(normalized).plus(1e-10))
    const direction = normalized.times(scale.times(Math.sqrt(Math.max(1, outputs / inputs))))
    return { direction, state: isMatrix ? { b, v } : { b, vOfRows: v } }
  },
})
