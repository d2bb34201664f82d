import {
  adamW,
  compile,
  criticalBatchSize,
  LanczosLearner,
  lanczos,
  scaleLearningRate,
  sgd,
  spectralRates,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { randomNumbers } from '../support/random.ts'

const length = (x: ArrayLike<number>) => Math.hypot(...Array.from(x))

async function train(curvatures: readonly number[], steps: number, learn: boolean) {
  const optimizer = await compile(sgd({ learningRate: 2 / (curvatures[0]! + curvatures.at(-1)!), momentum: 1e-9 }), {
    a: [2],
    b: [curvatures.length - 2],
  })
  const { a, b } = optimizer.parameters
  a.fill(1)
  b.fill(1)
  const learner = new LanczosLearner(optimizer, { period: 1000, largestMomentum: 0.999 })
  const at = () => [...a, ...b]
  for (let step = 0; step < steps; step++) {
    if (learn) await learner.observe((vector) => vector.map((value, i) => value * curvatures[i]!))
    const g = at().map((value, i) => value * curvatures[i]!)
    optimizer.step({ gradients: { a: g.slice(0, 2), b: g.slice(2) } })
  }
  return { distance: length(at()), hyper: optimizer.hyper }
}

describe('rates from the spectrum', () => {
  it('are those of Polyak, with which momentum shortens the way by √β a step', async () => {
    const curvatures = [10, 4, 2, 1, 0.1]
    const learned = await train(curvatures, 80, true)
    const [high, low] = [Math.sqrt(10), Math.sqrt(0.1)]
    expect(learned.hyper.learningRate).toBeCloseTo(4 / (high + low) ** 2, 10)
    expect(learned.hyper.momentum).toBeCloseTo(((high - low) / (high + low)) ** 2, 10)
    const later = await train(curvatures, 120, true)
    expect((later.distance / learned.distance) ** (1 / 40)).toBeCloseTo((high - low) / (high + low), 1)
    // Without momentum, at the best rate for that: (κ - 1) / (κ + 1) a step.
    const plain = await train(curvatures, 80, false)
    expect(plain.distance).toBeGreaterThan(0.1)
    expect(learned.distance).toBeLessThan(1e-3 * plain.distance)
  })

  it('keep to the largest momentum, with the rate that goes with it', () => {
    const { learningRate, momentum } = spectralRates(
      { largest: 100, values: [-3, 1e-8, 100] },
      { largestMomentum: 0.81 },
    )
    expect(momentum).toBeCloseTo(0.81, 12)
    expect(learningRate).toBeCloseTo(1.9 ** 2 / 100, 12)
    expect(learningRate).toBeLessThan((2 * (1 + momentum)) / 100)
    expect(spectralRates({ largest: 5, values: [5] })).toEqual({ learningRate: 0.2, momentum: 0 })
  })

  it('are measured when due only', async () => {
    const optimizer = await compile(sgd({ momentum: 0.9 }), { x: [3] })
    const learner = new LanczosLearner(optimizer, { period: 4, share: 0.5 })
    const measured: number[] = []
    for (let step = 0; step < 9; step++) {
      const rates = await learner.observe((vector) => vector.map((value) => value * (step + 1)))
      if (rates) measured.push(rates.learningRate)
      optimizer.step({ gradients: { x: [0, 0, 0] } })
    }
    expect(measured).toHaveLength(3)
    for (const [index, curvature] of [1, 5, 9].entries()) expect(measured[index]).toBeCloseTo(0.5 / curvature, 12)
    expect(optimizer.hyper.momentum).toBeLessThan(1e-15)
  })
})

describe('the critical batch size', () => {
  it('is what a random matrix with a spike says', async () => {
    const [size, spike, sigma] = [300, 2, 0.5]
    const random = randomNumbers(6)
    // Symmetric noise of variance σ² for one example, that of a batch 1 / b of it; normal by the sum of twelve.
    const normal = () => Array.from({ length: 12 }, () => random()).reduce((sum, x) => sum + x, 0) / 2
    const noise = Array.from({ length: size }, () => new Float64Array(size))
    for (let i = 0; i < size; i++) {
      for (let j = 0; j <= i; j++) noise[i]![j] = noise[j]![i] = sigma * normal()
    }
    const curvature = async (batchSize: number) => {
      const { largest } = await lanczos(
        (vector) =>
          vector.map((_, i) => {
            let sum = i === 0 ? spike * vector[0]! : 0
            for (let j = 0; j < size; j++) sum += (noise[i]![j]! * vector[j]!) / Math.sqrt(batchSize)
            return sum
          }),
        size,
        { products: 40, tolerance: 1e-5 },
      )
      return { batchSize, largest }
    }
    const measured = [await curvature(60), await curvature(120), await curvature(480)]
    const { critical, curvature: limit } = criticalBatchSize(measured)
    const variance = noise.flatMap((row) => [...row]).reduce((sum, x) => sum + x ** 2, 0) / size ** 2
    const expected = (size * variance) / spike ** 2
    expect(critical / expected).toBeGreaterThan(0.75)
    expect(critical / expected).toBeLessThan(1.25)
    expect(limit).toBeCloseTo(spike, 0)
    // The largest stable rate is 2 / λ: carried over from one batch size to another it is that of the other.
    const [small, , large] = measured
    const carried = scaleLearningRate(2 / small!.largest, { from: 60, to: 480, scaling: { critical } })
    expect((carried * large!.largest) / 2).toBeCloseTo(1, 1)
  })

  it('is found exactly on a line, and refused where there is none', () => {
    const on = (batchSize: number) => ({ batchSize, largest: 3 * (1 + 40 / batchSize) })
    const { critical, curvature } = criticalBatchSize([on(8), on(16), on(100)])
    expect(critical).toBeCloseTo(40, 9)
    expect(curvature).toBeCloseTo(3, 9)
    expect(() => criticalBatchSize([on(8), on(8)])).toThrow(/at least two batch sizes/)
    expect(() => criticalBatchSize([on(8), { batchSize: 0, largest: 1 }])).toThrow(/above 0, not 0 and 1/)
    expect(() => criticalBatchSize([on(8), { batchSize: 16, largest: 100 }])).toThrow(/must fall with the batch size/)
  })
})

describe('what is refused', () => {
  it('names what is wrong', async () => {
    const optimizer = await compile(sgd({ momentum: 0.9 }), { x: [2] })
    expect(() => new LanczosLearner(optimizer, { period: 0 })).toThrow(/period must be a whole number from 1 up, not 0/)
    expect(() => new LanczosLearner(optimizer, { share: 2 })).toThrow(/share must be .* not 2/)
    expect(() => new LanczosLearner(optimizer, { largestMomentum: 1 })).toThrow(/below 1, not 1/)
    expect(() => new LanczosLearner(optimizer, { every: 3 } as never)).toThrow(/unknown option 'every'/)
    const adam = await compile(adamW(), { x: [2] })
    expect(() => new LanczosLearner(adam)).toThrow(/has no momentum to set/)
    const before = optimizer.hyper
    const learner = new LanczosLearner(optimizer)
    await expect(learner.observe((vector) => vector.map((value) => -value))).rejects.toThrow(
      /largest curvature must be/,
    )
    expect(optimizer.hyper).toEqual(before)
  })
})
