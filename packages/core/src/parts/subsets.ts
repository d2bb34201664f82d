import type { Dimensions } from '../graph/node.ts'
import { outputSide } from '../language/layout.ts'
import type { ParameterShape } from '../language/slots.ts'
import type { Value } from '../language/value.ts'
import { largestDivisor } from './largest-divisor.ts'

/**
 * Which weights share a second moment: each has its own, those of an output of a matrix that has as many outputs as inputs or more and
 * else of an input, or `subsetSize` consecutive ones as they lie in memory.
 */
export type Subsets = 'elements' | 'lines' | 'blocks'

/** How the parameter is seen: as a matrix, or with the elements of a block in a row. */
function subsetView(shape: ParameterShape, subsets: Subsets, subsetSize: number): Dimensions {
  if (subsets !== 'blocks') return shape.matrix
  const size = largestDivisor(shape.size, subsetSize === 0 ? Math.sqrt(shape.size) : subsetSize)
  return [1, shape.size / size, size]
}

/** One number per subset; what is no matrix has no lines, but elements. */
export function subsetDimensions(shape: ParameterShape, subsets: Subsets, subsetSize: number): Dimensions {
  const [batch, rows, columns] = subsetView(shape, subsets, subsetSize)
  if (hasElements(shape, subsets)) return [batch, rows, columns]
  return subsets === 'blocks' || keptSide(shape) === 'rows' ? [1, rows, 1] : [1, 1, columns]
}

interface Scaling {
  readonly g: Value
  readonly state: { readonly v: Value }
  readonly hyper: { readonly beta2: Value; readonly epsilon: Value }
  readonly options: { readonly subsetSize: number; readonly accumulate: boolean }
  readonly shape: ParameterShape
}

/** A step over the norms of its subsets, `step / (√v + ε)`, and v with the squares of this gradient. */
export function scaledBySubsets(
  step: Value,
  subsets: Subsets,
  { g, state, hyper, options, shape }: Scaling,
): { readonly scaled: Value; readonly v: Value } {
  const { beta2, epsilon } = hyper
  const { subsetSize, accumulate } = options
  const view = subsetView(shape, subsets, subsetSize)
  // Summed after scaling: a row of float32 cannot hold the squares of a huge gradient.
  const share = accumulate ? 1 : beta2.negated().plus(1).sqrt()
  const square = sumOverSubsets(g.as(view).times(share).square(), shape, subsets)
  const v = (accumulate ? state.v : state.v.times(beta2)).plus(square).limited()
  return { scaled: step.as(view).over(v.sqrt().plus(epsilon)).as(g), v }
}

/** The sum over each subset of a value as it is seen. */
function sumOverSubsets(x: Value, shape: ParameterShape, subsets: Subsets): Value {
  if (hasElements(shape, subsets)) return x
  return x.sum(subsets === 'blocks' || keptSide(shape) === 'rows' ? 'columns' : 'rows')
}

function hasElements({ rank }: ParameterShape, subsets: Subsets): boolean {
  return subsets === 'elements' || (subsets === 'lines' && rank !== 2)
}

/** Which side of a matrix has numbers of its own: the longer one, as in the official code; the outputs of a square one. */
function keptSide(shape: ParameterShape): 'rows' | 'columns' {
  const side = outputSide(shape)
  const other = side === 'rows' ? 'columns' : 'rows'
  return shape.outputs >= shape.inputs ? side : other
}
