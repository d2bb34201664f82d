import { methodNamed } from './check.ts'
import { type DoorLimits, runSolver } from './door.ts'
import { sinkhorn } from './methods/transport/sinkhorn.ts'
import { sinkhornNewtonSparse } from './methods/transport/sinkhorn-newton-sparse.ts'
import { sumOfNorms } from './methods/transport/sum-of-norms.ts'
import type { Shipment, Transporter, TransportSettings, TransportState } from './shipment.ts'
import type { Status } from './state.ts'
import type { Numbers } from './vector.ts'

/** Every method of `transport`, by name. */
export const transporters = {
  sinkhorn,
  sinkhornNewtonSparse,
  sumOfNorms,
} as const satisfies Readonly<Record<string, Transporter>>

export type TransporterName = keyof typeof transporters

export interface TransportOptions extends Partial<TransportSettings>, DoorLimits<TransportState> {
  /** Default 'sinkhornNewtonSparse'. */
  readonly method?: TransporterName
}

export interface TransportResult {
  /** The rows of the plan: how much goes from i to j. */
  readonly plan: Float64Array[]
  /** Price of the plan, without regularization. */
  readonly cost: number
  /** Minus infinity where there is no mass. */
  readonly sourcePotential: Float64Array
  readonly targetPotential: Float64Array
  readonly residual: number
  readonly iterations: number
  readonly status: Status
}

/**
 * Optimal transport between two discrete measures with a regularization: the plan P ≥ 0 with row sums `source` and column sums `target` that
 * minimizes Σ costs P plus ε Σ P (log P - 1), or plus a sum of norms (method `sumOfNorms`).
 *
 * @param costs rows of the price of a unit from i to j; Infinity forbids a pair.
 * @returns where the masses differ, status `infeasible` with a certificate y, over rows then columns: every pair adds up to zero, and
 * y · (source, target) is not zero, so no plan exists.
 * @throws RangeError for negative masses, costs that are NaN, or sizes that do not match.
 */
export function transport(
  costs: readonly Numbers[],
  source: Numbers,
  target: Numbers,
  options: TransportOptions = {},
): TransportResult {
  const { method = 'sinkhornNewtonSparse', iterations = 10_000 } = options
  const transporter = methodNamed(transporters, method)
  const [rows, columns] = [source.length, target.length]
  if (costs.length !== rows) throw new RangeError(`costs: ${costs.length} rows were given for ${rows} sources`)
  const flat = new Float64Array(rows * columns)
  costs.forEach((row, i) => {
    if (row.length !== columns)
      throw new RangeError(`costs[${i}]: ${row.length} numbers were given for ${columns} targets`)
    flat.set(row, i * columns)
  })
  const wrong = flat.findIndex((cost) => Number.isNaN(cost) || cost === -Infinity)
  if (wrong >= 0) {
    const place = `costs[${Math.floor(wrong / columns)}][${wrong % columns}]`
    throw new RangeError(`${place}: ${flat[wrong]} is not a number above -Infinity`)
  }
  const total = massOf('source', source)
  const arriving = massOf('target', target)
  const largest = flat.reduce((most, cost) => (Number.isFinite(cost) ? Math.max(most, Math.abs(cost)) : most), 0)
  const settings: TransportSettings = {
    regularization: largest > 0 ? largest / 50 : 1,
    tolerance: 1e-9,
    warmUp: 20,
    density: 1,
    weight: 0.1,
    ...options,
  }
  if (!(settings.regularization > 0)) {
    throw new RangeError(`regularization: ${settings.regularization} is not above 0`)
  }
  const shipment: Shipment = { costs: flat, source: Float64Array.from(source), target: Float64Array.from(target) }
  const empty = {
    plan: Array.from({ length: rows }, () => new Float64Array(columns)),
    cost: 0,
    sourcePotential: new Float64Array(rows),
    targetPotential: new Float64Array(columns),
    residual: Math.abs(total - arriving),
    iterations: 0,
  }
  if (Math.abs(total - arriving) > 1e-9 * Math.max(total, arriving)) {
    const certificate = new Float64Array(rows + columns).fill(1, 0, rows).fill(-1, rows)
    return { ...empty, status: { kind: 'infeasible', certificate } }
  }
  if (total === 0) return { ...empty, status: { kind: 'converged', test: 'residual' } }
  const {
    best,
    iterations: done,
    status,
  } = runSolver(transporter.solve(shipment, settings), { ...options, iterations })
  if (!best) return { ...empty, status }
  const plan = empty.plan.map((_, i) => best.plan.slice(i * columns, (i + 1) * columns))
  const cost = best.plan.reduce((sum, mass, k) => (mass > 0 ? sum + mass * flat[k]! : sum), 0)
  return {
    plan,
    cost,
    sourcePotential: best.potentials.slice(0, rows),
    targetPotential: best.potentials.slice(rows),
    residual: best.residual,
    iterations: done,
    status,
  }
}

function massOf(name: string, weights: Numbers): number {
  let sum = 0
  weights.forEach((weight, index) => {
    if (!(weight >= 0 && weight < Infinity)) {
      throw new RangeError(`${name}[${index}]: ${weight} is not a finite mass of at least 0`)
    }
    sum += weight
  })
  return sum
}
