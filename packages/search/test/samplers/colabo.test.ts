import { describe, expect, test } from 'vitest'
import { colabo, float, random, type Sampler, type SeenTrial, space } from '../../src/index.ts'
import { weighted } from '../../src/samplers/colabo.ts'
import { GaussianProcess } from '../../src/samplers/parts/gaussian-process.ts'
import { everything } from '../support/everything.ts'
import { branin } from '../support/functions.ts'
import { medianRegrets, points, proposed, seen, viewOf } from '../support/proposals.ts'

const square = space({ x: float(0, 1), y: float(0, 1) })
const acquisitions = ['logExpectedImprovement', 'entropySearch', 'knowledgeGradient'] as const

/** A belief in a place, as wide as `deviation`. */
const around = (x: number, y: number, deviation: number) => (parameters: Readonly<Record<string, unknown>>) =>
  Math.exp(-((Number(parameters.x) - x) ** 2 + (Number(parameters.y) - y) ** 2) / (2 * deviation ** 2))

test('weighted paths are the process given the belief: as those that are kept at random with its probability', () => {
  const process = new GaussianProcess(square, points(square, 4), [0.5, -0.4, 0.1, 0.9], {
    logLengths: [-0.7, -0.7],
    logAmplitude: 0,
    logNoise: -4,
  })
  const places = points(square, 6, 2)
  const sample = process.sampler(places)
  const numbers = random(1, 'paths')
  const values = Array.from({ length: 40_000 }, () => sample(numbers))
  const likelihood = (place: number, value: number) =>
    [0.9, 0.05, 0.2, 0.6, 0.1, 0.4][place]! * Math.exp(-((value + 1) ** 2))
  const { weights } = weighted(values, likelihood)
  const kept = values.filter((path) => {
    const smallest = Math.min(...path)
    return numbers.uniform() < likelihood(path.indexOf(smallest), smallest)
  })
  for (const place of places.keys()) {
    const mean = kept.reduce((sum, path) => sum + path[place]!, 0) / kept.length
    const deviation = Math.sqrt(kept.reduce((sum, path) => sum + (path[place]! - mean) ** 2, 0) / kept.length)
    const mine = values.reduce((sum, path, index) => sum + weights[index]! * path[place]!, 0)
    expect(Math.abs(mine - mean)).toBeLessThan((5 * deviation) / Math.sqrt(kept.length))
  }
})

describe('colabo', () => {
  const trialsOf = (loss: (x: number, y: number) => number, count = 8): SeenTrial[] =>
    points(square, count).map((point, index) => seen(index, point, { losses: [loss(point[0]!, point[1]!)] }))

  test.each(acquisitions)('looks nearer to where the best point is believed to be, by %s', async (acquisition) => {
    const rough = trialsOf((x, y) => Math.sin(20 * x) + Math.cos(31 * y))
    const distance = async (sampler: Sampler) => {
      let sum = 0
      for (let seed = 1; seed <= 5; seed++) {
        const [x, y] = await proposed(sampler, viewOf(square, rough), seed)
        sum += Math.hypot(x! - 0.2, y! - 0.7) / 5
      }
      return sum
    }
    const belief = around(0.2, 0.7, 0.07)
    expect(await distance(colabo({ location: belief, acquisition }))).toBeLessThan(
      (await distance(colabo({ acquisition }))) / 1.5,
    )
  })

  test('draws its first points by the belief', async () => {
    const drawn = []
    for (let seed = 1; seed <= 9; seed++) {
      drawn.push(await proposed(colabo({ location: around(0.2, 0.7, 0.1) }), viewOf(square, []), seed))
    }
    const near = drawn.filter(([x, y]) => Math.hypot(x! - 0.2, y! - 0.7) < 0.3)
    expect(near.length).toBeGreaterThan(6)
  })

  test('asks for beliefs in the unit of the objective, the best of which may be the largest', async () => {
    const view = viewOf(
      square,
      points(square, 30).map((point, index) => seen(index, point, { losses: [-500 - point[0]! * 3] })),
    )
    const asked: number[] = []
    const belief = (value: number) => {
      asked.push(value)
      return 1
    }
    const objectives = [{ name: 'value', direction: 'maximize' as const }]
    await proposed(colabo({ value: belief }), { ...view, objectives })
    expect(Math.min(...asked)).toBeGreaterThan(502)
    expect(Math.max(...asked)).toBeLessThan(505)
  })

  test('forgets a belief that what has been observed speaks against', async () => {
    const trials = trialsOf((x, y) => (x - 0.8) ** 2 + (y - 0.2) ** 2, 40)
    const [x, y] = await proposed(colabo({ location: around(0.2, 0.8, 0.1) }), viewOf(square, trials))
    expect(Math.hypot(x! - 0.8, y! - 0.2)).toBeLessThan(0.1)
  })

  test('is faster with a belief that is right, and comes as far with one that misleads', async () => {
    const after = async (trials: number, location?: ReturnType<typeof around>) => {
      const [regret] = await medianRegrets(
        () => colabo(location ? { location } : {}),
        branin,
        [trials],
        everything ? 3 : 1,
      )
      return regret
    }
    expect(await after(12, around(Math.PI, 2.275, 1))).toBeLessThan((await after(12))! / 2)
    if (everything) expect(await after(40, around(-3, 2, 1))).toBeLessThan(0.01)
  })

  test('refuses beliefs that are no likelihoods', async () => {
    const view = viewOf(square, [])
    await expect(proposed(colabo({ location: () => -1 }), view)).rejects.toThrow(
      'colabo: location must give a number from 0, not -1',
    )
  })
})
