import {
  a2Grad,
  accSGD,
  accumulateGradients,
  adamW,
  averagedSGD,
  type CompiledOptimizer,
  clipByValue,
  compile,
  decayTowardsStart,
  evolutionStrategies,
  ftrl,
  lookahead,
  type Optimizer,
  parameterAverage,
  polynomialAverage,
  projectOntoBall,
  projectOntoBox,
  projectOntoNonnegative,
  projectOntoSimplex,
  randomizedSmoothing,
  ranger,
  ranger21,
  reference,
  refresh,
  scheduleFree,
  scheduleFreeAdamW,
  scheduleFreeRAdam,
  scheduleFreeSGD,
  sgd,
  sharpnessAware,
  srmm,
  trac,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { fillAll, randomNumbers } from '../support/random.ts'
import { takeStep } from '../support/step.ts'
import { make, registry } from '../support/variants.ts'

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

const inside = { lower: -0.25, upper: 0.25 }
const moving: [string, (project: (inner: Optimizer) => Optimizer) => Optimizer][] = [
  ...registry
    .filter(({ definition }) => definition.evaluations)
    .flatMap((factory): typeof moving => {
      const { name } = factory.definition
      const options = name === 'mars' ? { exact: true } : name === 'onlineToNonconvex' ? { scaling: 'uniform' } : {}
      return [[name, (project) => project(make(factory, { learningRate: 0.1, ...options }))]]
    }),
  ['sharpnessAware inside', (project) => project(sharpnessAware(sgd({ learningRate: 0.1 }), { rho: 0.3 }))],
  ['sharpnessAware outside', (project) => sharpnessAware(project(sgd({ learningRate: 0.1 })), { rho: 0.3 })],
  ['evolutionStrategies', (project) => project(evolutionStrategies(sgd({ learningRate: 0.01 }), { pairs: 2 }))],
  ['randomizedSmoothing', (project) => project(randomizedSmoothing(sgd(), { pairs: 2, radius: 0.3 }))],
  ['refresh', (project) => project(refresh(sgd({ learningRate: 0.1 }), { amount: 0.3, noise: 0.1 }))],
  ['held steps', (project) => accumulateGradients(project(sharpnessAware(sgd(), { rho: 0.3 })), { period: 2 })],
]

describe('the model is evaluated inside of the set only', () => {
  const start = (optimizer: CompiledOptimizer) => {
    const random = randomNumbers(3)
    for (const values of Object.values(optimizer.parameters)) fillQuarter(values, random)
  }
  /** Steps on a bumpy loss; calls `at` with every point. */
  const steps = async (optimizer: CompiledOptimizer, count: number, at: (evaluation: number) => void) => {
    for (let step = 0; step < count; step++) {
      await optimizer.minimize(({ parameters, gradients, inputs, evaluation }) => {
        at(evaluation)
        for (const arrays of Object.values(inputs)) for (const array of Object.values(arrays)) array.fill(2)
        let loss = 0
        for (const [name, values] of Object.entries(parameters)) {
          values.forEach((x, i) => {
            loss += (x - (i % 3)) ** 2
            gradients[name]![i] = 2 * (x - (i % 3))
          })
        }
        return loss
      })
    }
  }
  const all = shapes as Record<string, number[]>

  it.each(moving)('%s', async (_, rule) => {
    for (const backend of [wasm(), reference()]) {
      const optimizer = await compile(
        rule((inner) => projectOntoBox(inner, inside)),
        all,
        { backend },
      )
      start(optimizer)
      const found = new Set<number>()
      await steps(optimizer, 4, (evaluation) => {
        found.add(evaluation)
        for (const values of Object.values(optimizer.parameters))
          expect(Math.max(...Array.from(values, Math.abs))).toBeLessThanOrEqual(0.25)
      })
      expect(found.size).toBeGreaterThan(0)
      expect(optimizer.moves).toBe(true)
      for (const values of Object.values(optimizer.parameters))
        expect(Math.max(...Array.from(values, Math.abs))).toBeLessThanOrEqual(0.25)
      optimizer.dispose()
    }
  })

  it.each(moving)('and in a set that holds everything nothing changes: %s', async (_, rule) => {
    const backend = reference()
    const wide = await compile(
      rule((inner) => projectOntoBox(inner, { lower: -1e6, upper: 1e6 })),
      all,
      { backend },
    )
    const free = await compile(
      rule((inner) => inner),
      all,
      { backend },
    )
    for (const optimizer of [wide, free]) {
      start(optimizer)
      await steps(optimizer, 3, () => {})
    }
    for (const name of wide.names) expect([...wide.parameters[name]!]).toEqual([...free.parameters[name]!])
  })

  it.each(moving)('and an evaluation that fails brings parameters back: %s', async (_, rule) => {
    const optimizer = await compile(
      rule((inner) => projectOntoBox(inner, inside)),
      all,
    )
    start(optimizer)
    let evaluations = 0
    await steps(optimizer, 1, () => evaluations++)
    const before = Object.values(optimizer.parameters).flatMap((values) => [...values])
    expect(evaluations).toBeGreaterThan(0)
    for (let failing = 0; failing < evaluations; failing++) {
      const fail = (evaluation: number) => {
        if (evaluation === failing) throw new Error('no model')
      }
      await expect(steps(optimizer, 1, fail)).rejects.toThrow('no model')
      const after = Object.values(optimizer.parameters).flatMap((values) => [...values])
      after.forEach((value, index) => {
        expect(value).toBeCloseTo(before[index]!, 6)
      })
    }
  })
})

describe('sharpness-aware minimization within bounds', () => {
  it('takes the gradient at the projected point and steps from where the parameters are', async () => {
    const rule = projectOntoNonnegative(sharpnessAware(sgd({ learningRate: 0.5 }), { rho: 1 }))
    const optimizer = await compile(rule, { x: [2] }, { backend: reference() })
    optimizer.parameters.x.set([0.25, 3])
    const points: number[][] = []
    await optimizer.minimize(({ parameters, gradients }) => {
      points.push([...parameters.x])
      gradients.x.set(points.length === 1 ? [-3, 4] : [0.25, -1])
    })
    const ascent = [0, 3 + 4 / (5 + 1e-12)]
    expect(points).toEqual([[0.25, 3], ascent])
    expect([...optimizer.parameters.x]).toEqual([0.25 - 0.125, 3.5])
  })

  it('leaves a model of roots without NaN', async () => {
    const rule = projectOntoBox(sharpnessAware(adamW({ learningRate: 0.05, weightDecay: 0 }), { rho: 0.5 }), {
      lower: 1e-6,
      upper: 10,
    })
    const optimizer = await compile(rule, { x: [1] })
    optimizer.parameters.x.set([0.3])
    // Least at x = 1/4.
    for (let step = 0; step < 400; step++) {
      await optimizer.minimize(({ parameters, gradients }) => {
        const x = parameters.x[0]!
        gradients.x[0] = 1 - 0.5 / Math.sqrt(x)
        return x - Math.sqrt(x)
      })
    }
    expect(optimizer.steps).toBe(400)
    expect(Number.isFinite(optimizer.parameters.x[0]!)).toBe(true)
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
