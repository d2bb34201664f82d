import { type Input, layerStatistics, type OptimizerDefinition } from 'fallline'
import { curvatureInput } from 'fallline/internal'

/** What a rule needs besides the gradient, by name. */
export function inputsOf({ inputs, options }: OptimizerDefinition): [name: string, input: Input][] {
  return Object.entries((typeof inputs === 'function' ? inputs({ ...options }) : inputs) ?? {})
}

/** The first input that surfaces cannot give, and the first that the task of the pictures cannot: both know the loss and the curvature. */
export function missingInputs(definition: OptimizerDefinition): { surface?: string; task?: string } {
  const unknown = inputsOf(definition).flatMap(([name]) => (name === 'loss' || curvatureInput(name) ? [] : [name]))
  const [surface, task] = [unknown[0], unknown.find((name) => !(name in layerStatistics))]
  return { ...(surface === undefined ? {} : { surface }), ...(task === undefined ? {} : { task }) }
}
