import { medianSorted, quantileSorted } from 'simple-statistics'

/** What is known about one quantity after several measurements. */
export interface Summary {
  median: number
  /** First and third quartile. */
  low: number
  high: number
  count: number
}

/** Median and quartiles. An empty list has none: it throws a RangeError. */
export function summarize(values: readonly number[]): Summary {
  if (values.length === 0) throw new RangeError('summarize: got no values, needs at least one')
  const sorted = [...values].sort((a, b) => a - b)
  return {
    median: medianSorted(sorted),
    low: quantileSorted(sorted, 0.25),
    high: quantileSorted(sorted, 0.75),
    count: sorted.length,
  }
}

/** Half the distance between the quartiles relative to the median: 0.03 means that half of all steps lie within about 3 %. */
export function relativeSpread(summary: Summary): number {
  return (summary.high - summary.low) / 2 / summary.median
}

/**
 * How many times faster the first is than the second, from the seconds that each needed in the same rounds.
 *
 * Rounds are compared pairwise, so that a slow phase of the machine, which hits both, cancels. Both lists are in the order of
 * the rounds and equally long.
 */
export function speedRatio(first: readonly number[], second: readonly number[]): Summary {
  if (first.length !== second.length) {
    throw new RangeError(`speedRatio: ${first.length} rounds against ${second.length}, needs equally many`)
  }
  return summarize(first.map((seconds, round) => second[round]! / seconds))
}
