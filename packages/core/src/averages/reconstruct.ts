import type { FloatArray } from '../backends/backend.ts'
import { checkNames } from '../language/definition.ts'
import type { CompiledOptimizer } from '../run/compiled-optimizer.ts'

/** The averages of one moment of training. */
export interface AverageSnapshot {
  /** After how many steps. */
  readonly step: number
  /** Each average with its power, by parameter name. */
  readonly averages: readonly { readonly gamma: number; readonly parameters: Readonly<Record<string, Float32Array>> }[]
}

export interface ReconstructOptions {
  /** The standard deviation of the weights as a share of the run: above 0, below 0.2886, which is the plain average. */
  readonly length: number
  /** The step after which the average is wanted; default that of the last snapshot. */
  readonly step?: number
}

/** What {@link reconstructAverage} makes. */
export interface ReconstructedAverage {
  /** The averaged parameters, by name. */
  readonly parameters: Readonly<Record<string, Float32Array>>
  /** How far the weights are from those asked for, as a share of their root mean square. */
  readonly error: number
}

/**
 * Copies the averages that {@link postHocAverage} keeps. Take some over the run, evenly: the more there are, the shorter an average can
 * be made of them. Ten or twenty are plenty.
 *
 * @throws Error when the optimizer keeps no such averages or has taken no step.
 */
export function snapshotAverages(optimizer: CompiledOptimizer): AverageSnapshot {
  const { gamma1, gamma2 } = optimizer.hyper
  if (gamma1 === undefined || gamma2 === undefined) {
    throw new Error(
      'snapshotAverages: the optimizer keeps no averages: wrap it, postHocAverage(optimizer), and compile that',
    )
  }
  if (optimizer.steps === 0) throw new Error('snapshotAverages: there is no average before the first step')
  const copy = (slot: 'narrow' | 'wide') =>
    Object.fromEntries(
      optimizer.names.map((name) => [name, Float32Array.from(optimizer.state(name)[slot] as FloatArray)]),
    )
  return {
    step: optimizer.steps,
    averages: [
      { gamma: gamma1, parameters: copy('narrow') },
      { gamma: gamma2, parameters: copy('wide') },
    ],
  }
}

/**
 * The average of the parameters over any share of the run, from snapshots of others: their combination whose weights come closest, by
 * least squares.
 *
 * ```text
 * p_{γ,t}(τ) = (γ + 1) τ^γ / t^(γ + 1)  for τ ≤ t              what an average taken at t gives to step τ
 * x ← argmin ∫ (p − Σ xᵢ pᵢ)² dτ;   θ ← Σ xᵢ φᵢ
 * ```
 *
 * The length is that of Karras, Aittala, Lehtinen, Hellsten, Aila, Laine 2023 (arXiv 2312.02696), σ_rel = √(γ + 1) / ((γ + 2) √(γ + 3)).
 *
 * ```ts
 * import { compile, postHocAverage, reconstructAverage, sgd, snapshotAverages } from 'fallline'
 *
 * const optimizer = await compile(postHocAverage(sgd({ learningRate: 0.1 })), { x: [1] })
 * const snapshots = []
 * for (let step = 1; step <= 100; step++) {
 *   optimizer.step({ gradients: { x: [Math.sin(step)] } })
 *   if (step % 10 === 0) snapshots.push(snapshotAverages(optimizer))
 * }
 * const { parameters, error } = reconstructAverage(snapshots, { length: 0.15 })
 * console.log(parameters.x?.length, error < 0.01) // 1 true
 * ```
 *
 * @throws Error when there is no snapshot, they differ in their parameters, the length is out of range, or the step is not above 0 and
 * at most that of the last snapshot.
 */
export function reconstructAverage(
  snapshots: readonly AverageSnapshot[],
  options: ReconstructOptions,
): ReconstructedAverage {
  checkNames('reconstructAverage', options, ['length', 'step'])
  const parts = snapshots.flatMap(({ step, averages }) => averages.map((average) => ({ ...average, step })))
  const [first] = parts
  if (!first) throw new Error('reconstructAverage: there is no snapshot; take some with snapshotAverages(optimizer)')
  const last = Math.max(...parts.map(({ step }) => step))
  const { length, step = last } = options
  const longest = 1 / Math.sqrt(12)
  if (!(length > 0 && length <= longest)) {
    throw new Error(
      `reconstructAverage: length must be a number above 0 and at most ${longest.toFixed(4)}, not ${length}`,
    )
  }
  if (!(step > 0 && step <= last)) {
    throw new Error(`reconstructAverage: step must be above 0 and at most ${last}, the last snapshot's, not ${step}`)
  }
  const wanted = { gamma: gammaOf(length), step }
  // Scaled to unit length, so that the system is as well conditioned as it can be.
  const sizes = parts.map((part) => Math.sqrt(overlap(part, part)))
  const matrix = parts.map((row, i) => parts.map((column, j) => overlap(row, column) / (sizes[i]! * sizes[j]!)))
  const target = parts.map((part, i) => overlap(part, wanted) / sizes[i]!)
  const solution = solve(matrix, target)
  const captured = solution.reduce((sum, x, i) => sum + x * target[i]!, 0) / overlap(wanted, wanted)
  const parameters: Record<string, Float32Array> = {}
  for (const [name, { length: size }] of Object.entries(first.parameters)) {
    const sum = new Float64Array(size)
    parts.forEach((part, k) => {
      const values = part.parameters[name]
      if (values?.length !== size) {
        throw new Error(
          `reconstructAverage: the snapshot of step ${part.step} has not the ${size} elements of '${name}'`,
        )
      }
      const share = solution[k]! / sizes[k]!
      for (let i = 0; i < size; i++) sum[i]! += share * values[i]!
    })
    parameters[name] = Float32Array.from(sum)
  }
  return { parameters, error: Math.sqrt(Math.max(0, 1 - captured)) }
}

interface Profile {
  readonly gamma: number
  readonly step: number
}

/** ∫ p q dτ of two profiles. */
function overlap(a: Profile, b: Profile): number {
  const [early, late] = a.step <= b.step ? [a, b] : [b, a]
  const share = (early.step / late.step) ** late.gamma
  return ((a.gamma + 1) * (b.gamma + 1) * share) / ((a.gamma + b.gamma + 1) * late.step)
}

/** The power of a profile whose standard deviation is this share of the run: the larger, the smaller. */
function gammaOf(length: number): number {
  const lengthOf = (gamma: number) => Math.sqrt(gamma + 1) / ((gamma + 2) * Math.sqrt(gamma + 3))
  let [low, high] = [0, 1]
  while (lengthOf(high) > length) high *= 2
  for (let halving = 0; halving < 60; halving++) {
    const middle = (low + high) / 2
    if (lengthOf(middle) > length) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** The least-squares solution by Gaussian elimination; what other rows already say is left out. */
function solve(matrix: readonly (readonly number[])[], target: readonly number[]): number[] {
  const size = target.length
  const rows = matrix.map((row, i) => [...row, target[i]!])
  const pivots: number[] = []
  const free = new Set(rows.keys())
  for (;;) {
    // The largest diagonal element that is left: the matrix is positive semidefinite.
    let pivot = -1
    for (const i of free) if (pivot < 0 || rows[i]![i]! > rows[pivot]![pivot]!) pivot = i
    if (pivot < 0 || rows[pivot]![pivot]! < 1e-13) break
    free.delete(pivot)
    pivots.push(pivot)
    const own = rows[pivot]!
    for (const i of rows.keys()) {
      if (i === pivot) continue
      const factor = rows[i]![pivot]! / own[pivot]!
      if (factor !== 0) for (let j = 0; j <= size; j++) rows[i]![j]! -= factor * own[j]!
    }
  }
  const solution = new Array<number>(size).fill(0)
  for (const pivot of pivots) solution[pivot] = rows[pivot]![size]! / rows[pivot]![pivot]!
  return solution
}
