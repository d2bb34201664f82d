import type * as jaxModule from '@jax-js/jax'
import type { LayoutChoice } from 'fallline'
import { type BatchPosition, defineTask, type Split, type Task } from './task.ts'

/** The jax-js library, as given to the functions of a jax task. */
export type Jax = typeof jaxModule

/** A jax-js array. Every use consumes it; take `.ref` for each use but the last. */
export type JaxArray = jaxModule.Array

/** Data on its way into jax-js: values row by row and their shape. */
export interface HostArray {
  readonly values: Float32Array | Int32Array | Uint32Array
  readonly shape: readonly number[]
}

/** The same names, each with a jax-js array. */
export type JaxArrays<Named> = { [Name in keyof Named]: JaxArray }

/** What a task differentiated by jax-js consists of; see `defineJaxTask`. */
export interface JaxTask<
  Shapes extends Readonly<Record<string, readonly number[]>>,
  Batch extends Readonly<Record<string, HostArray>>,
> extends Omit<Task, 'parameters' | 'gradient' | 'loss' | 'metric' | 'dispose'> {
  /** Shape of every parameter by name; `[]` is a scalar. */
  parameters: Shapes
  /** As in `Task`, but `outputLast` by default, as in JAX. */
  layout?: LayoutChoice
  /** Writes the initial values for a seed into the given arrays. */
  initialize(parameters: Record<string, Float32Array>, seed: number): void
  /**
   * The mean loss of a batch, a scalar. It is traced once per set of batch shapes and then compiled, so it must be a
   * pure function of its arguments. Arrays are consumed by use, as everywhere in jax-js: write `x.ref` for each use but
   * the last.
   */
  loss(parameters: JaxArrays<Shapes>, batch: JaxArrays<Batch>, jax: Jax): JaxArray
  /**
   * The mini-batch for a seed and a step (counted from 1), a pure function of the two. Keep its shapes the same in
   * every step.
   */
  batch(seed: number, step: number): Batch
  /** All data of a part that is not trained on, in batches of equal size; the metric is the mean over them. */
  evaluation(split: Split): readonly Batch[]
  /** The metric of one batch, a scalar, traced like the loss; the loss itself by default. */
  metric?(parameters: JaxArrays<Shapes>, batch: JaxArrays<Batch>, jax: Jax): JaxArray
}

type Compiled = {
  jax: Jax
  valueAndGradient: ((parameters: object, batch: object) => [JaxArray, Record<string, JaxArray>]) & { dispose(): void }
  loss: ((parameters: object, batch: object) => JaxArray) & { dispose(): void }
  metric: ((parameters: object, batch: object) => JaxArray) & { dispose(): void }
}

/**
 * Builds a task from a loss written with jax-js (`@jax-js/jax`), which differentiates and compiles it.
 *
 * jax-js is loaded at the first gradient or metric, with its WebAssembly backend (it needs no `navigator`, so it runs
 * on Node 20). Values are copied in before each call and gradients out after it, and every jax-js array made on the way
 * is freed.
 *
 * @example
 * ```ts
 * import { defineJaxTask } from '@fallline/race'
 *
 * export default defineJaxTask({
 *   name: 'line', title: 'A line', description: 'Fits y = a x + b to four points.',
 *   parameters: { a: [], b: [] },
 *   initialize(parameters) { parameters.a![0] = 0; parameters.b![0] = 0 },
 *   loss: ({ a, b }, { x, y }, { numpy }) => numpy.mean(numpy.square(x.mul(a).add(b).sub(y))),
 *   batch: () => points,
 *   evaluation: () => [points],
 *   metricName: 'squared error', direction: 'minimize', targets: [0.1], budget: { steps: 100, evaluateEvery: 10 },
 * })
 *
 * const points = {
 *   x: { values: new Float32Array([0, 1, 2, 3]), shape: [4] },
 *   y: { values: new Float32Array([1, 3, 5, 7]), shape: [4] },
 * }
 * ```
 *
 * @throws TypeError or RangeError, as `defineTask`, that names the wrong field. Errors from the loss name the task.
 */
export function defineJaxTask<
  const Shapes extends Readonly<Record<string, readonly number[]>>,
  Batch extends Readonly<Record<string, HostArray>>,
>(definition: JaxTask<Shapes, Batch>): Task {
  const { loss, batch, evaluation, metric, ...rest } = definition
  for (const [field, value] of Object.entries({ loss, batch, evaluation, metric: metric ?? loss })) {
    if (typeof value !== 'function') {
      throw new TypeError(
        `field '${field}' of jax task '${rest.name}' is ${value === undefined ? 'missing' : value}; it must be a function`,
      )
    }
  }
  const names = Object.keys(rest.parameters)
  let compiling: Promise<Compiled> | undefined

  const compiled = (): Promise<Compiled> => {
    compiling ??= loadJax().then((jax) => {
      const lossOf = (parameters: object, data: object) =>
        loss.call(definition, parameters as JaxArrays<Shapes>, data as JaxArrays<Batch>, jax)
      const metricOf = (parameters: object, data: object) =>
        (metric ?? loss).call(definition, parameters as JaxArrays<Shapes>, data as JaxArrays<Batch>, jax)
      return {
        jax,
        valueAndGradient: jax.jit(jax.valueAndGrad(lossOf as never) as never) as never,
        loss: jax.jit(lossOf as never) as never,
        metric: jax.jit(metricOf as never) as never,
      }
    })
    return compiling
  }

  const sendParameters = (jax: Jax, parameters: Record<string, Float32Array>) =>
    Object.fromEntries(
      names.map((name) => [
        name,
        jax.numpy.array(parameters[name] as Float32Array<ArrayBuffer>, {
          shape: [...rest.parameters[name]!],
          device: 'wasm',
        }),
      ]),
    )

  const sendBatch = (jax: Jax, data: Batch) =>
    Object.fromEntries(
      Object.entries(data).map(([name, { values, shape }]) => {
        const size = shape.reduce((product, length) => product * length, 1)
        if (size !== values.length) {
          throw new RangeError(
            `batch array '${name}' of task '${rest.name}' has ${values.length} values, but its shape [${shape.join(', ')}] holds ${size}`,
          )
        }
        return [name, jax.numpy.array(values as Float32Array<ArrayBuffer>, { shape: [...shape], device: 'wasm' })]
      }),
    )

  const failed = (what: string, error: unknown): Error => {
    const message = error instanceof Error ? error.message : String(error)
    const hint =
      error instanceof ReferenceError
        ? ' (jax-js arrays are consumed by use: write x.ref for each use but the last)'
        : ''
    return new Error(`${what} of task '${rest.name}' failed: ${message}${hint}`, { cause: error })
  }

  return defineTask({
    layout: 'outputLast',
    ...rest,
    async gradient(parameters, gradients, { seed, step }: BatchPosition) {
      const { jax, valueAndGradient } = await compiled()
      const data = sendBatch(jax, batch.call(definition, seed, step))
      let results: [JaxArray, Record<string, JaxArray>]
      try {
        results = valueAndGradient(sendParameters(jax, parameters), data)
      } catch (error) {
        throw failed('the loss', error)
      }
      const [value, slopes] = results
      for (const name of names) gradients[name]!.set(slopes[name]!.dataSync() as Float32Array)
      return value.item()
    },
    async loss(parameters, { seed, step }: BatchPosition) {
      const { jax, loss } = await compiled()
      const data = sendBatch(jax, batch.call(definition, seed, step))
      try {
        return loss(sendParameters(jax, parameters), data).item()
      } catch (error) {
        throw failed('the loss', error)
      }
    },
    async metric(parameters, split) {
      const { jax, metric } = await compiled()
      const batches = evaluation.call(definition, split)
      if (batches.length === 0) throw new RangeError(`evaluation('${split}') of task '${rest.name}' gave no batches`)
      let total = 0
      for (const each of batches) {
        const data = sendBatch(jax, each)
        try {
          total += metric(sendParameters(jax, parameters), data).item()
        } catch (error) {
          throw failed('the metric', error)
        }
      }
      return total / batches.length
    },
    dispose() {
      const used = compiling
      compiling = undefined
      used?.then(
        ({ valueAndGradient, loss, metric }) => {
          valueAndGradient.dispose()
          loss.dispose()
          metric.dispose()
        },
        // A failure to load was already thrown to whoever asked for a gradient.
        () => {},
      )
    },
  })
}

let loading: Promise<Jax> | undefined

/** Loads jax-js and starts its WebAssembly backend, once per process. */
function loadJax(): Promise<Jax> {
  loading ??= import('@jax-js/jax').then(async (jax) => {
    // Naming the backends keeps jax-js from looking for WebGPU, for which it reads `navigator`, absent from Node 20.
    const started = await jax.init('cpu', 'wasm')
    if (!started.includes('wasm')) throw new Error('jax-js could not start its WebAssembly backend')
    return jax
  })
  return loading
}
