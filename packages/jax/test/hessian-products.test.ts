import { createTrainer, type Trainer, type TrainerOptions } from '@fallline/jax'
import { grad, init, lax, nn, numpy as np } from '@jax-js/jax'
import {
  accumulateGradients,
  adaHessian,
  defineOptimizer,
  groups,
  inputArray,
  logUniform,
  nonNegative,
  type Optimizer,
  oasis,
  preconditionedPolyak,
  psgdKron,
  sgd,
  sophiaH,
} from 'fallline'
import { beforeAll, describe, expect, it } from 'vitest'
import { signs } from '../src/probe.ts'
import { numbers } from './support/numbers.ts'

beforeAll(async () => {
  await init('cpu', 'wasm')
})

const paths = ['fused', 'graph'] as const

/** A rule that moves the parameter by one of its inputs alone. */
function moveBy(input: string): Optimizer {
  return defineOptimizer({
    name: `by${input}`,
    title: `By ${input}`,
    paper: { title: 'None', authors: 'Nobody', year: 2026 },
    family: 'curvature',
    hyper: { learningRate: nonNegative(1) },
    inputs: { [input]: inputArray(`the input ${input}`) },
    state: {},
    decay: 'decoupled',
    search: { learningRate: logUniform(1e-3, 1) },
    rule: ({ inputs }) => ({ direction: inputs[input]! }),
  })()
}

const size = 5

/** Logistic regression on rows x with labels y: its Hessian is the mean of σ' x xᵀ. */
const rows = 6
type Params = { w: np.Array }
const logistic = ({ w }: Params, x: np.Array, y: np.Array) => {
  const margin = np.matmul(x, w)
  return np.mean(nn.softplus(margin.ref).sub(margin.mul(y)))
}

const data = (step: number) => numbers(rows * size, 100 + step)
const batch = (step: number): [np.Array, np.Array] => [
  np.array(data(step), { shape: [rows, size] }),
  np.array(Float32Array.from({ length: rows }, (_, row) => row % 2)),
]

function hessian(w: ArrayLike<number>, x: Float32Array): number[][] {
  const matrix = Array.from({ length: size }, () => new Array<number>(size).fill(0))
  for (let row = 0; row < rows; row++) {
    const of = x.subarray(row * size, (row + 1) * size)
    const sigma = 1 / (1 + Math.exp(-of.reduce((sum, value, i) => sum + value * w[i]!, 0)))
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) matrix[i]![j]! += (sigma * (1 - sigma) * of[i]! * of[j]!) / rows
    }
  }
  return matrix
}

const times = (matrix: readonly (readonly number[])[], vector: ArrayLike<number>) =>
  matrix.map((row) => row.reduce((sum, value, i) => sum + value * vector[i]!, 0))

async function moves(input: string, steps: number, options: TrainerOptions = {}): Promise<number[][]> {
  const trainer = await createTrainer(logistic, moveBy(input), { w: np.zeros([size]) }, options)
  const found: number[][] = []
  let before = new Float32Array(size)
  for (let step = 0; step < steps; step++) {
    ;(await trainer.step(...batch(step))).dispose()
    const after = trainer.parameters().w.dataSync() as Float32Array<ArrayBuffer>
    found.push([...before].map((value, i) => value - after[i]!))
    before = after
    // Every step from the same place.
    await trainer.rebase({ w: np.zeros([size]) })
    before = new Float32Array(size)
  }
  trainer.dispose()
  return found
}

describe.each(paths)('on the %s path', (path) => {
  it('a step has the product of the Hessian of its batch with a probe of signs, and their product', async () => {
    const [probes, products, diagonals] = [
      await moves('probe', 3, { path }),
      await moves('hessianVectorProduct', 3, { path }),
      await moves('hessianDiagonal', 3, { path }),
    ]
    for (let step = 0; step < 3; step++) {
      const z = probes[step]!
      expect(z.every((value) => Math.abs(value) === 1)).toBe(true)
      const expected = times(hessian(new Float32Array(size), data(step)), z)
      expected.forEach((value, i) => {
        expect(products[step]![i]!).toBeCloseTo(value, 6)
        expect(diagonals[step]![i]!).toBeCloseTo(value * z[i]!, 6)
      })
    }
  })

  it('the seed chooses the probe, and a checkpoint goes on with those that would have come', async () => {
    const [first, other] = [await moves('probe', 2, { path }), await moves('probe', 2, { path, seed: 7 })]
    expect(first).not.toEqual(other)
    expect(first).toEqual(await moves('probe', 2, { path }))
    const start = () =>
      createTrainer(logistic, sophiaH({ learningRate: 0.1, hessianPeriod: 2 }), { w: np.zeros([size]) }, { path })
    const whole = await start()
    const run = async (trainer: Trainer<Params, [np.Array, np.Array]>, from: number, to: number) => {
      for (let step = from; step < to; step++) (await trainer.step(...batch(step))).dispose()
      return trainer.parameters().w.js()
    }
    await run(whole, 0, 3)
    const rest = await start()
    rest.load(await whole.save())
    expect(await run(rest, 3, 7)).toEqual(await run(whole, 3, 7))
    whole.dispose()
    rest.dispose()
  })

  it('is computed in the steps that want it, by functions that are traced once', async () => {
    let traced = 0
    const counted = (params: Params, x: np.Array, y: np.Array) => {
      traced++
      return logistic(params, x, y)
    }
    const rule = sophiaH({ hessianPeriod: 3 })
    const trainer = await createTrainer(counted, rule, { w: np.zeros([size]) }, { path })
    const counts: number[] = []
    for (let step = 0; step < 9; step++) {
      ;(await trainer.step(...batch(step))).dispose()
      counts.push(traced)
    }
    // The third step is the first to want it.
    expect(counts).toEqual([1, 1, 2, 2, 2, 2, 2, 2, 2])
    trainer.dispose()
  })

  it('it has 0 for parameters that do not take it, so that the product is with the Hessian of the others', async () => {
    // ½ ‖a + b‖²: with a probe on both the product would be 2 z or 0.
    const loss = ({ a, b }: { a: np.Array; b: np.Array }) => np.sum(np.square(a.add(b))).mul(0.5)
    const rule = groups(sgd({ learningRate: 0 }), [{ match: 'a', optimizer: moveBy('hessianDiagonal') }])
    const trainer = await createTrainer(loss, rule, { a: np.zeros([4]), b: np.zeros([4]) }, { path })
    ;(await trainer.step()).dispose()
    const { a, b } = trainer.parameters()
    expect([a.js(), b.js()]).toEqual([
      [-1, -1, -1, -1],
      [0, 0, 0, 0],
    ])
    trainer.dispose()
  })

  it('it goes through convolutions, maxima, gathers and products', async () => {
    type Kernel = { kernel: np.Array; table: np.Array }
    const loss = ({ kernel, table }: Kernel, x: np.Array, places: np.Array) => {
      const y = nn.gelu(lax.conv(x, kernel, [1, 1], 'VALID'))
      const pooled = np.max(y.reshape([2, 3, 2, 2, 2]), -1)
      const rows = np.take(table, places, 0)
      const gram = np.matmul(rows.ref, rows.transpose())
      return np.sum(np.square(pooled)).add(np.sum(np.square(nn.softmax(gram, -1))))
    }
    const parameters = () => ({
      kernel: np.array(numbers(24, 1), { shape: [3, 2, 2, 2] }),
      table: np.array(numbers(20, 2), { shape: [5, 4] }),
    })
    const given = (): [np.Array, np.Array] => [
      np.array(numbers(2 * 2 * 3 * 5, 3), { shape: [2, 2, 3, 5] }),
      np.array(Int32Array.of(0, 3, 4)),
    ]
    const trainer = await createTrainer(loss, moveBy('hessianVectorProduct'), parameters(), { path })
    const probing = await createTrainer(loss, moveBy('probe'), parameters(), { path })
    for (const each of [trainer, probing]) (await each.step(...given())).dispose()
    const start = parameters()
    const [moved, probe] = [trainer.parameters(), probing.parameters()]
    for (const name of ['kernel', 'table'] as const) {
      const product = start[name].ref.sub(moved[name])
      const slope = (side: number) => {
        // Along the probe, which is start - probed.
        const along = (key: 'kernel' | 'table') =>
          start[key].ref.add(start[key].ref.sub(probe[key].ref).mul(side * 5e-3))
        return grad(loss)({ kernel: along('kernel'), table: along('table') }, ...given())[name]
      }
      const difference = slope(1).sub(slope(-1)).div(1e-2)
      const [found, expected] = [product.dataSync(), difference.dataSync()]
      const largest = Math.max(...expected.map(Math.abs))
      expected.forEach((value, i) => {
        expect(Math.abs(found[i]! - value) / largest).toBeLessThan(0.02)
      })
    }
    trainer.dispose()
    probing.dispose()
  })
})

describe('a probe', () => {
  it('has as many of both signs as chance says, others at every step and for every parameter, the same for the same', () => {
    const drawn = [signs(1000, 'a', 0, 1), signs(1000, 'a', 0, 2), signs(1000, 'b', 0, 1), signs(1000, 'a', 1, 1)]
    expect(signs(1000, 'a', 0, 1)).toEqual(drawn[0])
    expect(signs(300, 'a', 0, 1)).toEqual(drawn[0]!.subarray(0, 300))
    drawn.forEach((z, index) => {
      expect(z.every((value) => value === 1 || value === -1)).toBe(true)
      for (const other of drawn.slice(0, index)) {
        // The standard deviation of a sum of 1000 signs is 32.
        expect(Math.abs(z.reduce((sum, value, i) => sum + value * other[i]!, 0))).toBeLessThan(130)
      }
      expect(Math.abs(z.reduce((sum, value) => sum + value))).toBeLessThan(130)
    })
  })
})

describe('methods that use the Hessian', () => {
  const start = { w: numbers(size, 5) }
  const rules: Readonly<Record<string, Optimizer>> = {
    adaHessian: adaHessian({ learningRate: 0.1 }),
    sophiaH: sophiaH({ learningRate: 0.05, hessianPeriod: 3 }),
    'OASIS with a fixed step size': oasis({ stepSize: 'fixed', learningRate: 0.05 }),
    'accumulation around adaHessian': accumulateGradients(adaHessian({ learningRate: 0.1 }), { period: 2 }),
  }

  it.each(Object.entries(rules))('%s takes the same steps on both paths', async (_, rule) => {
    const trainers = []
    for (const path of paths) trainers.push(await createTrainer(logistic, rule, { w: np.array(start.w) }, { path }))
    for (let step = 0; step < 8; step++) {
      const [a, b] = [await trainers[0]!.step(...batch(step)), await trainers[1]!.step(...batch(step))]
      expect(a.item()).toBeCloseTo(b.item(), 5)
    }
    const [fused, graph] = trainers.map((trainer) => trainer.parameters().w.js() as number[])
    fused!.forEach((value, i) => {
      expect(graph![i]!).toBeCloseTo(value, 5)
    })
    expect(fused).not.toEqual([...start.w])
    for (const trainer of trainers) trainer.dispose()
  })

  it.each<readonly [string, Optimizer]>([
    ['psgdKron', psgdKron({ fits: 'curvature', learningRate: 0.1 })],
    ['OASIS, which evaluates twice', oasis({ learningRate: 1 })],
    ['preconditionedPolyak', preconditionedPolyak({ preconditioner: 'hutchinson' })],
  ])('%s lowers the loss on the fused path', async (_, rule) => {
    const trainer = await createTrainer(logistic, rule, { w: np.array(start.w) })
    const losses: number[] = []
    for (let step = 0; step < 30; step++) losses.push((await trainer.step(...batch(0))).item())
    expect(losses.at(-1)!).toBeLessThan(0.95 * losses[0]!)
    trainer.dispose()
  })
})
