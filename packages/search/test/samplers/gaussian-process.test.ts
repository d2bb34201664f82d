import { describe, expect, test } from 'vitest'
import { float, gaussianProcess, type SeenTrial, space } from '../../src/index.ts'
import { random } from '../../src/random.ts'
import {
  entropyReduction,
  knowledgeGradientOf,
  logExpectedImprovement,
  logKnowledgeGradient,
} from '../../src/samplers/gaussian-process.ts'
import { evidence, GaussianProcess } from '../../src/samplers/parts/gaussian-process.ts'
import { minimize } from '../../src/samplers/parts/minimize.ts'
import { logExpectedPart, logNormalCumulative, normalBetween, normalCumulative } from '../../src/statistics/normal.ts'
import { everything } from '../support/everything.ts'
import { branin } from '../support/functions.ts'
import { medianRegrets, mixed, oddViews, points, proposed, seen, viewOf } from '../support/proposals.ts'

const square = space({ x: float(0, 1), y: float(0, 1) })

describe('the normal distribution', () => {
  test('has the values of tables', () => {
    const table = [
      [0, 0.5],
      [1, 0.8413447460685429],
      [-2, 0.02275013194817921],
      [-3, 0.0013498980316300933],
      [-8, 6.220960574271785e-16],
    ]
    for (const [z, share] of table) expect(normalCumulative(z!) / share!).toBeCloseTo(1, 12)
    expect(logNormalCumulative(-40)).toBeCloseTo(-804.6084420137538, 9)
    expect(normalBetween(8, 9) / 6.219831985865e-16).toBeCloseTo(1, 9)
  })

  test('has an expected part that meets itself where the formula changes, and its limit far out', () => {
    expect(logExpectedPart(-2.5 - 1e-9)).toBeCloseTo(logExpectedPart(-2.5 + 1e-9), 7)
    for (const z of [-1e3, -1e5]) {
      const limit = (-z * z) / 2 - Math.log(Math.sqrt(2 * Math.PI)) - 2 * Math.log(-z)
      expect(logExpectedPart(z) - limit).toBeCloseTo(0, 4)
    }
  })
})

describe('logExpectedImprovement', () => {
  test.each([
    [0, 1, 0.5],
    [1, 0.25, 0],
    [2, 4, -1],
  ])('is the mean of what is gained (mean %d, variance %d, best %d)', (mean, variance, best) => {
    const numbers = random(1, 'gains')
    const draws = 400_000
    let [sum, squares] = [0, 0]
    for (let draw = 0; draw < draws; draw++) {
      const gain = Math.max(0, best - mean - Math.sqrt(variance) * numbers.normal())
      sum += gain
      squares += gain * gain
    }
    const error = Math.sqrt((squares / draws - (sum / draws) ** 2) / draws)
    expect(Math.abs(Math.exp(logExpectedImprovement({ mean, variance }, best)) - sum / draws)).toBeLessThan(4 * error)
  })
})

describe('entropy search', () => {
  test.each([
    [0, 1, -1],
    [2, 0.25, 1.9],
    [-1, 4, 0],
  ])('is the fall of entropy by a bound (mean %d, variance %d, smallest %d)', (mean, variance, smallest) => {
    const deviation = Math.sqrt(variance)
    const above = normalCumulative((mean - smallest) / deviation)
    const [cells, width] = [200_000, 12 * deviation]
    let entropy = 0
    for (let cell = 0; cell < cells; cell++) {
      const x = smallest + ((cell + 0.5) * width) / cells
      const density = Math.exp(-((x - mean) ** 2) / (2 * variance)) / (Math.sqrt(2 * Math.PI * variance) * above)
      if (density > 0) entropy -= (density * Math.log(density) * width) / cells
    }
    const before = Math.log(2 * Math.PI * Math.E * variance) / 2
    expect(entropyReduction({ mean, variance }, [smallest])).toBeCloseTo(before - entropy, 6)
  })
})

describe('the knowledge gradient', () => {
  test('of one alternative against a known one is the expected improvement', () => {
    for (const [known, mean, slope] of [
      [0, 0.5, 1],
      [1, 0.2, 0.3],
      [-1, 3, 0.5],
    ] as const) {
      // What is known at `known` stays; the smallest mean now is the smaller of the two.
      const fall =
        Math.exp(logExpectedImprovement({ mean, variance: slope * slope }, known)) - Math.max(0, known - mean)
      expect(Math.exp(logKnowledgeGradient([known, mean], [0, slope])) / fall).toBeCloseTo(1, 9)
    }
    expect(logKnowledgeGradient([1, 2, 3], [0.5, 0.5, 0.5])).toBe(-Infinity)
    expect(logKnowledgeGradient([0, 90], [0, 1])).toBeCloseTo(logExpectedPart(-90), 6)
  })

  test('is how far the smallest mean falls on average when the process is fitted again to what is observed', () => {
    const observed = points(square, 5)
    const targets = [0.3, -1, 0.8, 0.1, -0.6]
    const hyperparameters = { logLengths: [-0.7, -0.3], logAmplitude: 0.2, logNoise: -2.5 }
    const process = new GaussianProcess(square, observed, targets, hyperparameters)
    const among = points(square, 6, 2)
    const now = (model: GaussianProcess, more: readonly (readonly number[])[]) =>
      Math.min(...more.map((point) => model.predict(point).mean))
    const gradient = knowledgeGradientOf(process, among)
    for (const point of [
      [0.1, 0.9],
      [0.6, 0.4],
    ]) {
      const all = [...(among as number[][]), point]
      const { mean, variance } = process.predict(point)
      const numbers = random(1, 'observations')
      const draws = 8000
      let [sum, squares] = [0, 0]
      for (let draw = 0; draw < draws; draw++) {
        const value = mean + Math.sqrt(variance + process.noise) * numbers.normal()
        const again = new GaussianProcess(square, [...observed, point], [...targets, value], hyperparameters)
        const fall = now(process, all) - now(again, all)
        sum += fall
        squares += fall * fall
      }
      const error = Math.sqrt((squares / draws - (sum / draws) ** 2) / draws)
      expect(Math.abs(Math.exp(gradient(point)) - sum / draws)).toBeLessThan(4 * error)
    }
  })

  test('observes where noise hides which of two is better, and not where that is clear', () => {
    // Both minima were seen twice; the values at the right one are far apart.
    const line = space({ x: float(0, 1) })
    const process = new GaussianProcess(line, [[0.1], [0.1], [0.9], [0.5]], [0, 0, 0.1, 2], {
      logLengths: [Math.log(0.15)],
      logAmplitude: 0,
      logNoise: Math.log(0.3),
    })
    const gradient = knowledgeGradientOf(process, [[0.1], [0.5], [0.9]])
    expect(gradient([0.9])).toBeGreaterThan(gradient([0.5]) + 1)
  })
})

describe('minimize', () => {
  test('finds the minimum of Rosenbrock', () => {
    const found = minimize(
      ([x, y]) => ({
        value: (1 - x!) ** 2 + 100 * (y! - x! * x!) ** 2,
        gradient: [-2 * (1 - x!) - 400 * x! * (y! - x! * x!), 200 * (y! - x! * x!)],
      }),
      [-1.2, 1],
      100,
    )
    expect(found).toEqual([expect.closeTo(1, 5), expect.closeTo(1, 5)])
  })
})

describe('Gaussian processes', () => {
  const hyperparameters = { logLengths: [-1, 0], logAmplitude: 0.3, logNoise: -2 }

  test('predict what the formulas for one point say', () => {
    const process = new GaussianProcess(square, [[0.2, 0.4]], [1.5], hyperparameters)
    const distance = Math.hypot(0.3 / Math.exp(-1), 0.5)
    const kernel =
      Math.exp(0.3) * (1 + Math.sqrt(5) * distance + (5 * distance ** 2) / 3) * Math.exp(-Math.sqrt(5) * distance)
    const own = Math.exp(0.3) + Math.exp(-2)
    const { mean, variance } = process.predict([0.5, 0.9])
    expect(mean).toBeCloseTo((1.5 * kernel) / own, 6)
    expect(variance).toBeCloseTo(Math.exp(0.3) - kernel ** 2 / own, 6)
  })

  test('go through what was observed without noise', () => {
    const places = points(square, 12)
    const targets = places.map(([x, y]) => Math.sin(5 * x!) + y!)
    const process = new GaussianProcess(square, places, targets, { ...hyperparameters, logNoise: -25 })
    for (const [index, place] of places.entries()) {
      const { mean, variance } = process.predict(place)
      expect(mean).toBeCloseTo(targets[index]!, 4)
      expect(variance).toBeLessThan(1e-6)
    }
  })

  test('draw functions with the mean and the variance of their predictions, and of their differences', () => {
    const process = new GaussianProcess(square, points(square, 4), [1, -1, 0.5, 2], hyperparameters)
    const places = [
      [0.3, 0.3],
      [0.35, 0.3],
    ]
    const sample = process.sampler(places)
    const numbers = random(1, 'functions')
    const draws = Array.from({ length: 20_000 }, () => sample(numbers))
    const spread = (values: readonly number[]) => {
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length
      return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length }
    }
    for (const [index, place] of places.entries()) {
      const { mean, variance } = process.predict(place)
      const drawn = spread(draws.map((values) => values[index]!))
      expect(Math.abs(drawn.mean - mean)).toBeLessThan(4 * Math.sqrt(variance / draws.length))
      expect(drawn.variance / variance).toBeCloseTo(1, 1)
    }
    // An observation at the first place takes covariance^2 / (variance + noise) from the variance at the second.
    const more = new GaussianProcess(square, [...points(square, 4), places[0]!], [1, -1, 0.5, 2, 0], hyperparameters)
    const [a, b] = places.map((place) => process.predict(place).variance)
    const covariance = Math.sqrt((a! + Math.exp(-2)) * (b! - more.predict(places[1]!).variance))
    const difference = spread(draws.map((values) => values[0]! - values[1]!)).variance
    expect(difference / (a! + b! - 2 * covariance)).toBeCloseTo(1, 1)
  })

  test('have an evidence whose gradient is that of its differences', () => {
    const places = points(mixed, 15)
    const slopeAt = evidence(
      mixed,
      places,
      places.map((_, index) => Math.sin(index)),
    )
    const at = [...mixed.dimensions.map((_, index) => -0.5 + 0.2 * index), 0.2, -3]
    const { gradient } = slopeAt(at)
    for (const index of at.keys()) {
      const beside = (step: number) => slopeAt(at.map((value, other) => (other === index ? value + step : value))).value
      expect(gradient[index]).toBeCloseTo((beside(1e-5) - beside(-1e-5)) / 2e-5, 5)
    }
  })
})

describe('gaussianProcess', () => {
  const bowl = points(square, 20).map((point, index) =>
    seen(index, point, { losses: [(point[0]! - 0.8) ** 2 + (point[1]! - 0.2) ** 2] }),
  )

  // What tells most about the smallest loss is beside the minimum.
  test.each([
    ['logExpectedImprovement', 0.05],
    ['entropySearch', 0.15],
  ] as const)('looks at the minimum of a bowl by %s, as near as %d', async (acquisition, near) => {
    const point = await proposed(gaussianProcess({ acquisition }), viewOf(square, bowl))
    expect(Math.hypot(point[0]! - 0.8, point[1]! - 0.2)).toBeLessThan(near)
  })

  test('tries different points at the same time', async () => {
    const open: SeenTrial[] = []
    for (let number = 8; number < 14; number++) {
      const point = await proposed(gaussianProcess(), viewOf(square, bowl.slice(0, 8), open), number)
      for (const other of open) {
        expect(Math.hypot(point[0]! - other.point[0]!, point[1]! - other.point[1]!)).toBeGreaterThan(0.02)
      }
      open.push(seen(number, point, { state: 'running', losses: null }))
    }
  })

  test('finds the minimum on the edge of what is feasible', async () => {
    const constrained = bowl.map((trial) => ({ ...trial, violations: [trial.point[0]! - 0.5] }))
    const point = await proposed(gaussianProcess(), viewOf(square, constrained))
    expect(point[0]!).toBeGreaterThan(0.4)
    expect(point[0]!).toBeLessThan(0.53)
    expect(point[1]!).toBeCloseTo(0.2, 0)
  })

  test.each(Object.entries(oddViews()))('bears %s and says the same twice', async (_, view) => {
    for (const acquisition of ['logExpectedImprovement', 'entropySearch', 'knowledgeGradient'] as const) {
      const point = await proposed(gaussianProcess({ acquisition }), view)
      for (const coordinate of point) expect(coordinate === null || Number.isFinite(coordinate)).toBe(true)
      expect(view.space.point(view.space.parameters(point))).toHaveLength(point.length)
      expect(await proposed(gaussianProcess({ acquisition }), view)).toEqual(point)
    }
  })

  test('is fitted to no more trials than it may', async () => {
    const many = points(square, 400).map((point, index) =>
      seen(index, point, { losses: [Math.hypot(point[0]! - 0.8, point[1]! - 0.2)] }),
    )
    const point = await proposed(gaussianProcess({ largest: 30 }), viewOf(square, many))
    expect(Math.hypot(point[0]! - 0.8, point[1]! - 0.2)).toBeLessThan(0.1)
  })

  test.each(
    everything ? (['logExpectedImprovement', 'entropySearch'] as const) : (['logExpectedImprovement'] as const),
  )('comes within 0.01 of the minimum of Branin in 40 trials by %s', async (acquisition) => {
    const [regret] = await medianRegrets(() => gaussianProcess({ acquisition }), branin, [40], everything ? 7 : 3)
    expect(regret).toBeLessThanOrEqual(0.01)
  })
})
