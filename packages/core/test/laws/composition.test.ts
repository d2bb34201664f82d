import {
  accumulateGradients,
  adam,
  adamW,
  type CompiledOptimizer,
  cautious,
  centralizeGradients,
  clipByGlobalNorm,
  clipByNorm,
  clipByValue,
  compile,
  coupledWeightDecay,
  decoupledWeightDecay,
  describe as describeOptimizer,
  groups,
  lookahead,
  madgrad,
  muon,
  type Optimizer,
  type OptimizerFactory,
  parameterAverage,
  proximalWeightDecay,
  reference,
  scheduleFreeAdamW,
  sgd,
  soap,
  sPlus,
} from 'fallline'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parameterShape } from '../../src/language/layout.ts'
import { changedBits, differences, type Snapshot } from '../support/compare.ts'
import { smallModel } from '../support/models.ts'
import { fillAll, randomNumbers } from '../support/random.ts'
import { meets, sampleSize } from '../support/sample.ts'
import { draws, lossOf, readsGradient, takeStep } from '../support/step.ts'
import { make, refuses, registry } from '../support/variants.ts'

/** Laws hold for every model and history; a few of each find what a single example would hide. */
const someRuns = { numRuns: sampleSize(5), seed: 20 } as const
const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 })
const stepCounts = fc.integer({ min: 1, max: 6 })

type Run = { readonly seed: number; readonly steps: number; readonly scale?: number }

/** Parameters after some steps with random gradients, in float64 unless said otherwise. */
async function run(optimizer: Optimizer, { seed, steps, scale = 1 }: Run, repeat = 1): Promise<CompiledOptimizer> {
  const compiled = await compile(optimizer, smallModel, { backend: reference() })
  const random = randomNumbers(seed)
  fillAll(compiled.parameters, random)
  for (let step = 1; step <= steps; step++) {
    fillAll(compiled.gradients, random)
    for (const gradient of Object.values(compiled.gradients))
      gradient.forEach((value, index) => void gradient.fill(value * scale, index, index + 1))
    for (let time = 0; time < repeat; time++) await takeStep(compiled, { loss: lossOf(step) })
  }
  return compiled
}

function parametersOf(optimizer: CompiledOptimizer, among = optimizer.names): Snapshot {
  return Object.fromEntries(among.map((name) => [name, Float64Array.from(optimizer.parameters[name]!)]))
}

/** The parameters are the same, to the bit or within rounding in float64. */
function expectSame(actual: CompiledOptimizer, expected: CompiledOptimizer, relative = 0, among = actual.names): void {
  const [found, wanted] = [parametersOf(actual, among), parametersOf(expected, among)]
  if (relative === 0) expect(changedBits(found, wanted)).toEqual([])
  else expect(differences(found, wanted, {}, { relative, scale: relative })).toEqual([])
}

/** The optimizer whose laws are being listed: in the sample each law is tried around a share of the optimizers. */
let around: string | undefined

/** What an optimizer makes of wrapped and plain, whatever the history. */
function law(
  name: string,
  left: () => Optimizer,
  right: () => Optimizer,
  relative = 0,
  among?: readonly string[],
): void {
  it.runIf(around === undefined || meets(name, around))(name, async () => {
    await fc.assert(
      fc.asyncProperty(seeds, stepCounts, async (seed, steps) => {
        expectSame(await run(left(), { seed, steps }), await run(right(), { seed, steps }), relative, among)
      }),
      someRuns,
    )
  })
}

/** The parameters that an optimizer takes itself; the others go to its fallback, which has settings of its own. */
function takenBy({ definition }: OptimizerFactory): string[] {
  const { accepts = () => true, options = {} } = definition
  return Object.entries(smallModel)
    .map(([name, shape]) => parameterShape(name, shape))
    .filter((shape) => accepts(shape, options))
    .map(({ name }) => name)
}

const huge = 1e30

describe.each(registry.map((factory) => [factory.definition.name, factory] as const))('around %s', (name, factory) => {
  around = name
  const free = !refuses(factory, 'lookahead')
  const reads = !refuses(factory, 'clipByValue')
  const decays = 'weightDecay' in factory.definition.hyper

  if (free) {
    law(
      'a lookahead at every step with alpha 1 is nothing',
      () => lookahead(factory(), { period: 1, alpha: 1 }),
      factory,
    )
    law('a lookahead that never comes is nothing', () => lookahead(factory(), { period: 1000 }), factory)
    law('averaging parameters does not change training', () => parameterAverage(factory()), factory)
  }
  law('groups that all hold the same are nothing', () => groups(factory(), [{ match: '*', hyper: {} }]), factory)
  if (reads) {
    it.each([1, 2, 5])('accumulating %i equal gradients is one step', async (period) => {
      await fc.assert(
        fc.asyncProperty(seeds, stepCounts, async (seed, steps) => {
          const many = await run(accumulateGradients(factory(), { period }), { seed, steps }, period)
          // Sums of equal gradients divide exactly by powers of two only, and the way to a point and back rounds.
          expectSame(many, await run(factory(), { seed, steps }), period === 5 || many.moves ? 1e-11 : 0)
          expect(many.steps).toBe(period * steps)
        }),
        someRuns,
      )
    })

    law('clipping elements at a huge value is nothing', () => clipByValue(factory(), { maximum: huge }), factory)
    law('clipping at a huge norm is nothing', () => clipByNorm(factory(), { maximumNorm: huge }), factory)
    law('clipping at a huge global norm is nothing', () => clipByGlobalNorm(factory(), { maximumNorm: huge }), factory)
    law('accumulating one gradient is nothing', () => accumulateGradients(factory(), { period: 1 }), factory)
    // Rounding chooses among the bases of SOAP and SPlus where gradients have less than full rank.
    if (![soap, sPlus].includes(factory as never)) {
      law(
        'clipping twice is clipping by the smaller',
        () => clipByNorm(clipByNorm(factory(), { maximumNorm: 0.5 }), { maximumNorm: 0.75 }),
        () => clipByNorm(factory(), { maximumNorm: 0.5 }),
        1e-9,
      )
      law(
        'clipping globally twice is clipping by the smaller',
        () => clipByGlobalNorm(clipByGlobalNorm(factory(), { maximumNorm: 0.75 }), { maximumNorm: 0.5 }),
        () => clipByGlobalNorm(factory(), { maximumNorm: 0.5 }),
        1e-9,
      )
    }
    law(
      'clipping elements twice is clipping by the smaller',
      () => clipByValue(clipByValue(factory(), { maximum: 0.25 }), { maximum: 0.5 }),
      () => clipByValue(factory(), { maximum: 0.25 }),
    )
  }

  // How decay is added is the framework's, unless the rule adds its own.
  const decaysItself = factory.definition.decay === 'own'
  const compared = decays && (decaysItself || meets('decay of zero', name))
  it.runIf(compared)('weight decay of zero is the same in every style', async () => {
    const plain = await run(make(factory, { weightDecay: 0 }), { seed: 8, steps: 6 })
    for (const decay of ['decoupled', 'independent', 'corrected', 'proximal', 'coupled'] as const) {
      if (!free && decay !== 'coupled') continue
      expectSame(await run(make(factory, { weightDecay: 0, decay }), { seed: 8, steps: 6 }), plain)
    }
    const wrapped = [
      ...(reads ? [coupledWeightDecay] : []),
      ...(free ? [decoupledWeightDecay, proximalWeightDecay] : []),
    ]
    for (const wrap of wrapped) {
      expectSame(await run(wrap(make(factory, { weightDecay: 0 }), { weightDecay: 0 }), { seed: 8, steps: 6 }), plain)
    }
  })

  // Some rules that know the decay use it elsewhere too.
  const aware = /\bweightDecay\b/.test(String(factory.definition.rule))
  if (free && decays && factory.definition.decay !== 'own' && !aware) {
    const own = takenBy(factory)
    // The average of MADGRAD begins at the parameter that its own decay has already shrunk.
    if (factory !== (madgrad as unknown)) {
      law(
        'wrappers of decay are the styles that optimizers have built in: decoupled',
        () => decoupledWeightDecay(make(factory, { weightDecay: 0 }), { weightDecay: 0.1 }),
        () => make(factory, { weightDecay: 0.1, decay: 'decoupled' }),
        0,
        own,
      )
    }
    law(
      'wrappers of decay are the styles that optimizers have built in: proximal',
      () => proximalWeightDecay(make(factory, { weightDecay: 0 }), { weightDecay: 0.1 }),
      () => make(factory, { weightDecay: 0.1, decay: 'proximal' }),
      0,
      own,
    )
    if (readsGradient(factory))
      law(
        'wrappers of decay are the styles that optimizers have built in: coupled',
        () => coupledWeightDecay(make(factory, { weightDecay: 0 }), { weightDecay: 0.1 }),
        () => make(factory, { weightDecay: 0.1, decay: 'coupled' }),
        0,
        own,
      )
  }
  around = undefined
})

describe('cautious masking', () => {
  it('is nothing when direction and gradient all agree', async () => {
    // Gradients of constant sign: every momentum and every ratio of such has that sign.
    const positive = async (optimizer: Optimizer) => {
      const compiled = await compile(optimizer, { a: [6], b: [2, 3] }, { backend: reference() })
      const random = randomNumbers(3)
      for (let step = 1; step <= 6; step++) {
        for (const [index, gradient] of Object.values(compiled.gradients).entries()) {
          gradient.set(Array.from(gradient, (_, at) => ((at + index) % 2 === 0 ? 1 : -1) * (1.5 + random())))
        }
        await takeStep(compiled)
      }
      return compiled
    }
    for (const factory of registry) {
      // Where the direction comes from elsewhere it has no reason to agree.
      if (!readsGradient(factory) || draws(factory) || factory.definition.inputs) continue
      if (describeOptimizer(factory).kind !== 'elementwise') continue
      // These follow differences of gradients, which may have the other sign.
      if (['adan', 'optimisticGradient'].includes(factory.definition.name)) continue
      expectSame(await positive(cautious(factory())), await positive(factory()), 1e-13)
    }
  })

  it('keeps what agrees, scaled by the share that does', async () => {
    const optimizer = await compile(cautious(sgd({ learningRate: 1, momentum: 0.5 })), { a: [4] })
    optimizer.step({ gradients: { a: [8, 8, 8, 8] } })
    optimizer.parameters.a!.fill(0)
    // Momentum 4 + g: 6, 3, -1, 4; agreeing with g where both have one sign: 6 and nothing else but the -6 + 4 = -2.
    optimizer.step({ gradients: { a: [2, -1, -6, 0] } })
    expect([...optimizer.parameters.a!]).toEqual([-12, 0, 4, 0].map((value) => value + 0))
  })

  it('scales by the floor when nearly nothing agrees', async () => {
    const optimizer = await compile(cautious(sgd({ learningRate: 1, momentum: 0.5 }), { floor: 0.5 }), { a: [4] })
    optimizer.step({ gradients: { a: [8, 8, 8, 8] } })
    optimizer.parameters.a!.fill(0)
    optimizer.step({ gradients: { a: [-1, -1, -1, 1] } })
    expect([...optimizer.parameters.a!]).toEqual([0, 0, 0, -10].map((value) => value + 0))
  })
})

describe('centralized gradients', () => {
  it('have mean zero for every output', async () => {
    await fc.assert(
      fc.asyncProperty(
        seeds,
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 4 }),
        async (seed, shape) => {
          const optimizer = await compile(
            centralizeGradients(sgd({ learningRate: 1 })),
            { w: shape },
            { backend: reference() },
          )
          fillAll(optimizer.gradients, randomNumbers(seed))
          optimizer.step()
          const outputs = shape[0]!
          const width = optimizer.parameters.w!.length / outputs
          for (let output = 0; output < outputs; output++) {
            const [moved, gradient] = [optimizer.parameters.w!, optimizer.gradients.w!].map((array) =>
              Array.from(array.subarray(output * width, (output + 1) * width)),
            )
            const mean = gradient!.reduce((sum, value) => sum + value, 0) / width
            expect(Math.abs(moved!.reduce((sum, value) => sum + value, 0))).toBeLessThan(1e-14)
            moved!.forEach((value, index) => {
              expect(value).toBeCloseTo(mean - gradient![index]!, 13)
            })
          }
        },
      ),
      { ...someRuns, numRuns: 15 },
    )
  })

  it('are those of matrices and more only', async () => {
    const optimizer = await compile(centralizeGradients(sgd({ learningRate: 1 })), { v: [3], s: [] })
    optimizer.step({ gradients: { v: [1, 2, 3], s: [4] } })
    expect([...optimizer.parameters.v!, ...optimizer.parameters.s!]).toEqual([-1, -2, -3, -4])
  })
})

describe('the order of wrappers', () => {
  const step = async (optimizer: Optimizer, gradients: Record<string, number[]>, times = 1) => {
    const shapes = Object.fromEntries(Object.entries(gradients).map(([name, values]) => [name, [values.length]]))
    const compiled = await compile(optimizer, shapes, { backend: reference() })
    for (let time = 0; time < times; time++) compiled.step({ gradients })
    return Object.values(compiled.parameters).flatMap((array) => [...array])
  }
  const down = sgd({ learningRate: 1 })

  it('is from the outside in on gradients', async () => {
    const inner = clipByNorm(down, { maximumNorm: 1 })
    const [first] = await step(clipByValue(inner, { maximum: 4 }), { a: [300, 3] })
    expect(first).toBeCloseTo(-4 / 5, 12)
    const [second] = await step(clipByNorm(clipByValue(down, { maximum: 0.5 }), { maximumNorm: 5 }), { a: [300, 400] })
    expect(second).toBe(-0.5)
  })

  it('tells clipping before from clipping after accumulation', async () => {
    const clip = (inner: Optimizer) => clipByValue(inner, { maximum: 1 })
    const uneven = async (optimizer: Optimizer) => {
      const compiled = await compile(optimizer, { a: [1] })
      compiled.step({ gradients: { a: [9] } })
      compiled.step({ gradients: { a: [0.5] } })
      return compiled.parameters.a![0]
    }
    expect(await uneven(clip(accumulateGradients(down, { period: 2 })))).toBe(-0.75)
    expect(await uneven(accumulateGradients(clip(down), { period: 2 }))).toBe(-1)
  })

  it('tells clipping with and without coupled weight decay', async () => {
    const decayed = async (optimizer: Optimizer) => {
      const compiled = await compile(optimizer, { a: [1] })
      compiled.parameters.a![0] = 10
      compiled.step({ gradients: { a: [4] } })
      return compiled.parameters.a![0]
    }
    const clip = (inner: Optimizer) => clipByNorm(inner, { maximumNorm: 1 })
    const decay = (inner: Optimizer) => coupledWeightDecay(inner, { weightDecay: 0.1 })
    expect(await decayed(clip(decay(down)))).toBe(8)
    expect(await decayed(decay(clip(down)))).toBe(9)
  })

  it('is from the inside out on parameters', async () => {
    // θ: 0 → -4. Inside, lookahead goes half way: -2. The average outside sees that.
    const averaged = parameterAverage(lookahead(down, { period: 1, alpha: 0.5 }), { beta: 0.5 })
    const compiled = await compile(averaged, { a: [1] })
    compiled.step({ gradients: { a: [4] } })
    expect([compiled.parameters.a![0], compiled.evaluationParameters().a![0]]).toEqual([-2, -1])
    const other = await compile(lookahead(parameterAverage(down, { beta: 0.5 }), { period: 1, alpha: 0.5 }), { a: [1] })
    other.step({ gradients: { a: [4] } })
    expect([other.parameters.a![0], other.evaluationParameters().a![0]]).toEqual([-2, -2])
  })

  it('keeps lookahead inside accumulation on the inner count', async () => {
    const inside = accumulateGradients(lookahead(down, { period: 2, alpha: 0.5 }), { period: 2 })
    const steps: number[] = []
    const compiled = await compile(inside, { a: [1] })
    for (let step = 1; step <= 8; step++) {
      compiled.step({ gradients: { a: [1] } })
      steps.push(compiled.parameters.a![0]!)
    }
    expect(steps).toEqual([0, -1, -1, -1, -1, -2, -2, -2].map((value) => value + 0))
  })

  it('counts lookahead around accumulation by calls of step', async () => {
    const around = lookahead(accumulateGradients(down, { period: 2 }), { period: 2, alpha: 0.5 })
    const compiled = await compile(around, { a: [1] })
    const steps: number[] = []
    for (let step = 1; step <= 4; step++) {
      compiled.step({ gradients: { a: [1] } })
      steps.push(compiled.parameters.a![0]!)
    }
    expect(steps).toEqual([0, -0.5, -0.5, -1].map((value) => value + 0))
  })
})

describe('a wrapper that cannot act', () => {
  it.each([
    ['lookahead', lookahead],
    ['parameterAverage', parameterAverage],
  ])('says so: %s around Schedule-Free', async (name, wrap) => {
    const title = wrap.definition.title
    await expect(compile(wrap(scheduleFreeAdamW()), { a: [1] })).rejects.toThrow(
      new RegExp(
        `(${title} changes the new parameter, but Schedule-Free AdamW moves several sequences itself.*leave ${name} out)|(each define what to evaluate with)`,
      ),
    )
  })

  it.each([
    ['decoupledWeightDecay', decoupledWeightDecay],
    ['proximalWeightDecay', proximalWeightDecay],
  ])('says so: %s around Schedule-Free', async (_, wrap) => {
    await expect(compile(wrap(scheduleFreeAdamW()), { a: [1] })).rejects.toThrow(
      new RegExp(
        `${wrap.definition.title} cannot act on Schedule-Free AdamW.*set its weightDecay instead: scheduleFreeAdamW`,
      ),
    )
  })

  it('says so for styles of decay that a rule does not know', async () => {
    for (const decay of ['decoupled', 'independent', 'corrected', 'proximal'] as const) {
      await expect(compile(scheduleFreeAdamW({ decay }), { a: [1] })).rejects.toThrow(
        new RegExp(`Schedule-Free AdamW applies weight decay itself; .*not '${decay}'`),
      )
    }
  })
})

describe('symmetries', () => {
  const one = (
    optimizer: Optimizer,
    parameter: readonly number[],
    gradients: readonly (readonly number[])[],
    shape = [parameter.length],
  ) =>
    compile(optimizer, { w: shape }, { backend: reference() }).then(async (compiled) => {
      compiled.parameters.w!.set(parameter)
      for (const gradient of gradients) await takeStep(compiled, { gradients: { w: gradient } })
      return [...compiled.parameters.w!]
    })
  const numbers = (count: number) =>
    fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: count, maxLength: count })
  const history = (count: number) => fc.array(numbers(count), { minLength: 1, maxLength: 4 })
  const close = (actual: readonly number[], expected: readonly number[], digits = 10) =>
    actual.forEach((value, index) => {
      expect(value).toBeCloseTo(expected[index]!, digits)
    })

  it('of SGD: scaling parameters and learning rate scales the path', async () => {
    await fc.assert(
      fc.asyncProperty(numbers(3), history(3), fc.constantFrom(0.25, 3, 10), async (parameter, gradients, scale) => {
        const path = await one(sgd({ learningRate: 0.1, momentum: 0.9 }), parameter, gradients)
        const scaled = parameter.map((value) => value * scale)
        const other = await one(sgd({ learningRate: 0.1 * scale, momentum: 0.9 }), scaled, gradients)
        close(
          other,
          path.map((value) => value * scale),
        )
        // Gradients in other units do what another learning rate does.
        const units = gradients.map((gradient) => gradient.map((value) => value * scale))
        close(await one(sgd({ learningRate: 0.1 / scale, momentum: 0.9 }), parameter, units), path)
      }),
      someRuns,
    )
  })

  it('of Adam: the scale of gradients does not matter', async () => {
    await fc.assert(
      fc.asyncProperty(numbers(3), history(3), fc.constantFrom(1e-3, 7, 1e6), async (parameter, gradients, scale) => {
        const optimizer = adam({ learningRate: 0.1, epsilon: 0 })
        const away = (value: number) => (Math.abs(value) < 1e-3 ? 1 : value)
        const first = gradients.map((gradient) => gradient.map(away))
        const second = first.map((gradient) => gradient.map((value) => value * scale))
        close(await one(optimizer, parameter, second), await one(optimizer, parameter, first))
      }),
      someRuns,
    )
  })

  it('of AdamW: decoupled decay depends on the learning rate, independent decay does not', async () => {
    const gradients = [[0, 0, 0]]
    const kept = (settings: object) => one(adamW({ weightDecay: 0.5, ...settings }), [1, 2, -4], gradients)
    close(await kept({ learningRate: 0.1 }), [0.95, 1.9, -3.8])
    close(await kept({ learningRate: 0.2 }), [0.9, 1.8, -3.6])
    close(await kept({ learningRate: 0.1, decay: 'independent' }), [0.5, 1, -2])
    close(await kept({ learningRate: 0.2, decay: 'independent' }), [0.5, 1, -2])
    close(await kept({ learningRate: 0.5, decay: 'proximal' }), [0.8, 1.6, -3.2])
    close(await kept({ learningRate: (step: number) => 0.4 / step, decay: 'corrected' }), [0.8, 1.6, -3.2])
  })

  it('of Muon: turning the coordinates of the gradient turns the step', async () => {
    await fc.assert(
      fc.asyncProperty(numbers(6), fc.double({ min: -3, max: 3, noNaN: true }), async (values, angle) => {
        // A matrix of rank 2 or the direction is not defined; Newton-Schulz needs some distance from rank 1.
        const gradient = values.map((value, index) => value + (index === 0 || index === 4 ? 3 : 0))
        const [cos, sin] = [Math.cos(angle), Math.sin(angle)]
        const turn = (matrix: readonly number[]) => {
          const [top, bottom] = [matrix.slice(0, 3), matrix.slice(3)]
          return [
            ...top.map((value, index) => cos * value - sin * bottom[index]!),
            ...top.map((value, index) => sin * value + cos * bottom[index]!),
          ]
        }
        const optimizer = muon({ learningRate: 1 })
        const zero = [0, 0, 0, 0, 0, 0]
        close(
          await one(optimizer, zero, [turn(gradient)], [2, 3]),
          turn(await one(optimizer, zero, [gradient], [2, 3])),
          6,
        )
      }),
      someRuns,
    )
  })

  it('of Muon: transposing the gradient transposes the orthogonal part', async () => {
    const gradient = [3, 0.5, -1, 0.25, 2, 1]
    const transposed = [3, 0.25, 0.5, 2, -1, 1]
    const optimizer = muon({ learningRate: 1, form: 'moonlight' })
    const zero = [0, 0, 0, 0, 0, 0]
    const wide = await one(optimizer, zero, [gradient], [2, 3])
    const tall = await one(optimizer, zero, [transposed], [3, 2])
    close(
      tall,
      [0, 3, 1, 4, 2, 5].map((index) => wide[index]!),
    )
    // Five steps of the quintic leave singular values between 0.7 and 1.2, times 0.2 √3.
    const rows = [wide.slice(0, 3), wide.slice(3)]
    const dot = (a: number[], b: number[]) => a.reduce((sum, value, index) => sum + value * b[index]!, 0)
    for (const row of rows) expect(Math.sqrt(dot(row, row)) / (0.2 * Math.sqrt(3))).toBeGreaterThan(0.6)
    for (const row of rows) expect(Math.sqrt(dot(row, row)) / (0.2 * Math.sqrt(3))).toBeLessThan(1.3)
  })

  it('of every elementwise rule: the order of elements does not matter', async () => {
    for (const factory of registry) {
      if (describeOptimizer(factory).kind !== 'elementwise' || draws(factory)) continue
      const [random, order] = [randomNumbers(6), [3, 0, 4, 1, 2]]
      const [parameter, ...gradients] = Array.from({ length: 5 }, () => order.map(() => random()))
      const mixed = (values: readonly number[]) => order.map((index) => values[index]!)
      const plain = await one(factory(), parameter!, gradients)
      expect(await one(factory(), mixed(parameter!), gradients.map(mixed))).toEqual(mixed(plain))
    }
  })
})
