import {
  type CompiledOptimizer,
  type Evaluate,
  layerStatistics,
  type OptimizerFactory,
  type StepOptions,
  type StepResult,
} from 'fallline'
import { minimize, type RunningOptimizer } from 'fallline/runtime'

/** What tells one step from another where there is no model: a positive loss, small and large beside gradients around 1. */
export const lossOf = (step: number) => 10 ** (0.5 + 1.2 * Math.sin(1.7 * step))

export interface TakenStep extends Pick<StepOptions, 'gradients' | 'without'> {
  /** The loss at the first evaluation; default that of the step's number. */
  readonly loss?: number
}

/** True for inputs that are not shaped like the parameter: statistics of its layer, and the Gram matrix of a factor. */
export function hasOwnShape(input: string): boolean {
  return input in layerStatistics || input === 'partnerGram'
}

/** A statistic of a layer: of six examples whose inputs, or output gradients, follow from the size of a number. */
export function statistic(name: string, length: number, number: number): Float32Array {
  const matrix = /(Moment|Gram)$/.test(name)
  const size = matrix ? Math.sqrt(length) : length
  const power = name.endsWith('Squares') ? 2 : 1
  const shift = (name.startsWith('activation') ? 0.2 : 1.1) + Math.tanh(Math.abs(number))
  const result = new Float32Array(length)
  for (let example = 0; example < 6; example++) {
    const at = (index: number) => Math.sin(1.3 * index * (1 + 0.1 * example) + 2.1 * example + shift)
    for (let index = 0; index < length; index++) {
      const value = matrix ? at(Math.floor(index / size)) * at(index % size) : at(index) ** power
      result[index]! += value / 6
    }
  }
  return result
}

type Arrays = Readonly<Record<string, ArrayLike<number>>>

/**
 * What a model says at an evaluation of a step: all of it follows from the gradients and the loss, the same on every
 * backend. Evaluations before the last have other gradients and losses; input arrays are three quarters of the gradient's size, or
 * statistics of a layer.
 */
export function answer(
  optimizer: Pick<RunningOptimizer, 'needs' | 'inputs'>,
  last: Arrays,
  loss: number,
  evaluation: number,
  evaluations: number,
) {
  const factor = (index: number) => (evaluation === evaluations - 1 ? 1 : [0.5, 1, 0.75][(index + evaluation) % 3]!)
  const each = (change: (value: number, index: number) => number) =>
    Object.fromEntries(
      Object.entries(last).map(([name, values]) => [
        name,
        Float32Array.from(values, (x, i) => change(x * factor(i), i)),
      ]),
    )
  const { needs } = optimizer
  const arrays = Object.keys(needs).filter((name) => needs[name]!.kind === 'array')
  const input = (name: string) =>
    hasOwnShape(name)
      ? Object.fromEntries(
          Object.entries(optimizer.inputs[name] ?? {}).map(([parameter, { length }]) => [
            parameter,
            statistic(name, length, (last[parameter]![0] ?? 0) * factor(0)),
          ]),
        )
      : each((value) => 0.75 * Math.abs(value))
  const numbers = Object.keys(needs).filter((name) => needs[name]!.kind === 'number' && name !== 'loss')
  return {
    loss: loss * (1 + evaluation / 1024),
    numbers: Object.fromEntries(numbers.map((name) => [name, 0.75 + Math.abs(loss) / 2])),
    gradients: each((value) => value),
    inputs: Object.fromEntries(arrays.map((name) => [name, input(name)])),
  }
}

/** Takes a step with the gradients that are in place or given, whatever the optimizer asks for besides: see `answer`. */
export async function takeStep(optimizer: RunningOptimizer, options: TakenStep = {}): Promise<StepResult> {
  const { loss = lossOf(optimizer.steps + 1), gradients: given } = options
  const without = isVector(optimizer) ? allOrNone(optimizer.names, options.without) : (options.without ?? [])
  if (!looksAround(optimizer)) return optimizer.step(given ? { gradients: given, without } : { without })
  const { names } = optimizer
  const missing = names.filter((name) => given && !given[name])
  let last: Record<string, Float32Array> | undefined
  const evaluate: Evaluate = ({ gradients, inputs, wants, evaluation, evaluations }) => {
    last ??= Object.fromEntries(names.map((name) => [name, Float32Array.from(given?.[name] ?? gradients[name]!)]))
    const told = answer(optimizer, last, loss, evaluation, evaluations)
    for (const name of names) gradients[name]!.set(told.gradients[name]!)
    for (const [input, arrays] of Object.entries(inputs)) {
      if (wants.has(input)) for (const [name, array] of Object.entries(arrays)) array.set(told.inputs[input]![name]!)
    }
    return { loss: told.loss, inputs: told.numbers, without: [...without, ...missing] }
  }
  return 'minimize' in optimizer ? (optimizer as CompiledOptimizer).minimize(evaluate) : minimize(optimizer, evaluate)
}

/** True when several parameters are one vector to the optimizer. */
function isVector({ conductor }: RunningOptimizer): boolean {
  return conductor.tensors.some(({ shape }) => shape.parts)
}

/** Of parameters that are one vector all have a gradient or none has: some that lack theirs are not left out then. */
function allOrNone(names: readonly string[], without: Iterable<string> = []): string[] {
  const missing = [...without]
  return missing.length < names.length ? [] : missing
}

/** True when a step takes more than the gradients where the parameters stand. */
export function looksAround({ moves, needs }: Pick<RunningOptimizer, 'moves' | 'needs'>): boolean {
  return moves || Object.keys(needs).length > 0
}

/** True for rules that draw random numbers. */
export function draws({ definition }: OptimizerFactory): boolean {
  return 'seed' in definition.hyper
}

/** False for rules that compare losses alone. */
export function readsGradient({ definition }: OptimizerFactory): boolean {
  const evaluations = definition.evaluations?.(definition.options ?? {}) ?? []
  return evaluations.length === 0 || evaluations.some(({ wants }) => wants.includes('gradient'))
}
