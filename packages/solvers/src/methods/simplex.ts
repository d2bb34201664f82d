/** The nearest point with elements of at least 0 that add up to `total`: a threshold is taken off every element. */
export function projectToSimplex(x: Float64Array, total = 1): Float64Array {
  const sorted = x.slice().sort().reverse()
  let [sum, threshold] = [0, 0]
  for (let k = 0; k < sorted.length; k++) {
    sum += sorted[k]!
    const next = (sum - total) / (k + 1)
    if (!(sorted[k]! > next)) break
    threshold = next
  }
  return x.map((element) => Math.max(0, element - threshold))
}
