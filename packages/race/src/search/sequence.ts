import { random, sobol, sobolDimensions } from '@fallline/search/internal'

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
