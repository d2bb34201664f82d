import type { FloatArray } from 'fallline'
import { Fields, Skip } from './fields.ts'
import type { GoldenFile, GoldenRun } from './files.ts'
import type { Numbers } from './problem.ts'
import {
  type HostBackendName,
  nudge,
  type Outcome,
  type RunResult,
  relativeError,
  rounding,
  tolerances,
} from './replay.ts'

/** A method that takes steps of its own kind, at the start of a run. */
export interface Driven {
  readonly parameters: readonly FloatArray[]
  /** The step `t`, from 1. */
  readonly step: (t: number) => Promise<unknown>
}

/** Inner products round as well, in float64 whatever the arrays are: beside roundings to float32 they count for nothing. */
export const allowance: Readonly<Record<HostBackendName, number>> = { reference: 1000, wasm: 30 }

/** What a driver is to start with. */
export interface DriverSettings {
  readonly salt: number
  /** The arrays of the parameters: float64 to compare with `reference`, float32 with `wasm`. */
  readonly zeros: readonly FloatArray[]
  readonly backend: HostBackendName
  /** To be called with the gradients of each evaluation: a rounding for each, where the sensitivity is measured. */
  readonly disturb: (gradients: readonly Numbers[]) => void
}

/** How the trajectories of a method that is no optimizer to compile, but a driver of its own, are replayed here. */
export interface DriverMapping {
  readonly start: (fields: Fields, run: GoldenRun, settings: DriverSettings) => Driven | Promise<Driven>
  /**
   * Why it amplifies rounding so much that the tolerance is what one rounding per gradient does to the trajectory,
   * times {@link allowance}, and that there is nothing to compare where that is above 0.01.
   */
  readonly amplifies?: string
  /** Where a tolerance is looser than the rule, and why. */
  readonly tolerances?: { readonly reference?: number; readonly wasm?: number; readonly reason: string }
}

/** Replays every run of a file with a driver, or says for each why not. */
export async function replayDriver(
  file: GoldenFile,
  mapping: DriverMapping,
  backends: readonly HostBackendName[],
): Promise<RunResult[]> {
  const results: RunResult[] = []
  for (const run of file.runs) {
    const name = { optimizer: file.optimizer, config: run.config, layout: run.layout }
    try {
      const outcomes: Partial<Record<HostBackendName, Outcome>> = {}
      for (const backend of backends) outcomes[backend] = await replayRun(file, run, mapping, backend)
      results.push({ ...name, outcomes })
    } catch (error) {
      const { message } = error as Error
      results.push({ ...name, outcomes: {}, ...(error instanceof Skip ? { skipped: message } : { failure: message }) })
    }
  }
  return results
}

async function replayRun(
  { salt }: GoldenFile,
  run: GoldenRun,
  mapping: DriverMapping,
  backend: HostBackendName,
): Promise<Outcome> {
  const begin = async (disturb: DriverSettings['disturb'] = () => {}) => {
    const fields = new Fields(run.hyper)
    const driven = await mapping.start(fields, run, {
      salt,
      zeros: zerosOf(run, backend),
      backend,
      disturb,
    })
    fields.finish()
    return driven
  }
  const driven = await begin()
  let evaluations = 0
  const disturbed = await begin((gradients) => nudge(gradients, evaluations++, rounding[backend]))
  const limit = mapping.tolerances?.[backend] ?? tolerances[backend]
  let [t, error, compared] = [0, 0, 0]
  let failedAt: number | undefined
  let comparison: Outcome['comparison'] = 'free'
  for (const { step, params } of [...run.checkpoints].sort((a, b) => a.step - b.step)) {
    while (t < step) {
      t++
      await driven.step(t)
      if (mapping.amplifies) await disturbed.step(t)
    }
    const widened = mapping.amplifies ? allowance[backend] * distance(driven.parameters, disturbed.parameters) : 0
    // From here on rounding alone decides where the trajectory goes.
    if (widened > 1e-2) break
    const found = distance(driven.parameters, params)
    if (found > limit) comparison = 'sensitive'
    if (!(found <= Math.max(limit, widened))) failedAt ??= step
    error = Math.max(error, found)
    compared++
  }
  if (compared === 0) throw new Error('rounding decides the trajectory from the first checkpoint on')
  return { error, comparison, ...(failedAt === undefined ? {} : { failedAt }) }
}

function zerosOf({ shapes }: GoldenRun, backend: HostBackendName): FloatArray[] {
  return shapes.map((shape) => {
    const size = shape.reduce((product, length) => product * length, 1)
    return backend === 'reference' ? new Float64Array(size) : new Float32Array(size)
  })
}

function distance(a: readonly Numbers[], b: readonly Numbers[]): number {
  return Math.max(...a.map((array, k) => relativeError(array, b[k]!)))
}
