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
export function subsetView(shape: ParameterShape, subsets: Subsets, subsetSize: number): Dimensions {
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

/** The sum over each subset of a value as it is seen. */
export function sumOverSubsets(x: Value, shape: ParameterShape, subsets: Subsets): Value {
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
