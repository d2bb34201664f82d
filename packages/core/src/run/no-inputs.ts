import type { FloatArray, Work } from '../backends/backend.ts'
import type { Input } from '../language/inputs.ts'
import type { RunModel } from '../program/model.ts'
import { isLoss } from '../program/trace.ts'
import type { StepOptions } from './step.ts'

/** What a run asks about what steps take besides gradients. */
export interface StepInputs {
  /** By name. */
  readonly needs: Readonly<Record<string, Input>>
  numbers(
    inputs: StepOptions['inputs'],
    check?: (input: string, parameter: string, array: ArrayLike<number>) => void,
  ): Map<string, number>
  nonFinite(numbers: ReadonlyMap<string, number>): string[]
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
  nonFinite: nonFiniteNumbers,
  checkNumbers() {},
  checkArrays() {},
  evaluatingTitle: () => '',
}
