/** The closed-form problem that reference trajectories are made on; any language can compute it. */

/** Numbers that can be read and written by index. */
export interface Numbers {
  readonly length: number
  [index: number]: number
}

/** One element of the problem: value `p` at index `i` of tensor `k` (both from 0), at step `t` (from 1). */
export interface Place {
  readonly p: number
  readonly i: number
  readonly k: number
  readonly t: number
  readonly salt: number
}

const curvature = ({ i, k }: Place) => 0.5 + ((7919 * i + 104729 * k) % 13) / 6.5
const minimum = ({ i, k, salt }: Place) => Math.cos(1.1 * (i + 1) + k + salt)
const noise = ({ i, k, t, salt }: Place) => 0.1 * Math.sin(1.7 * (i + 1) + 2.3 * t + k + salt)

/** What an element adds to the loss. */
export function lossAt(place: Place): number {
  const { p } = place
  return (curvature(place) / 2) * (p - minimum(place)) ** 2 - 0.1 * Math.cos(3 * p) + noise(place) * p
}

export function gradientAt(place: Place): number {
  const { p } = place
  return curvature(place) * (p - minimum(place)) + 0.3 * Math.sin(3 * p) + noise(place)
}

/** The second derivative; the Hessian is diagonal. */
export function hessianDiagonalAt(place: Place): number {
  return curvature(place) + 0.9 * Math.cos(3 * place.p)
}

/** Writes the initial values of tensor `k`. */
export function writeInitial(target: Numbers, k: number, salt: number): void {
  for (let i = 0; i < target.length; i++) target[i] = Math.sin(0.7 * (i + 1) + 1.3 * k + salt)
}

/** Writes what `at` gives for every element of tensor `k`, computed in float64 from the given parameter. */
export function writeEach(
  target: Numbers,
  at: (place: Place) => number,
  parameter: Numbers,
  k: number,
  t: number,
  salt: number,
): void {
  for (let i = 0; i < target.length; i++) target[i] = at({ p: parameter[i]!, i, k, t, salt })
}

/** Writes the gradient of tensor `k` at step `t` (from 1), computed in float64 from the given parameter. */
export function writeGradient(target: Numbers, parameter: Numbers, k: number, t: number, salt: number): void {
  writeEach(target, gradientAt, parameter, k, t, salt)
}

/** The sum of what `at` gives over all elements of all tensors; for `lossAt` the loss. */
export function total(at: (place: Place) => number, parameters: readonly Numbers[], t: number, salt: number): number {
  let sum = 0
  parameters.forEach((parameter, k) => {
    for (let i = 0; i < parameter.length; i++) sum += at({ p: parameter[i]!, i, k, t, salt })
  })
  return sum
}

/** The numbers that trajectories with random draws have in the place of normal ones: element `i` of draw `d` in a step. */
export function normal(step: number, d: number, i: number): number {
  const n = 1000 * step + d + 1
  const h = (31 * i ** 2 + 17 * i + 57 * n + 13 * i * n + 5) % 101
  return (2 * h - 99.5) / 58
}
