import { LuDecomposition, Matrix } from 'ml-matrix'
import { type DoorLimits, runSolver } from './door.ts'
import type { Status } from './state.ts'
import { dot, maximumNorm, type Numbers } from './vector.ts'

/** A program min c · x, A x = b, x ≥ 0 whose costs nobody saw, only what was decided. */
export interface ObservedDecision {
  /** z: what the costs depend on. Default: [1], the same costs everywhere. */
  readonly context?: Numbers
  /** A. */
  readonly equalMatrix: readonly Numbers[]
  /** x: an optimal vertex. */
  readonly optimum: Numbers
  /** As many variables as A has rows. Default: those above 0, which are as many where the vertex is not degenerate. */
  readonly basis?: readonly number[]
}

/** Where `optimalityMargin` is. */
export interface MarginState {
  /** Θ, row by row: costs are Θ z. */
  readonly weights: readonly Float64Array[]
  /** λ |Θ|² / 2 + mean over decisions of Σ s. */
  readonly value: number
  /** How far the value may be above its minimum: the gap to the dual. */
  readonly residual: number
}

export interface MarginOptions extends Omit<DoorLimits<MarginState>, 'evaluations'> {
  /** λ. Default 1e-3. */
  readonly regularization?: number
  /** Largest residual, relative to the value. Default 1e-6. */
  readonly tolerance?: number
}

export interface MarginResult extends MarginState {
  readonly predict: (context?: Numbers) => Float64Array
  /** Largest s of each decision: where it is below 1 that decision is optimal for the predicted costs. */
  readonly slacks: Float64Array
  readonly iterations: number
  readonly status: Status
}

/** The iterator behind `optimalityMargin`: a state for Θ = 0 and after each sweep over all multipliers. Limits are not read. */
export function optimalityMarginStates(
  decisions: readonly ObservedDecision[],
  options: MarginOptions = {},
): Generator<MarginState, Status, void> {
  const { regularization: lambda = 1e-3, tolerance = 1e-6 } = options
  if (!(lambda > 0 && lambda < Infinity))
    throw new RangeError(`regularization: ${lambda} is not a finite number above 0`)
  const { size, features, contexts, rows } = marginsOf(decisions)
  const most = 1 / decisions.length

  function* solve(): Generator<MarginState, Status, void> {
    const weights = Array.from({ length: size }, () => new Float64Array(features))
    const multipliers = new Float64Array(rows.length)
    const reduced = ({ t, d }: (typeof rows)[number]) =>
      d.reduce((sum, each, j) => (each === 0 ? sum : sum + each * dot(weights[j]!, contexts[t]!)), 0)
    for (;;) {
      const squares = weights.reduce((sum, row) => sum + dot(row, row), 0)
      const misses = rows.reduce((sum, row) => sum + Math.max(0, 1 - reduced(row)), 0)
      const value = (lambda / 2) * squares + most * misses
      const dual = multipliers.reduce((sum, each) => sum + each, 0) - (lambda / 2) * squares
      const residual = Math.max(0, value - dual)
      yield { weights: weights.map((row) => row.slice()), value, residual }
      if (residual <= tolerance * Math.max(value, Number.MIN_VALUE)) return { kind: 'converged', test: 'gap' }
      rows.forEach((row, k) => {
        if (row.square === 0) {
          multipliers[k] = most
          return
        }
        const before = multipliers[k]!
        const wanted = before + ((1 - reduced(row)) * lambda) / row.square
        multipliers[k] = Math.min(most, Math.max(0, wanted))
        const change = (multipliers[k]! - before) / lambda
        if (change === 0) return
        row.d.forEach((each, j) => {
          if (each !== 0)
            contexts[row.t]!.forEach((z, f) => {
              weights[j]![f]! += change * each * z
            })
        })
      })
    }
  }
  return solve()
}

/**
 * Learns the costs of linear programs from decisions: contextual linear programs (predict, then optimize) and, without a context, inverse ones. A basis B
 * is optimal where the reduced costs of the other variables N are at least 0; so a linear model c = Θ z is fitted with a margin,
 *
 * min over Θ, s ≥ 0 of λ |Θ|² / 2 + mean Σ s, where c_N - Nᵀ B⁻ᵀ c_B ≥ 1 - s,
 *
 * which is convex and needs no costs. Solved by ascent of the dual, one multiplier after the other, as for support vector
 * machines (C.-J. Hsieh and others 2008); the gap between the two certifies it.
 *
 * C. Sun, S. Liu, X. Li (2023), Maximum Optimality Margin: A Unified Approach for Contextual Linear Programming and Inverse Linear Programming,
 * arXiv 2301.11260. Its online variant is not here.
 *
 * @throws RangeError for no decisions, sizes that do not match, a λ that is not above 0, and a basis that is none.
 */
export function optimalityMargin(decisions: readonly ObservedDecision[], options: MarginOptions = {}): MarginResult {
  const { features, contexts, rows } = marginsOf(decisions)
  const ended = runSolver(optimalityMarginStates(decisions, options), {
    ...options,
    iterations: options.iterations ?? 10_000,
  })
  const best = ended.best!
  const predict = (context: Numbers = [1]) => {
    if (context.length !== features) throw new RangeError(`context: ${context.length} numbers instead of ${features}`)
    const z = Float64Array.from(context)
    return Float64Array.from(best.weights, (row) => dot(row, z))
  }
  const slacks = new Float64Array(decisions.length)
  for (const { t, d } of rows) slacks[t] = Math.max(slacks[t]!, 1 - dot(d, predict(contexts[t]!)))
  return { ...best, predict, slacks, iterations: ended.iterations, status: ended.status }
}

/** A reduced cost d · Θ z of decision t. */
interface Margin {
  readonly t: number
  readonly d: Float64Array
  /** |d|² |z|². */
  readonly square: number
}

function marginsOf(decisions: readonly ObservedDecision[]) {
  if (decisions.length === 0) throw new RangeError('decisions: there are none')
  const size = decisions[0]!.optimum.length
  const contexts = decisions.map(({ context = [1] }) => Float64Array.from(context))
  const features = contexts[0]!.length
  const rows: Margin[] = []
  decisions.forEach((decision, t) => {
    if (contexts[t]!.length !== features) {
      throw new RangeError(`decisions[${t}].context: ${contexts[t]!.length} numbers were given instead of ${features}`)
    }
    const square = dot(contexts[t]!, contexts[t]!)
    for (const d of reducedCosts(decision, size, t)) rows.push({ t, d, square: dot(d, d) * square })
  })
  return { size, features, contexts, rows }
}

/** For each variable outside the basis the vector d with d · c = its reduced cost. */
function reducedCosts({ equalMatrix, optimum, basis }: ObservedDecision, size: number, t: number): Float64Array[] {
  if (optimum.length !== size) {
    throw new RangeError(`decisions[${t}].optimum: ${optimum.length} numbers were given for ${size} variables`)
  }
  equalMatrix.forEach((row, i) => {
    if (row.length !== size) {
      throw new RangeError(`decisions[${t}].equalMatrix[${i}]: ${row.length} numbers were given for ${size} variables`)
    }
  })
  const largest = maximumNorm(Float64Array.from(optimum))
  const inside = basis ?? Array.from(optimum, (_, j) => j).filter((j) => optimum[j]! > 1e-9 * largest)
  if (inside.length !== equalMatrix.length) {
    throw new RangeError(
      `decisions[${t}]: a basis of ${equalMatrix.length} variables is needed, not of ${inside.length}; name it in basis where the vertex is degenerate`,
    )
  }
  const outside = Array.from({ length: size }, (_, j) => j).filter((j) => !inside.includes(j))
  const axis = (j: number) => new Float64Array(size).fill(1, j, j + 1)
  if (inside.length === 0) return outside.map(axis)
  const decomposition = new LuDecomposition(new Matrix(equalMatrix.map((row) => inside.map((j) => row[j]!))))
  if (decomposition.isSingular()) throw new RangeError(`decisions[${t}]: the columns of its basis are dependent`)
  return outside.map((j) => {
    const d = axis(j)
    const share = decomposition.solve(Matrix.columnVector(equalMatrix.map((row) => row[j]!))).to1DArray()
    inside.forEach((k, i) => {
      d[k] = -share[i]!
    })
    return d
  })
}
