import { wholeFrom } from '../check.ts'
import { type Coordinate, type Dimension, valueCount } from '../space/dimension.ts'
import { inOrder, type Progress } from './parts/in-order.ts'
import type { Sampler } from './sampler.ts'

/** What a grid is made of. */
export interface GridOptions {
  /**
   * How many values of a number without a step are tried, evenly apart in its scale and both ends among them (of one part the middle):
   * one count for all, or counts by the names of the dimensions. Default: 5.
   */
  readonly parts?: number | Readonly<Record<string, number>>
}

/** Values of a dimension for which none were given. */
const defaultParts = 5

/**
 * Tries every point of a grid once and ends: all values of choices and of numbers with a step, some of the others. The last dimension
 * changes fastest; the parameters of a variant change only where it is chosen.
 *
 * @throws RangeError for counts that are not whole numbers from 1
 */
export function gridSearch({ parts = defaultParts }: GridOptions = {}): Sampler<Progress> {
  const given = typeof parts === 'number' ? { parts } : parts
  for (const [name, count] of Object.entries(given)) {
    wholeFrom('grid', name, count, 1)
  }
  const partsOf = ({ name }: Dimension) => (typeof parts === 'number' ? parts : (parts[name] ?? defaultParts))
  return inOrder(
    'grid',
    ({ space }) => countUnder(space.dimensions, null, partsOf),
    ({ space }) =>
      (index) => {
        const cube = new Array<Coordinate>(space.dimensions.length).fill(null)
        place(space.dimensions, null, index, partsOf, cube)
        return space.settle(cube)
      },
  )
}

type PartsOf = (dimension: Dimension) => number

function childrenOf(dimensions: readonly Dimension[], parent: Dimension['condition']): number[] {
  return dimensions.flatMap(({ condition }, index) =>
    condition?.dimension === parent?.dimension && condition?.value === parent?.value ? [index] : [],
  )
}

/** How many points each value of a dimension has, its own parameters included. */
function weights(dimensions: readonly Dimension[], index: number, partsOf: PartsOf): number[] {
  const { domain } = dimensions[index]!
  if (domain.kind === 'choice') {
    return domain.values.map((value) => countUnder(dimensions, { dimension: index, value }, partsOf))
  }
  const count = valueCount(domain) ?? (domain.minimum === domain.maximum ? 1 : partsOf(dimensions[index]!))
  return new Array<number>(count).fill(1)
}

function countUnder(dimensions: readonly Dimension[], parent: Dimension['condition'], partsOf: PartsOf): number {
  return childrenOf(dimensions, parent).reduce(
    (product, index) => product * weights(dimensions, index, partsOf).reduce((sum, weight) => sum + weight, 0),
    1,
  )
}

/** Writes the coordinates of the point of an index into a point, for the dimensions that have one parent. */
function place(
  dimensions: readonly Dimension[],
  parent: Dimension['condition'],
  index: number,
  partsOf: PartsOf,
  into: Coordinate[],
): void {
  let left = index
  for (const dimension of childrenOf(dimensions, parent).reverse()) {
    const counts = weights(dimensions, dimension, partsOf)
    const total = counts.reduce((sum, weight) => sum + weight, 0)
    let inside = left % total
    left = Math.floor(left / total)
    let chosen = 0
    while (inside >= counts[chosen]!) inside -= counts[chosen++]!
    const { domain } = dimensions[dimension]!
    if (domain.kind === 'choice') {
      into[dimension] = chosen
      place(dimensions, { dimension, value: domain.values[chosen]! }, inside, partsOf, into)
    } else if (domain.step !== null) into[dimension] = (chosen + 0.5) / counts.length
    else into[dimension] = counts.length === 1 ? 0.5 : chosen / (counts.length - 1)
  }
}
