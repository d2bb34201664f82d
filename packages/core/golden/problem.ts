/** The closed-form problem that reference trajectories are made on; any language can compute it. */

/** Numbers that can be read and written by index. */
export interface Numbers {
  readonly length: number
  [index: number]: number
}

/** Writes the initial values of tensor `k`. */
export function writeInitial(target: Numbers, k: number, salt: number): void {
  for (let i = 0; i < target.length; i++) target[i] = Math.sin(0.7 * (i + 1) + 1.3 * k + salt)
}

/** Writes the gradient of tensor `k` at step `t` (from 1), computed in float64 from the given parameter. */
export function writeGradient(target: Numbers, parameter: Numbers, k: number, t: number, salt: number): void {
  for (let i = 0; i < target.length; i++) {
    const p = parameter[i]!
    const curvature = 0.5 + ((7919 * i + 104729 * k) % 13) / 6.5
    const minimum = Math.cos(1.1 * (i + 1) + k + salt)
    const noise = 0.1 * Math.sin(1.7 * (i + 1) + 2.3 * t + k + salt)
    target[i] = curvature * (p - minimum) + 0.3 * Math.sin(3 * p) + noise
  }
}
