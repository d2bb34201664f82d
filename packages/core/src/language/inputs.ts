import type { Dimensions } from '../graph/node.ts'
import type { ParameterShape, SlotFacts } from './slots.ts'

/** Something besides the gradient that a rule is given: declared by the rule, supplied by the user. */
export interface Input {
  readonly kind: 'number' | 'array'
  /** In words, for error messages and pages. */
  readonly description: string
  /** For an array that is not shaped like the parameter: its batch, rows and columns. */
  readonly dimensions?: (shape: ParameterShape, options: SlotFacts['options']) => Dimensions
}

/** One number per step that is known before it, such as the loss. */
export function inputNumber(description: string): Input {
  return { kind: 'number', description }
}

/** An array shaped like each parameter, such as an estimate of the diagonal of the Hessian. */
export function inputArray(description: string): Input {
  return { kind: 'array', description }
}

/**
 * An array of dimensions `[batch, rows, columns]` of its own for each parameter, such as statistics of the layer whose weights the
 * parameter is.
 */
export function shapedInput(description: string, dimensions: NonNullable<Input['dimensions']>): Input {
  return { kind: 'array', description, dimensions }
}

/** The loss at the point where the gradient was taken; `minimize` knows it, `step` takes it as `inputs: { loss }`. */
export const lossInput: Input = inputNumber('the loss at the point where the gradient was taken')
