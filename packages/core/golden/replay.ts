import {
  type Backend,
  type CompiledOptimizer,
  compile,
  type EvaluationRequest,
  type Optimizer,
  reference,
  wasm,
} from 'fallline'
import { elementsIn, isJoint } from '../src/language/walk.ts'
import { Fields, Skip } from './fields.ts'
import type { Checkpoint, GoldenFile, GoldenRun } from './files.ts'
import { mappings } from './mapping.ts'
import { drivers } from './mappings/drivers.ts'
import type { Mapping, Source } from './mappings/mapping.ts'
import { evaluateNetwork, joinLayers, type Recording, statisticOf, writeInitialLayer } from './network.ts'
import {
  gradientAt,
  hessianDiagonalAt,
  lossAt,
  type Numbers,
  type Place,
  total,
  writeEach,
  writeInitial,
} from './problem.ts'
import { replayDriver } from './replay-driver.ts'

export type BackendName = HostBackendName | 'webgpu'

/** Those whose arrays can be reached, which drivers need. */
export type HostBackendName = 'reference' | 'wasm'

/** The largest relative error that passes at any checkpoint: float64 on the reference backend, float32 on the others. */
export const tolerances: Readonly<Record<BackendName, number>> = { reference: 1e-9, wasm: 2e-4, webgpu: 2e-4 }

/** WebGPU is held to what wasm is, also where that is looser than the rule. */
export const sameTolerance = (name: BackendName): HostBackendName => (name === 'webgpu' ? 'wasm' : name)

/** The largest error of one step in float32, in parameters and state, where steps are compared one by one. */
export const stepTolerance = 1e-5

/** The same on WebGPU, where sums are in float32 too, and quotients and roots may be wrong by some units. */
const stepToleranceOnWebgpu = 3 * stepTolerance

const backendOf: Readonly<Record<BackendName, () => Promise<Backend>>> = {
  reference: async () => reference(),
  wasm: async () => wasm(),
  webgpu: async () => {
    const { newBackend } = await import('../test/support/webgpu.ts')
    return newBackend()
  },
}

/** A device shows no part of a vector that is several parameters, and no state into which captured choices could be put. */
const canRun = (name: BackendName, optimizer: Optimizer, { captured }: GoldenRun): boolean =>
  name !== 'webgpu' || (captured === undefined && !isJoint(optimizer))

/**
 * How far the float64 tolerance may widen where a trajectory amplifies rounding. Steps of D-Adaptation that are far too large
 * make it grow a thousandfold in ten steps; what is right for 30 steps may end further apart.
 */
const widest = (step: number) => (step <= 30 ? 1e-6 : 1e-2)

/** The relative size of one rounding. */
export const rounding: Readonly<Record<BackendName, number>> = { reference: 2 ** -53, wasm: 2 ** -24, webgpu: 2 ** -24 }

/**
 * How a trajectory was compared: `free` from start to end; `sensitive`, the same with a tolerance widened by what one
 * rounding per step does to it; `stepwise`, every step on its own from the float64 state.
 */
export type Comparison = 'free' | 'sensitive' | 'stepwise'

/** How one trajectory came out on one backend. */
export interface Outcome {
  /** The worst relative error over all checkpoints and tensors. */
  readonly error: number
  /** The first checkpoint beyond the tolerance. */
  readonly failedAt?: number
  readonly comparison: Comparison
}

/** How one trajectory came out. */
export interface RunResult {
  readonly optimizer: string
  readonly config: string
  readonly layout: string
  readonly outcomes: Partial<Record<BackendName, Outcome>>
  /** Why it was replayed in float64 alone. */
  readonly exact?: string
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
  if (Object.hasOwn(drivers, file.optimizer))
    return replayDriver(
      file,
      drivers[file.optimizer]!,
      backends.filter((name) => name !== 'webgpu'),
    )
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
      const replayed = mapping.network ? joinLayers(run) : run
      const exact = mapping.float64Only?.(run)
      for (const backend of backends.filter((each) => each === 'reference' || exact === undefined))
        if (canRun(backend, optimizer, run))
          outcomes[backend] = await replay(optimizer, replayed, file.salt, mapping, backend)
      results.push({ ...name, outcomes, ...(exact === undefined ? {} : { exact }) })
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
  if (run.captured !== undefined && mapping.captured === undefined) {
    throw new Skip('the reference captured choices that are not used here')
  }
  const known = ['step', 'params', 'eval_params', ...Object.keys(mapping.quantities ?? {})]
  for (const checkpoint of run.checkpoints) {
    const unknown = Object.keys(checkpoint).find((name) => !known.includes(name))
    if (unknown !== undefined) throw new Skip(`checkpoints have ${unknown}, which nothing here is compared with`)
  }
  const fields = new Fields(run.hyper)
  const optimizer = construct(mapping, fields, run)
  fields.finish()
  // Where choices are captured, inputs say what these are.
  const inputs = file.inputs ?? (run.captured === undefined ? run.inputs : undefined)
  if (inputs !== undefined && mapping.captured === undefined && !looksAround(optimizer)) {
    throw new Skip('the reference had inputs that this optimizer does not take')
  }
  return optimizer
}

/** True when a step needs more than the gradient where the parameters stand. */
function looksAround(optimizer: Optimizer): boolean {
  return elementsIn(optimizer).some(
    ({ definition, options }) => definition.inputs !== undefined || (definition.evaluations?.(options).length ?? 0) > 0,
  )
}

/** The optimizer; values outside our valid ranges are unsupported, not wrong. */
function construct(mapping: Mapping, fields: Fields, run: GoldenRun): Optimizer {
  try {
    return mapping.optimizer(
      fields,
      run.shapes.map((shape) => shape.length),
    )
  } catch (error) {
    throw new Skip((error as Error).message)
  }
}

/** A run with what it is replayed by. */
interface Trajectory {
  readonly optimizer: Optimizer
  readonly run: GoldenRun
  readonly salt: number
  readonly mapping: Mapping
}

/** Replays one run with an optimizer of ours on one backend. */
export async function replay(
  optimizer: Optimizer,
  run: GoldenRun,
  salt: number,
  mapping: Mapping,
  name: BackendName,
): Promise<Outcome> {
  const limit = mapping.tolerances?.[sameTolerance(name)] ?? tolerances[name]
  const { step: last = Number.POSITIVE_INFINITY } = untilOf(mapping, run) ?? {}
  const checkpoints = run.checkpoints.filter(({ step }) => step <= last).sort((a, b) => a.step - b.step)
  const trajectory: Trajectory = { optimizer, run: { ...run, checkpoints }, salt, mapping }
  const errors = await errorsOf(trajectory, name)
  const strict = judge(errors, checkpoints, () => limit, 'free')
  if (strict.failedAt === undefined) return strict
  const sensitivity = await sensitivityOf(trajectory, rounding[name])
  if (name === 'reference') {
    const widened = (index: number) =>
      Math.max(limit, Math.min(10 * sensitivity[index]!, widest(checkpoints[index]!.step)))
    return judge(errors, checkpoints, widened, 'sensitive')
  }
  // The rounding of parameters is the least that float32 adds to a step, matrix products add tens of times more.
  const explained = errors.every((error, index) => error <= Math.max(limit, 100 * sensitivity[index]!))
  if (!explained && !mapping.signs) return strict
  // The float64 trajectory leads, so it must be the right one.
  const leader = await replay(optimizer, run, salt, mapping, 'reference')
  return leader.failedAt === undefined ? replayStepwise(trajectory, name) : strict
}

/** Where the comparison of a run ends, if before its last checkpoint. */
function untilOf({ until }: Mapping, { config }: GoldenRun): Mapping['until'] {
  return until?.config === undefined || until.config.includes(config) ? until : undefined
}

function judge(
  errors: readonly number[],
  checkpoints: readonly Checkpoint[],
  limit: (index: number) => number,
  comparison: Comparison,
): Outcome {
  const failed = errors.findIndex((error, index) => !(error <= limit(index)))
  return { error: Math.max(...errors), comparison, ...(failed < 0 ? {} : { failedAt: checkpoints[failed]!.step }) }
}

/** From the initial values to the last checkpoint: the relative error at every checkpoint. */
async function errorsOf(trajectory: Trajectory, name: BackendName): Promise<number[]> {
  const { run, mapping } = trajectory
  const compiled = await start(trajectory, name)
  const evaluate = evaluation(compiled, trajectory)
  const errors: number[] = []
  const seen = await viewOf(compiled, trajectory)
  for (const checkpoint of run.checkpoints) {
    while (compiled.steps < checkpoint.step) {
      placeChoices(compiled, trajectory)
      await compiled.minimize(evaluate)
    }
    errors.push(errorAt(await seen(), checkpoint, mapping))
  }
  compiled.dispose()
  return errors
}

/**
 * How far apart rounding alone drives a trajectory: the float64 one against itself with every parameter nudged up or down
 * by one rounding after every step. Prodigy, for one, starts from differences of numbers that agree in all but the last
 * digits; no other arithmetic can come closer than this, and its official code in float32 ends as far from itself in float64.
 */
async function sensitivityOf(trajectory: Trajectory, unit: number): Promise<number[]> {
  const { run, mapping } = trajectory
  const plain = await start(trajectory, 'reference')
  const nudged = await start(trajectory, 'reference')
  const result: number[] = []
  for (const { step } of run.checkpoints) {
    while (plain.steps < step) {
      for (const compiled of [plain, nudged]) {
        placeChoices(compiled, trajectory)
        await compiled.minimize(evaluation(compiled, trajectory))
      }
      nudge(
        nudged.names.map((name) => nudged.parameters[name]!),
        nudged.steps,
        unit,
      )
    }
    result.push(distance(plain, nudged, mapping))
  }
  plain.dispose()
  nudged.dispose()
  return result
}

/** Moves every parameter up or down by one rounding. */
export function nudge(parameters: readonly Numbers[], step: number, unit: number): void {
  parameters.forEach((values, k) => {
    for (let i = 0; i < values.length; i++) {
      const up = (7919 * (i + 1) + 104729 * (k + 1) + 1299709 * step) % 13 < 6.5
      values[i]! *= up ? 1 + unit * 2 : 1 - unit
    }
  })
}

/**
 * Every step once in float32 and once in float64 from the same numbers, those of the float64 trajectory rounded to float32.
 * For trajectories that no float32 arithmetic can follow to the end: a rounding turns a sign, or decides an estimate.
 */
async function replayStepwise(trajectory: Trajectory, name: BackendName): Promise<Outcome> {
  const { run, mapping } = trajectory
  const leader = await start(trajectory, 'reference')
  const exact = await start(trajectory, 'reference')
  const rounded = await start(trajectory, name)
  const seen = await viewOf(rounded, trajectory)
  const known = mapping.tolerances?.step ?? stepTolerance
  const limit = name === 'webgpu' ? Math.max(known, stepToleranceOnWebgpu) : known
  const last = run.checkpoints.at(-1)!.step
  const scales = new Map<string, number>()
  let error = 0
  let failedAt: number | undefined
  while (leader.steps < last) {
    placeChoices(leader, trajectory)
    rounded.load(leader.save())
    exact.load(await rounded.saveAsync())
    // Both are told the same: what the model says at the points of the float32 step.
    const told: Answer[] = []
    const evaluate = evaluation(rounded, trajectory)
    await rounded.minimize((request) => {
      const result = evaluate(request)
      told.push({ result, gradients: copies(request.gradients), inputs: mapValues(request.inputs, copies) })
      return result
    })
    await exact.minimize((request) => {
      const { result, gradients, inputs } = told[request.evaluation]!
      write(gradients, request.gradients)
      for (const [name, arrays] of Object.entries(inputs)) write(arrays, request.inputs[name]!)
      return result
    })
    await leader.minimize(evaluation(leader, trajectory))
    const found = stepDistance(await seen(), exact, scales)
    error = Math.max(error, found)
    if (found > limit) failedAt ??= leader.steps
  }
  for (const compiled of [leader, exact, rounded]) compiled.dispose()
  return { error, comparison: 'stepwise', ...(failedAt === undefined ? {} : { failedAt }) }
}

type Arrays = EvaluationRequest['gradients']

/** What the model said at one evaluation. */
interface Answer {
  readonly result: { readonly loss?: number; readonly inputs: Readonly<Record<string, number>> }
  readonly gradients: Arrays
  readonly inputs: Readonly<Record<string, Arrays>>
}

function mapValues<T, U>(record: Readonly<Record<string, T>>, change: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]))
}

function copies(arrays: Arrays): Arrays {
  return mapValues(arrays, (array) => array.slice())
}

function write(from: Arrays, to: Arrays): void {
  for (const [name, array] of Object.entries(from)) to[name]!.set(array)
}

/** Before every step: what the reference chose there, where it was captured. */
function placeChoices(compiled: CompiledOptimizer, { run: { captured }, mapping }: Trajectory): void {
  if (captured !== undefined) mapping.captured?.(compiled, captured, compiled.steps + 1)
}

async function start(trajectory: Trajectory, name: BackendName): Promise<CompiledOptimizer> {
  const { optimizer, run, salt, mapping } = trajectory
  const backend = await backendOf[name]()
  if (name === 'webgpu') {
    // What stands at the start is put there where arrays can be reached.
    const placed = await start(trajectory, 'reference')
    const compiled = await compile(optimizer, shapesOf(run), { backend, nonFinite: 'allow' })
    compiled.load(placed.save())
    placed.dispose()
    return compiled
  }
  const compiled = await compile(optimizer, shapesOf(run), { backend, nonFinite: 'allow' })
  compiled.names.forEach((name, k) => {
    if (mapping.network) writeInitialLayer(compiled.parameters[name]!, k, run.shapes[k]!, salt)
    else writeInitial(compiled.parameters[name]!, k, salt)
  })
  mapping.prepare?.(compiled)
  return compiled
}

const shapesOf = ({ shapes }: GoldenRun) => Object.fromEntries(shapes.map((shape, k) => [`tensor${k}`, shape]))

/** The optimizer as it stands, with arrays that can be looked at: of a device, its checkpoint on the reference. */
async function viewOf(
  compiled: CompiledOptimizer,
  { optimizer, run }: Trajectory,
): Promise<() => Promise<CompiledOptimizer>> {
  if (!compiled.device) return async () => compiled
  const copy = await compile(optimizer, shapesOf(run), { backend: reference() })
  return async () => {
    copy.load(await compiled.saveAsync())
    return copy
  }
}

/** Evaluates the problem wherever the optimizer asks, with all that it wants. */
function evaluation(compiled: CompiledOptimizer, { run, salt, mapping }: Trajectory) {
  const { names } = compiled
  if (mapping.network) return networkEvaluation(compiled, salt, mapping.network(run.hyper))
  const known: Readonly<Record<string, Source>> = {
    gradient: gradientAt,
    loss: lossAt,
    hessianDiagonal: hessianDiagonalAt,
    ...mapping.inputs,
  }
  return ({ parameters, gradients, inputs, wants }: EvaluationRequest): Answer['result'] => {
    const t = compiled.steps + 1
    const numbers: Record<string, number> = {}
    for (const want of wants) {
      const at = known[want]
      if (!at) throw new Error(`the mapping does not say what the input '${want}' is`)
      const arrays = want === 'gradient' ? gradients : inputs[want]
      const of = (place: Place) => at(place, run)
      if (arrays) {
        names.forEach((name, k) => {
          if (arrays[name]) writeEach(arrays[name], of, parameters[name]!, k, t, salt)
        })
      } else {
        const all = names.map((name) => parameters[name]!)
        numbers[want] = total(of, all, t, salt)
      }
    }
    const { loss, ...others } = numbers
    return { ...(loss === undefined ? {} : { loss }), inputs: others }
  }
}

function networkEvaluation(compiled: CompiledOptimizer, salt: number, recording: Recording) {
  const { names } = compiled
  return ({ parameters, gradients, inputs, wants }: EvaluationRequest): Answer['result'] => {
    const layers = names.map((name) => parameters[name]!)
    const { loss, gradients: told, seen } = evaluateNetwork(layers, compiled.steps + 1, salt)
    names.forEach((name, layer) => {
      gradients[name]!.set(told[layer]!)
      for (const [input, arrays] of Object.entries(inputs)) {
        if (wants.has(input)) arrays[name]!.set(statisticOf(input, seen[layer]!, recording))
      }
    })
    return { loss, inputs: {} }
  }
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
    if (typeof expected === 'number') errors.push(relativeError([read(compiled)], [expected], Number.MIN_VALUE))
  }
  return Math.max(0, ...errors)
}

/** How far apart two instances of an optimizer are in parameters and recorded numbers. */
function distance(a: CompiledOptimizer, b: CompiledOptimizer, mapping: Mapping): number {
  const errors = a.names.map((name) => relativeError(a.parameters[name]!, b.parameters[name]!))
  for (const read of Object.values(mapping.quantities ?? {})) {
    errors.push(relativeError([read(a)], [read(b)], Number.MIN_VALUE))
  }
  return Math.max(0, ...errors)
}

/**
 * How far apart two instances are in parameters and state, each array or number on the scale of the largest it has held:
 * what passes through zero, such as Prodigy's numerator, has no smaller one.
 */
function stepDistance(a: CompiledOptimizer, b: CompiledOptimizer, scales: Map<string, number>): number {
  const errors = a.names.flatMap((name) => {
    const [own, other] = [a, b].map((compiled) => ({ parameter: compiled.parameters[name]!, ...compiled.state(name) }))
    return Object.entries(own!).map(([slot, value]) => {
      const expected = list(other![slot as 'parameter'])
      const key = `${name}/${slot}`
      const scale = Math.max(Number.MIN_VALUE, scales.get(key) ?? 0, ...expected.map(Math.abs))
      scales.set(key, scale)
      return relativeError(list(value), expected, scale)
    })
  })
  return Math.max(0, ...errors)
}

function list(value: Iterable<number> | number): number[] {
  return typeof value === 'number' ? [value] : [...value]
}

/**
 * The largest |a - b| / max(|a|, |b|, floor): relative, but numbers that happen to pass near zero are measured on the scale
 * of the floor, by default 1e-3, since their neighbours, and the steps they take, are of the order of 1. Equal infinities and NaNs are no error.
 */
export function relativeError(a: Numbers, b: Numbers, floor = 1e-3): number {
  let worst = 0
  for (let i = 0; i < a.length; i++) {
    if (Object.is(a[i]!, b[i]!)) continue
    const error = Math.abs(a[i]! - b[i]!) / Math.max(Math.abs(a[i]!), Math.abs(b[i]!), floor)
    if (!(error <= worst)) worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error
  }
  return worst
}
