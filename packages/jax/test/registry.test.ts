import { gradientTransformation } from '@fallline/jax'
import { init, numpy as np } from '@jax-js/jax'
import {
  adamW,
  clipByNorm,
  defineOptimizer,
  groups,
  householderQr,
  logUniform,
  lossInput,
  nonNegative,
  type Optimizer,
  type OptimizerFactory,
  type Shapes,
  sgd,
  shampoo,
  shaped,
  sharedScalar,
  where,
} from 'fallline'
import { type BaseOptimizer, inputsOf, nodesOf, pointsOf, programsOf, traceModel } from 'fallline/internal'
import { beforeAll, describe, expect, it } from 'vitest'
import { another, everything, meets, metByAll, sample } from '../../core/test/support/sample.ts'
import { make, registry, sensitive, variantsOf, wrappers, wrappersAround } from '../../core/test/support/variants.ts'
import { jaxTrajectory, numbersFor, referenceTrajectory, worstError } from './support/training.ts'

beforeAll(async () => {
  await init('cpu', 'wasm')
})

/** All classes of shape; sums of a few float32 numbers, so that one tolerance fits all rules. */
const shapes = { matrix: [5, 7], vector: [6], number: [], cube: [2, 3, 4], kernel: [2, 2, 3, 3], column: [4, 1] }
const fewShapes = { matrix: [5, 7], vector: [6] }
/** For every day: a class of shape is the framework's, and a rule tells matrices from vectors. */
const dailyShapes = { ...fewShapes, kernel: [2, 2, 3, 3] }
const squares = { matrix: [5, 5], vector: [6] }

/** jax-js keeps parameters apart, so rules that take all as one vector take only one. */
function takenBy({ definition }: OptimizerFactory, several: Shapes): Shapes {
  return definition.joint ? { matrix: [5, 7] } : several
}

/** Where a matrix is singular any basis is right, and jax-js has no QR factors of such. */
const freeBasis = ['cosmos', 'soap', 'sPlus']

/** Divides by √v + ε where a turned gradient, and so its v, is nothing but rounding. */
const divided = (settings: Readonly<Record<string, unknown>>) =>
  settings.form === 'eigenvalueCorrected' ? { epsilon: 1e-3, ...settings } : settings

/** Rules amplify the rounding of float32 differently; a wrong rule is off by far more. */
const tolerance = 2e-3

const common = {
  paper: { title: 'None', authors: 'Nobody', year: 2026 },
  family: 'adaptive',
  hyper: { learningRate: nonNegative(0.1) },
  state: {},
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 1) },
} as const

async function check(optimizer: Optimizer, steps: number, shapes: Shapes): Promise<void> {
  const numbers = numbersFor(shapes, steps)
  const expected = await referenceTrajectory(optimizer, shapes, numbers)
  const actual = jaxTrajectory(gradientTransformation(optimizer), shapes, numbers)
  expect(worstError(actual, expected)).toBeLessThan(tolerance)
}

/** Decay styles and maximizing are the framework's, the same for every rule: AdamW stands for all. */
function variantsHere(factory: OptimizerFactory): (readonly [string, Readonly<Record<string, unknown>>])[] {
  const common = ['decay', 'weightDecay', 'maximize']
  const own = variantsOf(factory).filter(({ settings }) => {
    const names = Object.keys(settings)
    if (names.length === 0 || moves(factory, settings) || draws(factory, settings)) return false
    if (Object.keys(inputsOf(make(factory, settings) as BaseOptimizer)).length > 0) return false
    // A vector has a Gram matrix of rank one.
    const ofVectors = ['mergesDimensions', 'preconditionsVectors', 'exponent']
    if (sensitive.includes(factory.definition.name) && names.some((name) => ofVectors.includes(name))) return false
    // In which order equal eigenvalues stand at first is what rounding says, and bases that lag behind keep it for a while.
    if (factory === shampoo && names.includes('spreads')) return false
    return factory === adamW || !names.some((name) => common.includes(name))
  })
  const { name } = factory.definition
  if (!meets('options in jax-js', name)) return []
  return sample(name, own, ({ title }) => title).map(({ title, settings }) => [title, settings] as const)
}

/** True for those that evaluate the model elsewhere than where the parameters are. */
function moves(factory: OptimizerFactory, settings: Readonly<Record<string, unknown>> = {}): boolean {
  const { traced } = traceModel(make(factory, settings), { w: [3, 2] }, false).parameters[0]!
  return pointsOf(traced!).length > 0
}

/** True for those that draw random numbers. */
function draws(factory: OptimizerFactory, settings: Readonly<Record<string, unknown>> = {}): boolean {
  const { traced } = traceModel(make(factory, settings), { w: [3, 2] }, false).parameters[0]!
  const nodes = programsOf(traced!.variants).flatMap(({ outputs }) => [...nodesOf(outputs)])
  return nodes.some(({ operation }) => operation === 'random')
}

/** Those that need more than gradients in a step. */
const refused = registry.filter((factory) => {
  return Object.keys(inputsOf(factory() as BaseOptimizer)).length > 0 || moves(factory)
})
const replayed = registry.filter((factory) => !refused.includes(factory) && !draws(factory))

describe.each(replayed.map((factory) => [factory.definition.name, factory] as const))(
  '%s under jit',
  (name, factory) => {
    const ofFullRank = freeBasis.includes(name)
    const classes = meets('every class of shape in jax-js', name) ? shapes : dailyShapes
    it('agrees with the interpreter for every class of shape', () =>
      check(make(factory), 4, takenBy(factory, ofFullRank ? squares : classes)))

    it.each(variantsHere(factory))('with %s agrees with the interpreter', (_, settings) =>
      check(make(factory, divided(settings)), 4, takenBy(factory, ofFullRank ? squares : fewShapes)),
    )
  },
)

describe('QR factors by reflections', () => {
  it.each([
    ['square', [5, 5]],
    ['tall', [6, 4]],
    ['wide', [3, 5]],
  ] as const)('of a %s gradient have the signs of the interpreter', async (_, matrix) => {
    const factored = defineOptimizer({
      ...common,
      name: 'factored',
      title: 'Factored',
      rule({ g }) {
        const { q, r } = householderQr(g)
        return { direction: q.matmul(r.abs()) }
      },
    })
    await check(factored(), 3, { matrix: [...matrix] })
  })
})

describe('an optimizer that needs more than gradients', () => {
  it.each(refused.map((factory) => [factory.definition.name, factory] as const))(
    'such as %s says what',
    (_, factory) => {
      const { title } = factory.definition
      const inputs = Object.keys(inputsOf(factory() as BaseOptimizer))
      const init = () => gradientTransformation(make(factory)).init({ w: np.ones([3, 2]) })
      expect(init).toThrow(`${title} (parameter 'w') `)
      if (moves(factory)) {
        expect(init).toThrow(
          'evaluates the model at other points within a step, but an update is given gradients at one',
        )
      } else expect(init).toThrow(`needs ${inputs.join(' and ')}, but an update is given only gradients`)
    },
  )

  it('or all parameters as one vector says so where there are several', () => {
    const joint = replayed.filter(({ definition }) => definition.joint)
    expect(joint).not.toEqual([])
    for (const factory of joint) {
      expect(() => gradientTransformation(make(factory)).init({ v: np.ones([2]), w: np.ones([3, 2]) })).toThrow(
        `${factory.definition.title} takes all parameters as one vector, and jax-js keeps them apart: join them`,
      )
    }
  })

  it('says so for random numbers and the loss, inside of groups too', () => {
    const noisy = defineOptimizer({
      ...common,
      name: 'noisy',
      title: 'Noisy',
      rule: ({ g, random, hyper }) => ({ direction: g.plus(random.normal({ seed: hyper.learningRate })) }),
    })
    const scaled = defineOptimizer({
      ...common,
      name: 'scaled',
      title: 'Scaled',
      inputs: { loss: lossInput },
      rule: ({ g, inputs }) => ({ direction: g.times(inputs.loss) }),
    })
    const init = (optimizer: Optimizer) => () => gradientTransformation(optimizer).init({ w: np.ones([3]) })
    expect(init(clipByNorm(noisy()))).toThrow(
      "Clipping by tensor norm around Noisy (parameter 'w') draws random numbers, which jax-js would draw differently; " +
        "createTrainer takes such steps on the path 'fused'",
    )
    expect(init(groups(sgd(), [{ match: 'w', optimizer: scaled() }]))).toThrow(
      "needs loss, but an update is given only gradients; createTrainer takes such steps on the path 'fused'",
    )
  })
})

describe('operations', () => {
  it('agree with the interpreter: transcendental functions, indices, maxima, state of its own shape', async () => {
    const everything = defineOptimizer({
      ...common,
      name: 'everything',
      title: 'Everything',
      state: { table: shaped(({ shape }) => [1, 2, shape.at(-1) ?? 1]), largest: sharedScalar(0) },
      rule({ p, g, state }) {
        const bounded = g.tanh().plus(g.sigmoid()).plus(g.softplus())
        const powers = g.abs().plus(1).power(1.5).plus(g.exp()).plus(g.abs().plus(1).log()).plus(g.times(3).floor())
        const largest = state.largest.maximum(g.abs().largest('all'))
        const rows = g.as([1, g.batch * g.rows, g.columns]).largest('rows')
        const table = state.table.plus(rows)
        const chosen = p.everyElement(2).not().and(g.isLessThan(0)).not()
        const direction = where(chosen, bounded.plus(powers), g.sign())
        return { direction: direction.over(largest.plus(1)), state: { table, largest } }
      },
    })
    await check(everything({ learningRate: 0.1 }), 3, shapes)
  })
})

describe('wrappers under jit', () => {
  // Tracing takes longest here: the sample has one optimizer of each kind.
  const cases = replayed
    .filter(({ definition: { name } }) => (everything || metByAll.includes(name)) && !sensitive.includes(name))
    .flatMap((factory) => {
      const { name: own } = factory.definition
      return another('jax-js', own, wrappersAround(factory)).map((name) => [name, own, factory] as const)
    })

  it.each(cases)('%s around %s agrees with the interpreter', (name, _, factory) =>
    check(wrappers[name]!(make(factory)), 7, takenBy(factory, fewShapes)),
  )

  it('groups with other hyperparameters, another optimizer and frozen parameters agree with the interpreter', async () => {
    await check(
      groups(adamW({ learningRate: 0.1 }), [
        { match: 'vector', hyper: { learningRate: 0.01, weightDecay: 0 } },
        { match: 'cube', optimizer: sgd({ learningRate: 0.5, momentum: 0.9 }) },
        { match: 'number', frozen: true },
      ]),
      3,
      shapes,
    )
  })
})
