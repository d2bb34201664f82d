import type { Value } from '../language/value.ts'

/** The least divisor of `twoQuotients`: float32 holds the square of its reciprocal. */
export const leastDivisor = 1e-18

/**
 * a / b and c / d with a single division, which takes a processor as long as several products: with x = 1 / (b d) they are a (d x)
 * and c (b x), to about two units in the last place. The divisors must be between `leastDivisor` and 1e18 in size, so that float32
 * holds their product and its reciprocal.
 */
export function twoQuotients([a, b]: readonly [Value, Value], [c, d]: readonly [Value, Value]): [Value, Value] {
  const product = b.times(d)
  const inverse = product.lifted(1).over(product)
  return [a.times(inverse.times(d)), c.times(inverse.times(b))]
}
