import { compile, type Optimizer, reference, scaledGd, sgd } from 'fallline'
import { expect, it } from 'vitest'
import { solve } from '../support/matrices.ts'
import { randomNumbers } from '../support/random.ts'
import { restate, type Step } from '../support/restate.ts'

/** X ← X - η g (Xᵀ X + λ I)⁻¹ row by row, of the transposed where X has fewer rows than columns. */
const paper =
  (rate: number, lambda: number, gramOf?: (k: number, i: number) => number): (() => Step) =>
  () =>
  (tensors) => {
    for (const [k, { p, g, shape }] of tensors.entries()) {
      const [rows, columns] = shape as [number, number]
      const wide = rows < columns
      const [n, r] = wide ? [columns, rows] : [rows, columns]
      const place = (i: number, j: number) => (wide ? j * columns + i : i * columns + j)
      const gram = Array.from({ length: r }, (_, a) =>
        Array.from({ length: r }, (_, b) => {
          let sum = a === b ? lambda : 0
          if (gramOf) sum += gramOf(k, a * r + b)
          else for (let i = 0; i < n; i++) sum += p[place(i, a)]! * p[place(i, b)]!
          return sum
        }),
      )
      const steps = Array.from({ length: n }, (_, i) =>
        solve(
          gram,
          Array.from({ length: r }, (_, j) => g[place(i, j)]!),
        ),
      )
      for (const [i, step] of steps.entries()) for (const [j, x] of step.entries()) p[place(i, j)]! -= rate * x
    }
  }

/** Gram matrices of two vectors that go with the tensor. */
const factors = (k: number, i: number) => [Math.sin(1.1 * i + k), Math.cos(0.7 * i - k)] as const
const ranks = [3, 2, 3, 1]
const partnerGram = (k: number, index: number) => {
  const [a, b] = [Math.floor(index / ranks[k]!), index % ranks[k]!]
  const [x, y] = [factors(k, a), factors(k, b)]
  return x[0] * y[0] + x[1] * y[1]
}

const layout = 'matrices'
restate(scaledGd, {
  'with a Gram matrix of its own': {
    optimizer: scaledGd({ learningRate: 0.05, damping: 0.3 }),
    paper: paper(0.05, 0.3),
    salt: 0.2,
    layout,
  },
  'with that of the other factor': {
    optimizer: scaledGd({ learningRate: 0.02, damping: 0.1, gram: 'partner' }),
    paper: paper(0.02, 0.1, partnerGram),
    salt: 0.5,
    layout,
    inputs: { partnerGram: ({ k, i }) => partnerGram(k, i) },
  },
})

const [size, trueRank, rank, measurements] = [12, 2, 4, 400]

/** Steps until the error of X Xᵀ is a thousandth, from small random numbers, for Gaussian measurements of a matrix of that condition. */
async function stepsToSense(optimizer: Optimizer, condition: number, most: number): Promise<number> {
  const random = randomNumbers(7)
  const normal = () => Math.sqrt(-2 * Math.log(1 - Math.abs(random()))) * Math.cos(Math.PI * random())
  // Columns that are orthonormal, of which the second has a singular value that is as many times smaller.
  const columns = Array.from({ length: trueRank }, () => Array.from({ length: size }, normal))
  const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0)
  const unit = (a: readonly number[]) => a.map((x) => x / Math.sqrt(dot(a, a)))
  const first = unit(columns[0]!)
  const second = unit(columns[1]!.map((x, i) => x - dot(columns[1]!, first) * first[i]!))
  const truth = Float64Array.from({ length: size * size }, (_, index) => {
    const [i, j] = [Math.floor(index / size), index % size]
    return first[i]! * first[j]! + (second[i]! * second[j]!) / condition ** 2
  })
  const sensors = Array.from({ length: measurements }, () => {
    const sensor = new Float64Array(size * size)
    for (let i = 0; i < size; i++) {
      for (let j = 0; j <= i; j++) {
        const x = (normal() * (i === j ? Math.SQRT2 : 1)) / Math.sqrt(2 * measurements)
        sensor[i * size + j] = x
        sensor[j * size + i] = x
      }
    }
    return sensor
  })
  const compiled = await compile(optimizer, { X: [size, rank] }, { backend: reference() })
  const X = compiled.parameters.X!
  for (let i = 0; i < X.length; i++) X[i] = 1e-3 * normal()
  for (let step = 1; step <= most; step++) {
    const error = Float64Array.from(truth, (value, index) => {
      const [i, j] = [Math.floor(index / size), index % size]
      let sum = -value
      for (let k = 0; k < rank; k++) sum += X[i * rank + k]! * X[j * rank + k]!
      return sum
    })
    if (Math.hypot(...error) < 1e-3 / condition ** 2) return step
    const seen = new Float64Array(size * size)
    for (const sensor of sensors) {
      const measured = sensor.reduce((sum, x, index) => sum + x * error[index]!, 0)
      for (let index = 0; index < seen.length; index++) seen[index]! += measured * sensor[index]!
    }
    const gradient = Float64Array.from(X, (_, index) => {
      let sum = 0
      for (let j = 0; j < size; j++) sum += seen[Math.floor(index / rank) * size + j]! * X[j * rank + (index % rank)]!
      return sum
    })
    compiled.step({ gradients: { X: gradient } })
  }
  return most
}

it('senses an ill-conditioned matrix as fast as a well-conditioned one', async () => {
  const scaled = (condition: number) =>
    stepsToSense(scaledGd({ learningRate: 0.5, damping: 0.05 / condition ** 2 }), condition, 300)
  const [well, ill, worse] = [await scaled(2), await scaled(10), await scaled(50)]
  const plain = await stepsToSense(sgd({ learningRate: 0.2 }), 10, 300)
  expect(Math.max(ill, worse)).toBeLessThan(2 * well)
  expect(plain).toBe(300)
}, 60_000)
