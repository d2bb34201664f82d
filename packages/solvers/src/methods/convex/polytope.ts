import type { Draws } from '../../draws.ts'
import { dot } from '../../vector.ts'

/** All x with normal · x ≤ bound. */
export interface HalfSpace {
  readonly normal: Float64Array
  readonly bound: number
}

/** The half-space that x is farthest outside of, if any. */
export function mostViolated(spaces: readonly HalfSpace[], x: Float64Array): HalfSpace | undefined {
  let [worst, most] = [undefined as HalfSpace | undefined, 0]
  for (const space of spaces) {
    const excess = (dot(space.normal, x) - space.bound) / Math.sqrt(dot(space.normal, space.normal))
    if (excess > most) [worst, most] = [space, excess]
  }
  return worst
}

/** The box around the start in which cutting planes and walks begin. */
export function boxAround(start: Float64Array, radius: number): HalfSpace[] {
  return Array.from(start).flatMap((centre, i) =>
    [1, -1].map((sign) => ({
      normal: new Float64Array(start.length).fill(sign, i, i + 1),
      bound: sign * centre + radius,
    })),
  )
}

/** The part of the line x + s d inside all half-spaces, as limits of s. */
export function chord(spaces: readonly HalfSpace[], x: Float64Array, d: Float64Array): [from: number, to: number] {
  let [from, to] = [-Infinity, Infinity]
  for (const { normal, bound } of spaces) {
    const slope = dot(normal, d)
    const room = bound - dot(normal, x)
    if (slope > 0) to = Math.min(to, room / slope)
    else if (slope < 0) from = Math.max(from, room / slope)
  }
  return [Math.min(from, 0), Math.max(to, 0)]
}

/**
 * One step of hit-and-run for every walker (R. Smith 1984): a direction, and a point drawn from the chord through it. Directions are normal with
 * the covariance of the walkers, which rounds the body (Bubeck's section 6.7), and one in four has all directions alike, so that walkers which
 * are all in one place, or in one plane, do not stay there.
 *
 * @param draw where on the chord, of s from the first to the second limit.
 */
export function hitAndRun(
  spaces: readonly HalfSpace[],
  walkers: readonly Float64Array[],
  draws: Draws,
  draw: (from: number, to: number, d: Float64Array) => number = (from, to) => from + (to - from) * draws.uniform(),
): Float64Array[] {
  const { mean } = momentsOf(walkers)
  const size = mean.length
  return walkers.map((x) => {
    const d = new Float64Array(size)
    if (draws.uniform() >= 1 / 4) {
      for (const other of walkers) {
        const weight = draws.normal() / Math.sqrt(walkers.length)
        for (let i = 0; i < size; i++) d[i]! += weight * (other[i]! - mean[i]!)
      }
    }
    if (d.every((element) => element === 0)) for (let i = 0; i < size; i++) d[i] = draws.normal()
    const [from, to] = chord(spaces, x, d)
    const s = draw(from, to, d)
    return x.map((element, i) => element + s * d[i]!)
  })
}

/** Mean, and the variance along a direction. */
export function momentsOf(walkers: readonly Float64Array[]) {
  const mean = new Float64Array(walkers[0]?.length ?? 0)
  for (const x of walkers) for (let i = 0; i < mean.length; i++) mean[i]! += x[i]! / walkers.length
  const varianceAlong = (d: Float64Array): number => {
    const middle = dot(mean, d)
    return walkers.reduce((sum, x) => sum + (dot(x, d) - middle) ** 2, 0) / Math.max(1, walkers.length)
  }
  return { mean, varianceAlong }
}
