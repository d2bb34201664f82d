import {
  adaGradNorm,
  adagrad,
  BatchSizeGrowth,
  compile,
  elementwiseNormTest,
  gradientStatistics,
  normTest,
  reference,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { randomNumbers } from '../support/random.ts'
import { sum } from '../support/restate.ts'

const target = [1.5, -2, 0.5]

/** Gradients of single examples of least squares with noisy answers, in their order. */
function examples() {
  const random = randomNumbers(12)
  return (theta: readonly number[]) => {
    const x = target.map(() => 2 * random())
    const error = sum(x.map((each, j) => each * (theta[j]! - target[j]!))) - random()
    return x.map((each) => error * each)
  }
}

const distance = (theta: readonly number[]) => Math.hypot(...theta.map((each, j) => each - target[j]!))

/** The algorithms of the paper over plain arrays: AdaGrad, or AdaGrad-Norm, and the batch size after every step. */
function paper(
  kind: 'elements' | 'norm',
  steps: number,
  first: number,
  maximum: number,
  eta: number,
  rate: number,
  eps: number,
) {
  const draw = examples()
  let theta = target.map(() => 0)
  const squares = target.map(() => 0)
  let [total, size] = [0, first]
  const sizes: number[] = []
  for (let step = 0; step < steps; step++) {
    const gradients = Array.from({ length: size }, () => draw(theta))
    const mean = target.map((_, j) => sum(gradients.map((g) => g[j]!)) / size)
    const variances = target.map((_, j) => sum(gradients.map((g) => (g[j]! - mean[j]!) ** 2)) / (size - 1))
    const square = sum(mean.map((each) => each ** 2))
    total += square
    theta = theta.map((each, j) => {
      squares[j]! += mean[j]! ** 2
      return each - (rate * mean[j]!) / (kind === 'norm' ? Math.sqrt(total) : Math.sqrt(squares[j]!) + eps)
    })
    const needed =
      kind === 'norm'
        ? sum(variances) / (eta ** 2 * square)
        : Math.max(...variances.map((variance, j) => variance / (eta ** 2 * mean[j]! ** 2)))
    if (needed > size) size = Math.min(maximum, Math.ceil(needed))
    sizes.push(size)
  }
  return { theta, sizes }
}

describe('AdaGrad with batches that grow', () => {
  it.each(['elements', 'norm'] as const)('takes the steps and the batches of the paper, by %s', async (kind) => {
    const [steps, first, maximum, eta, rate] = [60, 4, 2000, 0.8, 0.5]
    const factory =
      kind === 'norm' ? adaGradNorm({ learningRate: rate, b0: 0 }) : adagrad({ learningRate: rate, epsilon: 1e-10 })
    const optimizer = await compile(factory, { theta: [3] }, { backend: reference() })
    const test = kind === 'norm' ? normTest : elementwiseNormTest
    const growth = new BatchSizeGrowth({ initial: first, maximum, test: (batch) => test(batch, eta) })
    const draw = examples()
    const sizes: number[] = []
    for (let step = 0; step < steps; step++) {
      const theta = [...optimizer.parameters.theta]
      const gradients = Array.from({ length: growth.batchSize }, () => draw(theta))
      optimizer.step({
        gradients: { theta: theta.map((_, j) => sum(gradients.map((g) => g[j]!)) / gradients.length) },
      })
      sizes.push(growth.observe(gradientStatistics(gradients)))
    }
    const expected = paper(kind, steps, first, maximum, eta, rate, 1e-10)
    expect(sizes).toEqual(expected.sizes)
    optimizer.parameters.theta.forEach((value, j) => {
      expect(value).toBeCloseTo(expected.theta[j]!, 6)
    })
    // What the growth is for: with the batches of the start the noise never lets it come as close.
    expect(sizes.at(-1)).toBeGreaterThan(10 * first)
    expect(distance(expected.theta)).toBeLessThan(
      distance(paper(kind, steps, first, first, eta, rate, 1e-10).theta) / 2,
    )
  })
})
