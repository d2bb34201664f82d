import {
  conjugateGradient,
  createTrainer,
  type GradientTransformation,
  gradientTransformation,
  hypernetwork,
  implicitHypergradient,
  neumannSeries,
  type TrainingPoint,
  twoStageGradient,
  unrolledHypergradient,
} from '@fallline/jax'
import { init, jit, nn, numpy as np, tree } from '@jax-js/jax'
import { adam, adamW, cosine, quantized, sgd } from 'fallline'
import { beforeAll, describe, expect, it } from 'vitest'
import { findMemory } from './support/memory.ts'
import { expectClose, numbers } from './support/numbers.ts'

beforeAll(async () => {
  await init('cpu', 'wasm')
})

const array = (values: ArrayLike<number>, shape = [values.length]) => np.array(Float32Array.from(values), { shape })
const values = (given: np.Array): number[] => [...given.dataSync()]

/** x with A x = b, by elimination in float64. */
function solved(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]!])
  for (let i = 0; i < rows.length; i++) {
    for (let j = 0; j < rows.length; j++) {
      if (i === j) continue
      const factor = rows[j]![i]! / rows[i]![i]!
      for (let k = 0; k < rows[j]!.length; k++) rows[j]![k]! -= factor * rows[i]![k]!
    }
  }
  return rows.map((row, i) => row.at(-1)! / row[i]!)
}

/** Ridge regression, ½ ‖X w − y‖² + ½ e^λ ‖w‖², with what follows in closed form. */
const [rows, size] = [6, 3]
type Batch = [x: np.Array, y: np.Array]
const [x, y, validX, validY] = [numbers(rows * size, 1), numbers(rows, 2), numbers(rows * size, 3), numbers(rows, 4)]
const squares = (w: np.Array, x: np.Array, y: np.Array) => np.sum(np.square(np.matmul(x, w).sub(y))).mul(0.5)
const ridge = (w: np.Array, lambda: np.Array, x: np.Array, y: np.Array) =>
  squares(w.ref, x, y).add(np.sum(np.square(w)).mul(np.exp(lambda)).mul(0.5))
const validation = (w: np.Array, _lambda: np.Array, x: np.Array, y: np.Array) => squares(w, x, y)
const training = (): Batch => [array(x, [rows, size]), array(y)]
const valid = (): Batch => [array(validX, [rows, size]), array(validY)]

function exactRidge(lambda: number) {
  const products = (a: Float32Array, b: (row: number) => number) =>
    Array.from({ length: size }, (_, i) => {
      let sum = 0
      for (let row = 0; row < rows; row++) sum += a[row * size + i]! * b(row)
      return sum
    })
  const hessian = Array.from({ length: size }, (_, i) =>
    products(x, (row) => x[row * size + i]!).map((value, j) => value + (i === j ? Math.exp(lambda) : 0)),
  )
  const w = solved(
    hessian,
    products(x, (row) => y[row]!),
  )
  const missed = Array.from(
    { length: rows },
    (_, row) => w.reduce((sum, value, i) => sum + value * validX[row * size + i]!, 0) - validY[row]!,
  )
  const slope = products(validX, (row) => missed[row]!)
  const loss = missed.reduce((sum, value) => sum + value ** 2 / 2, 0)
  const gradient = -solved(hessian, slope).reduce((sum, value, i) => sum + value * Math.exp(lambda) * w[i]!, 0)
  return { w, loss, gradient }
}

/** ½ Σ hᵢ wᵢ² − λᵢ wᵢ: its Hessian is h, and −1 by weights and hyperparameters. */
const curvatures = [4, 1, 0.25]
const bowl = (w: np.Array, lambda: np.Array) =>
  np.sum(np.square(w.ref).mul(array(curvatures)).mul(0.5).sub(lambda.mul(w)))
const along = [3, -2, 1]
const linear = (w: np.Array, _lambda: np.Array) => np.sum(w.mul(array(along)))
const norm = (vector: readonly number[]) => Math.hypot(...vector)

describe('by the implicit function theorem', () => {
  it.each([-2, 0, 1.5])('is that of ridge regression in closed form at λ = %s', (lambda) => {
    const expected = exactRidge(lambda)
    const hypergradient = implicitHypergradient(ridge, validation, { inverse: conjugateGradient({ iterations: size }) })
    const found = hypergradient(array(expected.w), np.array(lambda), training(), valid())
    expect(found.loss.item()).toBeCloseTo(expected.loss, 5)
    expect(found.gradient.item()).toBeCloseTo(expected.gradient, 5)
    expect(found.residual.item()).toBeLessThan(1e-5)
    hypergradient.dispose()
  })

  it.each([0, 1, 5, 40])('is off by a geometric series after %s terms of the Neumann series', (terms) => {
    const rate = 0.4
    const hypergradient = implicitHypergradient(bowl, linear, { inverse: neumannSeries({ terms, rate }) })
    const { gradient, residual } = hypergradient(np.ones([3]), np.ones([3]), [], [])
    const left = curvatures.map((h) => (1 - rate * h) ** (terms + 1))
    expectClose(
      values(gradient),
      along.map((v, i) => (v / curvatures[i]!) * (1 - left[i]!)),
      5,
    )
    expect(residual.item()).toBeCloseTo(norm(along.map((v, i) => v * left[i]!)) / norm(along), 5)
    hypergradient.dispose()
  })

  it.each([
    [3, 0, curvatures],
    [9, 0, curvatures],
    [3, 0.5, curvatures.map((h) => h + 0.5)],
  ])(
    'is exact after as many conjugate gradients as there are eigenvalues, %s, with damping %s',
    (iterations, damping, all) => {
      const inverse = conjugateGradient({ iterations, damping })
      const hypergradient = implicitHypergradient(bowl, linear, { inverse })
      const { gradient, residual } = hypergradient(np.ones([3]), np.ones([3]), [], [])
      expectClose(
        values(gradient),
        along.map((v, i) => v / all[i]!),
        5,
      )
      const missed = along.map((v, i) => v * (1 - curvatures[i]! / all[i]!))
      expect(residual.item()).toBeCloseTo(norm(missed) / norm(along), 5)
      hypergradient.dispose()
    },
  )

  it('stays with what it has where the curvature is not positive', () => {
    const saddle = (w: np.Array, lambda: np.Array) => bowl(w, lambda).neg()
    const hypergradient = implicitHypergradient(saddle, linear)
    const { gradient, residual } = hypergradient(np.ones([3]), np.ones([3]), [], [])
    expectClose(values(gradient), [0, 0, 0])
    expect(residual.item()).toBeCloseTo(1, 6)
    hypergradient.dispose()
  })

  it('adds what the validation loss has of the hyperparameters, in trees, and inside of jit', () => {
    type Weights = { a: np.Array; b: np.Array }
    type Hyper = { shift: np.Array[]; unused: np.Array }
    const inner = ({ a, b }: Weights, { shift }: Hyper) =>
      np.sum(np.square(a.sub(shift[0]!))).add(np.sum(np.square(b.sub(shift[1]!.mul(2)))))
    const outer = ({ a, b }: Weights, { shift }: Hyper) => np.sum(a.mul(3)).add(np.sum(b.mul(shift[1]!)))
    const hypergradient = implicitHypergradient(inner, outer)
    const found = jit((w: Weights, h: Hyper) => hypergradient(w, h, [], []))(
      { a: array([1]), b: array([4, 4]) },
      { shift: [array([1]), array([2])], unused: array([7]) },
    )
    const { gradient } = found as ReturnType<typeof hypergradient>
    expectClose(values(gradient.shift[0]!), [3])
    // b is twice the shift, so the loss is 4 shift², of two weights.
    expectClose(values(gradient.shift[1]!), [4 * 2 + 4 * 2])
    expectClose(values(gradient.unused), [0])
    hypergradient.dispose()
  })

  it('leads weights and hyperparameters that move in turns to the best regularization', async () => {
    const best = 0.3
    // What the weights of the best regularization give, so that these fit without error.
    const fitting = (): Batch => [
      array(validX, [rows, size]),
      np.matmul(array(validX, [rows, size]), array(exactRidge(best).w)),
    ]
    const trainer = await createTrainer(ridge, sgd({ learningRate: 0.1 }), np.zeros([size]))
    const inverse = conjugateGradient({ iterations: size })
    const hypergradient = implicitHypergradient(ridge, validation, { inverse })
    let lambda = 1.5
    for (let turn = 0; turn < 200; turn++) {
      ;(await trainer.step(np.array(lambda), ...training())).dispose()
      const { loss, gradient, residual } = hypergradient(trainer.parameters(), np.array(lambda), training(), fitting())
      lambda -= 8 * gradient.item()
      for (const each of [loss, residual]) each.dispose()
    }
    expect(lambda).toBeCloseTo(best, 3)
    expectClose(values(trainer.parameters()), exactRidge(best).w, 4)
    hypergradient.dispose()
    trainer.dispose()
  })
})

/** Gradient descent with the rate e^λ. */
const descent = (logarithm: np.Array): GradientTransformation => ({
  init: () => [],
  update: (updates, state) =>
    [tree.map((slope: np.Array) => slope.mul(np.exp(logarithm.ref)).neg(), updates), state] as never,
})
/** ½ Σ hᵢ (wᵢ − λᵢ)², and ½ Σ (wᵢ − tᵢ)² on validation. */
const towards = (w: np.Array, lambda: np.Array) => np.sum(np.square(w.sub(lambda)).mul(array(curvatures))).mul(0.5)
const target = [1, 2, 3]
const distance = (w: np.Array, _lambda: np.Array) => np.sum(np.square(w.sub(array(target)))).mul(0.5)

describe('in reverse through training', () => {
  const rate = 0.3
  const [lambda, start] = [
    [0.5, -1, 2],
    [2, 1, -1],
  ]

  it.each([
    [1, undefined],
    [7, undefined],
    [7, 3],
    [2, 5],
  ])('is that of %s steps of gradient descent in closed form, with truncation %s', (steps, truncation) => {
    const optimizer = gradientTransformation(sgd({ learningRate: rate }))
    const hypergradient = unrolledHypergradient(towards, distance, { optimizer, ...(truncation && { truncation }) })
    const batches = Array.from({ length: steps }, (): [] => [])
    const found = hypergradient({ weights: array(start!) }, array(lambda!), batches, [])
    const shrunk = (count: number) => curvatures.map((h) => (1 - rate * h) ** count)
    const end = shrunk(steps).map((left, i) => lambda![i]! + left * (start![i]! - lambda![i]!))
    const slope = end.map((w, i) => w - target[i]!)
    const left = shrunk(Math.min(steps, truncation ?? steps))
    expectClose(values(found.end.weights), end)
    expect(found.end.steps).toBe(steps)
    expect(found.loss.item()).toBeCloseTo(norm(slope) ** 2 / 2, 5)
    expectClose(
      values(found.gradient),
      slope.map((v, i) => v * (1 - left[i]!)),
    )
    expectClose(
      values(found.weightsGradient),
      slope.map((v, i) => v * left[i]!),
    )
    hypergradient.dispose()
  })

  it('finds the derivative by the learning rate', () => {
    const plain = (w: np.Array, _logarithm: np.Array) => np.sum(np.square(w).mul(array(curvatures))).mul(0.5)
    const hypergradient = unrolledHypergradient(plain, distance, { optimizer: descent })
    const found = hypergradient({ weights: array(start!) }, np.array(Math.log(rate)), [[], [], [], []], [])
    const expected = curvatures.reduce((sum, h, i) => {
      const w = (1 - rate * h) ** 4 * start![i]!
      return sum + (w - target[i]!) * -4 * rate * h * (1 - rate * h) ** 3 * start![i]!
    }, 0)
    expect(found.gradient.item()).toBeCloseTo(expected, 5)
    hypergradient.dispose()
  })

  it('goes through the state of Adam and its schedule, and on from where it ended', () => {
    const schedule = cosine({ from: 0.3, to: 0.1, steps: 6 })
    /** Adam by the book, in float64. */
    const adamBy = (given: readonly number[], steps: number) => {
      const w = [...start!]
      const [m, v] = [w.map(() => 0), w.map(() => 0)]
      for (let t = 1; t <= steps; t++) {
        const learningRate = 0.1 + 0.1 * (1 + Math.cos((Math.PI * t) / 6))
        for (let i = 0; i < w.length; i++) {
          const slope = curvatures[i]! * (w[i]! - given[i]!)
          m[i] = 0.9 * m[i]! + 0.1 * slope
          v[i] = 0.999 * v[i]! + 0.001 * slope ** 2
          w[i]! -= (learningRate * (m[i]! / (1 - 0.9 ** t))) / (Math.sqrt(v[i]! / (1 - 0.999 ** t)) + 1e-8)
        }
      }
      return w
    }
    const lossBy = (given: readonly number[], steps: number) =>
      adamBy(given, steps).reduce((sum, w, i) => sum + (w - target[i]!) ** 2 / 2, 0)
    const optimizer = gradientTransformation(adam({ learningRate: schedule }))
    const hypergradient = unrolledHypergradient(towards, distance, { optimizer })
    const found = hypergradient({ weights: array(start!) }, array(lambda!), [[], [], [], []], [])
    expectClose(values(found.end.weights.ref), adamBy(lambda!, 4), 5)
    const step = 1e-5
    const expected = lambda!.map((_, i) => {
      const [up, down] = [step, -step].map((move) => lambda!.map((value, j) => (i === j ? value + move : value)))
      return (lossBy(up!, 4) - lossBy(down!, 4)) / (2 * step)
    })
    expectClose(values(found.gradient), expected, 4)
    const later = hypergradient(found.end, array(lambda!), [[], []], [])
    expect(later.end.steps).toBe(6)
    expectClose(values(later.end.weights), adamBy(lambda!, 6), 5)
    hypergradient.dispose()
  })

  it('takes another batch for each step', () => {
    const optimizer = gradientTransformation(sgd({ learningRate: 1 }))
    const hypergradient = unrolledHypergradient(
      (w: np.Array, lambda: np.Array, x: np.Array) => np.square(w.ref).mul(0.5).sub(w.mul(lambda).mul(x)),
      (w: np.Array, _lambda: np.Array, x: np.Array) => w.mul(x),
      { optimizer },
    )
    const found = hypergradient({ weights: np.array(1) }, np.array(2), [[np.array(5)], [np.array(7)]], [np.array(10)])
    // Each step goes to the minimum, which is λ x of the last batch.
    expect([found.loss.item(), found.gradient.item(), found.weightsGradient.item()]).toEqual([140, 70, 0])
    hypergradient.dispose()
  })
})

describe('through pre-training and fine tuning', () => {
  const [rate, steps, lambda] = [0.2, 3, 0.7]
  const [pretrained, tuned] = [curvatures, [1, 2, 3]]
  const pretraining = (w: np.Array, lambda: np.Array) =>
    np.sum(
      np
        .square(w.ref)
        .mul(array(pretrained))
        .mul(0.5)
        .sub(w.mul(array(along)).mul(lambda)),
    )
  const fineTuning = (w: np.Array, _lambda: np.Array) => np.sum(np.square(w.sub(1)).mul(array(tuned))).mul(0.5)
  const optimizer = () => gradientTransformation(sgd({ learningRate: rate }))
  const best = along.map((c, i) => (lambda * c) / pretrained[i]!)
  const shrunk = tuned.map((f) => (1 - rate * f) ** steps)
  const batches = Array.from({ length: steps }, (): [] => [])

  it('is that of quadratics in closed form', () => {
    const gradient = twoStageGradient({ pretraining, fineTuning, validation: distance }, { optimizer: optimizer() })
    const found = gradient(array(best), np.array(lambda), [], batches, [])
    const end = best.map((w, i) => 1 + shrunk[i]! * (w - 1))
    expectClose(values(found.weights), end)
    const expected = end.reduce((sum, w, i) => sum + ((w - target[i]!) * shrunk[i]! * along[i]!) / pretrained[i]!, 0)
    expect(found.gradient.item()).toBeCloseTo(expected, 4)
    expect(found.loss.item()).toBeCloseTo(norm(end.map((w, i) => w - target[i]!)) ** 2 / 2, 4)
    expect(found.residual.item()).toBeLessThan(1e-5)
    gradient.dispose()
  })

  it('goes through a start with a new head, and hyperparameters of all stages', () => {
    type Tuned = { body: np.Array; head: np.Array }
    const gradient = twoStageGradient(
      {
        pretraining,
        fineTuning: ({ body, head }: Tuned, lambda: np.Array) =>
          fineTuning(body, lambda.ref).add(np.square(head.sub(lambda)).mul(0.5)),
        validation: ({ body, head }: Tuned, lambda: np.Array) => distance(body, lambda.ref).add(head.mul(lambda)),
      },
      {
        optimizer: optimizer(),
        inverse: conjugateGradient({ iterations: 3 }),
        start: (w: np.Array, lambda: np.Array): Tuned => ({ body: w.mul(lambda), head: np.zeros([]) }),
      },
    )
    const found = gradient(array(best), np.array(lambda), [], batches, [])
    // The body starts at λ w, which is λ² c / p; the head goes towards λ.
    const end = best.map((w, i) => 1 + shrunk[i]! * (lambda * w - 1))
    const moved = 1 - (1 - rate) ** steps
    expectClose(values(found.weights.body), end)
    expect(found.weights.head.item()).toBeCloseTo(lambda * moved, 5)
    const body = end.reduce(
      (sum, w, i) => sum + ((w - target[i]!) * shrunk[i]! * 2 * lambda * along[i]!) / pretrained[i]!,
      0,
    )
    expect(found.gradient.item()).toBeCloseTo(body + 2 * lambda * moved, 4)
    gradient.dispose()
  })
})

describe('through a hypernetwork', () => {
  /** Ridge regression on orthogonal inputs: wᵢ = bᵢ / (sᵢ + e^λ) = bᵢ / sᵢ · sigmoid(log sᵢ − λ). */
  const [strengths, projections, goal] = [
    [4, 1],
    [6, -1],
    [0.9, -0.4],
  ]
  type Network = { scale: np.Array; offset: np.Array }
  const ridgeBySums = (w: np.Array, lambda: np.Array) =>
    np.sum(
      np
        .square(w.ref)
        .mul(array(strengths!).add(np.exp(lambda)))
        .mul(0.5)
        .sub(w.mul(array(projections!))),
    )
  const model = {
    response: ({ scale, offset }: Network, lambda: np.Array) => scale.mul(nn.sigmoid(offset.sub(lambda))),
    trainingLoss: ridgeBySums,
    validationLoss: (w: np.Array, _lambda: np.Array) => np.sum(np.square(w.sub(array(goal!)))),
  }
  const exact = (lambda: number) => strengths!.map((s, i) => projections![i]! / (s + Math.exp(lambda)))
  const network = (): Network => ({ scale: array([1, -0.5]), offset: np.ones([2]) })
  const optimizer = (steps: number) => adam({ learningRate: cosine({ from: 0.1, to: 0, steps }) })

  it('learns the best response of ridge regression', async () => {
    const tuned = await hypernetwork(model, network(), np.array(0.5), { optimizer: optimizer(400), spread: 1 })
    for (let step = 0; step < 400; step++) (await tuned.train()).dispose()
    for (const lambda of [0, 0.5, 1]) {
      expectClose(values(tuned.weights(np.array(lambda))), exact(lambda), 2)
    }
    expect(tuned.hyperparameters().item()).toBe(0.5)
    tuned.dispose()
  })

  it('finds the hyperparameters that are best for the exact solution', async () => {
    const options = { optimizer: optimizer(400), hyperparameterOptimizer: adam({ learningRate: 0.03 }), spread: 0.5 }
    const tuned = await hypernetwork(model, network(), np.array(-1), options)
    for (let step = 0; step < 400; step++) {
      ;(await tuned.train()).dispose()
      ;(await tuned.tune()).dispose()
    }
    const lossAt = (lambda: number) => exact(lambda).reduce((sum, w, i) => sum + (w - goal![i]!) ** 2, 0)
    const grid = Array.from({ length: 4001 }, (_, i) => -2 + i / 1000)
    const best = grid.reduce((a, b) => (lossAt(b) < lossAt(a) ? b : a))
    const found = tuned.hyperparameters().item()
    expect(Math.abs(found - best)).toBeLessThan(0.05)
    expectClose(values(tuned.weights()), exact(found), 2)
    tuned.dispose()
  })

  it('draws the same for the same seed', async () => {
    const losses = await Promise.all(
      [3, 3, 4].map(async (seed) => {
        const tuned = await hypernetwork(model, network(), np.array(0), { seed })
        const found: number[] = []
        for (let step = 0; step < 3; step++) found.push((await tuned.train()).item())
        tuned.dispose()
        return found
      }),
    )
    expect(losses[0]).toEqual(losses[1])
    expect(losses[0]).not.toEqual(losses[2])
    expect(new Set(losses[0]).size).toBe(3)
  })
})

it('what is wrong is named', async () => {
  const optimizer = gradientTransformation(sgd())
  expect(() => neumannSeries({ rate: 0 })).toThrow('neumannSeries: rate must be a number above 0, not 0')
  expect(() => neumannSeries({ rate: 1, terms: 1.5 })).toThrow('terms must be a whole number from 0 on, not 1.5')
  expect(() => conjugateGradient({ iterations: 0 })).toThrow('iterations must be a whole number from 1 on, not 0')
  expect(() => conjugateGradient({ damping: -1 })).toThrow('damping must be a number from 0 on, not -1')
  expect(() => implicitHypergradient(bowl, linear, { inverze: 1 } as never)).toThrow(/inverze/)
  expect(() => unrolledHypergradient(bowl, linear, { optimizer, truncation: 0 })).toThrow(
    'unrolledHypergradient: truncation must be a whole number from 1 on, not 0',
  )
  expect(() => twoStageGradient({} as never, { optimizer, steps: 3 } as never)).toThrow(/steps/)
  const unrolled = unrolledHypergradient(bowl, linear, { optimizer })
  expect(() => unrolled({ weights: np.ones([3]) }, np.ones([3]), [], [])).toThrow(
    'there must be a batch for every step',
  )
  const few = unrolledHypergradient(bowl, linear, {
    optimizer: gradientTransformation(quantized(adamW(), { bits: 8, minimumSize: 1 })),
  })
  expect(() => few({ weights: np.ones([3]) }, np.ones([3]), [[]], [])).toThrow(
    /has no derivative; take one that keeps float32/,
  )
  const implicit = implicitHypergradient(bowl, linear)
  expect(() => implicit(np.ones([3], { dtype: np.int32 }), np.ones([3]), [], [])).toThrow(
    "implicitHypergradient: 'parameter' must be a jax-js array of float32",
  )
  const model = { response: (n: np.Array) => n, trainingLoss: bowl, validationLoss: linear }
  await expect(hypernetwork(model, np.ones([3]), np.ones([3]), { spread: 0 })).rejects.toThrow(
    'hypernetwork: spread must be a number above 0, not 0',
  )
  await expect(hypernetwork(model, np.ones([3]), np.ones([3]), { seed: -1 })).rejects.toThrow(
    'hypernetwork: seed must be a whole number from 0 to below 2 ** 32, not -1',
  )
})

it('arrays of jax-js are consumed and do not pile up', async () => {
  const width = 160
  const wide = (seed: number) => array(numbers(width ** 2, seed), [width, width])
  const inner = (w: np.Array, lambda: np.Array, x: np.Array) => np.sum(np.square(w.sub(lambda).mul(x)))
  const outer = (w: np.Array, _lambda: np.Array, x: np.Array) => np.sum(w.mul(x))
  const memory = findMemory()
  wide(0).mul(wide(1)).dispose()
  const optimizer = gradientTransformation(adam())
  const implicit = implicitHypergradient(inner, outer, { inverse: conjugateGradient({ iterations: 2 }) })
  const unrolled = unrolledHypergradient(inner, outer, { optimizer, truncation: 2 })
  const twoStage = twoStageGradient(
    { pretraining: inner, fineTuning: inner, validation: outer },
    { optimizer, start: (w: np.Array) => w, inverse: neumannSeries({ rate: 0.1, terms: 2 }) },
  )
  const model = { response: (n: np.Array) => n, trainingLoss: inner, validationLoss: outer }
  const tuned = await hypernetwork(model, wide(1), wide(2))
  const run = async (times: number) => {
    let point: TrainingPoint<np.Array> = { weights: wide(3) }
    for (let time = 0; time < times; time++) {
      const given = Array.from({ length: 10 }, (_, index) => wide(index))
      const [w, a, b, c, d, ...x] = given as [np.Array, np.Array, np.Array, np.Array, np.Array, ...np.Array[]]
      const found = implicit(w, a, [x[0]!], [x[1]!])
      tree.dispose(found as never)
      const { end, gradient, ...rest } = unrolled(point, b, [[x[2]!.ref], [x[3]!], [x[4]!]], [x[2]!])
      // Nothing is computed before it is read, and until then all that it is computed from stays.
      gradient.dataSync()
      tree.dispose(rest as never)
      point = end
      tree.dispose(twoStage(c, d, [wide(4)], [[wide(5)], [wide(6)]], [wide(7)]) as never)
      ;(await tuned.train(wide(8))).dispose()
      ;(await tuned.tune(wide(9))).dispose()
      tuned.weights().dispose()
      tuned.weights(wide(8)).dispose()
      expect(given.map(({ refCount }) => refCount)).toEqual(given.map(() => 0))
    }
    tree.dispose([point.weights, point.state!])
  }
  await run(3)
  const before = memory().buffer.byteLength
  await run(8)
  // A matrix left behind in each of these turns would be 1 MiB.
  expect(memory().buffer.byteLength - before).toBeLessThan(2 ** 19)
  for (const each of [implicit, unrolled, twoStage, tuned]) each.dispose()
})
