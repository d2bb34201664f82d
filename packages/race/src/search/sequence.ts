import { random } from './random.ts'

/**
 * Initial direction numbers of the Sobol sequence: Joe and Kuo, "Constructing Sobol sequences with better
 * two-dimensional projections", SIAM Journal on Scientific Computing 30 (2008), table new-joe-kuo-6.
 * One row per dimension after the first: degree and coefficients of the primitive polynomial, then m_1, m_2, ...
 */
const directions: readonly (readonly [degree: number, coefficients: number, initial: readonly number[]])[] = [
  [1, 0, [1]],
  [2, 1, [1, 3]],
  [3, 1, [1, 3, 1]],
  [3, 2, [1, 1, 1]],
  [4, 1, [1, 1, 3, 3]],
  [4, 4, [1, 3, 5, 13]],
  [5, 2, [1, 1, 5, 5, 17]],
  [5, 4, [1, 1, 5, 5, 5]],
  [5, 7, [1, 1, 7, 11, 19]],
  [5, 11, [1, 1, 5, 1, 1]],
  [5, 13, [1, 1, 1, 3, 11]],
  [5, 14, [1, 3, 5, 5, 31]],
  [6, 1, [1, 3, 3, 9, 7, 49]],
  [6, 13, [1, 1, 1, 15, 21, 21]],
  [6, 16, [1, 3, 1, 13, 27, 49]],
  [6, 19, [1, 1, 1, 15, 7, 5]],
  [6, 22, [1, 3, 1, 15, 13, 25]],
  [6, 25, [1, 1, 5, 5, 19, 61]],
  [7, 1, [1, 3, 7, 11, 23, 15, 103]],
  [7, 4, [1, 3, 7, 13, 13, 15, 69]],
]

const bits = 30

/** How many dimensions the sequence has, which is how many hyperparameters of one contender can be tuned. */
export const sobolDimensions = directions.length + 1

/**
 * One coordinate of the Sobol sequence (Sobol 1967, with the direction numbers of Joe and Kuo 2008), in natural order.
 *
 * @param dimension from 0 to `sobolDimensions` - 1
 * @param index number of the point, from 0
 * @returns a number in [0, 1); point 0 is 0 in every dimension
 */
export function sobol(dimension: number, index: number): number {
  const row = dimension === 0 ? ([0, 0, []] as const) : directions[dimension - 1]
  if (row === undefined)
    throw new RangeError(`Sobol dimension ${dimension} does not exist: use 0 to ${sobolDimensions - 1}`)
  const [degree, coefficients, initial] = row
  const m: number[] = [...initial]
  let value = 0
  for (let bit = 0; bit < bits && 2 ** bit <= index; bit++) {
    if (dimension === 0) m[bit] = 1
    else if (bit >= degree) {
      let next = (m[bit - degree]! ^ (m[bit - degree]! << degree)) >>> 0
      for (let k = 1; k < degree; k++) {
        if ((coefficients >> (degree - 1 - k)) & 1) next = (next ^ (m[bit - k]! << k)) >>> 0
      }
      m[bit] = next
    }
    if (Math.floor(index / 2 ** bit) % 2 === 1) value = (value ^ (m[bit]! << (bits - 1 - bit))) >>> 0
  }
  return value / 2 ** bits
}

/** A sequence of points in a unit cube with named dimensions. */
export interface PointSequence {
  /** Names of the dimensions in the order of the Sobol coordinates. */
  readonly dimensions: readonly string[]
  /** The random shift of each dimension, in [0, 1). */
  readonly shift: Readonly<Record<string, number>>
  /** Coordinate of a point on a dimension, in [0, 1): (sobol + shift) modulo 1. */
  coordinate(dimension: string, index: number): number
}

/**
 * A quasi-random sequence: Sobol points with a Cranley-Patterson shift (a random rotation modulo 1, one per dimension; Cranley and
 * Patterson 1976). Sequences of different purposes are shifted independently of each other.
 *
 * @param names dimensions; `learningRate` always comes first, others are ordered by name
 * @param seed seed of the study
 * @param purpose what the points are for, such as the name of a contender
 * @throws RangeError for more than `sobolDimensions` names
 */
export function shiftedSobol(names: Iterable<string>, seed: number, purpose: string): PointSequence {
  const others = [...new Set(names)].filter((name) => name !== 'learningRate').sort()
  const dimensions = ['learningRate', ...others]
  if (dimensions.length > sobolDimensions) {
    throw new RangeError(
      `${dimensions.length} different hyperparameters are to be tuned (${dimensions.join(', ')}), at most ${sobolDimensions} can be: declare smaller search ranges`,
    )
  }
  const shift: Record<string, number> = {}
  for (const name of dimensions) shift[name] = random(seed, `${purpose}: shift of ${name}`).uniform()
  return {
    dimensions,
    shift,
    coordinate(name, index) {
      const dimension = dimensions.indexOf(name)
      if (dimension < 0) throw new RangeError(`'${name}' is not a dimension of this study: ${dimensions.join(', ')}`)
      return (sobol(dimension, index) + shift[name]!) % 1
    },
  }
}
