import { createTrainer, differentiate, type ModelOnBatch, type Trainer } from '@fallline/jax'
import { grad, init, nn, numpy as np, tree } from '@jax-js/jax'
import {
  adaFisher,
  adam,
  compile,
  egn,
  fosi,
  lanczos,
  lazyNewton,
  lBfgs,
  polynomialPreconditioner,
  sgd,
  sophiaH,
  targetSurrogate,
} from 'fallline'
import { beforeAll, describe, expect, it } from 'vitest'
import { findMemory } from './support/memory.ts'
import { expectClose, numbers } from './support/numbers.ts'

beforeAll(async () => {
  await init('cpu', 'wasm')
})

/** Two inputs, three classes, cross entropy. */
const [rows, inputs, classes] = [4, 2, 3]
const x = numbers(rows * inputs, 1)
const labels = [0, 2, 1, 2]
type Softmax = { bias: np.Array; kernel: np.Array }
const outputs = ({ bias, kernel }: Softmax, x: np.Array) => np.matmul(x, kernel).add(bias)
const lossOfOutputs = (z: np.Array, _x: np.Array, y: np.Array) =>
  np.mean(np.sum(nn.logSoftmax(z, -1).mul(nn.oneHot(y, classes)), -1)).neg()
const softmax = { outputs, lossOfOutputs }
const start = (): Softmax => ({
  bias: np.array(numbers(classes, 2)),
  kernel: np.array(numbers(inputs * classes, 3), { shape: [inputs, classes] }),
})
const batch = (): [np.Array, np.Array] => [np.array(x, { shape: [rows, inputs] }), np.array(Int32Array.from(labels))]

/** What the same model gives, written out: rows of the Jacobian have the derivatives by kernel, then those by bias. */
function linearized(kernel: ArrayLike<number>, bias: ArrayLike<number>) {
  const [residuals, jacobian, outputHessians]: [number[], number[], number[]] = [[], [], []]
  for (let row = 0; row < rows; row++) {
    const a = [x[inputs * row]!, x[inputs * row + 1]!]
    const z = Array.from({ length: classes }, (_, k) => a[0]! * kernel[k]! + a[1]! * kernel[classes + k]! + bias[k]!)
    const total = z.reduce((sum, value) => sum + Math.exp(value), 0)
    const p = z.map((value) => Math.exp(value) / total)
    for (let k = 0; k < classes; k++) {
      residuals.push(p[k]! - (labels[row] === k ? 1 : 0))
      jacobian.push(
        ...a.flatMap((value) => p.map((_, j) => (j === k ? value : 0))),
        ...p.map((_, j) => (j === k ? 1 : 0)),
      )
      outputHessians.push(...p.map((value, j) => (j === k ? value : 0) - p[k]! * value))
    }
  }
  return { residuals, jacobian, outputHessians, examples: rows }
}

describe('exact Gauss-Newton', () => {
  it('is given residuals, Jacobian and output Hessians, whatever the order of the parameters', async () => {
    const model = await differentiate(softmax, start())
    const on = model.on(...batch())
    const { kernel, bias } = model.parameters as Record<'kernel' | 'bias', Float32Array>
    const found = await on.linearize({ parameters: { kernel, bias } })
    const expected = linearized(kernel, bias)
    expect(found.examples).toBe(rows)
    for (const name of ['residuals', 'jacobian', 'outputHessians'] as const) expectClose(found[name]!, expected[name])
    on.dispose()
    model.dispose()
  })

  it('takes the steps that it takes with a Jacobian that was written out', async () => {
    const model = await differentiate(softmax, start())
    const [given, own] = [
      model.on(...batch()),
      { kernel: Float64Array.from(model.parameters.kernel!), bias: Float64Array.from(model.parameters.bias!) },
    ]
    const options = { damping: 0.1, lineSearch: true, adaptiveDamping: true } as const
    const [optimizer, byHand] = [egn(model.parameters, options), egn(own, options)]
    const losses: number[] = []
    for (let step = 0; step < 4; step++) {
      const { damping } = await optimizer.minimize(given.linearize, given.evaluate)
      const other = await byHand.minimize(
        ({ parameters }) => linearized(parameters.kernel!, parameters.bias!),
        ({ parameters: { kernel, bias } }) => {
          const { residuals } = linearized(kernel!, bias!)
          return labels.reduce((sum, label, row) => sum - Math.log(residuals[classes * row + label]! + 1) / rows, 0)
        },
      )
      expect(damping).toBeCloseTo(other.damping, 6)
      losses.push(other.learningRate)
    }
    expectClose(model.parameters.kernel!, own.kernel, 4)
    expectClose(model.parameters.bias!, own.bias, 4)
    given.dispose()
    model.dispose()
  })

  it('is given the Jacobian of each example of a deep model with outputs in two dimensions', async () => {
    type Deep = { first: np.Array; second: np.Array; unused: np.Array }
    const deep = ({ first, second }: Deep, x: np.Array) =>
      np.matmul(np.tanh(np.matmul(x, first)), second).reshape([-1, 2, 2])
    const parameters = (): Deep => ({
      first: np.array(numbers(6, 4), { shape: [2, 3] }),
      second: np.array(numbers(12, 5), { shape: [3, 4] }),
      unused: np.zeros([2]),
    })
    const model = await differentiate(
      { outputs: deep, lossOfOutputs: (z: np.Array) => np.mean(np.square(z)) },
      parameters(),
    )
    const on = model.on(np.array(x, { shape: [rows, inputs] }))
    const { jacobian, residuals, outputHessians } = await on.linearize({ parameters: model.parameters })
    const size = 6 + 12 + 2
    expect([jacobian.length, residuals.length, outputHessians?.length]).toEqual([rows * 4 * size, rows * 4, rows * 16])
    for (let row = 0; row < rows; row++) {
      for (let k = 0; k < 4; k++) {
        const one = (params: Deep) =>
          np.sum(
            deep(params, np.array(x, { shape: [rows, inputs] }))
              .reshape([rows, 4])
              .slice(row, k),
          )
        const slopes = tree.leaves(grad(one)(parameters())) as np.Array[]
        const at = (4 * row + k) * size
        expectClose(
          Array.from(jacobian).slice(at, at + size),
          slopes.flatMap((each) => [...each.dataSync()]),
          5,
        )
        // The mean of squares over all outputs is the mean over examples of a quarter of the sum of squares of its four.
        expect(outputHessians![16 * row + 5 * k]!).toBeCloseTo(0.5, 6)
      }
    }
    on.dispose()
    model.dispose()
  })
})

it('target-based surrogates take the steps that they take with functions that were written out', async () => {
  const squares = {
    outputs: ({ w }: { w: np.Array }, x: np.Array) => np.tanh(np.matmul(x, w)),
    lossOfOutputs: (z: np.Array, x: np.Array) => {
      x.dispose()
      return np.sum(np.square(z.sub(0.5))).mul(0.5)
    },
  }
  const model = await differentiate(squares, { w: np.array(numbers(2, 6)) })
  const rule = adam({ learningRate: 0.05 })
  const drivers = []
  for (let index = 0; index < 2; index++) {
    const compiled = await compile(rule, { w: [2] })
    compiled.parameters.w.set(model.parameters.w!)
    drivers.push(targetSurrogate(compiled, { innerSteps: 5 }))
  }
  const on = model.on(np.array(x, { shape: [rows, inputs] }))
  const z = (w: ArrayLike<number>) =>
    Array.from({ length: rows }, (_, i) => Math.tanh(x[2 * i]! * w[0]! + x[2 * i + 1]! * w[1]!))
  for (let step = 0; step < 5; step++) {
    const found = await drivers[0]!.minimize(on.target)
    const expected = await drivers[1]!.minimize({
      outputs: ({ parameters: { w } }) => z(w),
      lossGradient: (values) => ({
        loss: values.reduce((sum, value) => sum + (value - 0.5) ** 2 / 2, 0),
        gradient: values.map((value) => value - 0.5),
      }),
      pullBack({ parameters: { w }, gradients }, cotangent) {
        const slopes = z(w).map((value, i) => (1 - value ** 2) * cotangent[i]!)
        for (const j of [0, 1]) gradients.w[j] = slopes.reduce((sum, slope, i) => sum + slope * x[2 * i + j]!, 0)
      },
    })
    expect(found.loss).toBeCloseTo(expected.loss, 5)
    expectClose(found.surrogates, expected.surrogates, 5)
  }
  expectClose(drivers[0]!.optimizer.parameters.w, drivers[1]!.optimizer.parameters.w, 4)
  on.dispose()
  model.dispose()
})

describe('a loss of which a method asks for products with the Hessian', () => {
  /** ½ Σ c (a + b)² over two parameters, with curvatures c of the batch. */
  type Two = { a: np.Array; b: np.Array }
  const curvatures = [100, 4, 1]
  const bowl = ({ a, b }: Two, c: np.Array) => np.sum(np.square(np.concatenate([a, b])).mul(c)).mul(0.5)
  const fresh = () => differentiate(bowl, { a: np.array([1]), b: np.array([1, 1]) })
  const c = () => np.array(curvatures)
  const baseOf = async (model: Awaited<ReturnType<typeof fresh>>, learningRate: number) => {
    const base = await compile(sgd({ learningRate }), model.shapes)
    for (const [name, values] of Object.entries(model.parameters)) base.parameters[name]!.set(values)
    return base
  }

  it('has its eigenvalues found by Lanczos iteration', async () => {
    const model = await fresh()
    const on = model.on(c())
    const found = await lanczos(on.product(model.parameters), 3, { products: 3 })
    expectClose(found.values, [1, 4, 100], 3)
    const turned = { b: model.parameters.b!, a: model.parameters.a! }
    expectClose(await on.product(turned)(Float64Array.of(1, 2, 3)), [4, 2, 300], 3)
    on.dispose()
    model.dispose()
  })

  it.each<
    readonly [
      string,
      (model: Awaited<ReturnType<typeof fresh>>, on: ModelOnBatch) => Promise<Record<string, ArrayLike<number>>>,
    ]
  >([
    [
      'L-BFGS',
      async (model, on) => {
        const optimizer = lBfgs(model.parameters)
        for (let step = 0; step < 2; step++) await optimizer.minimize(on.evaluate)
        return optimizer.parameters
      },
    ],
    [
      'lazy Newton',
      async (model, on) => {
        const optimizer = lazyNewton(model.parameters, { strength: 1e-4 })
        for (let step = 0; step < 5; step++) await optimizer.minimize(on.evaluate, on.product(model.parameters))
        return optimizer.parameters
      },
    ],
    [
      'FOSI',
      async (model, on) => {
        const base = await baseOf(model, 0.4)
        const optimizer = fosi(base, { largest: 1, warmUp: 1, newtonRate: 1, velocity: 'none' })
        for (let step = 0; step < 60; step++) await optimizer.minimize(on.evaluate, on.product(base.parameters))
        return base.parameters
      },
    ],
    [
      'polynomial preconditioning',
      async (model, on) => {
        const base = await baseOf(model, 0.02)
        const optimizer = polynomialPreconditioner(base, { degree: 1, polynomial: 'krylov' })
        for (let step = 0; step < 20; step++) await optimizer.minimize(on.evaluate, on.product(base.parameters))
        return base.parameters
      },
    ],
  ])('is minimized by %s', async (name, minimize) => {
    const model = await fresh()
    const on = model.on(c())
    const reached = await minimize(model, on)
    const limit = name === 'polynomial preconditioning' ? 0.9 : 1e-3
    for (const values of Object.values(reached))
      for (const value of Array.from(values)) expect(Math.abs(value)).toBeLessThan(limit)
    on.dispose()
    model.dispose()
  })

  it('gives a compiled optimizer its inputs, and its parameters back as a tree', async () => {
    const model = await fresh()
    const compiled = await compile(sophiaH({ learningRate: 0.1, hessianPeriod: 1 }), model.shapes, {
      layout: 'outputLast',
    })
    for (const [name, values] of Object.entries(model.parameters)) compiled.parameters[name]!.set(values)
    const on = model.on(c())
    for (let step = 0; step < 3; step++) await compiled.minimize(on.evaluate)
    // The Hessian is diagonal, so every estimate of it is exact.
    expect((compiled.state('a').h as Float32Array)[0]!).toBeCloseTo(100 * (1 - 0.99 ** 3), 3)
    const { a, b } = model.tree(compiled.parameters)
    expectClose([...a.dataSync(), ...b.dataSync()], [...compiled.parameters.a!, ...compiled.parameters.b!], 7)
    on.dispose()
    model.dispose()
  })
})

describe('what is missing', () => {
  it('is named', async () => {
    const model = await differentiate(({ w }: { w: np.Array }, x: np.Array) => np.sum(w.mul(x)), { w: np.ones([2]) })
    const on = model.on(np.ones([2]))
    const message =
      ': the outputs of the model are needed apart from the loss: give differentiate { outputs, lossOfOutputs }'
    await expect(egn(model.parameters).minimize(on.linearize)).rejects.toThrow(`linearize${message}`)
    const compiled = await compile(sgd(), model.shapes)
    await expect(targetSurrogate(compiled).minimize(on.target)).rejects.toThrow(`target${message}`)
    await expect(differentiate(() => np.array(0), { w: np.ones([2]) }, { inputz: {} } as never)).rejects.toThrow(
      /inputz/,
    )
    const given = () => ({ w: np.ones([2]) })
    await expect(differentiate({ outputs: () => np.array(0) } as never, given())).rejects.toThrow(
      'differentiate: the loss must be a function of parameters and batch, or two functions { outputs, lossOfOutputs }',
    )
    await expect(differentiate(() => np.array(0), given(), { seed: -1 })).rejects.toThrow(
      'differentiate: seed must be a whole number from 0 to below 2 ** 32, not -1',
    )
    await expect(differentiate(() => np.array(0), given(), { inputs: { fisher: 1 } } as never)).rejects.toThrow(
      'differentiate: inputs.fisher must be a function of parameters and batch, not 1',
    )
    await expect(differentiate(() => np.array(0), { w: np.ones([2], { dtype: np.int32 }) })).rejects.toThrow(
      "differentiate: 'w' must be a jax-js array of float32",
    )
    on.dispose()
    model.dispose()
  })

  it('are examples along the first axis', async () => {
    const model = await differentiate(
      {
        outputs: ({ w }: { w: np.Array }, x: np.Array) => np.matmul(x.transpose(), w),
        lossOfOutputs: (z: np.Array) => np.mean(z),
      },
      { w: np.ones([2]) },
    )
    const on = model.on(np.ones([2, 3]))
    await expect(egn(model.parameters).minimize(on.linearize)).rejects.toThrow(
      'linearize: the first axis of every array of the batch must be the examples, 3 as in the outputs, not that of [2, 3]',
    )
    on.dispose()
    model.dispose()
  })
})

describe('arrays of jax-js', () => {
  it('of a batch are freed with it, and not before', async () => {
    const model = await differentiate(softmax, start())
    const given = batch()
    const on = model.on(...given)
    await egn(model.parameters).minimize(on.linearize, on.evaluate)
    await lBfgs(model.parameters).minimize(on.evaluate)
    await lanczos(on.product(model.parameters), 9, { products: 2 })
    expect(given.map((array) => array.refCount)).toEqual([1, 1])
    on.dispose()
    expect(given.map((array) => array.refCount)).toEqual([0, 0])
    model.dispose()
  })

  it('do not pile up', async () => {
    const width = 64
    type Wide = { w: np.Array }
    const wide = {
      outputs: ({ w }: Wide, x: np.Array) => np.tanh(np.matmul(x, w)),
      lossOfOutputs: (z: np.Array) => np.mean(np.sum(np.square(z), -1)),
    }
    const w = () => ({ w: np.array(numbers(width ** 2, 9), { shape: [width, width] }) })
    const data = () => np.array(numbers(2 * width, 10), { shape: [2, width] })
    const memory = findMemory()
    const model = await differentiate(wide, w())
    const trainers: Trainer<Wide, [np.Array]>[] = []
    for (const path of ['fused', 'graph'] as const) {
      trainers.push(await createTrainer(wide, sophiaH({ hessianPeriod: 1 }), w(), { path }))
      trainers.push(await createTrainer(wide, adaFisher({ statisticsPeriod: 1 }), w(), { path }))
    }
    const vector = new Float64Array(width ** 2).fill(1)
    const run = async (times: number) => {
      for (let time = 0; time < times; time++) {
        for (const trainer of trainers) (await trainer.step(data())).dispose()
        const on = model.on(data())
        await on.product(model.parameters)(vector)
        await on.target.outputs(model)
        const gradients = { w: new Float32Array(width ** 2) }
        await on.target.pullBack({ parameters: model.parameters, gradients }, new Float64Array(2 * width))
        on.dispose()
      }
    }
    await run(5)
    const before = memory().buffer.byteLength
    await run(40)
    // A matrix left behind in each of these steps would be 640 KiB.
    expect(memory().buffer.byteLength - before).toBeLessThan(2 ** 19)
    for (const trainer of trainers) trainer.dispose()
    model.dispose()
  })
})
