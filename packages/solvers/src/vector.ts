/** A point or a direction as the user gives it. */
export type Numbers = readonly number[] | Float64Array

/** x · y. */
export function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0
  for (let i = 0; i < x.length; i++) sum += x[i]! * y[i]!
  return sum
}

/** The Euclidean norm, without overflow where an element is huge. */
export function norm(x: Float64Array): number {
  const largest = maximumNorm(x)
  if (largest === 0 || !Number.isFinite(largest)) return largest
  let sum = 0
  for (const element of x) sum += (element / largest) ** 2
  return largest * Math.sqrt(sum)
}

/** The largest absolute element; NaN where one is. */
export function maximumNorm(x: Float64Array): number {
  let largest = 0
  for (const element of x) {
    if (Number.isNaN(element)) return Number.NaN
    largest = Math.max(largest, Math.abs(element))
  }
  return largest
}

/** x + scale y, as a new vector. */
export function plus(x: Float64Array, scale: number, y: Float64Array): Float64Array {
  return x.map((element, i) => element + scale * y[i]!)
}

/** scale x, as a new vector. */
export function scaled(scale: number, x: Float64Array): Float64Array {
  return x.map((element) => scale * element)
}
