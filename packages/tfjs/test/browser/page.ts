/** Runs in a page: trains on every backend that the browser has, and compares with the core. */

import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import '@tensorflow/tfjs-backend-webgl'
import '@tensorflow/tfjs-backend-webgpu'
import '@tensorflow/tfjs-layers'
import * as core from 'fallline'
import { type CompiledOptimizer, compile, type Optimizer, registry } from 'fallline'
import { adamW, type TensorFlowOptimizer, toTensorFlow } from '../../src/index.ts'

export interface BackendReport {
  readonly backend: string
  readonly execution: string | undefined
  /** Largest relative difference to the core, by optimizer. */
  readonly differences: Readonly<Record<string, number>>
  readonly leaked: number
  /** Milliseconds of one update of 101,770 parameters in four tensors, by round: AdamW, and TensorFlow.js's own Adam. */
  readonly ours: readonly number[]
  readonly theirs: readonly number[]
  readonly error?: string
}

/** Random numbers follow the names here and the order of variables in TensorFlow.js. */
const shapes = { 'variable 0': [5, 7], 'variable 1': [3, 2, 3, 3], 'variable 2': [5], 'variable 3': [] }

function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  }
}

/** Every optimizer, and wrappers that evaluate the model at points of their own. */
const rules: readonly (readonly [string, Optimizer])[] = [
  ...registry.map((factory) => [factory.definition.name, factory()] as const),
  ['mars, exact', core.mars({ exact: true })],
  ['onlineToNonconvex, uniform', core.onlineToNonconvex({ scaling: 'uniform' })],
  ['sharpnessAware', core.sharpnessAware(core.adamW())],
  ['refresh', core.refresh(core.adamW())],
  ['randomizedSmoothing', core.randomizedSmoothing(core.adamW())],
  ['evolutionStrategies', core.evolutionStrategies(core.adamW())],
]

async function compareWithCore(rule: Optimizer): Promise<number> {
  const random = seeded(1)
  const compiled: CompiledOptimizer = await compile(rule, shapes, { layout: 'outputLast' })
  const optimizer = toTensorFlow(rule)
  const variables = Object.entries(shapes).map(([name, shape]) => {
    const values = compiled.parameters[name]!.map(random) as Float32Array
    compiled.parameters[name]!.set(values)
    return { name, variable: tf.tidy(() => tf.variable(tf.tensor(values.slice(), shape), true, name)) }
  })
  const list = variables.map(({ variable }) => variable)
  const numbers: Record<string, number> = {}
  for (const [name, { kind }] of Object.entries(compiled.needs)) if (kind === 'number') numbers[name] = 1.5
  for (let step = 0; step < 4; step++) {
    const losses: number[] = []
    const gradients = tf.tidy(() =>
      Object.fromEntries(
        variables.map(({ name, variable }) => {
          const values = compiled.gradients[name]!.map(random) as Float32Array
          return [name, tf.tensor(values.slice(), variable.shape)]
        }),
      ),
    )
    const inputs = Object.keys(compiled.inputs)
    const arrays = Object.fromEntries(inputs.map((input) => [input, gradients]))
    const values = Object.fromEntries(Object.entries(gradients).map(([name, tensor]) => [name, tensor.dataSync()]))
    await compiled.minimize((request) => {
      for (const { name } of variables) {
        request.gradients[name]!.set(values[name]!)
        for (const input of inputs) request.inputs[input]?.[name]?.set(values[name]!)
      }
      losses.push(compiled.moves ? Math.fround(1.5 + random()) : 1.5)
      return { loss: losses.at(-1)!, inputs: numbers }
    })
    if (compiled.moves) {
      let evaluation = 0
      const told = tf.customGrad(() => ({
        value: tf.scalar(losses[evaluation++]!),
        gradFunc: () => variables.map(({ name }) => tf.clone(gradients[name]!)),
      }))
      optimizer.minimize(() => told(...list), false, list, { ...numbers, ...arrays })
    } else optimizer.applyGradients(gradients, { ...numbers, ...arrays })
    tf.dispose(gradients)
  }
  let difference = 0
  for (const { name, variable } of variables) {
    const found = await variable.data()
    const expected = compiled.parameters[name]!
    const scale = Math.max(1e-6, ...expected.map(Math.abs))
    found.forEach((value, index) => {
      const apart = Math.abs(value - expected[index]!) / scale
      if (!(apart <= difference)) difference = Number.isNaN(apart) ? Number.POSITIVE_INFINITY : apart
    })
    variable.dispose()
  }
  optimizer.dispose()
  compiled.dispose()
  return difference
}

/** Milliseconds that a round should last. */
const roundLength = 50

/** Rounds before measuring, in which code and kernels are made and the steps of a round are counted. */
const warmUp = 5

/** The update alone, ours beside TensorFlow.js's own Adam, in rounds that follow each other. */
async function measureUpdates(
  rounds: number,
): Promise<{ execution: string | undefined; ours: number[]; theirs: number[] }> {
  const sizes = [[784, 128], [128], [128, 10], [10]]
  const make = () => sizes.map((shape) => tf.tidy(() => tf.variable(tf.randomNormal(shape as [number]))))
  const optimizers: tf.Optimizer[] = [adamW({ learningRate: 1e-3, weightDecay: 0 }), tf.train.adam(1e-3)]
  const contenders = optimizers.map((optimizer) => ({ optimizer, variables: make(), times: [] as number[], steps: 10 }))
  const gradients = sizes.map((shape) => tf.randomNormal(shape as [number]))
  for (let round = 0; round < rounds + warmUp; round++) {
    for (const contender of contenders) {
      const { optimizer, variables, times, steps } = contender
      const named = Object.fromEntries(variables.map(({ name }, index) => [name, gradients[index]!]))
      const start = performance.now()
      for (let step = 0; step < steps; step++) tf.tidy(() => optimizer.applyGradients(named as never))
      // Reading a number of the last result waits for all the work before it.
      const first = tf.tidy(() => tf.slice(tf.reshape(variables.at(-1)!, [-1]), [0], [1]))
      await first.data()
      first.dispose()
      const elapsed = performance.now() - start
      if (round >= warmUp) times.push(elapsed / steps)
      else contender.steps = Math.max(10, Math.round((steps * roundLength) / elapsed))
    }
  }
  const { execution } = contenders[0]!.optimizer as TensorFlowOptimizer
  tf.dispose(gradients)
  for (const { optimizer, variables } of contenders) {
    optimizer.dispose()
    tf.dispose(variables)
  }
  return { execution, ours: contenders[0]!.times, theirs: contenders[1]!.times }
}

async function check(backend: string, names: readonly string[] | undefined, rounds: number): Promise<BackendReport> {
  const empty = { backend, execution: undefined, differences: {}, leaked: 0, ours: [], theirs: [] }
  try {
    if (!(await tf.setBackend(backend))) return { ...empty, error: 'not available' }
    await tf.ready()
    const differences: Record<string, number> = {}
    const { numTensors } = tf.memory()
    for (const [name, rule] of rules) {
      if (!names || names.includes(name)) differences[name] = await compareWithCore(rule)
    }
    const leaked = tf.memory().numTensors - numTensors
    return { backend, differences, leaked, ...(await measureUpdates(rounds)) }
  } catch (error) {
    return { ...empty, error: (error as Error).stack ?? String(error) }
  }
}

declare global {
  var checkBackends: (
    backends: readonly string[],
    names: readonly string[] | undefined,
    rounds: number,
  ) => Promise<BackendReport[]>
}

globalThis.checkBackends = async (backends, names, rounds) => {
  setWasmPaths('/wasm/')
  const reports: BackendReport[] = []
  for (const backend of backends) reports.push(await check(backend, names, rounds))
  return reports
}
