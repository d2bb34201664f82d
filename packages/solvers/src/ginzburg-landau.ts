import { CholeskyDecomposition, Matrix } from 'ml-matrix'
import { type DoorLimits, runSolver } from './door.ts'
import type { Status } from './state.ts'
import { maximumNorm, type Numbers, plus } from './vector.ts'

/** An edge of a graph without directions. */
export type Edge = readonly [from: number, to: number, weight: number]

/** Where `ginzburgLandau` is. */
export interface GinzburgLandauState {
  /** u: near -1 or 1 for each node. */
  readonly point: Float64Array
  /** E(u). */
  readonly energy: number
  /** Largest absolute element of E's gradient. */
  readonly residual: number
  /** E(u) + |uₙ - uₙ₋₁|² / (2 τ): what the damped wave loses. */
  readonly total: number
}

export interface GinzburgLandauOptions extends DoorLimits<GinzburgLandauState> {
  /** ε: width of the interface between the classes; less of it makes values nearer to -1 and 1. Default 1. */
  readonly width?: number
  /** μ: weight of the labels. Default 10. */
  readonly fidelity?: number
  /** τ: time step. Default 1. */
  readonly step?: number
  /** ρ, from 0 (the gradient flow) to below 1, or 'nesterov' (default): n / (n + 3) after n steps. */
  readonly momentum?: number | 'nesterov'
  /** Whether momentum is dropped, and the step taken again, where the energy would rise. Default true. */
  readonly restart?: boolean
  /** Largest residual. Default 1e-6. */
  readonly tolerance?: number
}

export interface GinzburgLandauResult {
  readonly point: Float64Array
  /** -1 or 1 for each node. */
  readonly classes: Int8Array
  readonly energy: number
  readonly residual: number
  readonly iterations: number
  readonly status: Status
}

/** Double well (1 - u²)² / 4, outside of [-1, 1] continued as (|u| - 1)², so that W'' is at most 2 everywhere. */
const well = (u: number) => (Math.abs(u) <= 1 ? (1 - u * u) ** 2 / 4 : (Math.abs(u) - 1) ** 2)
const wellSlope = (u: number) => (Math.abs(u) <= 1 ? u * (u * u - 1) : 2 * (u - Math.sign(u)))
/** c: W - c u² / 2 is concave. */
const curvature = 2

/** The iterator behind `ginzburgLandau`: a state for the labels and after each step. Limits are not read. */
export function ginzburgLandauStates(
  edges: Iterable<Edge>,
  labels: Numbers,
  options: GinzburgLandauOptions = {},
): Generator<GinzburgLandauState, Status, void> {
  const { width = 1, fidelity = 10, step = 1, momentum = 'nesterov', restart = true, tolerance = 1e-6 } = options
  for (const [name, value] of Object.entries({ width, fidelity, step })) {
    if (!(value > 0 && value < Infinity)) throw new RangeError(`${name}: ${value} is not a finite number above 0`)
  }
  if (momentum !== 'nesterov' && !(momentum >= 0 && momentum < 1)) {
    throw new RangeError(`momentum: ${momentum} is neither 'nesterov' nor at least 0 and below 1`)
  }
  labels.forEach((label, i) => {
    if (![-1, 0, 1].includes(label)) throw new RangeError(`labels[${i}]: ${label} is none of -1, 0 and 1`)
  })
  const n = labels.length
  const y = Float64Array.from(labels)
  const list = [...edges]
  list.forEach(([from, to, weight], k) => {
    for (const node of [from, to]) {
      if (!(Number.isInteger(node) && node >= 0 && node < n)) {
        throw new RangeError(`edges[${k}]: ${node} is none of the ${n} nodes`)
      }
    }
    if (!(weight >= 0 && weight < Infinity)) {
      throw new RangeError(`edges[${k}]: the weight ${weight} is not a finite number of at least 0`)
    }
  })

  const energyAt = (u: Float64Array) => {
    const perimeter = list.reduce((sum, [i, j, weight]) => sum + weight * (u[i]! - u[j]!) ** 2, 0)
    const wells = u.reduce((sum, each) => sum + well(each), 0)
    const misses = u.reduce((sum, each, i) => sum + (y[i] === 0 ? 0 : (each - y[i]!) ** 2), 0)
    return (width * perimeter + fidelity * misses) / 2 + wells / width
  }
  const gradientAt = (u: Float64Array) => {
    const slope = u.map((each, i) => wellSlope(each) / width + (y[i] === 0 ? 0 : fidelity * (each - y[i]!)))
    for (const [i, j, weight] of list) {
      slope[i]! += width * weight * (u[i]! - u[j]!)
      slope[j]! += width * weight * (u[j]! - u[i]!)
    }
    return slope
  }

  function* solve(): Generator<GinzburgLandauState, Status, void> {
    const system = Matrix.eye(n, n)
    const add = (i: number, j: number, value: number) => system.set(i, j, system.get(i, j) + step * value)
    for (let i = 0; i < n; i++) add(i, i, curvature / width + (y[i] === 0 ? 0 : fidelity))
    for (const [i, j, weight] of list) {
      add(i, i, width * weight)
      add(j, j, width * weight)
      add(i, j, -width * weight)
      add(j, i, -width * weight)
    }
    const cholesky = n > 0 ? new CholeskyDecomposition(system) : undefined
    const stepFrom = (v: Float64Array) => {
      const right = v.map((each, i) => {
        const concave = (wellSlope(each) - curvature * each) / width
        return each - step * concave + (y[i] === 0 ? 0 : step * fidelity * y[i]!)
      })
      return cholesky ? Float64Array.from(cholesky.solve(Matrix.columnVector(right)).to1DArray()) : right
    }
    let [u, before, energy, age] = [y, y, energyAt(y), 0]
    for (;;) {
      const moved = plus(u, -1, before)
      const residual = maximumNorm(gradientAt(u))
      yield { point: u, energy, residual, total: energy + moved.reduce((sum, each) => sum + each ** 2, 0) / (2 * step) }
      if (residual <= tolerance) return { kind: 'converged', test: 'gradient' }
      const rho = momentum === 'nesterov' ? age / (age + 3) : momentum
      let next = stepFrom(plus(u, rho, moved))
      let value = energyAt(next)
      age++
      if (restart && value > energy && rho > 0) {
        next = stepFrom(u)
        value = energyAt(next)
        age = 1
      }
      ;[before, u, energy] = [u, next, value]
    }
  }
  return solve()
}

/**
 * Two classes on a graph from few labels y: a local minimum of the energy of Ginzburg and Landau, a diffuse perimeter of the classes,
 *
 * E(u) = ε Σ w_ij (u_i - u_j)² / 2 + Σ W(u_i) / ε + μ Σ over labels (u_i - y_i)² / 2,
 *
 * from u = y. The convex part (graph, labels, c u² / (2 ε)) is taken at the end of a step and the concave one (W - c u² / 2) / ε at its
 * beginning v = uₙ + ρₙ (uₙ - uₙ₋₁), as in FISTA: each step solves the same linear system, which is factored once.
 * Without momentum the energy falls for every step size; with a constant ρ the total energy does where ρ² (1 + 3 τ / ε) ≤ 1.
 *
 * O. Akande, P. Dondl, K. Gupta, A. Onwunta, S. Wojtowytsch (2024), Momentum-based minimization of the Ginzburg-Landau functional on
 * Euclidean spaces and graphs, arXiv 2501.00389. Deviations: the restart (B. O'Donoghue, E. Candès 2015), the well's continuation; the matrix is dense.
 *
 * @param labels one for each node: -1, 1, or 0 where the class is to be found.
 * @throws RangeError for other labels, edges that lead nowhere or weigh less than 0, and options out of their range.
 */
export function ginzburgLandau(
  edges: Iterable<Edge>,
  labels: Numbers,
  options: GinzburgLandauOptions = {},
): GinzburgLandauResult {
  const states = ginzburgLandauStates(edges, labels, options)
  const ended = runSolver(states, { ...options, iterations: options.iterations ?? 10_000 })
  const { point, energy, residual } = ended.best!
  const classes = Int8Array.from(point, (each) => (each < 0 ? -1 : 1))
  return { point, classes, energy, residual, iterations: ended.iterations, status: ended.status }
}
