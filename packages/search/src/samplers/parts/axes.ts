import { type Point, partAt, size } from '../../space/dimension.ts'
import type { Space } from '../../space/space.ts'

/** A number that a method moves: one coordinate of its vectors. */
export interface Axis {
  readonly dimension: number
  /** The bounds of the part that has the same value as a coordinate; `null` where every coordinate has its own. */
  readonly part: ((coordinate: number) => readonly [low: number, high: number]) | null
}

/** A choice that a method draws from probabilities. */
export interface Category {
  readonly dimension: number
  readonly count: number
}

/** A space as distributions over vectors see it; dimensions with a single value are left out. */
export interface Layout {
  readonly axes: readonly Axis[]
  readonly categories: readonly Category[]
  /** The point of coordinates along the axes and one index for each category. */
  point(sample: readonly number[], picks: readonly number[]): Point
}

/** The axes and categories of a space. */
export function layoutOf(space: Space): Layout {
  const axes: Axis[] = []
  const categories: Category[] = []
  for (const [dimension, { domain }] of space.dimensions.entries()) {
    if (domain.kind === 'choice') {
      if (domain.values.length > 1) categories.push({ dimension, count: domain.values.length })
    } else if (domain.minimum < domain.maximum && size(domain) > 1) {
      axes.push({ dimension, part: domain.step === null ? null : (coordinate) => partAt(domain, coordinate) })
    }
  }
  return {
    axes,
    categories,
    point(sample, picks) {
      const point = space.dimensions.map(({ domain }): number => (domain.kind === 'choice' ? 0 : 0.5))
      for (const [index, { dimension }] of axes.entries()) point[dimension] = sample[index]!
      for (const [index, { dimension }] of categories.entries()) point[dimension] = picks[index]!
      return space.settle(point)
    },
  }
}
