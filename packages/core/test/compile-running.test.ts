import { adamW, clipByGlobalNorm, compile, compileRunning, mezo, type Optimizer, quantized } from 'fallline'
import { load, minimize, save } from 'fallline/runtime'
import { describe, expect, it } from 'vitest'

const shapes = { w: [3, 5], b: [7] } as const
const gradientOf = (step: number, size: number) => Array.from({ length: size }, (_, index) => Math.sin(step + index))
const gradients = (step: number) => ({ w: gradientOf(step, 15), b: gradientOf(-step, 7) })

describe('compileRunning', () => {
  it.each<[string, () => Optimizer]>([
    ['a rule on its own', () => adamW({ learningRate: 0.1 })],
    ['a rule with a wrapper', () => clipByGlobalNorm(adamW({ learningRate: 0.1 }))],
  ])('gives what compile gives, and its checkpoints, for %s', async (_, optimizer) => {
    const [lean, full] = [await compileRunning(optimizer(), shapes), await compile(optimizer(), shapes)]
    for (let step = 1; step <= 3; step++) for (const each of [lean, full]) each.step({ gradients: gradients(step) })
    const bytes = save(lean)
    expect(bytes).toEqual(full.save())
    lean.step({ gradients: gradients(4) })
    load(lean, bytes)
    expect(lean.steps).toBe(3)
    expect(lean.parameters).toEqual(full.parameters)
  })

  it('steps optimizers that evaluate the model themselves by minimize', async () => {
    const optimizer = await compileRunning(mezo({ learningRate: 0.1 }), { x: [1] })
    optimizer.parameters.x[0] = 3
    for (let step = 0; step < 50; step++) await minimize(optimizer, ({ parameters }) => parameters.x[0]! ** 2)
    expect(Math.abs(optimizer.parameters.x[0]!)).toBeLessThan(0.5)
  })

  it('refuses a loss that is not finite', async () => {
    const optimizer = await compileRunning(adamW(), { x: [1] })
    const step = minimize(optimizer, ({ gradients }) => {
      gradients.x[0] = 1
      return Number.NaN
    })
    await expect(step).rejects.toThrow("step 1: the input 'loss' is not finite")
    expect(optimizer.steps).toBe(0)
  })

  it('refuses what compile refuses, in its own name, and room for one gradient', async () => {
    await expect(compileRunning({} as Optimizer, shapes)).rejects.toThrow('compileRunning: the first argument')
    await expect(compileRunning(quantized(adamW(), { parameters: 'bf16', minimumSize: 1 }), shapes)).rejects.toThrow(
      "compileRunning holds 'w' in float32: leave out 'parameters' of quantized",
    )
    await expect(compileRunning(adamW(), { w: [-1] })).rejects.toThrow("the shape of parameter 'w'")
    await expect(compileRunning(adamW(), shapes, { gradients: 'oneAtATime' } as never)).rejects.toThrow(
      "compileRunning: unknown option 'gradients'",
    )
  })
})
