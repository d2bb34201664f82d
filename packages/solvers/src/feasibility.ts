import { finiteNumbers } from './check.ts'
import { type DoorLimits, runSolver } from './door.ts'
import type { Status } from './state.ts'
import { dot, maximumNorm, type Numbers, norm, plus } from './vector.ts'

/** Where an iteration x → T(x) is. */
export interface DisplacementState {
  readonly point: Float64Array
  /** x - T(x), which tends to the infimal displacement vector v: the shortest that x - T(x) comes near anywhere; zero where T has a fixed point. */
  readonly difference: Float64Array
  /** v by how far the iterates have gone: (x⁰ - x) / k, for Halpern's iteration 2 (x⁰ - x) / k. */
  readonly drift: Float64Array
  readonly residual: number
}

/** 'picard': x⁺ = T(x); 'halpern': x⁺ = x⁰ / (k + 2) + (k + 1) / (k + 2) T(x). */
export type DisplacementMethod = 'halpern' | 'picard'

/**
 * Iterates a nonexpansive map T and gives at each step what is known of its infimal displacement vector v. For an averaged T, |x - T(x) - v|² falls as
 * O(1 / k) in Picard's iteration and as O(1 / k²) in Halpern's, which is the best there is; the drift has O(1 / k²) in both.
 *
 * J. Park, E. Ryu (2023), Accelerated Infeasibility Detection of Constrained Optimization and Fixed-Point Iterations, arXiv 2303.15876.
 */
export function* displacements(
  map: (x: Float64Array) => Numbers,
  start: Numbers,
  method: DisplacementMethod = 'halpern',
): Generator<DisplacementState, never, void> {
  const origin = Float64Array.from(start)
  for (let [k, x] = [0, origin]; ; k++) {
    const mapped = Float64Array.from(map(x.slice()))
    if (mapped.length !== x.length) {
      throw new RangeError(`map: ${mapped.length} numbers were given for ${x.length} variables`)
    }
    const difference = plus(x, -1, mapped)
    const gone = plus(origin, -1, x)
    const drift = k === 0 ? difference : gone.map((each) => (each * (method === 'halpern' ? 2 : 1)) / k)
    yield { point: x, difference, drift, residual: maximumNorm(difference) }
    x = method === 'picard' ? mapped : mapped.map((each, i) => origin[i]! / (k + 2) + ((k + 1) / (k + 2)) * each)
  }
}

export interface FeasibilityOptions extends DoorLimits<DisplacementState> {
  /** Default 'halpern'. */
  readonly method?: DisplacementMethod
  /** How near the two sets have to come at a common point; how near, relative to the gap, a nearest pair has to be one. Default 1e-6. */
  readonly tolerance?: number
}

export interface FeasibilityResult {
  /** In the first set: the common point, or the one nearest to the second set. */
  readonly first: Float64Array
  /** In the second set. */
  readonly second: Float64Array
  readonly iterations: number
  readonly status: Status
}

/**
 * Finds a common point of two convex sets, by Douglas and Rachford's T(x) = x + P₁(2 P₂(x) - x) - P₂(x), or proves that there is none: the infimal displacement
 * vector of T is the gap v between the sets.
 *
 * @returns status `converged` where both points agree, and `infeasible` with v where they are a nearest pair: then v · a ≤ v · first
 * and v · b ≥ v · second for all a and b of the sets, and v · (second - first) = |v|² > 0.
 */
export function feasibility(
  projectFirst: (x: Float64Array) => Numbers,
  projectSecond: (x: Float64Array) => Numbers,
  start: Numbers,
  options: FeasibilityOptions = {},
): FeasibilityResult {
  const { method = 'halpern', tolerance = 1e-6, iterations = 100_000 } = options
  let first: Float64Array = finiteNumbers(start)
  let second = first
  function* solve(): Generator<DisplacementState, Status, void> {
    const map = (x: Float64Array) => {
      second = Float64Array.from(projectSecond(x.slice()))
      first = Float64Array.from(projectFirst(second.map((each, i) => 2 * each - x[i]!)))
      return x.map((each, i) => each + first[i]! - second[i]!)
    }
    for (const state of displacements(map, start, method)) {
      yield state
      const gap = plus(second, -1, first)
      const length = norm(gap)
      if (length <= tolerance) return { kind: 'converged', test: 'gap' }
      // A pair is a nearest one where each is the projection of the other.
      const off =
        norm(plus(first, -1, Float64Array.from(projectFirst(second.slice())))) +
        norm(plus(second, -1, Float64Array.from(projectSecond(first.slice()))))
      if (off <= tolerance * length && dot(gap, gap) > 0) return { kind: 'infeasible', certificate: gap }
    }
    return { kind: 'failed', reason: 'the iteration has ended' }
  }
  const { iterations: done, status } = runSolver(solve(), { ...options, iterations })
  return { first, second, iterations: done, status }
}
