import { compile, type Optimizer } from 'fallline'
import { defineTask, layoutOf, type Task } from '../task.ts'
import { type Arrays, evaluationOf } from './evaluate.ts'

/** Optimizer steps that so many gradients pay for: at least one. @internal */
export function stepsOf(gradients: number, perStep: number): number {
  return Math.max(1, Math.round(gradients / perStep))
}

/** Steps that are tried: cadences up to this length are seen. */
const steps = 20

/**
 * How many gradients a step of an optimizer computes, a loss alone counting as a third where the task can give it: 1 for most, 2 for
 * methods that look ahead, in the mean over 20 steps. Measured on a bowl with the parameters of the task, so that it costs no gradient
 * of the task.
 *
 * @throws MissingInputError when the optimizer needs an input that tasks do not give, and what the optimizer throws
 * @internal
 */
export async function gradientsPerStep(optimizer: Optimizer, task: Task): Promise<number> {
  const height = (parameters: Arrays) =>
    Object.values(parameters).reduce((sum, values) => values.reduce((part, x) => part + x * x, sum), 0) / 2
  const bowl = defineTask({
    ...task,
    initialize: () => {},
    gradient(parameters, gradients, _, statistics = {}) {
      for (const arrays of Object.values(statistics)) for (const array of Object.values(arrays)) array.fill(1)
      for (const [name, values] of Object.entries(parameters)) gradients[name]!.set(values)
      return height(parameters)
    },
    ...(task.loss ? { loss: height } : {}),
    metric: height,
  })
  const compiled = await compile(optimizer, task.parameters, { nonFinite: 'skip', ...layoutOf(task) })
  try {
    for (const values of Object.values(compiled.parameters as Arrays))
      values.forEach((_, i) => {
        values[i] = Math.sin(i + 1)
      })
    let gradients = 0
    for (let step = 1; step <= steps; step++) {
      await compiled.minimize(
        evaluationOf(
          bowl,
          { seed: 1, step },
          {
            onCost: (cost) => {
              gradients += cost
            },
          },
        ),
      )
    }
    return gradients / steps
  } finally {
    compiled.dispose()
  }
}
