import {
  adam,
  clipByNorm,
  compile,
  cosine,
  dog,
  lookahead,
  type Optimizer,
  parameterAverage,
  reference,
  scheduleFreeAdamW,
  sgd,
  sharpnessAware,
  switchAfter,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'

const shapes = { weight: [3, 2], bias: [2] }
const gradient = (step: number, index: number) => Math.sin(step + 0.7 * index)

async function run(optimizer: Optimizer, from: number, to: number, start?: Record<string, ArrayLike<number>>) {
  const compiled = await compile(optimizer, shapes, { backend: reference() })
  for (const name of compiled.names) compiled.parameters[name]!.set(start?.[name] ?? [1])
  for (let step = from; step <= to; step++) {
    for (const name of compiled.names) {
      compiled.gradients[name]!.forEach((_, index, array) => {
        array[index] = gradient(step, index)
      })
    }
    compiled.step()
  }
  return compiled
}

describe('a switch between optimizers', () => {
  it.each(Object.entries({ dog: dog(), lookahead: lookahead(sgd({ learningRate: 0.1 }), { period: 2 }) }))(
    'takes its copies of the parameters where it begins, also inside of what moves them: %s',
    async (_, second) => {
      const rule = switchAfter(sgd({ learningRate: 0.1 }), second, { steps: 3 })
      const [alone, inside] = await Promise.all(
        [rule, sharpnessAware(rule, { rho: 1e-12 })].map((each) => compile(each, { x: [3] }, { backend: reference() })),
      )
      for (const compiled of [alone!, inside!]) {
        compiled.parameters.x!.set([1, 2, 3])
        for (let step = 0; step < 8; step++) {
          await compiled.minimize(({ parameters, gradients }) => void gradients.x!.set(parameters.x!))
        }
      }
      inside!.parameters.x!.forEach((value, index) => {
        expect(value).toBeCloseTo(alone!.parameters.x![index]!, 9)
      })
    },
  )

  const first = clipByNorm(adam({ learningRate: 0.1 }), { maximumNorm: 1 })
  const then = lookahead(sgd({ learningRate: cosine({ from: 0.5, to: 0, steps: 10 }), momentum: 0.9 }), { period: 2 })

  it('is the first, and then the second started where the first ended', async () => {
    const before = await run(first, 1, 5)
    const after = await run(then, 6, 12, before.parameters)
    const switched = await run(switchAfter(first, then, { steps: 5 }), 1, 12)
    expect(switched.parameters).toEqual(after.parameters)
    expect(switched.state('weight').b).toEqual(after.state('weight').b)
  })

  it('may be switched from again, and wrapped', async () => {
    const three = switchAfter(switchAfter(first, sgd(), { steps: 2 }), then, { steps: 4 })
    const a = await run(first, 1, 2)
    const b = await run(sgd(), 3, 4, a.parameters)
    const c = await run(then, 5, 9, b.parameters)
    expect((await run(three, 1, 9)).parameters).toEqual(c.parameters)
    const wrapped = await run(clipByNorm(switchAfter(sgd(), sgd(), { steps: 3 }), { maximumNorm: 1 }), 1, 9)
    expect(wrapped.parameters).toEqual((await run(clipByNorm(sgd(), { maximumNorm: 1 }), 1, 9)).parameters)
  })

  it('goes on from a checkpoint before and after it', async () => {
    const whole = await run(switchAfter(first, then, { steps: 5 }), 1, 12)
    for (const pause of [3, 5, 8]) {
      const begun = await run(switchAfter(first, then, { steps: 5 }), 1, pause)
      const compiled = await compile(switchAfter(first, then, { steps: 5 }), shapes, { backend: reference() })
      compiled.load(begun.save())
      for (let step = pause + 1; step <= 12; step++) {
        for (const name of compiled.names) {
          compiled.gradients[name]!.forEach((_, index, array) => {
            array[index] = gradient(step, index)
          })
        }
        compiled.step()
      }
      expect(compiled.parameters).toEqual(whole.parameters)
    }
  })

  it('has the hyperparameters of both', async () => {
    const compiled = await compile(switchAfter(adam(), sgd({ learningRate: 0.5 })), shapes, { backend: wasm() })
    expect(compiled.hyper).toMatchObject({ learningRate: 0.5, steps: 1000 })
    expect(compiled.hyperOf('first').beta1).toBe(0.9)
    compiled.set({ learningRate: 0.25 })
    compiled.set({ learningRate: 0.125 }, { group: 'first' })
    expect([compiled.hyper.learningRate, compiled.hyperOf('first').learningRate]).toEqual([0.25, 0.125])
  })

  it('refuses what cannot come or go in the middle of a run', async () => {
    const refused: [Optimizer, RegExp][] = [
      [switchAfter(scheduleFreeAdamW(), sgd()), /Schedule-free AdamW has a point of its own.* cannot be switched/i],
      [switchAfter(sgd(), parameterAverage(sgd())), /Parameter averaging has a point of its own/],
      [
        switchAfter(sharpnessAware(sgd()), sgd()),
        /Sharpness-aware minimization evaluates the model itself; put it around/,
      ],
      [switchAfter(sgd({ maximize: true }), sgd()), /both optimizers must maximize, or none/],
    ]
    for (const [optimizer, message] of refused) await expect(compile(optimizer, shapes)).rejects.toThrow(message)
    expect(() => switchAfter(adam as never, sgd())).toThrow(/first argument must be an optimizer.*call it: adam\(\)/)
    expect(() => switchAfter(adam(), sgd(), { steps: 0 })).toThrow(/steps/)
  })
})
