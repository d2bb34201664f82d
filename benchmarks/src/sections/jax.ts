import { createTrainer, type Trainer, type TrainerPath, type Tree } from '@fallline/jax'
import { type Device, defaultDevice, init, jit, nn, numpy as np, tree, valueAndGrad } from '@jax-js/jax'
import { adam, muon, type Optimizer } from 'fallline'
import { startGpu } from '../gpu.ts'
import { type Contender, type Effort, measure } from '../measure.ts'
import { type Summary, speedRatio } from '../statistics.ts'
import { fill } from '../values.ts'

/** One way of taking a whole training step. */
export interface JaxResult {
  readonly model: string
  /** Where jax-js computes. */
  readonly device: Device
  readonly optimizer: string
  readonly way: string
  /** Seconds per training step. */
  readonly seconds?: Summary
  /** How many times faster than the first way of the group. */
  readonly ratio?: Summary
  /** Kernels that are started in a step, besides those of loss and gradient: by jax-js, and on webgpu by Fallline too. */
  readonly kernels?: number
  readonly error?: string
}

type Params = { hidden: { w: np.Array; b: np.Array }; out: { w: np.Array; b: np.Array } }
type AdamState = { count: np.Array; mu: Params; nu: Params }
type Model = { readonly name: string; readonly inputs: number; readonly hidden: number; readonly outputs: number }

const batchSize = 64
const models: readonly Model[] = [
  { name: 'digits 64-64-10', inputs: 64, hidden: 64, outputs: 10 },
  { name: 'MLP 784-128-10', inputs: 784, hidden: 128, outputs: 10 },
]
const learningRate = 1e-3

function random(shape: number[], scale: number): np.Array {
  const values = new Float32Array(shape.reduce((product, size) => product * size, 1))
  fill(values, scale)
  return np.array(values, { shape })
}

function parametersOf({ inputs, hidden, outputs }: Model): Params {
  return {
    hidden: { w: random([inputs, hidden], 0.05), b: np.zeros([hidden]) },
    out: { w: random([hidden, outputs], 0.1), b: np.zeros([outputs]) },
  }
}

/** Mean cross-entropy of a network with one ReLU layer. */
function loss({ hidden, out }: Params, x: np.Array, y: np.Array): np.Array {
  const features = nn.relu(np.matmul(x, hidden.w).add(hidden.b))
  const logits = np.matmul(features, out.w).add(out.b)
  return np.mean(np.sum(nn.logSoftmax(logits, -1).mul(y), -1)).neg()
}

/** A batch that stays: `next` gives a reference for one step. */
function batchOf({ inputs, outputs }: Model) {
  const x = random([batchSize, inputs], 1)
  const labels = new Float32Array(batchSize * outputs)
  for (let row = 0; row < batchSize; row++) labels[row * outputs + (row % outputs)] = 1
  const y = np.array(labels, { shape: [batchSize, outputs] })
  return { next: (): [np.Array, np.Array] => [x.ref, y.ref], dispose: () => tree.dispose([x, y]) }
}

/** Adam as the port of optax has it: the count in the state, the bias corrections computed from it inside of `jit`. */
function ownAdam(model: Model) {
  const train = jit((params: Params, { count, mu, nu }: AdamState, x: np.Array, y: np.Array) => {
    const [value, gradients] = valueAndGrad(loss)(tree.ref(params), x, y) as [np.Array, Params]
    const next = count.add(1)
    const average = (decay: number, square: boolean) => (old: np.Array, gradient: np.Array) =>
      old.mul(decay).add((square ? np.square(gradient) : gradient).mul(1 - decay))
    const first = tree.map(average(0.9, false), mu, tree.ref(gradients)) as Params
    const second = tree.map(average(0.999, true), nu, gradients) as Params
    const correction = (decay: number) => np.reciprocal(np.subtract(1, np.power(decay, next.ref.astype(np.float32))))
    const [c1, c2] = [correction(0.9), correction(0.999)]
    const move = (p: np.Array, m: np.Array, v: np.Array) =>
      p.add(
        m
          .mul(c1.ref)
          .div(np.sqrt(v.mul(c2.ref)).add(1e-8))
          .mul(-learningRate),
      )
    const moved = tree.map(move, params, tree.ref(first), tree.ref(second)) as Params
    tree.dispose([c1, c2])
    return [value, moved, { count: next, mu: first, nu: second }] as Tree[]
  })
  let params = parametersOf(model)
  const zeros = () => tree.map((array: np.Array) => np.zerosLike(array), tree.ref(params)) as Params
  let state: AdamState = { count: np.array(Int32Array.of(0), { shape: [] }), mu: zeros(), nu: zeros() }
  return {
    async step(batch: [np.Array, np.Array]): Promise<void> {
      const [value, nextParams, nextState] = train(params, state, ...batch) as [np.Array, Params, AdamState]
      params = nextParams
      state = nextState
      await settle([params, state])
      value.dispose()
    },
    dispose: () => tree.dispose([params, state]),
  }
}

/** Waits until all arrays are computed. */
async function settle(arrays: Tree): Promise<void> {
  for (const array of tree.leaves(arrays) as np.Array[]) await array.blockUntilReady()
}

async function falllineTraining(model: Model, optimizer: Optimizer, path: TrainerPath) {
  const trainer: Trainer<Params, [np.Array, np.Array]> = await createTrainer(loss, optimizer, parametersOf(model), {
    path,
  })
  return {
    step: async (batch: [np.Array, np.Array]) => (await trainer.step(...batch)).dispose(),
    dispose: () => trainer.dispose(),
  }
}

/** Loss and gradient, and nothing else: what the others are more than. */
function gradientOnly(model: Model) {
  const params = parametersOf(model)
  const compute = jit(valueAndGrad(loss) as (params: Params, x: np.Array, y: np.Array) => Tree[])
  return {
    async step(batch: [np.Array, np.Array]): Promise<void> {
      const result = compute(tree.ref(params), ...batch) as Tree[]
      await settle(result)
      tree.dispose(result)
    },
    dispose: () => tree.dispose(params),
  }
}

type Training = Awaited<ReturnType<typeof falllineTraining>>

function contenderOf(name: string, training: Training, batch: ReturnType<typeof batchOf>): Contender {
  return {
    name,
    async run(steps) {
      const seconds: number[] = []
      for (let index = 0; index < steps; index++) {
        const start = performance.now()
        await training.step(batch.next())
        seconds.push((performance.now() - start) / 1000)
      }
      return seconds
    },
    dispose: training.dispose,
  }
}

/** The kernels of one step: jax-js makes an instance of a module for each on wasm, and on webgpu each is a dispatch. */
async function countKernels(training: Training, batch: ReturnType<typeof batchOf>): Promise<number> {
  for (let step = 0; step < 3; step++) await training.step(batch.next())
  const { Instance } = WebAssembly
  let count = 0
  const pass = globalThis.GPUComputePassEncoder?.prototype
  const { dispatchWorkgroups } = pass ?? {}
  if (dispatchWorkgroups) {
    pass.dispatchWorkgroups = function (...groups) {
      count++
      return dispatchWorkgroups.apply(this, groups)
    }
  }
  WebAssembly.Instance = class extends Instance {
    constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
      super(module, imports)
      count++
    }
  }
  try {
    await training.step(batch.next())
  } finally {
    WebAssembly.Instance = Instance
    if (dispatchWorkgroups) pass.dispatchWorkgroups = dispatchWorkgroups
  }
  return count
}

async function measureGroup(
  model: Model,
  optimizer: string,
  ways: Readonly<Record<string, () => Training | Promise<Training>>>,
  effort: Effort,
): Promise<JaxResult[]> {
  const batch = batchOf(model)
  const gradient = gradientOnly(model)
  const base = await countKernels(gradient, batch)
  gradient.dispose()
  const kernels = new Map<string, number>()
  const contenders: Contender[] = []
  for (const [name, make] of Object.entries(ways)) {
    const training = await make()
    kernels.set(name, (await countKernels(training, batch)) - base)
    contenders.push(contenderOf(name, training, batch))
  }
  const { measurements, failures } = await measure(contenders, effort)
  for (const contender of contenders) contender.dispose?.()
  batch.dispose()
  const first = measurements.get(contenders[0]!.name)
  return contenders.map(({ name }) => {
    const own = measurements.get(name)
    const common = { model: model.name, device: defaultDevice(), optimizer, way: name, kernels: kernels.get(name)! }
    if (!own) return { ...common, error: failures.get(name) ?? 'was not measured' }
    return { ...common, seconds: own.step, ...(first && { ratio: speedRatio(own.rounds, first.rounds) }) }
  })
}

/** Whole training steps (batch, loss, gradient, update) in jax-js on WebAssembly and, where there is an adapter, on WebGPU, taken in several ways. */
export async function measureJax(progress: (text: string) => void): Promise<JaxResult[]> {
  const gpu = await startGpu()
  if (gpu) Object.defineProperty(globalThis, 'navigator', { value: { gpu, userAgent: 'Node' }, configurable: true })
  const devices: readonly Device[] = gpu ? ['wasm', 'webgpu'] : ['wasm']
  await init('cpu', ...devices)
  const results: JaxResult[] = []
  for (const device of devices) {
    defaultDevice(device)
    results.push(...(await measureModels(progress)))
  }
  return results
}

/** On the default device. */
async function measureModels(progress: (text: string) => void): Promise<JaxResult[]> {
  const effort: Effort = { seconds: 12, blockSeconds: 0.05 }
  const results: JaxResult[] = []
  for (const model of models) {
    progress(`jax-js on ${defaultDevice()}, ${model.name}`)
    const own = adam({ learningRate })
    const adamWays = {
      "jax-js's own": () => ownAdam(model),
      'trainer, graph': () => falllineTraining(model, own, 'graph'),
      'trainer, fused': () => falllineTraining(model, own, 'fused'),
      'gradient alone': () => gradientOnly(model),
    }
    results.push(...(await measureGroup(model, 'adam', adamWays, effort)))
    const muonWays = {
      'trainer, graph': () => falllineTraining(model, muon(), 'graph'),
      'trainer, fused': () => falllineTraining(model, muon(), 'fused'),
    }
    results.push(...(await measureGroup(model, 'muon', muonWays, effort)))
  }
  return results
}
