import type { Value } from '../language/value.ts'

/** From `first` to `last` along half a cosine while `progress` goes from 0 to 1. */
export function cosineDecay(first: number, last: Value, progress: Value): Value {
  const share = progress.times(Math.PI).cos().plus(1).over(2)
  return share.times(last.negated().plus(first)).plus(last)
}
