import type { FloatArray, Work } from '../backends/backend.ts'
import type { Input } from '../language/inputs.ts'
import type { RunModel } from '../program/model.ts'
import { isLoss } from '../program/trace.ts'
import type { StepOptions } from './step.ts'

/** Arrays besides gradients, by name and parameter. */
export type InputViews = Readonly<Record<string, Readonly<Record<string, FloatArray>>>>

/** Where what a step is given goes. */
export interface InputTaker {
  readonly inputs: InputViews
  /** Present where arrays lie on a device. */
  readonly device: object | undefined
  checkLength(caller: string, name: string, array: ArrayLike<number>): void
  write(kind: 'input', name: string, values: ArrayLike<number>, key: string): void
}

/** What a run asks about what steps take besides gradients. */
export interface StepInputs {
  /** By name. */
  readonly needs: Readonly<Record<string, Input>>
  numbers(
    inputs: StepOptions['inputs'],
    check?: (input: string, parameter: string, array: ArrayLike<number>) => void,
  ): Map<string, number>
  /** Copies what a step is given to where programs read it, and gives the numbers. */
  take(inputs: StepOptions['inputs'], taker: InputTaker): Map<string, number>
  /** The arrays besides gradients that programs read, by name and parameter, of those of tensors by name. */
  views(arrays: readonly ReadonlyMap<string, FloatArray>[]): InputViews
  checkNumbers(work: readonly Work[], given: ReadonlyMap<string, number>): void
  checkArrays(work: Work, arrays: ReadonlyMap<string, FloatArray>, settings: { readonly finite: boolean }): void
  evaluatingTitle(): string
}

/** Whether an optimizer takes something besides gradients, or evaluates the model at points of its own. */
export function takesInputs({ hyper, parameters }: RunModel): boolean {
  const owners = [...hyper.groups.values()].flat().map((path) => hyper.owner(path))
  return (
    owners.some(({ inputs, evaluates }) => evaluates || Object.keys(inputs).length > 0) ||
    parameters.some(({ traced }) => traced?.evaluations.some(({ point, wants }) => point || wants.includes('loss')))
  )
}

/** The numbers among inputs that are infinite or not a number. */
export function nonFiniteNumbers(numbers: ReadonlyMap<string, number>): string[] {
  const wrong = [...numbers].filter(([, value]) => !Number.isFinite(value))
  return [...new Set(wrong.map(([name]) => (isLoss(name) ? 'loss' : name)))]
}

/** The inputs of an optimizer that takes none and evaluates the model nowhere. */
export const noInputs: StepInputs = {
  needs: {},
  numbers(inputs) {
    const [name] = Object.keys(inputs ?? {})
    if (name !== undefined) throw new Error(`step: unknown input '${name}' of this optimizer; it takes none`)
    return new Map()
  },
  take: (inputs) => noInputs.numbers(inputs),
  views: () => Object.freeze(Object.create(null)),
  checkNumbers() {},
  checkArrays() {},
  evaluatingTitle: () => '',
}
