import {
  compile,
  kfac,
  type LayerPlace,
  type Optimizer,
  reference,
  scaleByWidth,
  sgd,
  shampoo,
  wasm,
  widthFactors,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { type Matrix, matrixOf, times, transposed } from './support/matrices.ts'
import { randomNumbers } from './support/random.ts'

const [features, classes, examples, baseWidth] = [6, 3, 8, 16]
const names = ['first', 'middle', 'last'] as const
const placeOf: Record<(typeof names)[number], LayerPlace> = { first: 'input', middle: 'hidden', last: 'output' }

const rootMeanSquare = (a: Matrix): number => Math.sqrt(a.flat().reduce((sum, x) => sum + x * x, 0) / a.flat().length)
const minus = (a: Matrix, b: Matrix): Matrix => a.map((row, i) => row.map((x, j) => x - b[i]![j]!))
const tanh = (a: Matrix): Matrix => a.map((row) => row.map(Math.tanh))

/** Features of both hidden layers and the outputs, one row an example, with the weights as outputs by inputs. */
function forward(x: Matrix, weights: Record<string, Matrix>) {
  const h1 = tanh(times(x, transposed(weights.first!)))
  const h2 = tanh(times(h1, transposed(weights.middle!)))
  return { h1, h2, f: times(h2, transposed(weights.last!)) }
}

/** How far a few steps move the features of each layer of a network of some width, and its outputs. */
async function moved(optimizer: Optimizer, width: number, isScaled: boolean, steps = 2) {
  const random = randomNumbers(5)
  // A sum of some uniform numbers, of variance 1.
  const normal = () => (random() + random() + random()) as number
  const x = Array.from({ length: examples }, () => Array.from({ length: features }, normal))
  const wanted = Array.from({ length: examples }, () => Array.from({ length: classes }, normal))
  const shapes = { first: [width, features], middle: [width, width], last: [classes, width] } as const
  const compiled = await compile(optimizer, shapes, { backend: wasm() })
  for (const name of names) {
    const [, inputs] = shapes[name]
    const atBase = 1 / Math.sqrt(name === 'first' ? features : baseWidth)
    const { initialDeviation } = widthFactors('kfac', placeOf[name], { width, baseWidth })
    const deviation = isScaled ? atBase * initialDeviation : 1 / Math.sqrt(inputs)
    compiled.parameters[name].set(Array.from({ length: compiled.parameters[name].length }, () => deviation * normal()))
  }
  const weightsNow = () =>
    Object.fromEntries(
      names.map((name) => [name, matrixOf(compiled.parameters[name], ...(shapes[name] as [number, number]))]),
    )
  const before = forward(x, weightsNow())
  for (let step = 0; step < steps; step++) {
    const weights = weightsNow()
    const { h1, h2, f } = forward(x, weights)
    const s3 = minus(f, wanted)
    const back = (s: Matrix, W: Matrix, h: Matrix) =>
      times(s, W).map((row, b) => row.map((value, j) => value * (1 - h[b]![j]! ** 2)))
    const s2 = back(s3, weights.last!, h2)
    const s1 = back(s2, weights.middle!, h1)
    const each = { first: [x, s1], middle: [h1, s2], last: [h2, s3] } as const
    await compiled.minimize(({ gradients, inputs }) => {
      for (const name of names) {
        const [a, s] = each[name]
        const moment = (m: Matrix) =>
          times(transposed(m), m)
            .flat()
            .map((value) => value / examples)
        gradients[name].set(
          times(transposed(s), a)
            .flat()
            .map((value) => value / examples),
        )
        inputs.activationMoment?.[name]?.set(moment(a))
        inputs.outputGradientMoment?.[name]?.set(moment(s))
      }
      return 0
    })
  }
  const after = forward(x, weightsNow())
  return {
    first: rootMeanSquare(minus(after.h1, before.h1)),
    middle: rootMeanSquare(minus(after.h2, before.h2)),
    last: rootMeanSquare(minus(after.f, before.f)),
  }
}

const found = {
  kfac: kfac({
    learningRate: 0.05,
    momentum: 0,
    damping: 0.01,
    dampingRatio: 1,
    klClip: 0,
    statisticsPeriod: 1,
    inversePeriod: 1,
  }),
  shampoo: shampoo({ learningRate: 0.02, momentum: 0, graft: 'none', epsilon: 1e-6 }),
}
const widths = [16, 48, 144]

describe('the width of a network', () => {
  const across = async (optimizer: (width: number) => Optimizer, isScaled: boolean) => {
    const results: Awaited<ReturnType<typeof moved>>[] = []
    for (const width of widths) results.push(await moved(optimizer(width), width, isScaled))
    const of = (name: (typeof names)[number]) => results.map((result) => result[name])
    return { first: of('first'), middle: of('middle'), last: of('last') }
  }
  /** What there is at the largest width to what there is at the smallest. */
  const growth = (values: readonly number[]) => values.at(-1)! / values[0]!

  it.each(['kfac', 'shampoo'] as const)(
    'changes by little how far %s moves features, when it is scaled',
    async (name) => {
      const settings = { baseWidth, input: /^first/, output: /^last/ }
      const results = await across((width) => scaleByWidth(found[name] as Optimizer, { width, ...settings }), true)
      for (const values of Object.values(results)) {
        expect(Math.max(...values) / Math.min(...values)).toBeLessThan(1.35)
        expect(values[0]).toBeGreaterThan(0.01)
      }
    },
  )

  it('leaves K-FAC with features that hardly move, when it is not', async () => {
    const { first, middle } = await across(() => found.kfac as Optimizer, false)
    // The share of a third, or thereabouts: as the root of the width grows threefold.
    expect(growth(first)).toBeLessThan(0.5)
    expect(growth(middle)).toBeLessThan(0.5)
  })

  it('leaves Shampoo with predictions that move ever further and a first layer that hardly moves, when it is not', async () => {
    const { first, last } = await across(() => found.shampoo as Optimizer, false)
    expect(growth(first)).toBeLessThan(0.5)
    expect(growth(last)).toBeGreaterThan(1.8)
  })
})

describe('scaleByWidth', () => {
  const settings = { width: 64, baseWidth: 16, input: /^first/, output: /^last/ }

  it('gives K-FAC what is added to A and S the exponents of the paper', () => {
    for (const [place, ofA, ofS] of [
      ['input', 1, 1 / 4],
      ['hidden', 4, 1 / 4],
      ['output', 4, 1],
    ] as const) {
      const { damping = Number.NaN, dampingRatio = Number.NaN, learningRate } = widthFactors('kfac', place, settings)
      expect(learningRate).toBe(1)
      expect(dampingRatio * Math.sqrt(damping)).toBeCloseTo(ofA, 12)
      expect(Math.sqrt(damping) / dampingRatio).toBeCloseTo(ofS, 12)
    }
  })

  it('scales schedules as a whole', async () => {
    const rate = { kind: 'falling', at: (step: number) => 0.4 / step }
    const optimizer = scaleByWidth(shampoo({ learningRate: rate, graft: 'none', momentum: 0 }), settings)
    const compiled = await compile(optimizer, { first: [2, 2], middle: [2, 2], last: [2, 2] }, { backend: reference() })
    const before = () => names.map((name) => compiled.parameters[name][0]!)
    const steps: number[][] = []
    for (let step = 0; step < 2; step++) {
      const from = before()
      const g = [1, 0, 0, 1]
      compiled.step({ gradients: { first: g, middle: g, last: g } })
      steps.push(before().map((value, index) => from[index]! - value))
    }
    for (const [first, middle, last] of steps) {
      expect(first! / middle!).toBeCloseTo(2, 6)
      expect(last! / middle!).toBeCloseTo(1 / 2, 6)
    }
  })

  it('names what is wrong', () => {
    const scale = (optimizer: Optimizer, changed = {}) => scaleByWidth(optimizer, { ...settings, ...changed })
    expect(() => scale(sgd())).toThrow('scaleByWidth: the optimizer must be kfac or shampoo, not sgd')
    expect(() => scale(kfac())).toThrow('scaleByWidth: kfac needs a dampingRatio above 0')
    expect(() => scale(shampoo())).toThrow("scaleByWidth: shampoo needs graft: 'none', not 'sgd'")
    expect(() => scale(found.kfac, { width: 0 })).toThrow('widthFactors: width must be above 0, not 0')
    expect(() => scale(found.kfac, { input: 'first' })).toThrow(
      'scaleByWidth: input must be a regular expression, not first',
    )
    expect(() => scale(found.kfac, { depth: 3 })).toThrow('depth')
    expect(() => widthFactors('kfac', 'embedding' as 'input', settings)).toThrow(
      'widthFactors: the place must be one of input, hidden, output, not embedding',
    )
  })
})
