import type { TracedModel } from '../program/model.ts'
import {
  leavesOf,
  type Program,
  programsOf,
  type SlotStorage,
  type TelemetryName,
  type VariantTree,
} from '../program/program.ts'
import { pointsOf } from '../program/trace.ts'
import type { HostEnvironment } from './host.ts'

/** Numbers that a backend computes with: float64 in the reference interpreter, float32 elsewhere. */
export type FloatArray = Float32Array | Float64Array

/** A parameter as a backend sees it. */
export interface BackendTensor {
  readonly name: string
  readonly size: number
  readonly slots: readonly SlotStorage[]
  /** `undefined` for a frozen parameter. */
  readonly variants: VariantTree | undefined
  readonly evaluation: Program | undefined
  /** Programs that run before the update: to the points of evaluations, and back. */
  readonly points: readonly Program[]
}

/** The parameters of a model as a backend sees them. */
export function backendTensors({ parameters }: TracedModel): BackendTensor[] {
  return parameters.map(({ shape, traced }) => ({
    name: shape.name,
    size: shape.size,
    slots: traced?.slots ?? [],
    variants: traced?.variants,
    evaluation: traced?.evaluation,
    points: traced ? pointsOf(traced) : [],
  }))
}

/** All programs of a tensor. */
export function programsOfTensor({ variants, evaluation, points }: BackendTensor): Program[] {
  return [...(variants ? programsOf(variants) : []), ...(evaluation ? [evaluation] : []), ...points]
}

/** The names of the arrays besides the gradient that a tensor's programs read. */
export function arrayInputs(tensor: BackendTensor): string[] {
  return [...new Set(programsOfTensor(tensor).flatMap((program) => leavesOf(program).arrays))].sort()
}

/** One update of one tensor. */
export interface Work {
  /** Index of the tensor. */
  readonly tensor: number
  readonly program: Program
  readonly environment: HostEnvironment
}

/** Runs programs on its own memory. */
export interface BackendInstance {
  readonly parameters: readonly FloatArray[]
  readonly gradients: readonly FloatArray[]
  /** The arrays besides the gradient that a tensor's programs read, by name. */
  readonly inputs: readonly ReadonlyMap<string, FloatArray>[]
  /** The array of a slot with residency `array`. */
  slotArray(tensor: number, key: string): FloatArray
  /** Gives that array other contents. */
  writeSlot(tensor: number, key: string, values: FloatArray): void
  /** Makes that array a copy of the parameter. */
  copyParameter(tensor: number, key: string): void
  /** A number with residency `device`; shared numbers are the same for every tensor. */
  readScalar(tensor: number, key: string): number
  writeScalar(tensor: number, key: string, value: number): void
  /** The tensors among those given whose gradient has an element that is infinite or not a number. */
  findNonFinite(tensors: readonly number[]): number[]
  /** Performs all updates of a step; they see each other's old values only. */
  run(work: readonly Work[]): void
  /** A number that the last run computed for reporting; `undefined` when the program has none of that name. */
  telemetry(tensor: number, name: TelemetryName): number | undefined
  /** Runs evaluation programs and copies what they computed. */
  evaluate(work: readonly Work[]): FloatArray[]
  dispose(): void
}

/** A way to run optimizers: `wasm()` or `reference()`. */
export interface Backend {
  readonly name: string
  create(tensors: readonly BackendTensor[]): Promise<BackendInstance>
}
