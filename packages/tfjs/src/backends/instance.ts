import * as tf from '@tensorflow/tfjs-core'
import {
  type BackendTensor,
  formatDimensions,
  type Place,
  type PromptExecutor,
  type Readback,
  sizeOf,
  type Work,
} from 'fallline/internal'

/** A variable with its gradient, if the next programs read it. */
export interface Bound {
  /** The variable's place among the tensors of the optimizer. */
  readonly index: number
  readonly variable: tf.Variable
  readonly gradient: tf.Tensor | undefined
  /** What else the optimizer needs of the variable in this step, by name. */
  readonly inputs: ReadonlyMap<string, tf.Tensor>
}

/** @throws Error when a program of this step reads an input that was not given, or is of another size. */
export function checkInputs(work: readonly Work[], bound: readonly Bound[], tensors: readonly BackendTensor[]): void {
  for (const { tensor, program } of work) {
    const { arrays } = program.leaves
    const given = bound.find(({ index }) => index === tensor)?.inputs
    const what = (name: string) => `the input '${name}' of the variable '${tensors[tensor]!.name}'`
    for (const { name, dimensions } of arrays) {
      const input = given?.get(name)
      if (!input) {
        throw new Error(
          `this optimizer needs ${what(name)} in this step: compute it and pass { ${name}: { [variable.name]: tensor } } ` +
            'as the inputs of applyGradients or minimize',
        )
      }
      if (input.size !== sizeOf(dimensions)) {
        const form = formatDimensions(dimensions)
        throw new Error(`${what(name)} must have the dimensions ${form}, not the shape [${input.shape.join(', ')}]`)
      }
    }
  }
}

/** Runs the programs of an optimizer on the variables of TensorFlow.js. */
export interface VariableInstance extends PromptExecutor {
  /** How it runs, for people. */
  readonly execution: Execution
  /** The state and what was reported. */
  readonly readback: Omit<Required<Readback>, 'compute'>
  /** Says which variables and gradients the next calls are about. */
  bind(bound: readonly Bound[]): void
  /** Leaves the values that `run` has computed since the last call in the variables. */
  finish(): void
  /** What programs compute to evaluate with, as tensors of the variables' shapes that the caller disposes. */
  compute(work: readonly Work[], variables: readonly tf.Variable[]): tf.Tensor[]
  /**
   * Takes state over from an instance that ended, without reading it, where that is possible.
   * @returns whether it was.
   */
  takeOver?(before: VariableInstance, places: readonly (readonly [from: Place, to: Place])[]): boolean
  dispose(): void
}

/**
 * `wasm`, `cpu` and `webgpu`: fused kernels. `webgl`: packed programs. `operations`: an operation of TensorFlow.js for each of the
 * rule.
 */
export type Execution = 'wasm' | 'cpu' | 'webgpu' | 'webgl' | 'operations'

/** Gives a variable data of its own on the current backend. */
export function separate(variable: tf.Variable): void {
  const copy = tf.tidy(() => tf.keep(tf.mul(variable, 1)))
  variable.assign(copy)
  copy.dispose()
}

/** Those of which the gradient has an element that is infinite or not a number, by operations; waits for the device. */
export function nonFiniteGradients(bound: readonly Bound[]): number[] {
  const filled = bound.filter(({ variable, gradient }) => variable.size > 0 && gradient)
  if (filled.length === 0) return []
  // x times 0 is 0 for finite x, else not a number, and so is any sum that it enters.
  const sums = tf.tidy(() => tf.stack(filled.map(({ gradient }) => tf.sum(tf.mul(gradient!, 0)))).dataSync())
  return filled.flatMap(({ index }, position) => (sums[position] === 0 ? [] : [index]))
}
