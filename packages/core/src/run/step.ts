import type { FloatArray } from '../backends/backend.ts'
import type { TensorTelemetry } from './telemetry.ts'

/** What `step` does when a gradient has an element that is infinite or not a number. */
export type NonFinitePolicy = 'throw' | 'skip' | 'allow'

/** Whether an optimizer has room for the gradients of all parameters, or for one at a time. */
export type GradientMemory = 'together' | 'oneAtATime'

export interface StepResult<Name extends string = string> {
  /** Steps taken so far, this one included unless it was skipped. */
  readonly step: number
  /** True when `nonFinite: 'skip'` left everything as it was. */
  readonly skipped: boolean
  /** The tensors whose gradient was not finite, and the inputs that were not (with `skip`). */
  readonly nonFinite: readonly string[]
  /** By parameter name, with `telemetry: true`. */
  readonly telemetry?: Readonly<Record<Name, TensorTelemetry>>
}

export interface StepOptions<Name extends string = string> {
  /**
   * Gradients to copy in before the step. A parameter whose name is absent, or whose gradient is null, has no gradient
   * this step: it keeps its value and its state, and its step count does not advance.
   */
  readonly gradients?: { readonly [name in Name]?: ArrayLike<number> | null | undefined }
  /** Parameters that have no gradient this step. */
  readonly without?: Iterable<Name>
  /** What the optimizer needs besides gradients, by name: numbers such as `loss`, or arrays by parameter name. */
  readonly inputs?: Readonly<Record<string, number | { readonly [name in Name]?: ArrayLike<number> }>>
}

/** What `minimize` asks of the model: an evaluation at `parameters`. */
export interface EvaluationRequest<Name extends string = string> {
  /** Where to evaluate. Views of the optimizer's own memory: read them, do not write. */
  readonly parameters: Readonly<Record<Name, FloatArray>>
  /** Write the gradients here when `wants` has `gradient`. */
  readonly gradients: Readonly<Record<Name, FloatArray>>
  /** Arrays to write when `wants` has their name, by name and parameter. */
  readonly inputs: Readonly<Record<string, Readonly<Record<string, FloatArray>>>>
  /** `gradient`, `loss`, and names of inputs that the optimizer declares. */
  readonly wants: ReadonlySet<string>
  /** Which evaluation of this step this is, from 0; all of them must use the same batch. */
  readonly evaluation: number
  readonly evaluations: number
}

/** What is asked of the model, besides where to find the parameters and where to write. */
export type Question = Pick<EvaluationRequest, 'wants' | 'evaluation' | 'evaluations'>

/** What an evaluation gives back: the loss alone, or more. */
export type EvaluationResult =
  | number
  | undefined
  | {
      readonly loss?: number
      /** Numbers that the optimizer declares as inputs. */
      readonly inputs?: Readonly<Record<string, number>>
      /** Parameters that have no gradient. */
      readonly without?: Iterable<string>
    }

/** What an evaluation may return. */
export type Answer = EvaluationResult | void

/** Evaluates the model for `minimize`. */
export type Evaluate<Name extends string = string> = (request: EvaluationRequest<Name>) => Answer | Promise<Answer>

/** The error of the policy `throw`. */
export function nonFiniteError(step: number, what: string, names: readonly string[], later = 0): Error {
  const after = later === 0 ? '' : `; the ${later === 1 ? 'step' : `${later} steps`} after it were not taken either`
  return new Error(
    `step ${step}: ${what} ${names.map((name) => `'${name}'`).join(', ')} is not finite; ` +
      `parameters and state are unchanged${after} (nonFinite: 'skip' skips such steps, 'allow' does not check)`,
  )
}
