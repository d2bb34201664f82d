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

/** Every x · y, in rows by x. Four x go along one y together, so that its elements are loaded once. */
export function products(xs: readonly Float64Array[], ys: readonly Float64Array[]): number[][] {
  const n = ys[0]?.length ?? 0
  const sums = xs.map(() => new Array<number>(ys.length).fill(0))
  const fours = xs.length - (xs.length % 4)
  for (let from = 0; from < n; from += block) {
    const to = Math.min(n, from + block)
    for (let j = 0; j < ys.length; j++) {
      for (let i = 0; i < fours; i += 4) addFour(sums, i, j, xs, ys[j]!, from, to)
      for (let i = fours; i < xs.length; i++) sums[i]![j]! += dotBetween(xs[i]!, ys[j]!, from, to)
    }
  }
  return sums
}

function addFour(
  sums: readonly number[][],
  row: number,
  column: number,
  xs: readonly Float64Array[],
  y: Float64Array,
  from: number,
  to: number,
): void {
  const p = xs[row]!
  const q = xs[row + 1]!
  const r = xs[row + 2]!
  const s = xs[row + 3]!
  let a = 0
  let b = 0
  let c = 0
  let d = 0
  for (let i = from; i < to; i++) {
    const element = y[i]!
    a += p[i]! * element
    b += q[i]! * element
    c += r[i]! * element
    d += s[i]! * element
  }
  sums[row]![column]! += a
  sums[row + 1]![column]! += b
  sums[row + 2]![column]! += c
  sums[row + 3]![column]! += d
}

/** Adds every scale times its y to x, four at a time. */
export function addAll(x: Float64Array, scales: ArrayLike<number>, ys: readonly Float64Array[]): void {
  const fours = ys.length - (ys.length % 4)
  for (let from = 0; from < x.length; from += block) {
    const to = Math.min(x.length, from + block)
    for (let k = 0; k < fours; k += 4) {
      const p = ys[k]!
      const q = ys[k + 1]!
      const r = ys[k + 2]!
      const s = ys[k + 3]!
      const a = scales[k]!
      const b = scales[k + 1]!
      const c = scales[k + 2]!
      const d = scales[k + 3]!
      for (let i = from; i < to; i++) x[i] = x[i]! + a * p[i]! + b * q[i]! + c * r[i]! + d * s[i]!
    }
    for (let k = fours; k < ys.length; k++) {
      const scale = scales[k]!
      const y = ys[k]!
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
  // Long ones go without the divisions where the squares allow it.
  const squares = x.length < 64 ? 0 : dot(x, x)
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
