import { random } from '@fallline/search/internal'
import { type Evaluate, type EvaluationRequest, layerStatistics } from 'fallline'
import { type CurvatureInput, curvatureInput } from 'fallline/internal'
import type { Statistics, Task } from '../task.ts'

/** Arrays by parameter name, as tasks read and write them. */
export type Arrays = Record<string, Float32Array>

/**
 * What the loss of a batch alone costs, in gradients: a forward pass beside forward and backward pass. Where a task has no
 * `loss`, its gradient is computed instead and counts in full.
 */
export const lossCost = 1 / 3

/** What is told of the evaluations of a step. @internal */
export interface EvaluationObserver {
  /** The loss of every evaluation, numbered from 0 within the step. */
  onLoss?(loss: number, evaluation: number): void
  /** What every evaluation of the model cost, in gradients. */
  onCost?(gradients: number): void
}

/** An optimizer asks for something that tasks do not give. */
export class MissingInputError extends Error {
  override readonly name = 'MissingInputError'
}

/**
 * What an optimizer asks of a task for one step, whatever it needs: gradient and loss, at as many points as it likes, all of
 * one batch. The product of the Hessian H with a `probe` z of signs drawn for the step is H z from the gradients a little to both sides,
 * two more gradients, which every task can give; an estimate of the diagonal of H is z ⊙ H z (Hutchinson 1989).
 *
 * @throws MissingInputError when the optimizer declares an input that a task cannot give
 * @internal
 */
export function evaluationOf(
  task: Task,
  batch: { readonly seed: number; readonly step: number },
  { onLoss, onCost }: EvaluationObserver,
): Evaluate {
  return async ({ parameters, gradients, inputs, wants, evaluation }) => {
    const at = parameters as Arrays
    const told = task.statistics?.filter((name) => wants.has(name)) ?? []
    const lossAlone = task.loss !== undefined && !wants.has('gradient') && told.length === 0
    const computed = lossAlone
      ? task.loss!(at, batch)
      : task.gradient(at, gradients as Arrays, batch, statisticsOf(inputs, told))
    const loss = typeof computed === 'number' ? computed : await computed
    onCost?.(lossAlone ? lossCost : 1)
    onLoss?.(loss, evaluation)
    const others = [...wants].filter((name) => name !== 'loss' && name !== 'gradient' && !told.includes(name))
    if (others.length === 0) return loss
    const unknown = others.find((name) => !curvatureInput(name) || inputs[name] === undefined)
    if (unknown !== undefined) {
      const who = unknown in layerStatistics ? `the task '${task.name}' does` : 'tasks do'
      throw new MissingInputError(`${who} not give the input '${unknown}'`)
    }
    const { z, product } = await probe(task, batch, at)
    for (const name of others) {
      const value = curvatures[curvatureInput(name)!]
      for (const [parameter, array] of Object.entries(inputs[name] as Arrays)) {
        array.set(array.map((_, i) => value(z[parameter]![i]!, product[parameter]![i]!)))
      }
    }
    onCost?.(2)
    return loss
  }
}

function statisticsOf(inputs: EvaluationRequest['inputs'], names: readonly string[]): Statistics | undefined {
  if (names.length === 0) return undefined
  return Object.fromEntries(names.map((name) => [name, inputs[name] as Statistics[string]]))
}

/** Inputs of curvature of a probe z and of H z, element by element. */
const curvatures: Readonly<Record<CurvatureInput, (z: number, product: number) => number>> = {
  probe: (z) => z,
  product: (_, product) => product,
  diagonal: (z, product) => z * product,
}

/** Signs drawn for the step, and the product of the Hessian with them. */
async function probe(
  task: Task,
  batch: { readonly seed: number; readonly step: number },
  at: Arrays,
): Promise<{ z: Arrays; product: Arrays }> {
  const names = Object.keys(at)
  const signs = random(batch.seed, `signs of step ${batch.step}`)
  const z = Object.fromEntries(names.map((name) => [name, at[name]!.map(() => (signs.uniform() < 0.5 ? -1 : 1))]))
  // Long enough for the difference to stand out of the rounding of float32, short for the curvature to stay the same.
  const reach = 1e-2
  const gradientAt = async (side: number) => {
    const point = Object.fromEntries(
      names.map((name) => [name, at[name]!.map((value, i) => value + side * reach * z[name]![i]!)]),
    )
    const gradient = Object.fromEntries(names.map((name) => [name, new Float32Array(at[name]!.length)]))
    await task.gradient(point, gradient, batch)
    return gradient
  }
  const [above, below] = [await gradientAt(1), await gradientAt(-1)]
  const product = Object.fromEntries(
    names.map((name) => [name, above[name]!.map((value, i) => (value - below[name]![i]!) / (2 * reach))]),
  )
  return { z, product }
}
