import { applyUpdates, type FalllineTransformation, type Scalars, type State, type Tree } from '@fallline/jax'
import { jit, numpy as np, tree } from '@jax-js/jax'
import { compile, type Optimizer, reference, type Shapes } from 'fallline'
import { randomNumbers } from '../../../core/test/support/random.ts'

/** Arrays with the given numbers, by name. */
export function arraysOf(
  values: Readonly<Record<string, ArrayLike<number>>>,
  shapes: Shapes,
): Record<string, np.Array> {
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [
      name,
      np.array(Float32Array.from(values[name]!), { shape: [...shape] }),
    ]),
  )
}

/** One training step on given gradients, jitted; `traced` counts how often it was traced. */
export function jittedStep(optimizer: FalllineTransformation) {
  const counter = { traced: 0 }
  const step = jit((params: Tree, state: State, scalars: Scalars, gradients: Tree) => {
    counter.traced++
    const [updates, next] = optimizer.update(gradients, state, tree.ref(params), scalars)
    return [applyUpdates(params, updates), next] as Tree[]
  })
  return {
    counter,
    step: (params: Tree, state: State, scalars: Scalars, gradients: Tree) =>
      step(params, state, scalars, gradients) as [Tree, State],
  }
}

/** Parameters by name before and after some steps. */
export interface Trajectory {
  readonly start: Readonly<Record<string, Float64Array>>
  readonly end: Readonly<Record<string, Float64Array>>
  /** What to evaluate with at the end. */
  readonly evaluation: Readonly<Record<string, Float64Array>>
}

/** Numbers that both sides start from and step on. */
export function numbersFor(shapes: Shapes, steps: number, seed = 1) {
  const random = randomNumbers(seed)
  const fill = () =>
    Object.fromEntries(
      Object.entries(shapes).map(([name, shape]) => [
        name,
        Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, random),
      ]),
    )
  return { parameters: fill(), gradients: Array.from({ length: steps }, fill) }
}

type Numbers = ReturnType<typeof numbersFor>

/** The trajectory of the float64 interpreter. */
export async function referenceTrajectory(optimizer: Optimizer, shapes: Shapes, numbers: Numbers): Promise<Trajectory> {
  const compiled = await compile(optimizer, shapes, { backend: reference(), layout: 'outputLast' })
  for (const name of compiled.names) compiled.parameters[name]!.set(numbers.parameters[name]!)
  for (const gradients of numbers.gradients) compiled.step({ gradients })
  return {
    start: doubles(numbers.parameters),
    end: doubles(compiled.parameters),
    evaluation: doubles(compiled.evaluationParameters()),
  }
}

/** The trajectory of a transformation under jit. */
export function jaxTrajectory(optimizer: FalllineTransformation, shapes: Shapes, numbers: Numbers): Trajectory {
  const { step } = jittedStep(optimizer)
  let params: Tree = arraysOf(numbers.parameters, shapes)
  let state = optimizer.init(tree.ref(params))
  numbers.gradients.forEach((gradients, index) => {
    ;[params, state] = step(params, state, optimizer.scalars(index + 1), arraysOf(gradients, shapes))
  })
  const evaluation = optimizer.evaluationParameters(tree.ref(params), state)
  return { start: doubles(numbers.parameters), end: numbersOf(params), evaluation: numbersOf(evaluation) }
}

/** The numbers of a record of arrays; consumes it. */
export function numbersOf(params: Tree): Record<string, Float64Array> {
  const entries = Object.entries(params as Record<string, np.Array>)
  return Object.fromEntries(entries.map(([name, array]) => [name, Float64Array.from(array.dataSync())]))
}

function doubles(values: Readonly<Record<string, ArrayLike<number>>>): Record<string, Float64Array> {
  return Object.fromEntries(Object.entries(values).map(([name, array]) => [name, Float64Array.from(array)]))
}

/**
 * The largest error of an element as a share of the largest movement of its parameter, which float32 can only resolve down
 * to its own spacing at the parameter.
 */
export function worstError(actual: Trajectory, expected: Trajectory): number {
  let worst = 0
  for (const which of ['end', 'evaluation'] as const) {
    for (const [name, values] of Object.entries(expected[which])) {
      const [found, start] = [actual[which][name]!, expected.start[name]!]
      const moved = values.reduce((largest, value, index) => Math.max(largest, Math.abs(value - start[index]!)), 0)
      values.forEach((value, index) => {
        const error = Math.abs(found[index]! - value)
        const spacing = 8 * 2 ** -23 * Math.max(Math.abs(value), Math.abs(start[index]!))
        if (!(error <= spacing))
          worst = Math.max(worst, Number.isFinite(error) ? (error - spacing) / moved : Number.POSITIVE_INFINITY)
      })
    }
  }
  return worst
}
