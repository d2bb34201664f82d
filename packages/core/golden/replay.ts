import {
  type Backend,
  type CompiledOptimizer,
  compile,
  type FloatArray,
  type Optimizer,
  reference,
  wasm,
} from 'fallline'
import { Fields, Skip } from './fields.ts'
import type { Checkpoint, GoldenFile, GoldenRun } from './files.ts'
import { type Mapping, mappings } from './mapping.ts'
import { type Numbers, writeGradient, writeInitial } from './problem.ts'

export type BackendName = 'reference' | 'wasm'

/** The largest relative error that passes at any checkpoint: float64 on the reference backend, float32 on wasm. */
export const tolerances: Readonly<Record<BackendName, number>> = { reference: 1e-9, wasm: 2e-4 }

/** How one trajectory came out on one backend. */
export interface Outcome {
  /** The worst relative error over all checkpoints and tensors. */
  readonly error: number
  /** The first checkpoint beyond the tolerance. */
  readonly failedAt?: number
  /** True when steps were compared one by one from the float64 state. */
  readonly stepwise: boolean
}

/** How one trajectory came out. */
export interface RunResult {
  readonly optimizer: string
  readonly config: string
  readonly layout: string
  readonly outcomes: Partial<Record<BackendName, Outcome>>
  /** Why it was not replayed. */
  readonly skipped?: string
  /** What went wrong besides a wrong number. */
  readonly failure?: string
}

/** True unless something about the trajectory is wrong. */
export function passes(result: RunResult): boolean {
  return (
    result.failure === undefined && Object.values(result.outcomes).every((outcome) => outcome.failedAt === undefined)
  )
}

/** Replays every run of a file, or says for each why not. */
export async function replayFile(file: GoldenFile, backends: readonly BackendName[]): Promise<RunResult[]> {
  const mapping = Object.hasOwn(mappings, file.optimizer) ? mappings[file.optimizer] : undefined
  if (!mapping) {
    const skipped = `no optimizer here stands for '${file.optimizer}'`
    return [{ optimizer: file.optimizer, config: '', layout: '', outcomes: {}, skipped }]
  }
  const results: RunResult[] = []
  for (const run of file.runs) {
    const { config, layout } = run
    const name = { optimizer: file.optimizer, config, layout }
    try {
      const optimizer = mapRun(file, run, mapping)
      const outcomes: Partial<Record<BackendName, Outcome>> = {}
      for (const backend of backends) outcomes[backend] = await replay(optimizer, run, file.salt, mapping, backend)
      results.push({ ...name, outcomes })
    } catch (error) {
      const { message } = error as Error
      results.push({ ...name, outcomes: {}, ...(error instanceof Skip ? { skipped: message } : { failure: message }) })
    }
  }
  return results
}

function mapRun(file: GoldenFile, run: GoldenRun, mapping: Mapping): Optimizer {
  if (run.portable === false) throw new Skip('portable: false, it cannot be replayed without the reference')
  if (file.dtype !== 'float64') throw new Skip(`made in ${file.dtype}, not float64`)
  for (const name of ['inputs', 'captured'] as const) {
    if (run[name] !== undefined || (name === 'inputs' && file.inputs !== undefined)) {
      throw new Skip(`the reference had ${name} that this optimizer does not take`)
    }
  }
  const known = ['step', 'params', 'eval_params', ...Object.keys(mapping.quantities ?? {})]
  for (const checkpoint of run.checkpoints) {
    const unknown = Object.keys(checkpoint).find((name) => !known.includes(name))
    if (unknown !== undefined) throw new Skip(`checkpoints have ${unknown}, which nothing here is compared with`)
  }
  const fields = new Fields(run.hyper)
  const optimizer = mapping.optimizer(
    fields,
    run.shapes.map((shape) => shape.length),
  )
  fields.finish()
  return optimizer
}

async function replay(
  optimizer: Optimizer,
  run: GoldenRun,
  salt: number,
  mapping: Mapping,
  name: BackendName,
): Promise<Outcome> {
  const limit = mapping.tolerances?.[name] ?? tolerances[name]
  const outcome = await replayFreely(optimizer, run, salt, mapping, name, limit)
  if (outcome.failedAt === undefined || name === 'reference' || !mapping.signs) return outcome
  return replayStepwise(optimizer, run, salt, limit)
}

/** From the initial values to the last checkpoint, compared with every checkpoint on the way. */
async function replayFreely(
  optimizer: Optimizer,
  run: GoldenRun,
  salt: number,
  mapping: Mapping,
  name: BackendName,
  limit: number,
): Promise<Outcome> {
  const compiled = await start(optimizer, run, salt, name === 'wasm' ? wasm() : reference())
  let error = 0
  let failedAt: number | undefined
  for (const checkpoint of [...run.checkpoints].sort((a, b) => a.step - b.step)) {
    while (compiled.steps < checkpoint.step) advance(compiled, salt)
    const found = errorAt(compiled, checkpoint, mapping)
    error = Math.max(error, found)
    if (found > limit) failedAt ??= checkpoint.step
  }
  compiled.dispose()
  return { error, stepwise: false, ...(failedAt === undefined ? {} : { failedAt }) }
}

/**
 * Where a sign decides, one rounding can send a trajectory elsewhere. Then every step is taken in float32 and in float64
 * from the same numbers, those of the float64 trajectory rounded to float32, and the results are compared.
 */
async function replayStepwise(optimizer: Optimizer, run: GoldenRun, salt: number, limit: number): Promise<Outcome> {
  const leader = await start(optimizer, run, salt, reference())
  const exact = await start(optimizer, run, salt, reference())
  const rounded = await start(optimizer, run, salt, wasm())
  const last = Math.max(...run.checkpoints.map(({ step }) => step))
  let error = 0
  let failedAt: number | undefined
  while (leader.steps < last) {
    for (const name of leader.names) {
      copyRounded(leader.parameters[name]!, exact.parameters[name]!, rounded.parameters[name]!)
      for (const [slot, value] of Object.entries(leader.state(name))) {
        if (typeof value === 'number') continue
        copyRounded(value, exact.state(name)[slot] as FloatArray, rounded.state(name)[slot] as FloatArray)
      }
    }
    advance(leader, salt)
    fillGradients(rounded, salt)
    for (const name of leader.names) exact.gradients[name]!.set(rounded.gradients[name]!)
    exact.step()
    rounded.step()
    for (const name of leader.names) {
      const found = relativeError(rounded.parameters[name]!, exact.parameters[name]!)
      error = Math.max(error, found)
      if (found > limit) failedAt ??= leader.steps
    }
  }
  for (const compiled of [leader, exact, rounded]) compiled.dispose()
  return { error, stepwise: true, ...(failedAt === undefined ? {} : { failedAt }) }
}

async function start(optimizer: Optimizer, run: GoldenRun, salt: number, backend: Backend): Promise<CompiledOptimizer> {
  const shapes = Object.fromEntries(run.shapes.map((shape, k) => [`tensor${k}`, shape]))
  const compiled = await compile(optimizer, shapes, { backend, nonFinite: 'allow' })
  compiled.names.forEach((name, k) => {
    writeInitial(compiled.parameters[name]!, k, salt)
  })
  return compiled
}

function fillGradients(compiled: CompiledOptimizer, salt: number): void {
  compiled.names.forEach((name, k) => {
    writeGradient(compiled.gradients[name]!, compiled.parameters[name]!, k, compiled.steps + 1, salt)
  })
}

function advance(compiled: CompiledOptimizer, salt: number): void {
  fillGradients(compiled, salt)
  compiled.step()
}

function copyRounded(from: FloatArray, ...targets: readonly FloatArray[]): void {
  const values = Float32Array.from(from)
  for (const target of targets) target.set(values)
}

function errorAt(compiled: CompiledOptimizer, checkpoint: Checkpoint, mapping: Mapping): number {
  const errors = compiled.names.map((name, k) => relativeError(compiled.parameters[name]!, checkpoint.params[k]!))
  if (checkpoint.eval_params) {
    const evaluation = compiled.evaluationParameters()
    compiled.names.forEach((name, k) => {
      errors.push(relativeError(evaluation[name]!, checkpoint.eval_params![k]!))
    })
  }
  for (const [name, read] of Object.entries(mapping.quantities ?? {})) {
    const expected = checkpoint[name]
    if (typeof expected !== 'number') continue
    const found = read(compiled)
    // A number of its own scale, such as Prodigy's d of 1e-6: no floor.
    errors.push(Math.abs(found - expected) / Math.max(Math.abs(found), Math.abs(expected), Number.MIN_VALUE))
  }
  return Math.max(0, ...errors.map((error) => (Number.isNaN(error) ? Number.POSITIVE_INFINITY : error)))
}

/**
 * The largest |a - b| / max(|a|, |b|, 1e-3): relative, but numbers that happen to pass near zero are measured on the scale
 * of 1e-3, since their neighbours, and the steps they take, are of the order of 1. Equal infinities and NaNs are no error.
 */
export function relativeError(a: Numbers, b: Numbers): number {
  let worst = 0
  for (let i = 0; i < a.length; i++) {
    if (Object.is(a[i]!, b[i]!)) continue
    const error = Math.abs(a[i]! - b[i]!) / Math.max(Math.abs(a[i]!), Math.abs(b[i]!), 1e-3)
    if (!(error <= worst)) worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error
  }
  return worst
}
