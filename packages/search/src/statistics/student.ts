import { normalCumulative } from './normal.ts'

/**
 * Probability that the absolute value of Student's t with whole degrees of freedom exceeds `t`: the two-sided p-value. Closed sums for
 * whole degrees (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4).
 */
export function studentTail(t: number, degrees: number): number {
  if (!Number.isFinite(t)) return Number.isNaN(t) ? 1 : 0
  const angle = Math.atan(Math.abs(t) / Math.sqrt(degrees))
  const cosine = Math.cos(angle)
  const odd = degrees % 2 === 1
  let term = odd ? cosine : 1
  let sum = degrees === 1 ? 0 : term
  for (let k = odd ? 3 : 2; k <= degrees - 2; k += 2) {
    term *= ((k - 1) / k) * cosine * cosine
    sum += term
  }
  const inside = odd ? (2 / Math.PI) * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum
  return Math.min(1, Math.max(0, 1 - inside))
}

/** Fields of many contenders ask for the same few quantiles thousands of times: by alpha, then by degrees of freedom. */
const quantiles = new Map<number, Map<number, number>>()

/** The value that the absolute value of Student's t exceeds with probability `alpha`. */
export function studentQuantile(alpha: number, degrees: number): number {
  let known = quantiles.get(alpha)
  if (known === undefined) {
    if (quantiles.size >= 1000) quantiles.clear()
    known = new Map()
    quantiles.set(alpha, known)
  }
  let quantile = known.get(degrees)
  if (quantile === undefined) {
    quantile = findQuantile(alpha, degrees)
    if (known.size >= 1000) known.clear()
    known.set(degrees, quantile)
  }
  return quantile
}

function findQuantile(alpha: number, degrees: number): number {
  let low = 0
  let high = 1
  while (studentTail(high, degrees) > alpha && high < 1e12) high *= 2
  for (let turn = 0; turn < 100 && high - low > 1e-10 * high; turn++) {
    const middle = (low + high) / 2
    if (studentTail(middle, degrees) > alpha) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/**
 * Probability that a t-test with the two-sided critical value `critical` claims a difference in the right direction, where the true
 * difference is `shift` standard errors (Abramowitz and Stegun 1964, 26.7.10, for the noncentral t distribution).
 */
export function power(shift: number, critical: number, degrees: number): number {
  const z = (critical * (1 - 1 / (4 * degrees)) - shift) / Math.sqrt(1 + (critical * critical) / (2 * degrees))
  return 1 - normalCumulative(z)
}
