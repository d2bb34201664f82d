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
  const squares = dot(x, x)
  if (squares > 1e-280 && squares < Infinity) return Math.sqrt(squares)
  const largest = maximumNorm(x)
  if (largest === 0 || !Number.isFinite(largest)) return largest
  let sum = 0
  for (let i = 0; i < x.length; i++) sum += (x[i]! / largest) ** 2
  return largest * Math.sqrt(sum)
}

/** The largest absolute element; NaN where one is. */
export function maximumNorm(x: Float64Array): number {
  let largest = 0
  for (let i = 0; i < x.length; i++) {
    const size = Math.abs(x[i]!)
    if (size > largest) largest = size
    else if (Number.isNaN(size)) return Number.NaN
  }
  return largest
}

/** x + scale y, as a new vector. */
export function plus(x: Float64Array, scale: number, y: Float64Array): Float64Array {
  const sum = new Float64Array(x.length)
  for (let i = 0; i < x.length; i++) sum[i] = x[i]! + scale * y[i]!
  return sum
}

/** Adds scale y to x. */
export function add(x: Float64Array, scale: number, y: Float64Array): void {
  for (let i = 0; i < x.length; i++) x[i]! += scale * y[i]!
}

/** scale x, as a new vector. */
export function scaled(scale: number, x: Float64Array): Float64Array {
  const product = new Float64Array(x.length)
  for (let i = 0; i < x.length; i++) product[i] = scale * x[i]!
  return product
}
