import { describe, expect, test } from 'vitest'
import { choice, cmaEs, float, integer, lmMaEs, random, space } from '../../src/index.ts'
import { towards } from '../../src/samplers/parts/categories.ts'
import {
  type Adaptation,
  beginAdaptation,
  defaultPopulation,
  positiveWeights,
  sampleAdaptation,
  updateAdaptation,
} from '../../src/samplers/parts/covariance-adaptation.ts'
import { deviationsAbove, withMargin } from '../../src/samplers/parts/margin.ts'
import {
  beginMatrixAdaptation,
  sampleMatrixAdaptation,
  updateMatrixAdaptation,
} from '../../src/samplers/parts/matrix-adaptation.ts'
import { normalCumulative } from '../../src/statistics/normal.ts'
import { cigar, ellipsoid, least, median, rosenbrock, run, sphere } from '../support/evolution-functions.ts'

type Loss = (x: readonly number[]) => number
interface Options {
  readonly start?: number
  readonly target?: number
  readonly limit?: number
  readonly kind?: Adaptation['kind']
  readonly adaptRates?: boolean
  readonly population?: number
}

/** Evaluations until a loss is below the target. */
function evaluations(loss: Loss, n: number, seed: number, options: Options = {}): number {
  const { start = 1, target = 1e-8, limit = 1e5, kind = 'full', adaptRates = false } = options
  const source = random(seed, 'cma-es')
  const population = options.population ?? defaultPopulation(n)
  const mean = new Array<number>(n).fill(start)
  let state = beginAdaptation({ mean, sigma: 0.5, population, kind, adaptRates })
  for (let count = 0; count < limit; ) {
    const points = Array.from({ length: population }, () => sampleAdaptation(state, source))
    const losses = new Map(points.map((point) => [point, loss(point)]))
    for (const point of points) {
      count++
      if (losses.get(point)! < target) return count
    }
    state = updateAdaptation(
      state,
      points.sort((a, b) => losses.get(a)! - losses.get(b)!),
    )
  }
  return Infinity
}

const runs = (loss: Loss, n: number, options?: Options) =>
  median(Array.from({ length: 15 }, (_, seed) => evaluations(loss, n, seed, options)))

describe('the covariance matrix adaptation', () => {
  test.each([
    ['sphere', 2, sphere, 232, 1],
    ['sphere', 5, sphere, 676, 1],
    ['sphere', 10, sphere, 1331, 1],
    ['ellipsoid', 5, ellipsoid, 1564, 1],
    ['cigar', 5, cigar, 1704, 1],
    ['Rosenbrock', 5, rosenbrock, 1777, 0],
  ] as const)('needs as many evaluations as the reference: %s, n = %i', (_, n, loss, reference, start) => {
    const count = runs(loss, n, { start })
    expect(count).toBeGreaterThan(0.8 * reference)
    expect(count).toBeLessThan(1.2 * reference)
  })

  test('does not care about rotation, in the full form', () => {
    // Planes turned one after the other: an orthogonal matrix that leaves no axis where it was.
    const rotated: Loss = (x) => {
      const turned = [...x]
      for (let i = 0; i < x.length; i++) {
        for (let j = i + 1; j < x.length; j++) {
          const [a, b, angle] = [turned[i]!, turned[j]!, 1 + i + 2 * j]
          turned[i] = Math.cos(angle) * a - Math.sin(angle) * b
          turned[j] = Math.sin(angle) * a + Math.cos(angle) * b
        }
      }
      return ellipsoid(turned)
    }
    const ratio = runs(rotated, 5) / runs(ellipsoid, 5)
    expect(ratio).toBeGreaterThan(0.8)
    expect(ratio).toBeLessThan(1.25)
    const separable = { kind: 'separable', limit: 4000 } as const
    expect(runs(ellipsoid, 5, separable)).toBeLessThan(2500)
    expect(runs(rotated, 5, separable)).toBe(Infinity)
  })

  test('stays when nothing is better than anything', () => {
    const drifts = Array.from({ length: 20 }, (_, seed) => {
      const source = random(seed, 'flat')
      let state = beginAdaptation({ mean: [0, 0, 0], sigma: 1, population: 7, kind: 'full', adaptRates: false })
      for (let generation = 0; generation < 100; generation++) {
        state = updateAdaptation(
          state,
          Array.from({ length: 7 }, () => sampleAdaptation(state, source)),
        )
      }
      return Math.log(state.sigma) / 100
    })
    expect(Math.abs(median(drifts))).toBeLessThan(0.03)
  })

  test('solves what is noisy with adapted rates, and not without', () => {
    const noisy = (seed: number): Loss => {
      const source = random(seed, 'noise')
      return (x) => sphere(x) + 0.3 * source.normal()
    }
    const distance = (adaptRates: boolean) =>
      median(
        Array.from({ length: 7 }, (_, seed) => {
          const [loss, source] = [noisy(seed), random(seed, 'cma-es')]
          let state = beginAdaptation({ mean: [2, 2, 2], sigma: 1, population: 7, kind: 'full', adaptRates })
          for (let generation = 0; generation < 400; generation++) {
            const points = Array.from({ length: 7 }, () => sampleAdaptation(state, source))
            const losses = new Map(points.map((point) => [point, loss(point)]))
            state = updateAdaptation(
              state,
              points.sort((a, b) => losses.get(a)! - losses.get(b)!),
            )
          }
          return sphere(state.mean)
        }),
      )
    expect(distance(true)).toBeLessThan(0.5 * distance(false))
  })

  test('has positive weights that fall and sum to 1', () => {
    for (const population of [1, 2, 3, 6, 11, 40]) {
      const weights = positiveWeights(population)
      expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12)
      for (const [index, weight] of weights.slice(1).entries()) expect(weight).toBeLessThanOrEqual(weights[index]!)
    }
  })
})

describe('the margin', () => {
  test('leaves each neighbour its probability and the mean in its part', () => {
    for (const alpha of [0.01, 0.1]) {
      for (const mean of [0.21, 0.3, 0.39]) {
        for (const deviation of [1e-4, 0.02, 0.5]) {
          const [center, width] = withMargin(mean, deviation, [0.2, 0.4], alpha)
          expect(normalCumulative((0.2 - center) / width)).toBeGreaterThan(alpha / 2 - 1e-6)
          expect(1 - normalCumulative((0.4 - center) / width)).toBeGreaterThan(alpha / 2 - 1e-6)
          expect(center).toBeGreaterThanOrEqual(0.2)
          expect(center).toBeLessThanOrEqual(0.4)
        }
      }
      const [center, width] = withMargin(0.9, 1e-3, [0.8, Infinity], alpha)
      expect(width).toBe(1e-3)
      expect(normalCumulative((0.8 - center) / width)).toBeCloseTo(alpha, 5)
    }
  })

  test('changes nothing where both neighbours are likely', () => {
    const [mean, deviation] = withMargin(0.31, 0.2, [0.2, 0.4], 0.01)
    expect(mean).toBeCloseTo(0.31, 6)
    expect(deviation).toBeCloseTo(0.2, 6)
    expect(withMargin(0.5, 1e-9, [-Infinity, Infinity], 0.1)).toEqual([0.5, 1e-9])
    expect(deviationsAbove(0.025)).toBeCloseTo(1.959964, 4)
  })

  test('leaves every choice its probability', () => {
    let probabilities = [0.25, 0.25, 0.25, 0.25]
    for (let turn = 0; turn < 100; turn++) probabilities = towards(probabilities, [2, 2, 0], [0.6, 0.3, 0.1], 0.5, 2)
    const least = (1 - 0.73 ** (1 / 2)) / 3
    expect(Math.min(...probabilities)).toBeCloseTo(least, 12)
    expect(probabilities.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 12)
    expect(towards(probabilities, [null, null], [0.5, 0.5], 1, 1)).toEqual(probabilities)
  })
})

describe('the limited-memory matrix adaptation', () => {
  const descend = (loss: Loss, mean: readonly number[], generations: number, sigma: number) => {
    const source = random(1, 'lm-ma-es')
    let state = beginMatrixAdaptation(mean, sigma)
    for (let generation = 0; generation < generations; generation++) {
      const points = Array.from({ length: state.population }, () => sampleMatrixAdaptation(state, source))
      const losses = new Map(points.map((point) => [point, loss(point)]))
      state = updateMatrixAdaptation(
        state,
        points.sort((a, b) => losses.get(a)! - losses.get(b)!),
      )
    }
    return state
  }

  test('descends linearly on the sphere and along the valley of Rosenbrock in 60 numbers', () => {
    expect(sphere(descend(sphere, new Array(40).fill(1), 900, 0.3).mean)).toBeLessThan(1e-8)
    const valley = descend(rosenbrock, new Array(60).fill(0), 1500, 0.1)
    expect(rosenbrock(valley.mean)).toBeLessThan(55)
  })

  test('is linear in the numbers in memory, but for a logarithm, and descends in 1000 of them', () => {
    const distances = [0, 40, 80].map((generations) =>
      sphere(descend(sphere, new Array(1000).fill(1), generations, 0.3).mean),
    )
    // The same share is gained again.
    expect(distances[1]! / distances[0]!).toBeLessThan(0.9)
    expect(distances[2]! / distances[1]!).toBeLessThan(0.9)
    const numbersOf = (value: unknown): number =>
      Array.isArray(value) ? value.reduce<number>((sum, each) => sum + numbersOf(each), 0) : 1
    const state = descend(sphere, new Array(1000).fill(1), 3, 0.3)
    const count = Object.values(state).reduce<number>((sum, value) => sum + numbersOf(value), 0)
    expect(count).toBeLessThan(1000 * (4 + 3 * Math.log(1000) + 3))
  })

  test('takes time in proportion to the numbers', () => {
    const sources = random(1, 'time')
    const seconds = (n: number) => {
      const begun = beginMatrixAdaptation(new Array<number>(n).fill(1), 0.3, 12)
      const times = Array.from({ length: 3 }, () => {
        const before = process.cpuUsage().user
        let state = begun
        for (let generation = 0; generation < 8; generation++) {
          state = updateMatrixAdaptation(
            state,
            Array.from({ length: 12 }, () => sampleMatrixAdaptation(state, sources)),
          )
        }
        return process.cpuUsage().user - before
      })
      return Math.min(...times)
    }
    seconds(500)
    // Eight times the numbers: 8 times the time, where a covariance would take 64 times as long.
    expect(seconds(4000) / seconds(500)).toBeLessThan(20)
  })

  test('finds the normal vectors again that its points came from', () => {
    // With one parent the path becomes the normal vector of its point, scaled.
    const state = { ...descend(ellipsoid, new Array(6).fill(1), 60, 0.3), path: new Array<number>(6).fill(0) }
    const drawn = random(9, 'again')
    const normals = Array.from({ length: 6 }, () => drawn.normal())
    const point = sampleMatrixAdaptation(state, random(9, 'again'))
    const { path } = updateMatrixAdaptation(
      state,
      Array.from({ length: state.population }, () => point),
    )
    const scale = path[0]! / normals[0]!
    for (const [index, value] of path.entries()) expect(value).toBeCloseTo(scale * normals[index]!, 8)
  })
})

describe('the samplers', () => {
  const mixed = space({
    x: float(-5, 5),
    y: float(1e-4, 1, { scale: 'log' }),
    n: integer(0, 20),
    kind: choice(['bad', 'good', 'worse', 'worst']),
  })
  const loss = ({ x, y, n, kind }: { x: number; y: number; n: number; kind: string }) =>
    (x - 1) ** 2 + (Math.log10(y) + 2) ** 2 + 0.1 * (n - 13) ** 2 + (kind === 'good' ? 0 : 2)

  test.each([
    ['full', cmaEs()],
    ['separable', cmaEs({ covariance: 'separable' })],
    ['adapted', cmaEs({ adaptRates: true })],
    ['limited', lmMaEs()],
  ])('find numbers, integers and choices together: %s', async (_, sampler) => {
    const results = await Promise.all([1, 2, 3].map((seed) => run(sampler, mixed, loss, { trials: 400, seed })))
    expect(median(results.map(least))).toBeLessThan(0.1)
  })

  test('ask for more than a generation before anything is told', async () => {
    const trials = await run(cmaEs(), mixed, loss, { trials: 300, parallel: 32 })
    expect(least(trials)).toBeLessThan(0.5)
    const generations = trials.map(({ note }) => (note as { generation: number }).generation)
    expect(generations.slice(0, 32)).toEqual(new Array(32).fill(0))
    expect(Math.max(...generations)).toBeGreaterThan(6)
  })

  test.each(['ipop', 'bipop'] as const)('begin again with %s when nothing is gained', async (restarts) => {
    const box = space({ x: float(-1, 1), y: float(-1, 1) })
    const { propose } = cmaEs({ restarts })
    const populations = new Set<number>()
    const watching = {
      name: 'watching',
      propose: (view: Parameters<typeof propose>[0], request: Parameters<typeof propose>[1]) => {
        populations.add(request.state?.distribution.adaptation.population ?? 6)
        return propose(view, request)
      },
    }
    await run(watching as never, box, () => 1, { trials: 1500 })
    const sorted = [...populations]
    expect(sorted.slice(0, 2)).toEqual([6, 12])
    expect(Math.max(...sorted)).toBeGreaterThanOrEqual(24)
    if (restarts === 'ipop') expect(sorted.every((value) => Number.isInteger(Math.log2(value / 6)))).toBe(true)
  })

  test('say what their options may be', () => {
    expect(() => cmaEs({ sigma: 0 })).toThrow('cmaEs: sigma must be above 0 and at most 1, not 0')
    expect(() => cmaEs({ population: 1 })).toThrow('cmaEs: population must be a whole number from 2, not 1')
    expect(() => lmMaEs({ sigma: 2 })).toThrow('lmMaEs: sigma must be above 0 and at most 1, not 2')
  })
})
