import type { Tensor, Variable } from '@tensorflow/tfjs-core'
import type { BackendTensor, PromptExecutor, Readback, Work } from 'fallline/internal'

/** A variable with its gradient, if the next programs read it. */
export interface Bound {
  /** The variable's place among the tensors of the optimizer. */
  readonly index: number
  readonly variable: Variable
  readonly gradient: Tensor | undefined
  /** What else the optimizer needs of the variable in this step, by name. */
  readonly inputs: ReadonlyMap<string, Tensor>
}

/** @throws Error when a program of this step reads an input that was not given. */
export function checkInputs(work: readonly Work[], bound: readonly Bound[], tensors: readonly BackendTensor[]): void {
  for (const { tensor, program } of work) {
    const { arrays } = program.leaves
    const missing = arrays.find((name) => !bound.find(({ index }) => index === tensor)?.inputs.has(name))
    if (missing === undefined) continue
    throw new Error(
      `this optimizer needs the input '${missing}' of the variable '${tensors[tensor]!.name}' in this step: compute it ` +
        `and pass { ${missing}: { [variable.name]: tensor } } as the inputs of applyGradients or minimize`,
    )
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
  compute(work: readonly Work[], variables: readonly Variable[]): Tensor[]
  dispose(): void
}

/** `wasm` and `cpu`: one fused kernel. `webgl`: packed programs. `operations`: an operation of TensorFlow.js for each of the rule. */
export type Execution = 'wasm' | 'cpu' | 'webgl' | 'operations'
