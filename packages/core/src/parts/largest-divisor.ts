/** The largest divisor of `size` that is not above `limit`; 1 where there is none. */
export function largestDivisor(size: number, limit: number): number {
  let divisor = Math.max(1, Math.min(Math.floor(limit), size))
  while (size % divisor !== 0) divisor--
  return divisor
}
