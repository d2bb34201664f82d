import {
  adam,
  compile,
  type Optimizer,
  reference,
  sgd,
  type TargetModel,
  type TargetSurrogateOptions,
  targetSurrogate,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { changedBits, snapshot } from '../support/compare.ts'

/** z = tanh(a x) + b x at three points, and a loss that is no square. */
const xs = [0.5, -1, 2]
const z = (a: number, b: number) => xs.map((x) => Math.tanh(a * x) + b * x)
const derivatives = (a: number) => xs.map((x) => [x * (1 - Math.tanh(a * x) ** 2), x] as const)
const lossOf = (outputs: ArrayLike<number>) =>
  Array.from(outputs).reduce((sum, value, i) => sum + Math.log(Math.cosh(value - i + 1)), 0)
const lossSlopes = (outputs: ArrayLike<number>) => Array.from(outputs, (value, i) => Math.tanh(value - i + 1))

const model: TargetModel<'a' | 'b'> = {
  outputs: ({ parameters }) => z(parameters.a[0]!, parameters.b[0]!),
  lossGradient: (outputs) => ({ loss: lossOf(outputs), gradient: lossSlopes(outputs) }),
  pullBack({ parameters, gradients }, cotangent) {
    const rows = derivatives(parameters.a[0]!)
    gradients.a[0] = rows.reduce((sum, row, i) => sum + row[0] * cotangent[i]!, 0)
    gradients.b[0] = rows.reduce((sum, row, i) => sum + row[1] * cotangent[i]!, 0)
  },
}

async function start(optimizer: Optimizer, options: TargetSurrogateOptions = {}) {
  const compiled = await compile(optimizer, { a: [1], b: [1] }, { backend: reference() })
  compiled.parameters.a.fill(0.3)
  compiled.parameters.b.fill(-0.2)
  return targetSurrogate(compiled, options)
}

describe('target-based surrogates', () => {
  it('take gradient steps on the surrogate of the paper, by differences of its values', async () => {
    const [innerSteps, rate] = [4, 0.05]
    const driver = await start(sgd({ learningRate: rate }), { innerSteps, outputRate: (t) => 0.8 / Math.sqrt(t) })
    let [a, b] = [0.3, -0.2]
    for (let t = 1; t <= 3; t++) {
      const before = z(a, b)
      const g = lossSlopes(before)
      const eta = 0.8 / Math.sqrt(t)
      const surrogate = (p: number, q: number) =>
        z(p, q).reduce((sum, value, i) => sum + g[i]! * (value - before[i]!) + (value - before[i]!) ** 2 / (2 * eta), 0)
      const values: number[] = []
      for (let inner = 0; inner < innerSteps; inner++) {
        values.push(surrogate(a, b))
        const h = 1e-5
        const slopes = [
          (surrogate(a + h, b) - surrogate(a - h, b)) / (2 * h),
          (surrogate(a, b + h) - surrogate(a, b - h)) / (2 * h),
        ] as const
        a -= rate * slopes[0]
        b -= rate * slopes[1]
      }
      const { loss, surrogates } = await driver.minimize(model)
      expect(loss).toBeCloseTo(lossOf(before), 8)
      surrogates.forEach((value, i) => {
        expect(value).toBeCloseTo(values[i]!, 7)
      })
      expect(driver.optimizer.parameters.a[0]).toBeCloseTo(a, 7)
      expect(driver.optimizer.parameters.b[0]).toBeCloseTo(b, 7)
    }
  })

  it('are gradient descent on the loss with one inner step', async () => {
    const driver = await start(adam({ learningRate: 0.05 }), { innerSteps: 1 })
    const alone = (await start(adam({ learningRate: 0.05 }))).optimizer
    for (let step = 0; step < 5; step++) {
      await driver.minimize(model)
      await alone.minimize((request) => {
        const outputs = z(request.parameters.a[0]!, request.parameters.b[0]!)
        model.pullBack(request, Float64Array.from(lossSlopes(outputs)))
        return lossOf(outputs)
      })
    }
    expect(changedBits(snapshot(driver.optimizer), snapshot(alone))).toEqual([])
  })

  it('lower the loss further with a gradient of the loss than one step does', async () => {
    const losses = async (innerSteps: number) => {
      const driver = await start(sgd({ learningRate: 0.005 }), { innerSteps })
      const found: number[] = []
      let asked = 0
      for (let step = 0; step < 10; step++) {
        const lossGradient: typeof model.lossGradient = (outputs) => {
          asked++
          return model.lossGradient(outputs)
        }
        found.push((await driver.minimize({ ...model, lossGradient })).loss)
      }
      expect(asked).toBe(10)
      return found
    }
    const [one, many] = [await losses(1), await losses(30)]
    expect(many.at(-1)).toBeLessThan(one.at(-1)! - 0.05)
    // η = 1 is 1 / β of this loss: it never grows.
    many.slice(1).forEach((loss, i) => {
      expect(loss).toBeLessThanOrEqual(many[i]! + 1e-12)
    })
  })

  it('leave everything as it was when something fails, and say what is wrong', async () => {
    const driver = await start(adam(), { innerSteps: 3 })
    await driver.minimize(model)
    const before = snapshot(driver.optimizer)
    let count = 0
    const pullBack: typeof model.pullBack = (at, cotangent) => {
      if (++count === 3) throw new Error('no device')
      return model.pullBack(at, cotangent)
    }
    await expect(driver.minimize({ ...model, pullBack })).rejects.toThrow('no device')
    const wrong = driver.minimize({ ...model, lossGradient: () => ({ loss: 1, gradient: [1] }) })
    await expect(wrong).rejects.toThrow('targetSurrogate: outputs and their gradient must be 3 finite numbers')
    const noLoss = driver.minimize({ ...model, lossGradient: () => ({ loss: Number.NaN, gradient: [1, 1, 1] }) })
    await expect(noLoss).rejects.toThrow('targetSurrogate: the loss must be a finite number, not NaN')
    expect(changedBits(snapshot(driver.optimizer), before)).toEqual([])
    await expect(start(adam(), { innerSteps: 0 })).rejects.toThrow('innerSteps must be a whole number from 1 up, not 0')
    await expect(start(adam(), { outputRate: 0 })).rejects.toThrow('outputRate must be a number above 0, not 0')
  })
})
