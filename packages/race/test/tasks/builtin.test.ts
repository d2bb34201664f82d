import { describe, expect, it } from 'vitest'
import type { Task } from '../../src/task.ts'
import { builtinTasks } from '../../src/tasks/index.ts'
import { generator } from '../../src/tasks/random.ts'
import { initial, zeros } from './arrays.ts'

/**
 * How wide a difference is, and how far off it may be: relative to the largest slope of a parameter, plus `rounding`.
 */
const precision: Record<string, { width: number; tolerance: number; rounding?: number; kinks?: boolean }> = {
  // The loss of a ReLU network has kinks, next to which no difference tells the slope.
  'digits-mlp': { width: 0.008, tolerance: 3e-3, kinks: true },
  // The whole loss is computed in float32, so a narrow difference is mostly rounding.
  'character-transformer': { width: 0.032, tolerance: 3e-3, rounding: 1e-4 },
}

/**
 * The slope of the loss in one parameter by central differences of two widths, extrapolated to width 0 (Richardson),
 * and half the difference between the slopes to its two sides: a bound on the error that a kink within the interval
 * causes.
 */
async function numericalSlope(
  task: Task,
  parameters: Record<string, Float32Array>,
  name: string,
  index: number,
  width: number,
) {
  const values = parameters[name]!
  const center = values[index]!
  const scratch = zeros(task)
  const at = async (value: number) => {
    values[index] = value
    return { value: values[index]!, loss: await task.gradient(parameters, scratch, { seed: 5, step: 3 }) }
  }
  const slope = (a: Awaited<ReturnType<typeof at>>, b: typeof a) => (a.loss - b.loss) / (a.value - b.value)
  const [above, below] = [await at(center + width), await at(center - width)]
  const narrow = slope(await at(center + width / 2), await at(center - width / 2))
  const middle = await at(center)
  return {
    slope: (4 * narrow - slope(above, below)) / 3,
    kink: Math.abs(slope(above, middle) - slope(middle, below)) / 2,
  }
}

describe.each(builtinTasks)('$name', ({ name, title, load }) => {
  it('is the task it is listed as', async () => {
    const task = await load()
    expect(task.name).toBe(name)
    expect(task.title).toBe(title)
    const count = Object.values(zeros(task)).reduce((sum, { length }) => sum + length, 0)
    expect(task.description).toMatch(new RegExp(count.toLocaleString('en')))
    expect(task.targets.length).toBeGreaterThanOrEqual(4)
  })

  it('has the gradient that finite differences of its loss give', async () => {
    const task = await load()
    const parameters = initial(task, 11)
    const gradients = zeros(task)
    // A few steps downhill, so that no parameter is still at the special value it starts from.
    for (let step = 1; step <= 5; step++) {
      await task.gradient(parameters, gradients, { seed: 5, step })
      for (const [parameter, values] of Object.entries(parameters)) {
        for (let index = 0; index < values.length; index++) values[index]! -= 0.05 * gradients[parameter]![index]!
      }
    }
    await task.gradient(parameters, gradients, { seed: 5, step: 3 })
    const random = generator(7)
    const { width, tolerance, rounding = 0, kinks } = precision[name] ?? { width: 0.008, tolerance: 3e-4 }
    for (const [parameter, gradient] of Object.entries(gradients)) {
      const scale = Math.max(...gradient.map(Math.abs))
      expect(scale, parameter).toBeGreaterThan(1e-3)
      const allowed = rounding + tolerance * scale
      let checked = 0
      for (let draw = 0; checked < 6 && draw < 100; draw++) {
        const index = (random.next() >>> 0) % gradient.length
        const { slope, kink } = await numericalSlope(task, parameters, parameter, index, width)
        if (kinks && kink > allowed) continue
        const error = Math.abs(gradient[index]! - slope)
        expect(error, `${parameter}[${index}]: ${gradient[index]} against ${slope}`).toBeLessThan(allowed)
        checked++
      }
      expect(checked, parameter).toBe(6)
    }
  })

  it('repeats itself for the same seed and step, and differs for others', async () => {
    const task = await load()
    const parameters = initial(task, 1)
    expect(initial(task, 1)).toEqual(parameters)
    expect(initial(task, 2)).not.toEqual(parameters)

    const loss = async (seed: number, step: number) => {
      const gradients = zeros(task)
      return { loss: await task.gradient(parameters, gradients, { seed, step }), gradients }
    }
    const first = await loss(1, 17)
    const others = [await loss(1, 18), await loss(2, 17), await loss(1, 17 + task.budget.steps)]
    for (const other of others) expect(other.loss).not.toBe(first.loss)
    expect(await loss(1, 17)).toEqual(first)
    expect(await (await load()).gradient(parameters, zeros(task), { seed: 1, step: 17 })).toBe(first.loss)
  })

  it('overwrites what stands in the gradients, and leaves parameters alone', async () => {
    const task = await load()
    const parameters = initial(task, 1)
    const clean = zeros(task)
    const dirty = zeros(task)
    for (const values of Object.values(dirty)) values.fill(99)
    await task.gradient(parameters, clean, { seed: 1, step: 1 })
    await task.gradient(parameters, dirty, { seed: 1, step: 1 })
    expect(dirty).toEqual(clean)
    expect(parameters).toEqual(initial(task, 1))
  })

  it('starts worse than its easiest target and gets better by gradient descent', async () => {
    const task = await load()
    const parameters = initial(task, 3)
    const gradients = zeros(task)
    const start = await task.metric(parameters, 'validation')
    expect(start).toBeGreaterThan(task.targets[0]!)
    for (let step = 1; step <= 60; step++) {
      await task.gradient(parameters, gradients, { seed: 3, step })
      for (const [parameter, values] of Object.entries(parameters)) {
        for (let index = 0; index < values.length; index++) values[index]! -= 0.1 * gradients[parameter]![index]!
      }
    }
    expect(await task.metric(parameters, 'validation')).toBeLessThan(0.9 * start)
    expect(await task.metric(parameters, 'test')).not.toBe(await task.metric(parameters, 'validation'))
  })
})
