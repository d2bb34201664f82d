import {
  adam,
  compile,
  type EvaluationRequest,
  type FosiOptions,
  fosi,
  mezo,
  type Optimizer,
  reference,
  scheduleFreeSGD,
  sgd,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { changedBits, snapshot } from '../support/compare.ts'

const curvatures = [1000, 400, 2, 1, 0.5]

async function start(optimizer: Optimizer, options: FosiOptions, values = [1, -1, 1, -1, 1]) {
  const base = await compile(optimizer, { a: [2], b: [3] }, { backend: reference() })
  base.parameters.a!.set(values.slice(0, 2))
  base.parameters.b!.set(values.slice(2))
  return fosi(base, options)
}

function evaluate({ parameters, gradients }: Pick<EvaluationRequest, 'parameters' | 'gradients'>): number {
  let loss = 0
  let index = 0
  for (const name of ['a', 'b']) {
    parameters[name]!.forEach((value, i) => {
      const curvature = curvatures[index++]!
      gradients[name]![i] = curvature * value
      loss += (curvature * value ** 2) / 2
    })
  }
  return loss
}

const product = (vector: Float64Array) => vector.map((value, i) => value * curvatures[i]!)
const exact = { largest: 2, warmUp: 1, newtonRate: 1, velocity: 'none', products: 5 } as const

describe('FOSI', () => {
  it('is at the minimum in the directions of extreme curvature at once, and the base optimizer in all others', async () => {
    const driver = await start(sgd({ learningRate: 0.1 }), exact)
    await driver.minimize(evaluate, product)
    const { a, b } = driver.base.parameters
    for (const value of a!) expect(value).toBeCloseTo(0, 10)
    const expected = [1, -1, 1].map((value, i) => value * (1 - 0.1 * curvatures[i + 2]!))
    b!.forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 10)
    })
  })

  it('takes the smallest curvatures too, and lets the base step further by what the largest no longer forbid', async () => {
    const driver = await start(sgd({ learningRate: 0.1 }), { ...exact, smallest: 1, largestScale: 3 })
    await driver.minimize(evaluate, product)
    const { a, b } = driver.base.parameters
    for (const value of [...a!, b![2]!]) expect(value).toBeCloseTo(0, 10)
    // 1000 / 400 is below 3.
    expect(b![0]).toBeCloseTo(1 - 2.5 * 0.1 * 2, 10)
    expect(b![1]).toBeCloseTo(-1 + 2.5 * 0.1 * 1, 10)
  })

  it('follows the momentum of each form', async () => {
    const gradient = 1000
    const decay = 0.5
    const forms = {
      average: [0.5 * gradient, 0.5],
      heavyBall: [gradient, 1],
      nesterov: [1.5 * gradient, 1.5],
      none: [gradient, 1],
    } as const
    const kept = { average: 0.5, heavyBall: 0.5, nesterov: 0.25, none: 0 }
    for (const velocity of ['average', 'heavyBall', 'nesterov', 'none'] as const) {
      const driver = await start(sgd({ learningRate: 0.1 }), { ...exact, velocity, decay, newtonRate: 0.1 })
      const [first, share] = forms[velocity]
      await driver.minimize(evaluate, product)
      let x = 1 - (0.1 * first) / 1000
      expect(driver.base.parameters.a![0]).toBeCloseTo(x, 10)
      const second = kept[velocity] * first + share * 1000 * x
      await driver.minimize(evaluate, product)
      x -= (0.1 * second) / 1000
      expect(driver.base.parameters.a![0]).toBeCloseTo(x, 10)
    }
  })

  it('is the base optimizer until the first measurement, and measures when due only', async () => {
    const driver = await start(adam(), { largest: 1, warmUp: 4, period: 3 })
    const alone = (await start(adam(), {})).base
    const measured: number[] = []
    for (let step = 1; step <= 9; step++) {
      let asked = false
      await driver.minimize(evaluate, (vector) => {
        asked = true
        return product(vector)
      })
      if (asked) measured.push(step)
      if (step > 3) continue
      await alone.minimize(evaluate)
      expect(changedBits(snapshot(driver.base), snapshot(alone))).toEqual([])
    }
    expect(measured).toEqual([4, 7])
  })

  it('leaves what has no curvature to the base, and parameters without a gradient where they are', async () => {
    const flat = await start(sgd({ learningRate: 0.1 }), exact)
    await flat.minimize(evaluate, (vector) => vector.map(() => 0))
    expect(flat.base.parameters.a![0]).toBeCloseTo(1 - 0.1 * 1000, 10)
    const driver = await start(sgd({ learningRate: 0.1 }), exact)
    await driver.minimize((request) => ({ loss: evaluate(request), without: ['a'] }), product)
    expect([...driver.base.parameters.a!]).toEqual([1, -1])
  })

  it('moves what the base keeps of the parameters', async () => {
    const driver = await start(scheduleFreeSGD({ learningRate: 1e-9 }), exact)
    await driver.minimize(evaluate, product)
    await driver.minimize(evaluate, product)
    const average = driver.base.evaluationParameters().a!
    for (const value of average) expect(Math.abs(value)).toBeLessThan(1e-5)
  })

  it('leaves everything as it was when something fails, and says what is wrong', async () => {
    const driver = await start(adam(), { ...exact, period: 1 })
    await driver.minimize(evaluate, product)
    const before = snapshot(driver.base)
    const failing = driver.minimize(() => {
      throw new Error('no device')
    }, product)
    await expect(failing).rejects.toThrow('no device')
    await expect(driver.minimize(evaluate, () => [1])).rejects.toThrow('fosi: a product has 1 numbers, not 5')
    await expect(driver.minimize(evaluate, (v) => v.map(() => Number.NaN))).rejects.toThrow('product 1 is not finite')
    expect(changedBits(snapshot(driver.base), before)).toEqual([])
    await expect(start(adam(), { largest: 0 })).rejects.toThrow('fosi: largest must be a whole number from 1 up, not 0')
    await expect(start(adam(), { decay: 1 })).rejects.toThrow('fosi: decay must be a number from 0 to below 1, not 1')
    await expect(start(adam(), { start: [0, 0, 0, 0, 0] })).rejects.toThrow('fosi: start must be 5 numbers')
    await expect(start(mezo(), {})).rejects.toThrow('fosi: the base optimizer evaluates the model at points of its own')
  })
})
