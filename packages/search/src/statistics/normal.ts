const tail = 2.5
const rootTwoPi = Math.sqrt(2 * Math.PI)

/** Density of the standard normal distribution. */
export function normalDensity(z: number): number {
  return Math.exp((-z * z) / 2) / rootTwoPi
}

/**
 * The fraction 1 / (x + 2 / (x + 3 / (x + ...))). Above a positive x the standard normal distribution has the share
 * density(x) / (x + fraction) (Abramowitz and Stegun 1964, 26.2.14), and max(0, z - x) the mean density(x) * fraction / (x + fraction).
 */
function tailFraction(x: number): number {
  let fraction = 0
  for (let term = 100; term >= 1; term--) fraction = term / (x + fraction)
  return fraction
}

/** Probability that a standard normal variable is below `z` (Abramowitz and Stegun 1964, 26.2.11 and 26.2.14); error below 1e-14. */
export function normalCumulative(z: number): number {
  if (z < -tail) return normalDensity(z) / (-z + tailFraction(-z))
  if (z > tail) return 1 - normalCumulative(-z)
  const square = z * z
  let term = z
  let sum = z
  for (let odd = 3; Math.abs(term) > 1e-17; odd += 2) {
    term *= square / odd
    sum += term
  }
  return 0.5 + normalDensity(z) * sum
}

/** The logarithm of `normalCumulative`, also where that is too small for a number. */
export function logNormalCumulative(z: number): number {
  if (z === -Infinity) return -Infinity
  if (z >= -tail) return Math.log(normalCumulative(z))
  return (-z * z) / 2 - Math.log(rootTwoPi * (-z + tailFraction(-z)))
}

/** Probability that a standard normal variable is between two numbers; precise in both tails. */
export function normalBetween(low: number, high: number): number {
  if (low > 0) return normalCumulative(-low) - normalCumulative(-high)
  return normalCumulative(high) - normalCumulative(low)
}

/**
 * log of density(z) + z * cumulative(z), the mean of max(0, z + a standard normal variable): what the logarithm of expected improvement
 * needs (Ament et al. 2023, Unexpected Improvements to Expected Improvement for Bayesian Optimization, arXiv 2310.20708, equation 9).
 */
export function logExpectedPart(z: number): number {
  if (z >= -tail) return Math.log(normalDensity(z) + z * normalCumulative(z))
  const fraction = tailFraction(-z)
  return (-z * z) / 2 - Math.log(rootTwoPi) + Math.log(fraction) - Math.log(-z + fraction)
}
