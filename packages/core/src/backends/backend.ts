import { sizeOf } from '../graph/node.ts'
import type { HostEnvironment } from '../program/host.ts'
import type { RunModel } from '../program/model.ts'
import {
  type Program,
  parameterSlot,
  programsOf,
  type SlotStorage,
  type TelemetryName,
  type VariantTree,
} from '../program/program.ts'
import { pointsOf } from '../program/trace.ts'
import type { Conductor, Tensor } from '../run/conductor.ts'
import type {
  Answer,
  Evaluate,
  EvaluationRequest,
  GradientMemory,
  NonFinitePolicy,
  Question,
  StepResult,
} from '../run/step.ts'
import type { Verdicts } from '../run/verdicts.ts'
import { provided } from '../storage/provided.ts'
import type { StagedStorage } from '../storage/storage.ts'

/** Numbers that a backend computes with: float64 in the reference interpreter, float32 elsewhere. */
export type FloatArray = Float32Array | Float64Array

/** A parameter as a backend sees it. */
export interface BackendTensor {
  readonly name: string
  readonly size: number
  readonly slots: readonly SlotStorage[]
  /** `undefined` for a frozen parameter. */
  readonly variants: VariantTree | undefined
  readonly average: Program | undefined
  /** Programs that run before the update: to the points of evaluations, and back. */
  readonly points: readonly Program[]
}

/** The parameters of a model as a backend sees them. */
export function backendTensors({ parameters }: RunModel): BackendTensor[] {
  return parameters.map(({ shape, traced }) => ({
    name: shape.name,
    size: shape.size,
    slots: traced?.slots ?? [],
    variants: traced?.variants,
    average: traced?.average,
    points: traced ? pointsOf(traced) : [],
  }))
}

/** All programs of a tensor. */
export function programsOfTensor({ variants, average, points }: BackendTensor): Program[] {
  return [...(variants ? programsOf(variants) : []), ...(average ? [average] : []), ...points]
}

/** The arrays besides the gradient that programs read: how many elements each has, by name in alphabetical order. */
export function arrayInputs(programs: readonly Program[]): Map<string, number> {
  const arrays = programs.flatMap(({ leaves }) => leaves.arrays)
  const sizes = new Map(arrays.map(({ name, dimensions }) => [name, sizeOf(dimensions)]))
  return new Map([...sizes].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** One update of one tensor. */
export interface Work {
  /** Index of the tensor. */
  readonly tensor: number
  readonly program: Program
  readonly environment: HostEnvironment
}

/** Which numbers a backend computes with. */
export interface Precision {
  /** Elements of parameters, gradients and state. */
  readonly arrays: 'float32' | 'float64'
  /** Numbers that come after a reduction: norms, trust ratios, state of one number. */
  readonly scalars: 'float32' | 'float64'
  /** Sums over tensors. */
  readonly sums: 'float32' | 'float64'
}

type ArrayPlace =
  /** What is written may begin at an element behind the first. */
  | { readonly kind: 'parameter' | 'gradient'; readonly tensor: number; readonly from?: number }
  /** An array that the user supplies besides the gradient, and state that is an array. */
  | { readonly kind: 'input' | 'array'; readonly tensor: number; readonly key: string; readonly from?: number }
  /** The bytes of state that is kept otherwise than in float32. */
  | { readonly kind: 'bytes'; readonly tensor: number; readonly key: string }

/** Where something lies that can be written. */
export type WritablePlace =
  | ArrayPlace
  /** State of one number that programs keep. */
  | { readonly kind: 'number'; readonly tensor: number; readonly key: string }

/** Where an array lies, or a number, which is read as an array of one. */
export type Place =
  | WritablePlace
  /** What the last run computed for reporting; nothing when its program has none of that name. */
  | { readonly kind: 'telemetry'; readonly tensor: number; readonly key: TelemetryName }

interface Runner {
  /**
   * Performs all updates of a step; they see each other's old values only. What environments give is asked for before it
   * returns.
   */
  run(work: readonly Work[]): void
  /** Makes the array of a slot a copy of the parameter. */
  copyParameter(tensor: number, key: string): void
  /** Waits for what the host computes beside the device; absent where it computes nothing. */
  settled?(): Promise<void>
}

/** Runs programs at once, or can at least look at gradients at once. */
export interface PromptExecutor extends Runner {
  /** The tensors among those given whose gradient has an element that is infinite or not a number. */
  findNonFinite(tensors: readonly number[]): number[]
}

/** Runs programs on a device that answers later. What it and its readback are told is done in order. */
export interface DeferredExecutor extends Runner {
  /**
   * Makes copies of parameters and does what `run` does, unless a gradient of these tensors has an element that is infinite or
   * not a number: then it leaves everything untouched, and so do all attempts after it until `resume` is called.
   * @returns the tensors of which that is true; none for an attempt that was left out because of one before.
   */
  attempt(
    work: readonly Work[],
    tensors: readonly number[],
    copies: readonly { readonly tensor: number; readonly key: string }[],
  ): Promise<readonly number[]>
  /** Lets attempts act again. */
  resume(): void
  /** True where parameters and gradients lie in memory of the device that the user has, and evaluates the model with. */
  readonly attaches?: boolean
}

export type Executor = PromptExecutor | DeferredExecutor

/** Live views of what an executor works on, where the host can have them. */
export interface HostMemory {
  /** An empty array for a parameter that is not kept in float32. */
  readonly parameters: readonly FloatArray[]
  readonly gradients: readonly FloatArray[]
  /** The arrays besides the gradient that a tensor's programs read, by name. */
  readonly inputs: readonly ReadonlyMap<string, FloatArray>[]
  /** The array of a slot; a copy where it is not kept in float32. */
  slotArray(tensor: number, key: string): FloatArray
  /** The bytes of a slot that is not kept in float32; absent where all are. */
  readonly slotBytes?: (tensor: number, key: string) => Uint8Array
  /** How a parameter is kept, as the slot `parameterSlot`, that is not in float32. */
  parameterStorage(tensor: number): StagedStorage | undefined
  /** A number that programs keep; shared numbers are the same for every tensor. */
  readScalar(tensor: number, key: string): number
  writeScalar(tensor: number, key: string, value: number): void
  /** A number that the last run computed for reporting; `undefined` when the program has none of that name. */
  telemetry(tensor: number, name: TelemetryName): number | undefined
  /** Runs programs that compute what to evaluate with, and copies that. */
  compute(work: readonly Work[]): FloatArray[]
}

/** Reads and writes copies of what an executor works on, in order with what it was told to run. */
export interface Readback {
  read(places: readonly Place[]): Promise<readonly FloatArray[]>
  /** Does so at once; absent where that is not possible. */
  readonly readSync?: (places: readonly Place[]) => readonly FloatArray[]
  write(place: WritablePlace, values: ArrayLike<number>): void
  /** Runs programs that compute what to evaluate with, and reads that. */
  compute(work: readonly Work[]): Promise<readonly FloatArray[]>
}

/** The memory of one optimizer and what runs on it. */
export interface BackendInstance {
  readonly precision: Precision
  readonly executor: Executor
  /** Absent where arrays lie on a device. */
  readonly memory: HostMemory | undefined
  readonly readback: Readback
  /** What the host does where arrays lie on a device: see `onDevice`. */
  readonly device?: (conductor: Conductor, nonFinite: NonFinitePolicy, telemetry: boolean) => DeviceSupport
  dispose(): void
}

/** What the host does for an optimizer whose arrays it cannot look at. */
export interface DeviceSupport {
  /** What became of steps; absent when nobody asks. */
  readonly verdicts: Verdicts | undefined
  /** Arrays of the host on their way to the device, by tensor and name. */
  readonly inputs: readonly ReadonlyMap<string, FloatArray>[]
  /** Reads telemetry. */
  readonly report: ((tensors: readonly Tensor[]) => Promise<StepResult['telemetry']>) | undefined
  /** Stands in for arrays that cannot be looked at: says what to use when asked for one. */
  views(what: 'parameters' | 'gradients'): Readonly<Record<string, FloatArray>>
  /** Has the model evaluated at copies of the parameters, and brings what it writes to the device. */
  evaluator(evaluate: Evaluate, inputs: EvaluationRequest['inputs']): (question: Question) => Promise<Answer>
}

/** A way to run optimizers: `wasm()`, `reference()`, or `webgpu()` of `fallline/webgpu`. */
export interface Backend {
  readonly name: string
  /** True to have each refresh take the eigendecompositions of the matrices at the one before, which are then kept as state. */
  readonly delaysEigendecompositions?: boolean
  /**
   * @param settings.gradients `oneAtATime` where the gradients of all tensors may lie in one place.
   * @param settings.title what the rule is called, for names and errors.
   */
  create(
    tensors: readonly BackendTensor[],
    settings?: { readonly gradients?: GradientMemory; readonly title?: string },
  ): Promise<BackendInstance>
}

/** An executor that works on memory of the host. */
export interface HostExecutor extends PromptExecutor, HostMemory {
  dispose(): void
}

/** What works on memory of the host, as a backend gives it. */
export function onHost(executor: HostExecutor, precision: Precision): BackendInstance {
  return { precision, executor, memory: executor, readback: hostReadback(executor), dispose: () => executor.dispose() }
}

/** Reads from memory of the host. */
export function hostReadback(memory: HostMemory): Required<Readback> {
  const readSync = (places: readonly Place[]) => places.map((place) => viewPlace(memory, place).slice())
  return {
    read: async (places) => readSync(places),
    readSync,
    write: (place, values) => writePlace(memory, place, values),
    compute: async (work) => memory.compute(work),
  }
}

/** The array itself, where there is one in float32; else a copy. */
export function viewPlace(memory: HostMemory, place: Place): FloatArray {
  const { tensor } = place
  if (place.kind === 'number') return Float64Array.of(memory.readScalar(tensor, place.key))
  if (place.kind === 'telemetry') {
    const value = memory.telemetry(tensor, place.key)
    return value === undefined ? new Float64Array(0) : Float64Array.of(value)
  }
  return viewOf(memory, place)
}

function writePlace(memory: HostMemory, place: WritablePlace, values: ArrayLike<number>): void {
  if (place.kind === 'number') memory.writeScalar(place.tensor, place.key, values[0]!)
  else if (place.kind === 'parameter' && memory.parameterStorage(place.tensor))
    provided().parameters.write(memory, place.tensor, values)
  else viewOf(memory, place).set(values, firstElement(place))
}

/** The element that what is written to a place begins at. */
export const firstElement = (place: WritablePlace): number => ('from' in place ? (place.from ?? 0) : 0)

function viewOf(memory: HostMemory, place: ArrayPlace): FloatArray {
  switch (place.kind) {
    case 'parameter':
      return memory.parameterStorage(place.tensor)
        ? memory.slotArray(place.tensor, parameterSlot)
        : memory.parameters[place.tensor]!
    case 'gradient':
      return memory.gradients[place.tensor]!
    case 'input':
      return memory.inputs[place.tensor]!.get(place.key)!
    case 'array':
      return memory.slotArray(place.tensor, place.key)
    case 'bytes':
      // Only checkpoints ask for bytes, and give them back.
      return memory.slotBytes!(place.tensor, place.key) as ArrayLike<number> as FloatArray
  }
}
