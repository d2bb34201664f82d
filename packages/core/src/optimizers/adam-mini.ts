import type { Dimensions } from '../graph/node.ts'
import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { outputSide } from '../language/layout.ts'
import { type ParameterShape, shaped, zeros } from '../language/slots.ts'
import { biasCorrection, ema, type Value } from '../language/value.ts'
import { largestSquared } from '../parts/ema-of-square.ts'
import { spreadOver } from '../parts/spread.ts'

type Partition = 'outputs' | 'heads' | 'tensor' | 'elements'

/**
 * Adam-mini: Adam with one second moment for each block of weights whose Hessian is dense, which are few.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) mean over the block of g²
 * θ ← (1 - η λ) θ - η (m / (1 - β1ᵗ)) / (√(v / (1 - β2ᵗ)) + ε)
 * ```
 *
 * `partition` says what a block is: the weights of one of the `outputs` (default; a vector is one block), of one of the `heads`
 * of a query or key, that is of `headSize` consecutive outputs, the whole `tensor`, or single `elements`, which is AdamW. Defaults
 * of the official code: η 1e-3, β (0.9, 0.999), ε 1e-8, λ 0; headSize 1. State: `m`, shaped like the parameter, and `v`, one
 * number per block.
 *
 * The official code chooses by the names of a transformer: heads for queries and keys, outputs for values, projections, MLPs,
 * embeddings (of which the tokens are the outputs) and the last layer, elements for biases, the tensor for all others, and no
 * decay for what has norm, ln or bias in its name. Here `groups` says it:
 *
 * ```ts
 * import { adamMini, groups } from 'fallline'
 *
 * export const optimizer = groups(adamMini({ weightDecay: 0.1 }), [
 *   { match: /query|key/, optimizer: adamMini({ partition: 'heads', headSize: 64, weightDecay: 0.1 }) },
 *   { match: /bias/, optimizer: adamMini({ partition: 'elements' }) },
 *   { match: /norm/, optimizer: adamMini({ partition: 'tensor' }) },
 * ])
 * ```
 *
 * Zhang, Chen, Li, Ding, Wu, Kingma, Ye, Luo, Sun 2024, Adam-mini: Use Fewer Learning Rates To Gain More, arXiv 2406.16793.
 */
export const adamMini = defineOptimizer({
  name: 'adamMini',
  title: 'Adam-mini',
  family: 'adaptive',
  paper: {
    title: 'Adam-mini: Use Fewer Learning Rates To Gain More',
    authors: 'Zhang, Chen, Li, Ding, Wu, Kingma, Ye, Luo, Sun',
    year: 2024,
    arxiv: '2406.16793',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  options: { partition: 'outputs' as Partition, headSize: 1 },
  choices: { partition: ['outputs', 'heads', 'tensor', 'elements'] },
  state: {
    m: zeros(),
    v: shaped((shape, { partition, headSize }) => blocksOf(shape, partition as Partition, headSize as number)),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(3e-5, 1e-2), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options, shape }) {
    const { beta1, beta2, epsilon } = hyper
    const { partition, headSize } = options
    const m = ema(state.m, g, beta1)
    // Summed after scaling: a row of float32 cannot hold the squares of a huge gradient.
    const share = beta2.negated().plus(1).sqrt()
    const { mean, spread } = overBlocks(g.as(shape.matrix).times(share).square(), shape, partition, headSize)
    const v = state.v.times(beta2).plus(mean).limited()
    const root = v.sqrt().over(biasCorrection(beta2, t).sqrt()).plus(epsilon)
    const direction = m.as(shape.matrix).over(spread(root)).as(g)
    return { direction: direction.over(biasCorrection(beta1, t)), state: { m, v } }
  },
})

/** One number per block. @throws Error when heads do not fit the outputs. */
function blocksOf(shape: ParameterShape, partition: Partition, headSize: number): Dimensions {
  const { name, outputs, matrix } = shape
  if (partition === 'elements') return matrix
  if (partition === 'tensor') return [1, 1, 1]
  if (partition === 'outputs') return outputSide(shape) === 'rows' ? [1, outputs, 1] : [1, 1, outputs]
  if (outputs % headSize !== 0) {
    throw new Error(
      `Adam-mini: headSize ${headSize} must divide the outputs of every parameter, but '${name}' has ${outputs} outputs`,
    )
  }
  return [1, outputs / headSize, 1]
}

/** The mean of each block, and how one number per block is given to the elements. */
function overBlocks(square: Value, shape: ParameterShape, partition: Partition, headSize: number) {
  const same = (perBlock: Value) => perBlock
  if (partition === 'elements') return { mean: square, spread: same }
  if (partition === 'tensor') return { mean: square.mean(), spread: same }
  const perOutput = square.mean('inputs')
  if (partition === 'outputs') return { mean: perOutput, spread: same }
  const heads = perOutput.as([1, shape.outputs / headSize, headSize])
  const spread = (perHead: Value) => spreadOver(heads, perHead).as(perOutput)
  return { mean: heads.mean('columns'), spread }
}
