/** A point or a direction as the user gives it. */
export type Numbers = readonly number[] | Float64Array

/** x · y; of long vectors as four sums, for each addition would wait for the one before it. */
export function dot(x: Float64Array, y: Float64Array): number {
  return dotBetween(x, y, 0, x.length)
}

function dotBetween(x: Float64Array, y: Float64Array, from: number, to: number): number {
  const whole = to - from < 64 ? from : to - ((to - from) % 4)
  let [a, b, c, d] = [0, 0, 0, 0]
  for (let i = from; i < whole; i += 4) {
    a += x[i]! * y[i]!
    b += x[i + 1]! * y[i + 1]!
    c += x[i + 2]! * y[i + 2]!
    d += x[i + 3]! * y[i + 3]!
  }
  for (let i = whole; i < to; i++) a += x[i]! * y[i]!
  return a + b + (c + d)
}

/** How many elements of several vectors are taken at a time: they stay in the cache. */
const block = 1024

/** Every x · y, in rows by x. */
export function products(xs: readonly Float64Array[], ys: readonly Float64Array[]): number[][] {
  const n = ys[0]?.length ?? 0
  const sums = xs.map(() => new Array<number>(ys.length).fill(0))
  for (let from = 0; from < n; from += block) {
    const to = Math.min(n, from + block)
    for (let i = 0; i < xs.length; i++) {
      for (let j = 0; j < ys.length; j++) sums[i]![j]! += dotBetween(xs[i]!, ys[j]!, from, to)
    }
  }
  return sums
}

/** Adds every scale times its y to x. */
export function addAll(x: Float64Array, scales: ArrayLike<number>, ys: readonly Float64Array[]): void {
  for (let from = 0; from < x.length; from += block) {
    const to = Math.min(x.length, from + block)
    for (let k = 0; k < ys.length; k++) {
      const [scale, y] = [scales[k]!, ys[k]!]
      for (let i = from; i < to; i++) x[i]! += scale * y[i]!
    }
  }
}

/** Whether every element is a finite number. */
export function isFiniteVector(x: Float64Array): boolean {
  for (let i = 0; i < x.length; i++) if (!Number.isFinite(x[i]!)) return false
  return true
}

/** The Euclidean norm, without overflow where an element is huge. */
export function norm(x: Float64Array): number {
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
