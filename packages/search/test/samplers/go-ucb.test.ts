import { describe, expect, test } from 'vitest'
import {
  float,
  goUcb,
  network,
  openStudy,
  type ParametricFunction,
  random,
  randomSearch,
  type Sampler,
  space,
} from '../../src/index.ts'
import { ballOf, smallestIn } from '../../src/samplers/go-ucb.ts'
import { median } from '../support/evolution-functions.ts'

/** A basin whose place, depth and width are not known: `a - b exp(-|x - c|^2 / d^2)`, with the features from -1 to 1. */
const basin: ParametricFunction = {
  parameters: (features) => features + 3,
  slopeAt(parameters, features) {
    const [level, depth, width] = [parameters[0]!, parameters[1]!, parameters[2]!]
    const apart = Array.from(features, (value, index) => value - parameters[3 + index]!)
    const square = apart.reduce((sum, value) => sum + value * value, 0)
    const scale = 1 / (width * width + 0.01)
    const bell = Math.exp(-square * scale)
    return {
      value: level - depth * bell,
      gradient: [
        1,
        -bell,
        -depth * bell * square * scale * scale * 2 * width,
        ...apart.map((value) => -depth * bell * 2 * value * scale),
      ],
    }
  },
}

describe('a network', () => {
  test('has the gradient of its differences', () => {
    const numbers = random(1, 'parameters')
    const surrogate = network(3)
    const parameters = Array.from({ length: surrogate.parameters(2) }, () => numbers.normal())
    const features = [0.3, -0.8]
    for (const function_ of [surrogate, basin]) {
      const { gradient } = function_.slopeAt(parameters, features)
      for (let index = 0; index < function_.parameters(2); index++) {
        const beside = (step: number) =>
          function_.slopeAt(
            parameters.map((value, other) => (other === index ? value + step : value)),
            features,
          ).value
        expect(gradient[index]).toBeCloseTo((beside(1e-6) - beside(-1e-6)) / 2e-6, 6)
      }
    }
  })
})

describe('the confidence ball', () => {
  const linear: ParametricFunction = {
    parameters: (features) => features,
    slopeAt: (parameters, features) => ({
      value: Array.from(features).reduce((sum, value, index) => sum + value * parameters[index]!, 0),
      gradient: Array.from(features),
    }),
  }
  const numbers = random(1, 'ball')
  const truth = [0.7, -0.4, 0.2]
  const places = Array.from({ length: 40 }, () => Float64Array.from(truth, () => numbers.normal()))
  const targets = places.map((place) => linear.slopeAt(truth, place).value + 0.1 * numbers.normal())

  test('of a linear function is that of ridge regression, with its smallest value in closed form', () => {
    const { middle, lower, variance } = ballOf(linear, [0, 0, 0], places, targets)
    for (const row of truth.keys()) {
      // The normal equations (X'X + I) w = X'y.
      const left = middle.reduce(
        (sum, value, column) => sum + value * places.reduce((total, place) => total + place[row]! * place[column]!, 0),
        middle[row]!,
      )
      const right = places.reduce((sum, place, index) => sum + place[row]! * targets[index]!, 0)
      expect(left).toBeCloseTo(right, 9)
    }
    const features = Float64Array.from([1, 2, -1])
    const smallest = smallestIn(linear, { middle, lower, variance }, features, 3)
    // No parameters of the ball give less: it is tried on its edge in many directions.
    let least = Infinity
    for (let draw = 0; draw < 20_000; draw++) {
      const normals = [numbers.normal(), numbers.normal(), numbers.normal()]
      const length = Math.hypot(...normals)
      const step = [0, 0, 0]
      for (let row = 2; row >= 0; row--) {
        let sum = (normals[row]! / length) * 3 * Math.sqrt(variance)
        for (let below = row + 1; below < 3; below++) sum -= lower[below]![row]! * step[below]!
        step[row] = sum / lower[row]![row]!
      }
      least = Math.min(
        least,
        linear.slopeAt(
          step.map((value, index) => middle[index]! + value),
          features,
        ).value,
      )
    }
    expect(smallest).toBeLessThanOrEqual(least + 1e-9)
    expect(least - smallest).toBeLessThan(1e-3)
  })
})

describe('goUcb', () => {
  const searched = space(Object.fromEntries(Array.from({ length: 4 }, (_, index) => [`x${index}`, float(-1, 1)])))
  const centre = [0.6, -0.5, 0.3, 0.7]

  async function regret(sampler: Sampler, seed: number): Promise<number> {
    const study = await openStudy({ space: searched, sampler, seed })
    const noise = random(seed, 'noise')
    const value = (x: readonly number[]) =>
      1 - Math.exp(-x.reduce((sum, each, index) => sum + (each - centre[index]!) ** 2, 0) / 0.8)
    await study.optimize(({ parameters }) => value(Object.values(parameters) as number[]) + 0.01 * noise.normal(), {
      trials: 40,
    })
    const records = await study.trials()
    return Math.min(...records.map(({ parameters }) => value(Object.values(parameters) as number[])))
  }

  test('comes near the minimum in few noisy trials when the function is one of those that it takes it for', async () => {
    const seeds = [1, 2, 3]
    const found = median(await Promise.all(seeds.map((seed) => regret(goUcb({ surrogate: basin, startup: 16 }), seed))))
    const drawn = median(await Promise.all(seeds.map((seed) => regret(randomSearch(), seed))))
    expect(found).toBeLessThan(0.05)
    expect(found).toBeLessThan(drawn / 5)
  })

  test('keeps the parameters of its first fit until the trials have doubled', async () => {
    const study = await openStudy({ space: searched, sampler: goUcb({ startup: 4 }), seed: 1 })
    const states = new Set<string>()
    for (let trial = 0; trial < 20; trial++) {
      await study.optimize(({ parameters }) => (parameters.x0 as number) ** 2, { trials: trial + 1 })
      states.add(JSON.stringify((await study.storage.changes(study.name, 0)).sampler.state))
    }
    expect([...states].map((text) => (JSON.parse(text) as { trials: number } | null)?.trials ?? null)).toEqual([
      null,
      4,
      8,
      16,
    ])
  })
})
