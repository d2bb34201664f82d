/** Training inside TensorFlow.js beside training with the core alone. */

import * as tf from '@tensorflow/tfjs-core'
import { type CompiledOptimizer, compile, type Optimizer } from 'fallline'
import { expect } from 'vitest'
import { lossOf } from '../../../core/test/support/step.ts'
import { toTensorFlow } from '../../src/index.ts'
import {
  arrayInputs,
  difference,
  disposeAll,
  inputTensors,
  makeGradients,
  makeVariables,
  numberInputs,
} from './tensorflow.ts'

export const shapes = { weight: [5, 7], kernel: [3, 2, 3, 3], bias: [5], scale: [], row: [1, 6], none: [0, 3] }
export const steps = 5

/** True for what takes all parameters as one vector, which variables are not. */
function isJoint(optimizer: Optimizer): boolean {
  if (optimizer.kind === 'base') return optimizer.definition.joint === true
  return isJoint(optimizer.kind === 'wrapped' ? optimizer.inner : optimizer.base)
}

type Shapes = Record<string, number[]>

const shapesFor = (optimizer: Optimizer, given: Shapes = shapes): Shapes =>
  isJoint(optimizer) ? { weight: shapes.weight } : given

/** Without a gradient in some steps, and with none for one of them until late. */
const missing = (step: number) => (step === 2 ? ['bias'] : step < 4 ? ['row'] : [])

type Variables = ReturnType<typeof makeVariables>

/** Trains on the current backend and gives the values of the variables. */
function train(
  optimizer: Optimizer,
  fused: boolean,
  given?: Shapes,
): { values: Map<string, tf.Tensor>; execution: unknown } {
  const variables = makeVariables(shapesFor(optimizer, given), 'plain')
  try {
    return trainVariables(variables, optimizer, fused)
  } finally {
    // Their names are free again for the next test, also after a failure.
    disposeAll(variables)
  }
}

function trainVariables(variables: Variables, optimizer: Optimizer, fused: boolean): ReturnType<typeof train> {
  const inputs = arrayInputs(optimizer)
  const adapted = toTensorFlow(optimizer, { fused, nonFinite: 'allow' })
  for (let step = 1; step <= steps; step++) {
    const gradients = makeGradients(variables, step)
    for (const name of missing(step).filter((one) => variables.has(one))) {
      gradients[variables.get(name)!.name]!.dispose()
      delete gradients[variables.get(name)!.name]
    }
    const arrays = Object.fromEntries(inputs.map((name) => [name, inputTensors(name, gradients)]))
    adapted.applyGradients(gradients, { ...numberInputs(optimizer), ...arrays })
    tf.dispose([gradients, arrays])
  }
  const { execution } = adapted
  adapted.dispose()
  const values = new Map([...variables].map(([name, variable]) => [name, tf.clone(variable as tf.Tensor)]))
  return { values, execution }
}

/** Random numbers follow the order in which variables have their first gradient, and outside the names. */
const streams = ['weight', 'kernel', 'bias', 'scale', 'none', 'row']
const streamOf = (index: number) => `variable ${index}`

/** The same training without TensorFlow.js. */
async function trainOutside(optimizer: Optimizer, chosen?: Shapes): Promise<Map<string, tf.Tensor>> {
  const taken = shapesFor(optimizer, chosen)
  const order = streams.filter((name) => name in taken)
  // Groups tell by name what is theirs.
  const renamed = (name: string) => (optimizer.kind === 'grouped' ? name : streamOf(order.indexOf(name)))
  const given = makeVariables(taken)
  const variables = new Map([...given].map(([name, variable]) => [renamed(name), variable]))
  const inputs = arrayInputs(optimizer)
  const compiled: CompiledOptimizer = await compile(
    optimizer,
    Object.fromEntries(Object.entries(taken).map(([name, shape]) => [renamed(name), shape])),
    { nonFinite: 'allow', layout: 'outputLast' },
  )
  for (const [name, variable] of variables) compiled.parameters[name]!.set(variable.dataSync())
  for (let step = 1; step <= steps; step++) {
    const gradients = makeGradients(variables, step)
    const arrays = Object.fromEntries(inputs.map((name) => [name, inputTensors(name, gradients)]))
    for (const [name, variable] of variables) {
      compiled.gradients[name]!.set(gradients[variable.name]!.dataSync())
      for (const input of inputs) {
        const values = arrays[input]![variable.name]?.dataSync()
        if (values) compiled.inputs[input]?.[name]?.set(values)
      }
    }
    compiled.step({
      without: missing(step)
        .filter((one) => given.has(one))
        .map(renamed),
      inputs: numberInputs(optimizer),
    })
    tf.dispose([gradients, arrays])
  }
  const result = new Map(
    [...given].map(([name, { shape }]) => [name, tf.tensor(compiled.parameters[renamed(name)]!.slice(), shape)]),
  )
  disposeAll(given)
  return result
}

/** How far the fused kernel may be from the core; operations sum in float32 and may be further away. */
export const kernelTolerance = 1e-6
export const operationTolerance = 2e-4

/** Has a device answer, so that values can be looked at. */
async function read(tensors: ReadonlyMap<string, tf.Tensor>): Promise<void> {
  for (const tensor of tensors.values()) await tensor.data()
}

/** Compares the fused kernel with the operations, and both with the core. */
export async function check(
  optimizer: Optimizer,
  backend: string,
  {
    tolerance = kernelTolerance,
    operations = true,
    given,
  }: { tolerance?: number; operations?: boolean; given?: Shapes } = {},
): Promise<void> {
  const before = tf.memory().numTensors
  const fused = train(optimizer, true, given)
  expect(fused.execution).toBe(backend)
  const outside = await trainOutside(optimizer, given)
  await read(fused.values)
  for (const [name, values] of fused.values) {
    expect(difference(values, outside.get(name)!), `${name} beside the core`).toBeLessThan(tolerance)
  }
  if (operations) {
    const replayed = train(optimizer, false, given)
    expect(replayed.execution).toBe('operations')
    await read(replayed.values)
    for (const [name, values] of fused.values) {
      const apart = difference(values, replayed.values.get(name)!)
      expect(apart, `${name} beside operations`).toBeLessThan(operationTolerance)
    }
    disposeAll(replayed.values)
  }
  for (const values of [fused.values, outside]) disposeAll(values)
  expect(tf.memory().numTensors).toBe(before)
}

type Arrays = Readonly<Record<string, Float32Array>>

/** What the model was asked and said at one evaluation, by variable name. */
interface Evaluation {
  readonly point: Arrays
  readonly loss: number
  readonly gradients: Arrays
}

const valuesOf = (tensors: Iterable<readonly [string, tf.Tensor]>): Arrays =>
  Object.fromEntries([...tensors].map(([name, tensor]) => [name, Float32Array.from(tensor.dataSync())]))

/** Trains without TensorFlow.js and writes down the evaluations; what the model says follows from step and evaluation alone. */
async function lookOutside(optimizer: Optimizer, variables: readonly tf.Variable[], inputArrays: Arrays) {
  const streams = variables.map(({ name, shape }, index) => ({ name, shape, stream: streamOf(index) }))
  const compiled = await compile(optimizer, Object.fromEntries(streams.map(({ stream, shape }) => [stream, shape])))
  variables.forEach((variable, index) => void compiled.parameters[streamOf(index)]!.set(variable.dataSync()))
  const copy = () =>
    Object.fromEntries(streams.map(({ name, stream }) => [name, compiled.parameters[stream]!.slice()])) as Arrays
  const evaluations: Evaluation[][] = []
  for (let step = 1; step <= 3; step++) {
    const list: Evaluation[] = []
    await compiled.minimize(({ gradients, inputs, evaluation }) => {
      const tensors = makeGradients(
        new Map(variables.map((variable) => [variable.name, variable])),
        20 * step + evaluation,
      )
      const told = valuesOf(Object.entries(tensors))
      tf.dispose(tensors)
      for (const { name, stream } of streams) {
        gradients[stream]!.set(told[name]!)
        for (const input of arrayInputs(optimizer)) inputs[input]![stream]!.set(inputArrays[name]!)
      }
      const loss = Math.fround(lossOf(step) * (1 + evaluation / 1024))
      list.push({ point: copy(), loss, gradients: told })
      return { loss, inputs: numberInputs(optimizer) }
    })
    evaluations.push(list)
  }
  return { evaluations, final: copy() }
}

/** Trains on the current backend and compares the points where the model is asked: gives the largest difference. */
async function look(
  optimizer: Optimizer,
  fused: boolean,
  variables: readonly tf.Variable[],
  inputArrays: Arrays,
  { evaluations, final }: Awaited<ReturnType<typeof lookOutside>>,
): Promise<{ apart: number; execution: unknown }> {
  const adapted = toTensorFlow(optimizer, { fused })
  const tensors = (arrays: Arrays) =>
    Object.fromEntries(variables.map(({ name, shape }) => [name, tf.tensor(arrays[name]!, shape)]))
  let apart = 0
  // What is read now is copied now, and a device may answer when the model has moved on.
  const points: (readonly [expected: Arrays, found: Promise<unknown>[]])[] = []
  const note = (expected: Arrays) => points.push([expected, variables.map((variable) => variable.data())])
  const arrays = Object.fromEntries(arrayInputs(optimizer).map((input) => [input, tensors(inputArrays)]))
  for (const list of evaluations) {
    let next = 0
    const told = tf.customGrad(() => {
      const { point, loss, gradients } = list[next++]!
      note(point)
      return { value: tf.scalar(loss), gradFunc: () => Object.values(tensors(gradients)) }
    })
    const inputs = { ...numberInputs(optimizer), ...arrays }
    const cost = adapted.minimize(() => told(...variables), true, [...variables], inputs)!
    expect(next).toBe(list.length)
    expect(cost.dataSync()[0]).toBe(list[0]!.loss)
    cost.dispose()
  }
  note(final)
  for (const [expected, found] of points) {
    const values = await Promise.all(found)
    variables.forEach(({ name, shape }, index) => {
      tf.tidy(() => {
        const there = tf.tensor(values[index] as Float32Array, shape)
        apart = Math.max(apart, difference(there, tf.tensor(expected[name]!, shape)))
      })
    })
  }
  tf.dispose(arrays)
  const { execution } = adapted
  adapted.dispose()
  return { apart, execution }
}

/** Compares where the model is asked with where the core asks it, with the fused kernel and with operations. */
export async function checkPoints(
  optimizer: Optimizer,
  backend: string,
  { tolerance = kernelTolerance, operations = true }: { tolerance?: number; operations?: boolean } = {},
): Promise<void> {
  const variables = makeVariables(shapes)
  const before = tf.memory().numTensors
  const list = [...variables.values()]
  const inputArrays = valuesOf(list.map((variable) => [variable.name, variable]))
  for (const values of Object.values(inputArrays)) for (const [i, x] of values.entries()) values[i] = 0.75 * Math.abs(x)
  const start = list.map((variable) => tf.clone(variable as tf.Tensor))
  const outside = await lookOutside(optimizer, list, inputArrays)
  const fused = await look(optimizer, true, list, inputArrays, outside)
  expect(fused.execution).toBe(backend)
  expect(fused.apart).toBeLessThan(tolerance)
  if (operations) {
    list.forEach((variable, index) => void variable.assign(start[index]!))
    const replayed = await look(optimizer, false, list, inputArrays, outside)
    expect(replayed.execution).toBe('operations')
    expect(replayed.apart).toBeLessThan(operationTolerance)
  }
  tf.dispose(start)
  expect(tf.memory().numTensors).toBe(before)
  disposeAll(variables)
}

/** Compares the operations with the core. */
export async function checkOperations(optimizer: Optimizer): Promise<void> {
  const replayed = train(optimizer, false)
  const outside = await trainOutside(optimizer)
  for (const [name, values] of replayed.values)
    expect(difference(values, outside.get(name)!), name).toBeLessThan(operationTolerance)
  for (const values of [replayed.values, outside]) disposeAll(values)
}
