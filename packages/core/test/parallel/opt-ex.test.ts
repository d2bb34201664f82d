import {
  adamW,
  type CompiledOptimizer,
  compile,
  mezo,
  type OptExRequest,
  type Optimizer,
  optEx,
  reference,
  sgd,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { changedBits, snapshot } from '../support/compare.ts'

const shapes = { matrix: [3, 2], vector: [4] }
const curvature = (i: number) => 1 + (i % 4) * 3

async function start(optimizer: Optimizer = sgd({ learningRate: 0.03, momentum: 0.5 }), backend = reference()) {
  const compiled = await compile(optimizer, shapes, { backend })
  fill(compiled)
  return compiled
}

function fill(compiled: CompiledOptimizer): void {
  compiled.names.forEach((name, k) => {
    compiled.parameters[name]!.forEach((_, i, values) => {
      values[i] = Math.sin(i + 2 * k + 1)
    })
  })
}

/** A quadratic with a wave. */
function evaluate({ parameters, gradients }: Pick<OptExRequest, 'parameters' | 'gradients'>): number {
  let loss = 0
  for (const [name, values] of Object.entries(parameters)) {
    values.forEach((value, i) => {
      loss += (curvature(i) * value ** 2) / 2 - 0.2 * Math.cos(2 * value)
      gradients[name]![i] = curvature(i) * value + 0.4 * Math.sin(2 * value)
    })
  }
  return loss
}

/** The inverse of a matrix, column by column, by elimination. */
function invert(matrix: readonly (readonly number[])[]): number[][] {
  const rows = matrix.map((row, r) => [...row, ...matrix.map((_, c) => Number(r === c))])
  rows.forEach((row, column) => {
    const pivot = row[column]!
    rows[column] = row.map((value) => value / pivot)
    rows.forEach((other, r) => {
      if (r !== column) rows[r] = other.map((value, c) => value - other[column]! * rows[column]![c]!)
    })
  })
  return rows.map((row) => row.slice(matrix.length))
}

describe('OptEx', () => {
  it.each(['last', 'lowestLoss'] as const)('takes the steps of the paper, going on from: %s', async (choose) => {
    const [points, limit, scale, noise] = [3, 7, 1.3, 1e-4]
    const compiled = await start()
    const driver = optEx(compiled, { parallel: points, history: limit, lengthScale: scale, noise, choose })
    type State = { x: number[]; b: number[] }
    const flat = () => compiled.names.flatMap((name) => [...compiled.parameters[name]!])
    const lossOf = (x: readonly number[]) => {
      const [parameters, gradients] = [0, 1].map((which) => {
        const values = which === 0 ? x : x.map(() => 0)
        return { matrix: Float64Array.from(values.slice(0, 6)), vector: Float64Array.from(values.slice(6)) }
      })
      const loss = evaluate({ parameters: parameters!, gradients: gradients! })
      return { loss, g: [...gradients!.matrix, ...gradients!.vector] }
    }
    const update = ({ x, b }: State, g: readonly number[]): State => {
      const next = b.map((value, i) => 0.5 * value + g[i]!)
      return { b: next, x: x.map((value, i) => value - 0.03 * next[i]!) }
    }
    const kernel = (a: readonly number[], b: readonly number[]) => {
      const r = (Math.sqrt(5) * Math.hypot(...a.map((value, i) => value - b[i]!))) / scale
      return (1 + r + (r * r) / 3) * Math.exp(-r)
    }
    let history: { x: number[]; g: number[] }[] = []
    let state: State = { x: flat(), b: flat().map(() => 0) }
    for (let step = 0; step < 8; step++) {
      const states = [state]
      while (history.length > 0 && states.length < points) {
        const last = states.at(-1)!
        const inverse = invert(
          history.map(({ x }, i) => history.map((other, j) => kernel(x, other.x) + (i === j ? noise : 0))),
        )
        const near = history.map(({ x }) => kernel(last.x, x))
        const weights = inverse.map((row) => row.reduce((sum, value, j) => sum + value * near[j]!, 0))
        const g = last.x.map((_, i) => weights.reduce((sum, weight, j) => sum + weight * history[j]!.g[i]!, 0))
        states.push(update(last, g))
      }
      const found = states.map(({ x }) => lossOf(x))
      const losses = found.map(({ loss }) => loss)
      const chosen = choose === 'last' ? states.length - 1 : losses.indexOf(Math.min(...losses))
      history = [...history, ...states.map(({ x }, s) => ({ x, g: found[s]!.g }))].slice(-limit)
      state = update(states[chosen]!, found[chosen]!.g)
      const result = await driver.step(evaluate)
      expect(result.chosen).toBe(chosen)
      flat().forEach((value, i) => {
        expect(value).toBeCloseTo(state.x[i]!, 9)
      })
    }
  })

  it('is the optimizer itself with one point, to the bit', async () => {
    const [alone, driven] = [await start(adamW(), wasm()), optEx(await start(adamW(), wasm()), { parallel: 1 })]
    for (let step = 0; step < 5; step++) {
      await alone.minimize(evaluate)
      await driven.step(evaluate)
    }
    expect(changedBits(snapshot(driven.optimizer), snapshot(alone))).toEqual([])
  })

  it('needs far fewer evaluations one after another', async () => {
    const rounds = async (step: () => Promise<number>) => {
      for (let round = 1; ; round++) if ((await step()) < -1.99) return round
    }
    const slow = sgd({ learningRate: 0.01 })
    const alone = await start(slow)
    const driver = optEx(await start(slow), { parallel: 5 })
    const one = await rounds(async () => {
      await alone.minimize(evaluate)
      const { parameters } = alone
      return evaluate({ parameters, gradients: alone.gradients })
    })
    const several = await rounds(async () => {
      await driver.step(evaluate)
      return evaluate({ parameters: driver.optimizer.parameters, gradients: driver.optimizer.gradients })
    })
    expect(one / several).toBeGreaterThan(4)
  })

  it('evaluates all points at once, each with arrays of its own', async () => {
    const driver = optEx(await start(), { parallel: 3 })
    await driver.step(evaluate)
    let [running, most] = [0, 0]
    const seen: number[] = []
    await driver.step(async (request) => {
      most = Math.max(most, ++running)
      seen.push(request.point)
      await new Promise((resolve) => setTimeout(resolve, 1))
      running--
      const loss = evaluate(request)
      request.parameters.vector!.fill(Number.NaN)
      return loss
    })
    expect([most, ...seen]).toEqual([3, 0, 1, 2])
    expect(driver.optimizer.steps).toBe(4)
    await driver.step(evaluate)
  })

  it('leaves everything as it was when an evaluation fails', async () => {
    const driver = optEx(await start(), { parallel: 3 })
    for (let step = 0; step < 3; step++) await driver.step(evaluate)
    const before = snapshot(driver.optimizer)
    const failing = (what: (request: OptExRequest) => number) =>
      driver.step((request) => (request.point === 1 ? what(request) : evaluate(request)))
    const thrown = failing(() => {
      throw new Error('no device')
    })
    await expect(thrown).rejects.toThrow('no device')
    await expect(failing(() => Number.NaN)).rejects.toThrow(
      'optEx: the loss at point 1 must be a finite number, not NaN',
    )
    expect(changedBits(snapshot(driver.optimizer), before)).toEqual([])
    expect(driver.optimizer.steps).toBe(7)
  })

  it('says what is wrong', async () => {
    const compiled = await start()
    expect(() => optEx(compiled, { parallel: 0 })).toThrow('optEx: parallel must be a whole number from 1 up, not 0')
    expect(() => optEx(compiled, { history: 1.5 })).toThrow('optEx: history must be a whole number from 1 up, not 1.5')
    expect(() => optEx(compiled, { lengthScale: 0 })).toThrow('optEx: lengthScale must be a number above 0, not 0')
    expect(() => optEx(compiled, { noise: -1 })).toThrow('optEx: noise must be a number above 0, not -1')
    expect(() => optEx(compiled, { choose: 'best' as 'last' })).toThrow('optEx: choose must be one of last, lowestLoss')
    expect(() => optEx(compiled, { points: 2 } as object)).toThrow("optEx: unknown option 'points'")
    await expect(optEx(await start(mezo())).step(evaluate)).rejects.toThrow('MeZO evaluates the model')
  })
})
