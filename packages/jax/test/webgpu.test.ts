/** Training in jax-js on its webgpu device, beside the same on wasm. */

import { createTrainer, type Trainer, type TrainerOptions } from '@fallline/jax'
import { type Device, defaultDevice, init, nn, numpy as np, tree } from '@jax-js/jax'
import {
  accumulateGradients,
  adamW,
  clipByGlobalNorm,
  lookahead,
  mezo,
  type Optimizer,
  parameterAverage,
  quantized,
  registry,
  sgd,
  sharpnessAware,
  sophiaH,
  wasm,
} from 'fallline'
import { beforeAll, describe, expect, it } from 'vitest'
import { everything } from '../../core/test/support/sample.ts'
import { freeVectors } from '../../core/test/support/tolerances.ts'
import { hasWebgpu, showGpu } from '../../core/test/support/webgpu.ts'
import { numbers } from './support/numbers.ts'

type Params = { hidden: { w: np.Array; b: np.Array }; out: { w: np.Array } }
type Model = Trainer<Params, [np.Array, np.Array]>

const parameters = (): Params => ({
  hidden: { w: np.array(numbers(24, 1), { shape: [4, 6] }), b: np.array(numbers(6, 2)) },
  out: { w: np.array(numbers(18, 3), { shape: [6, 3] }) },
})

function batch(step: number): [np.Array, np.Array] {
  const targets = Float32Array.from({ length: 24 }, (_, index) => ((index * 7 + step) % 3 === 0 ? 1 : 0))
  return [np.array(numbers(32, 100 + step), { shape: [8, 4] }), np.array(targets, { shape: [8, 3] })]
}

function loss({ hidden, out }: Params, x: np.Array, y: np.Array): np.Array {
  const logits = np.matmul(nn.relu(np.matmul(x, hidden.w).add(hidden.b)), out.w)
  return np.mean(np.sum(nn.logSoftmax(logits, -1).mul(y), -1)).neg()
}

async function create(device: Device, optimizer: Optimizer, options: TrainerOptions = {}): Promise<Model> {
  defaultDevice(device)
  return createTrainer(loss, optimizer, parameters(), options)
}

async function train(trainer: Model, device: Device, steps: number): Promise<number[]> {
  defaultDevice(device)
  const losses: number[] = []
  for (let step = 0; step < steps; step++) {
    losses.push((await (await trainer.step(...batch(trainer.steps))).data())[0]!)
  }
  return losses
}

/** The numbers of a tree, which is consumed. */
async function flat(params: Params): Promise<number[]> {
  const values = await Promise.all((tree.leaves(params) as np.Array[]).map((leaf) => leaf.data()))
  return values.flatMap((value) => [...value])
}

function expectClose(found: readonly number[], expected: readonly number[], tolerance = 1e-4): void {
  const scale = Math.max(...expected.map(Math.abs))
  const apart = found.map((value, index) => Math.abs(value - expected[index]!) / scale)
  expect(Math.max(...apart)).toBeLessThan(tolerance)
}

async function compareWithWasm(optimizer: Optimizer, steps = 3, tolerance?: number): Promise<void> {
  const [here, there] = [await create('webgpu', optimizer), await create('wasm', optimizer)]
  expect([here.path, there.path]).toEqual(['fused', 'fused'])
  expectClose(await train(here, 'webgpu', steps), await train(there, 'wasm', steps), tolerance)
  expectClose(await flat(here.parameters()), await flat(there.parameters()), tolerance)
  expectClose(await flat(here.evaluationParameters()), await flat(there.evaluationParameters()), tolerance)
  for (const trainer of [here, there]) trainer.dispose()
}

describe.runIf(hasWebgpu)('on the device webgpu', () => {
  beforeAll(async () => {
    await showGpu()
    await init('wasm', 'webgpu')
  })

  it.each<[string, Optimizer]>([
    ['AdamW', adamW({ learningRate: 0.1 })],
    ['clipping and an average', parameterAverage(clipByGlobalNorm(sgd({ learningRate: 0.1 }), { maximumNorm: 0.1 }))],
    ['several evaluations', sharpnessAware(adamW({ learningRate: 0.1 }))],
    ['the loss alone', mezo()],
    ['products with the Hessian', sophiaH({ hessianPeriod: 1 })],
  ])('steps are those of wasm: %s', async (_, optimizer) => compareWithWasm(optimizer))

  it('the graph takes the same steps', async () => {
    const optimizer = adamW({ learningRate: 0.1 })
    const [here, there] = [await create('webgpu', optimizer), await create('webgpu', optimizer, { path: 'graph' })]
    expect(there.path).toBe('graph')
    expectClose(await train(here, 'webgpu', 3), await train(there, 'webgpu', 3))
    expectClose(await flat(here.parameters()), await flat(there.parameters()))
    for (const trainer of [here, there]) trainer.dispose()
  })

  it('kernels may still run on copies, and do for what takes all parameters as one vector', async () => {
    const copies = await create('webgpu', adamW({ learningRate: 0.1 }), { backend: wasm() })
    const here = await create('webgpu', adamW({ learningRate: 0.1 }))
    expectClose(await train(here, 'webgpu', 2), await train(copies, 'webgpu', 2))
    const joint = registry.find(({ definition }) => definition.joint)!
    const vector = await create('webgpu', (joint as unknown as () => Optimizer)())
    expect((await train(vector, 'webgpu', 1))[0]).toBeGreaterThan(0)
    for (const trainer of [copies, here, vector]) trainer.dispose()
  })

  it('arrays that were given and given away keep their values', async () => {
    defaultDevice('webgpu')
    const given = parameters()
    const trainer = await createTrainer(loss, sgd({ learningRate: 1 }), tree.ref(given))
    const start = await flat(tree.ref(given))
    const away = trainer.parameters()
    await train(trainer, 'webgpu', 2)
    expect(await flat(away)).toEqual(start)
    expect(await flat(given)).toEqual(start)
    expect(await flat(trainer.parameters())).not.toEqual(start)
    trainer.dispose()
  })

  it('a gradient, or the loss, may be a parameter', async () => {
    defaultDevice('webgpu')
    const trainer = await createTrainer(
      ({ x, y }: { x: np.Array; y: np.Array }) => x.mul(y),
      sgd({ learningRate: 0.5 }),
      { x: np.array([2]).reshape([]), y: np.array([3]).reshape([]) },
    )
    expect((await (await trainer.step()).data())[0]).toBe(6)
    const { x, y } = trainer.parameters()
    expect([(await x.data())[0], (await y.data())[0]]).toEqual([0.5, 2])
    trainer.dispose()
    const alone = await createTrainer(({ x }: { x: np.Array }) => x, sgd({ learningRate: 0.5 }), {
      x: np.array([2]).reshape([]),
    })
    expect((await (await alone.step()).data())[0]).toBe(2)
    expect((await alone.parameters().x.data())[0]).toBe(1.5)
    alone.dispose()
  })

  it('goes on from a checkpoint, also from one of wasm, and from other parameters', async () => {
    const optimizer = lookahead(accumulateGradients(adamW({ learningRate: 0.1 }), { period: 2 }), { period: 2 })
    const [here, there] = [await create('webgpu', optimizer), await create('wasm', optimizer)]
    await train(there, 'wasm', 3)
    here.load(await there.save())
    expectClose(await train(here, 'webgpu', 2), await train(there, 'wasm', 2))
    const rebased: unknown[] = []
    for (const [trainer, device] of [
      [here, 'webgpu'],
      [there, 'wasm'],
    ] as const) {
      defaultDevice(device)
      rebased.push(await trainer.rebase(parameters()))
    }
    expect(rebased[0]).toEqual(rebased[1])
    expectClose(await train(here, 'webgpu', 2), await train(there, 'wasm', 2))
    here.finish()
    there.finish()
    expectClose(await flat(here.parameters()), await flat(there.parameters()))
    for (const trainer of [here, there]) trainer.dispose()
  })

  it('says which gradient is not finite, and changes nothing', async () => {
    const trainer = await create('webgpu', adamW())
    const before = await flat(trainer.parameters())
    const [x, y] = batch(0)
    await expect(trainer.step(x.mul(Number.NaN), y)).rejects.toThrow(/^step 1: the gradient of 'hidden.* not finite/)
    expect([await flat(trainer.parameters()), trainer.steps]).toEqual([before, 0])
    await train(trainer, 'webgpu', 1)
    trainer.dispose()
  })

  // A driver in software is slow to compile.
  const own = registry.filter(({ definition }) => everything && !definition.joint && !definition.inputs)
  it.each(own.map((factory) => [factory.definition.name, factory as unknown as () => Optimizer] as const))(
    'steps are those of wasm: %s',
    async (name, make) => compareWithWasm(make(), 2, freeVectors[name] ?? 1e-3),
  )

  it('state may be in fewer bits', async () => compareWithWasm(quantized(adamW(), { bits: 8 }), 2, 1e-3))
})
