import {
  a2Grad,
  accSGD,
  adamW,
  averagedSGD,
  type CompiledOptimizer,
  clipByValue,
  compile,
  decayTowardsStart,
  ftrl,
  lookahead,
  type Optimizer,
  parameterAverage,
  polynomialAverage,
  projectOntoBall,
  projectOntoBox,
  projectOntoNonnegative,
  projectOntoSimplex,
  ranger,
  ranger21,
  reference,
  registry,
  scheduleFree,
  scheduleFreeAdamW,
  scheduleFreeRAdam,
  scheduleFreeSGD,
  sgd,
  srmm,
  trac,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { fillAll, randomNumbers } from '../support/random.ts'
import { takeStep } from '../support/step.ts'
import { make } from '../support/variants.ts'

/** Optimizers that average, each around or inside the projection. */
const averaging: Readonly<Record<string, Optimizer>> = {
  scheduleFreeAdamW: projectOntoNonnegative(scheduleFreeAdamW({ learningRate: 0.5 })),
  scheduleFreeSGD: projectOntoNonnegative(scheduleFreeSGD({ learningRate: 0.05 })),
  scheduleFreeRAdam: projectOntoNonnegative(scheduleFreeRAdam({ learningRate: 0.5 })),
  averagedSGD: projectOntoNonnegative(averagedSGD({ learningRate: 0.1, averagingStart: 0 })),
  'outside of lookahead': projectOntoNonnegative(lookahead(sgd({ learningRate: 0.1 }))),
  'inside of lookahead': lookahead(projectOntoNonnegative(sgd({ learningRate: 0.1 }))),
  'outside of an average': projectOntoNonnegative(parameterAverage(adamW({ learningRate: 0.1 }), { beta: 0.9 })),
  'inside of an average': parameterAverage(projectOntoNonnegative(adamW({ learningRate: 0.1 })), { beta: 0.9 }),
  polynomialAverage: projectOntoNonnegative(polynomialAverage(sgd({ learningRate: 0.1 }), { gamma: 8 })),
  'outside of scheduleFree': projectOntoNonnegative(scheduleFree(sgd({ learningRate: 0.1 }))),
  'inside of scheduleFree': scheduleFree(projectOntoNonnegative(sgd({ learningRate: 0.1 }))),
  trac: projectOntoNonnegative(trac(sgd({ learningRate: 0.1 }), { initialScale: 1 })),
  a2Grad: projectOntoNonnegative(a2Grad({ learningRate: 0.5 })),
  accSGD: projectOntoNonnegative(accSGD({ learningRate: 0.1 })),
  srmm: projectOntoNonnegative(srmm({ learningRate: 0.1 })),
  ftrl: projectOntoNonnegative(ftrl({ learningRate: 0.1 })),
  ranger: projectOntoNonnegative(ranger({ learningRate: 0.1 })),
  ranger21: projectOntoNonnegative(ranger21({ learningRate: 0.1 })),
}

describe('the least (x + 1)² among x from 0 up', () => {
  it.each(Object.entries(averaging))('is found by %s', async (_, rule) => {
    const optimizer = await compile(rule, { x: [3] })
    const { x } = optimizer.parameters
    x.set([0.5, 1, 2])
    let least = 0
    for (let step = 0; step < 1000; step++) {
      optimizer.gradients.x.forEach((_, i, gradient) => {
        gradient[i] = 2 * (x[i]! + 1)
      })
      optimizer.step()
      least = Math.min(least, ...x, ...optimizer.evaluationParameters().x!)
    }
    expect(least).toBe(0)
    expect(Math.max(...x)).toBeLessThan(0.02)
    expect(Math.max(...optimizer.evaluationParameters().x!)).toBeLessThan(0.05)
    optimizer.dispose()
  })
})

const shapes = { weight: [4, 6], kernel: [3, 2, 2, 2], bias: [5] }

function fillQuarter(values: FloatArray, random: () => number): void {
  for (let index = 0; index < values.length; index++) values[index] = random() / 4
}

type FloatArray = CompiledOptimizer['parameters'][string]

async function around(rule: Optimizer, visit: (optimizer: CompiledOptimizer) => void, backend = wasm()): Promise<void> {
  const optimizer = await compile(rule, shapes as Record<string, number[]>, { backend })
  const random = randomNumbers(3)
  for (const values of Object.values(optimizer.parameters)) fillQuarter(values, random)
  for (let step = 0; step < 3; step++) {
    fillAll(optimizer.gradients, random)
    await takeStep(optimizer)
    visit(optimizer)
  }
  optimizer.dispose()
}

describe('every optimizer stays in a box', () => {
  it.each(registry.map((factory) => [factory.definition.name, factory] as const))('%s', async (_, factory) => {
    let steps = 0
    // A rate at which most would leave it.
    const rule = projectOntoBox(make(factory, { learningRate: 0.7 }), { lower: -0.25, upper: 0.25 })
    await around(rule, (optimizer) => {
      steps++
      const evaluation = optimizer.evaluationParameters()
      for (const name of optimizer.names) {
        for (const values of [optimizer.parameters[name]!, evaluation[name]!]) {
          expect(
            values.every((value) => Math.abs(value) <= 0.25),
            name,
          ).toBe(true)
        }
      }
    })
    expect(steps).toBe(3)
  })
})

/** The projection onto the simplex by sorting, as in Duchi et al. */
function ontoSimplex(values: readonly number[], total: number): number[] {
  const sorted = [...values].sort((a, b) => b - a)
  let sum = 0
  let threshold = 0
  sorted.forEach((value, index) => {
    sum += value
    if (value > (sum - total) / (index + 1)) threshold = (sum - total) / (index + 1)
  })
  return values.map((value) => Math.max(value - threshold, 0))
}

function ontoBall(values: readonly number[], radius: number): number[] {
  const norm = Math.hypot(...values)
  return norm > radius ? values.map((value) => (value * radius) / norm) : [...values]
}

/** What one step with the gradient 0 makes of values. */
async function projected(
  wrap: (inner: Optimizer) => Optimizer,
  values: readonly number[],
  shape: readonly number[],
  backend = reference(),
) {
  const optimizer = await compile(wrap(sgd()), { x: shape }, { backend })
  optimizer.parameters.x.set(values)
  optimizer.step()
  const result = [...optimizer.parameters.x]
  optimizer.dispose()
  return result
}

describe('projections', () => {
  const random = randomNumbers(11)
  const values = Array.from({ length: 24 }, () => 3 * random())
  const rows = (change: (row: number[]) => number[]) =>
    [0, 1, 2, 3].flatMap((row) => change(values.slice(6 * row, 6 * row + 6)))

  it.each<[string, (inner: Optimizer) => Optimizer, readonly number[]]>([
    ['onto a ball', (inner) => projectOntoBall(inner, { radius: 2 }), ontoBall(values, 2)],
    ['onto a ball that holds them', (inner) => projectOntoBall(inner, { radius: 100 }), values],
    [
      'of outputs onto balls',
      (inner) => projectOntoBall(inner, { radius: 3, of: 'output' }),
      rows((row) => ontoBall(row, 3)),
    ],
    ['onto a simplex', (inner) => projectOntoSimplex(inner, { total: 1 }), ontoSimplex(values, 1)],
    ['onto a large simplex', (inner) => projectOntoSimplex(inner, { total: 90 }), ontoSimplex(values, 90)],
    [
      'of outputs onto simplices',
      (inner) => projectOntoSimplex(inner, { of: 'output' }),
      rows((row) => ontoSimplex(row, 1)),
    ],
    ['onto nonnegative numbers', projectOntoNonnegative, values.map((value) => Math.max(value, 0))],
    [
      'onto a box',
      (inner) => projectOntoBox(inner, { lower: -1, upper: 0.5 }),
      values.map((value) => Math.min(Math.max(value, -1), 0.5)),
    ],
  ])('%s', async (_, wrap, expected) => {
    const exact = await projected(wrap, values, [4, 6])
    exact.forEach((value, index) => {
      expect(value).toBeCloseTo(expected[index]!, 12)
    })
    const fast = await projected(wrap, values, [4, 6], wasm())
    fast.forEach((value, index) => {
      expect(value).toBeCloseTo(expected[index]!, 5)
    })
  })

  it('find the simplex among elements of every size', async () => {
    const size = 3000
    const spread = Array.from({ length: size }, (_, i) => -(10 ** (-6 + (7 * i) / size)))
    for (const given of [spread, spread.map((value) => -value), spread.map((value) => value + 1e4)]) {
      const expected = ontoSimplex(given, 1)
      const found = await projected((inner) => projectOntoSimplex(inner), given, [size])
      expect(Math.max(...found.map((value, index) => Math.abs(value - expected[index]!)))).toBeLessThan(1e-9)
      const fast = await projected((inner) => projectOntoSimplex(inner), given, [size], wasm())
      expect(fast.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 5)
      expect(Math.min(...fast)).toBe(0)
    }
  })

  it('keep averages on the simplex and in the ball', async () => {
    await around(projectOntoSimplex(scheduleFreeAdamW({ learningRate: 0.5 })), (optimizer) => {
      for (const values of Object.values(optimizer.evaluationParameters())) {
        expect(Array.from(values).reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 5)
        expect(Math.min(...values)).toBeGreaterThanOrEqual(0)
      }
    })
    await around(projectOntoBall(averagedSGD({ learningRate: 5, averagingStart: 0 }), { radius: 0.5 }), (optimizer) => {
      for (const values of [
        ...Object.values(optimizer.evaluationParameters()),
        ...Object.values(optimizer.parameters),
      ]) {
        expect(Math.hypot(...values)).toBeLessThan(0.5 * (1 + 1e-6))
      }
    })
  })

  it('may stand inside and outside of wrappers that change the gradient', async () => {
    const runs = [
      projectOntoBox(clipByValue(sgd({ learningRate: 1 }), { maximum: 0.3 }), { lower: -0.2, upper: 0.1 }),
      clipByValue(projectOntoBox(sgd({ learningRate: 1 }), { lower: -0.2, upper: 0.1 }), { maximum: 0.3 }),
    ]
    const ends: number[][] = []
    for (const rule of runs) await around(rule, ({ parameters }) => ends.push([...parameters.weight!]))
    expect(ends.slice(0, 3)).toEqual(ends.slice(3))
  })
})

describe('decay towards the start', () => {
  it('is θ - η (g + λ (θ - θ₀))', async () => {
    const rule = decayTowardsStart(sgd({ learningRate: 0.1 }), { weightDecay: 0.5 })
    const optimizer = await compile(rule, { x: [2] }, { backend: reference() })
    optimizer.parameters.x.set([1, -2])
    const expected = [1, -2]
    for (let step = 1; step <= 4; step++) {
      optimizer.gradients.x.set([step, -3])
      optimizer.step()
      expected[0]! -= 0.1 * (step + 0.5 * (expected[0]! - 1))
      expected[1]! -= 0.1 * (-3 + 0.5 * (expected[1]! + 2))
    }
    optimizer.parameters.x.forEach((value, index) => {
      expect(value).toBeCloseTo(expected[index]!, 12)
    })
    // Without a gradient it leads back.
    for (let step = 0; step < 500; step++) optimizer.step({ gradients: { x: [0, 0] } })
    optimizer.parameters.x.forEach((value, index) => {
      expect(value).toBeCloseTo([1, -2][index]!, 6)
    })
    optimizer.dispose()
  })
})
