import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'
// Registers the gradients.
import '@tensorflow/tfjs-layers'
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import { adamW, type Input, layerStatistics, type Optimizer } from 'fallline'
import { elementsIn, inputsOf, parameterShape, sizeOf } from 'fallline/internal'
import * as transforms from '../../../core/src/transforms/index.ts'
import { hasOwnShape, statistic } from '../../../core/test/support/step.ts'
import { registry, type Variant, variantsOf } from '../../../core/test/support/variants.ts'
import { movingTitle } from '../../src/evaluations.ts'

setWasmPaths(`${dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'))}/`)
// Without the advice to install the native backend.
tf.enableProdMode()

/** The optimizers that take one loss and its gradients: the others evaluate the model at points of their own. */
export const usable = registry.filter(({ definition }) => !definition.evaluations)

/** Every optimizer and wrapper that evaluates the model at points of its own, with its options. */
export const looking: readonly (readonly [title: string, optimizer: Optimizer])[] = [
  ...registry.flatMap((factory) => {
    const make = (settings: object) => factory(settings as never)
    return factory.definition.evaluations ? named(factory.definition.name, variantsOf(factory), make) : []
  }),
  ...Object.values(transforms).flatMap((factory) => {
    if (!factory.definition.evaluations) return []
    const make = (settings: object) => factory(adamW(), settings as never)
    const variants = variantsOf(factory as never).filter(({ settings }) => !('maximize' in settings))
    return named(factory.definition.name, variants, make)
  }),
].filter(([, optimizer]) => movingTitle(optimizer) !== undefined)

function named(name: string, variants: readonly Variant[], make: (settings: object) => Optimizer) {
  // Decay styles and random streams are the framework's.
  const common = ['decay', 'weightDecay', 'seed']
  const own = variants.filter(({ settings }) => !common.some((key) => key in settings))
  return own.map(({ title, settings }) => [`${name}, ${title}`, make(settings)] as const)
}

/** The arrays that an optimizer reads besides gradients. */
export const arrayInputs = (optimizer: Optimizer) => inputNames(optimizer, 'array')

/** New tensors for an array that it reads: the gradients, or statistics of the layers that have matrices of weights. */
export function inputTensors(input: string, gradients: tf.NamedTensorMap): tf.NamedTensorMap {
  if (!hasOwnShape(input)) {
    return Object.fromEntries(Object.entries(gradients).map(([name, gradient]) => [name, tf.clone(gradient)]))
  }
  const statistics: Readonly<Record<string, Input>> = layerStatistics
  return Object.fromEntries(
    Object.entries(gradients).flatMap(([name, gradient]) => {
      if (gradient.rank !== 2) return []
      const dimensions = statistics[input]?.dimensions?.(parameterShape(name, gradient.shape, 'outputLast'), {})
      const size = dimensions ? sizeOf(dimensions) : Math.min(...gradient.shape) ** 2
      return [[name, tf.tensor(statistic(input, size, gradient.dataSync()[0] ?? 0))]]
    }),
  )
}

/** A value for every number that it reads. */
export const numberInputs = (optimizer: Optimizer): Record<string, number> =>
  Object.fromEntries(inputNames(optimizer, 'number').map((name) => [name, 1.5]))

function inputNames(optimizer: Optimizer, wanted: 'array' | 'number'): string[] {
  return elementsIn(optimizer).flatMap((element) =>
    Object.entries(inputsOf(element)).flatMap(([name, { kind }]) => (kind === wanted ? [name] : [])),
  )
}

/** The backends that run in Node without anything native. */
export const backends = ['cpu', 'wasm'] as const

let count = 0

/** Variables, filled with seeded numbers, with names that no others have, or those of the shapes. */
export function makeVariables(
  shapes: Readonly<Record<string, readonly number[]>>,
  naming: 'unique' | 'plain' = 'unique',
): Map<string, tf.Variable> {
  count++
  let seed = 1
  return new Map(
    Object.entries(shapes).map(([name, shape]) => {
      const values = tf.randomUniform([...shape], -1, 1, 'float32', seed++)
      const variable = tf.variable(values, true, naming === 'plain' ? name : `${name} of ${count}`)
      values.dispose()
      return [name, variable]
    }),
  )
}

/** Seeded gradients for variables, by the variables' own names. */
export function makeGradients(variables: ReadonlyMap<string, tf.Variable>, seed: number): tf.NamedTensorMap {
  let index = 0
  return Object.fromEntries(
    [...variables.values()].map(({ name, shape }) => [
      name,
      tf.randomNormal(shape as [number], 0, 1, 'float32', 100 * seed + index++),
    ]),
  )
}

export function disposeAll(tensors: ReadonlyMap<string, tf.Tensor>): void {
  for (const tensor of tensors.values()) tensor.dispose()
}

/** The largest difference of two tensors relative to the largest element. */
export function difference(a: tf.Tensor, b: tf.Tensor): number {
  const [x, y] = [a.dataSync(), b.dataSync()]
  let largest = 1e-6
  let apart = 0
  for (let index = 0; index < x.length; index++) {
    largest = Math.max(largest, Math.abs(x[index]!))
    apart = Math.max(apart, Math.abs(x[index]! - y[index]!))
    if (Number.isNaN(x[index]!) !== Number.isNaN(y[index]!)) return Number.POSITIVE_INFINITY
  }
  return apart / largest
}
