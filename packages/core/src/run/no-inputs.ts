import type { FloatArray, Work } from '../backends/backend.ts'
import type { Input } from '../language/inputs.ts'
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

/** The inputs of an optimizer that takes none and evaluates the model nowhere. */
export const noInputs: StepInputs = {
  needs: {},
  numbers(inputs) {
    const [name] = Object.keys(inputs ?? {})
    if (name !== undefined) throw new Error(`step: unknown input '${name}' of this optimizer; it takes none`)
    return new Map()
  },
  nonFinite: () => [],
  checkNumbers() {},
  checkArrays() {},
  evaluatingTitle: () => '',
}
