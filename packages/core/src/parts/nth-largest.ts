import { type Value, where } from '../language/value.ts'

/** Enough for an interval of numbers that differ by a factor of 10⁴ to close to 1e-6 of its bounds, were all between in x. */
const passes = 24

/**
 * The n-th largest element of each tensor; n from 1 up, perhaps a host value. Found by halving the interval that holds it,
 * between its geometric mean and then the nearest elements; each of the 24 halvings reads x once. Elements that close to the
 * n-th that they are not told apart count as equal, and the least of them is the result: at least n elements reach it.
 */
export function nthLargest(x: Value, n: Value): Value {
  let low = x.negated().largest().negated()
  let high = x.largest()
  for (let pass = 0; pass < passes; pass++) {
    const mean = where(high.isGreaterThan(0), 0, low.plus(high).over(2))
    const middle = where(low.isGreaterThan(0), low.sqrt().times(high.maximum(0).sqrt()), mean)
    const above = x.isGreaterThan(middle)
    const reached = where(above, 1, 0).sum().isAtLeast(n)
    const next = where(above, x.negated(), low.lifted(Number.NEGATIVE_INFINITY)).largest().negated()
    const previous = where(above, Number.NEGATIVE_INFINITY, x).largest()
    low = where(reached, next, low)
    high = where(reached, high, previous)
  }
  return low
}
