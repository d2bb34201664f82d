import { adamW, type CompiledOptimizer, type FloatArray, type Optimizer } from 'fallline'
import { type Fields, Skip } from '../fields.ts'
import type { GoldenRun } from '../files.ts'
import type { Recording } from '../network.ts'
import type { Place } from '../problem.ts'

/** What an element adds to an input. */
export type Source = (place: Place, run: GoldenRun) => number

/** How a reference's trajectories are replayed here. */
export interface Mapping {
  /** Our optimizer for the reference's settings and the ranks of the tensors. Throws `Skip` for what has no counterpart. */
  readonly optimizer: (fields: Fields, ranks: readonly number[]) => Optimizer
  /**
   * What inputs of our optimizer are on the closed-form problem, element by element; a number is the sum of all elements.
   * `loss` and `hessianDiagonal` are known without being given.
   */
  readonly inputs?: Readonly<Record<string, Source>>
  /** For trajectories on the network: what the reference takes its statistics of layers of. */
  readonly network?: (hyper: Readonly<Record<string, unknown>>) => Recording
  /** Puts the choices that a reference captured in place before a step, counted from 1; without it such runs are skipped. */
  readonly captured?: (optimizer: CompiledOptimizer, captured: unknown, step: number) => void
  /** Puts what decides the first step of the reference in place, once the parameters are there. */
  readonly prepare?: (optimizer: CompiledOptimizer) => void
  /** The last step that can be compared, of some configurations or of all, and what comes in later that is not here. */
  readonly until?: { readonly step: number; readonly reason: string; readonly config?: readonly string[] }
  /** Why no float32 arithmetic can take a run's steps, where that is so: such runs are replayed in float64 alone. */
  readonly float64Only?: (run: GoldenRun) => string | undefined
  /** The numbers besides parameters that checkpoints may have, by name. */
  readonly quantities?: Readonly<Record<string, (optimizer: CompiledOptimizer) => number>>
  /** Where a tolerance is looser than the rule, and why. */
  readonly tolerances?: {
    readonly reference?: number
    readonly wasm?: number
    /** Of one step in float32, where steps are compared one by one. */
    readonly step?: number
    readonly reason: string
  }
  /** True when rounding can turn a sign: then float32 may be compared step by step from the float64 state. */
  readonly signs?: boolean
}

/** For rules with Newton-Schulz iterations. */
export const newtonSchulz = {
  reference: 1e-8,
  reason: 'Newton-Schulz amplifies rounding; 1e-8 in float64 as the trajectories say',
}

export function rate(fields: Fields): { learningRate: number } {
  return { learningRate: fields.number('lr') }
}

export function betas(fields: Fields, fallback?: readonly number[]): { beta1: number; beta2: number } {
  const [beta1, beta2] = fields.numbers('betas', 2, fallback) as [number, number]
  return { beta1, beta2 }
}

/** The ε that, inside `√(v / (1 - β2ᵗ)) + ε`, is what the reference adds to √v before bias correction. */
export function uncorrected(epsilon: number, beta2: number): (t: number) => number {
  return (t) => epsilon / Math.sqrt(1 - beta2 ** t)
}

/** A reference that does not do what its paper says; restatements pin ours. */
export function wrong(how: string): Mapping {
  return {
    optimizer() {
      throw new Skip(how)
    },
  }
}

/** What a reference of matrix rules gives to tensors of fewer than two dimensions. */
export function auxiliaryAdam(fields: Fields): Optimizer {
  const [beta1, beta2] = fields.numbers('aux_betas', 2, [0.9, 0.95]) as [number, number]
  return adamW({
    learningRate: fields.number('aux_lr'),
    beta1,
    beta2,
    epsilon: fields.number('aux_eps', 1e-10),
    weightDecay: fields.number('aux_weight_decay', 0),
  })
}

/** Decay as the library pytorch_optimizer says it; `decoupled` is what the optimizer there does unless told otherwise. */
export function decayOf(
  fields: Fields,
  decoupled: boolean,
): { weightDecay: number; decay: 'coupled' | 'decoupled' | 'independent' } {
  const outside = fields.boolean('weight_decouple', decoupled)
  const fixed = fields.boolean('fixed_decay', false)
  const decay = outside ? (fixed ? 'independent' : 'decoupled') : 'coupled'
  return { weightDecay: fields.number('weight_decay', 0), decay }
}

/** Writes what a reference captured, a list of numbers for each tensor, into a slot before the first step. */
export function captureInto(slot: string, name: string): NonNullable<Mapping['captured']> {
  return (optimizer, captured, step) => {
    if (step > 1) return
    const arrays = (captured as Readonly<Record<string, readonly (readonly number[])[]>>)[name]!
    optimizer.names.forEach((tensor, k) => {
      ;(optimizer.state(tensor)[slot] as FloatArray).set(arrays[k]!)
    })
  }
}
