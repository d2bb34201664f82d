import {
  type Backend,
  type CompiledOptimizer,
  compile,
  describe as describeOptimizer,
  nero,
  type OptimizerFactory,
  reference,
  sgd,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import type { BaseOptimizer } from '../../src/language/definition.ts'
import {
  changedBits,
  differences,
  differentByte,
  notFinite,
  type Snapshot,
  snapshot,
  touched,
} from '../support/compare.ts'
import { smallModel } from '../support/models.ts'
import { copyAll, fillAll, randomNumbers } from '../support/random.ts'
import { meets, sample } from '../support/sample.ts'
import { readsGradient, takeStep } from '../support/step.ts'
import { registry, tiesTensors, tried } from '../support/variants.ts'

const backends: readonly (readonly [string, () => Backend])[] = [
  ['reference', reference],
  ['wasm', wasm],
]
const names = Object.keys(smallModel)
type Gradients = CompiledOptimizer['gradients']

const ordinary = (gradients: Gradients, step: number) => fillAll(gradients, randomNumbers(step), 13)
const everywhere = (value: number) => (gradients: Gradients) => {
  for (const array of Object.values(gradients)) array.fill(value)
}
const oneElement = (value: number) => (gradients: Gradients, step: number) => {
  ordinary(gradients, step)
  gradients.weight![11] = value
}

/** What may go wrong in training: gradients by step, ordinary ones where nothing is said. */
const courses: Readonly<Record<string, Readonly<Record<number, (gradients: Gradients, step: number) => void>>>> = {
  'zero first gradients': { 1: everywhere(0), 2: everywhere(0) },
  'a zero gradient in between': { 4: everywhere(0) },
  'one element that never has a gradient': Object.fromEntries(
    Array.from({ length: 10 }, (_, index) => [index + 1, oneElement(0)]),
  ),
  'one gradient of 1e20 at first': { 1: oneElement(1e20) },
  'one gradient of -1e20 later': { 5: oneElement(-1e20) },
  'one gradient of 3e38': { 2: oneElement(3e38) },
  'all gradients 1e20 once': { 3: everywhere(1e20) },
  'all gradients 1e18 once': { 3: everywhere(1e18) },
  'gradients of 1e-30': { 1: everywhere(1e-30), 2: everywhere(-1e-30), 5: oneElement(1e-30) },
  'the same gradient everywhere': { 1: everywhere(0.5), 2: everywhere(0.5), 3: everywhere(0.5) },
}

/**
 * Rules whose one step size comes from norms or their differences: where those leave float32's range, it has no bounds, or
 * no digits that both backends share.
 */
const beyondFloat32: Readonly<Record<string, string | readonly string[]>> = {
  // Weights that are exponentials of squares.
  adalite: [
    'one gradient of 1e20 at first',
    'one gradient of -1e20 later',
    'all gradients 1e20 once',
    'all gradients 1e18 once',
    'gradients of 1e-30',
  ],
  // The fourth root, nearly, of squares that float32 does not hold.
  adamG: 'gradients of 1e-30',
  aDoG: 'one gradient of 3e38',
  avaGrad: 'one gradient of 3e38',
  // Leading directions of squares that float32 does not hold, and of a huge one beside small ones.
  cosmos: [
    'gradients of 1e-30',
    'one gradient of 1e20 at first',
    'one gradient of -1e20 later',
    'one gradient of 3e38',
    'all gradients 1e20 once',
    'all gradients 1e18 once',
    'the same gradient everywhere',
  ],
  dAdaptAdaGrad: 'one gradient of 3e38',
  dAdaptAdan: 'one gradient of 3e38',
  dAdaptSGD: 'gradients of 1e-30',
  dog: 'one gradient of 3e38',
  dowg: 'one gradient of 3e38',
  // Equal gradients centralized: what is left is rounding.
  momentumPolyak: 'all gradients 1e20 once',
  // The Gram matrix of a long matrix squares what is small beside the largest.
  adaGo: ['all gradients 1e20 once', 'all gradients 1e18 once'],
  adaMuon: ['the same gradient everywhere', 'gradients of 1e-30'],
  lanton: ['all gradients 1e20 once', 'all gradients 1e18 once'],
  // Singular values that are more than 1e8 times smaller than those of one huge number.
  scaledGd: ['one gradient of 1e20 at first', 'one gradient of -1e20 later', 'one gradient of 3e38'],
  scion: 'the same gradient everywhere',
  muon: ['all gradients 1e20 once', 'all gradients 1e18 once'],
  momo: ['all gradients 1e20 once', 'all gradients 1e18 once'],
  momoAdam: [
    'all gradients 1e20 once',
    'all gradients 1e18 once',
    'one gradient of 1e20 at first',
    'one gradient of -1e20 later',
  ],
  // The singular vectors of a matrix of rank 1, or whose squares float32 does not hold, are many.
  alice: ['gradients of 1e-30', 'the same gradient everywhere'],
  conda: ['gradients of 1e-30', 'the same gradient everywhere'],
  dion: 'gradients of 1e-30',
  // What a step of the size of 1e-30 leaves in a matrix of zeros, whose squares float32 does not hold.
  spectralSphere: 'gradients of 1e-30',
  // Float32 has nothing of eigenvalues that are 1e7 times smaller than the largest, and raises them.
  distributedShampoo: [
    'one gradient of 1e20 at first',
    'one gradient of -1e20 later',
    'one gradient of 3e38',
    'all gradients 1e20 once',
    'all gradients 1e18 once',
  ],
  fira: ['gradients of 1e-30', 'the same gradient everywhere'],
  gaLore: ['gradients of 1e-30', 'the same gradient everywhere'],
  // Norms of the matrices of a kernel: sums of squares that float32 holds with a few digits.
  norMuon: ['gradients of 1e-30', 'all gradients 1e20 once', 'all gradients 1e18 once', 'the same gradient everywhere'],
  // Differences of gradients.
  optimisticGradient: 'one gradient of 3e38',
  pid: 'one gradient of 3e38',
  // The squared norm of a channel.
  sgdP: [
    'one gradient of 1e20 at first',
    'one gradient of -1e20 later',
    'one gradient of 3e38',
    'all gradients 1e20 once',
  ],
  // The same gradient twice: what tells the one from the other is rounding.
  mFac: 'the same gradient everywhere',
  // A huge gradient beside small ones, of which float32 does not hold the sum; and rows of the same element, which depend on each other.
  sparseMFac: ['one gradient of 1e20 at first', 'all gradients 1e20 once', 'all gradients 1e18 once'],
  // Elements of the same size, of which rounding says which is kept.
  sparseGGT: ['all gradients 1e20 once', 'all gradients 1e18 once'],
  // Directions of equal columns, and of what vanishes before the sketch; a huge gradient beside small ones of few elements.
  lowRankMFac: [
    'gradients of 1e-30',
    'the same gradient everywhere',
    'all gradients 1e20 once',
    'all gradients 1e18 once',
  ],
  // Any basis is right where gradients have rank one, and float64 has more digits of what lies outside.
  soap: 'the same gradient everywhere',
  sPlus: 'the same gradient everywhere',
  stochasticPolyak: 'all gradients 1e20 once',
  subspaceMomentum: ['gradients of 1e-30', 'the same gradient everywhere'],
  uDoG: 'one gradient of 3e38',
  ranger: ['all gradients 1e20 once', 'all gradients 1e18 once'],
  ranger21: ['all gradients 1e20 once', 'all gradients 1e18 once', 'the same gradient everywhere'],
}

/**
 * The first step that moves anything: ADOPT and Adam with critical momenta only note their first gradient, Schedule-Free
 * RAdam waits for its averages; M-ConFIG for the second of two losses; SOAP makes its basis.
 */
const firstMove: Readonly<Record<string, number>> = {
  adaShift: 11,
  adamCriticalMomenta: 2,
  adopt: 2,
  avaGrad: 2,
  momentumConflictFree: 2,
  scheduleFreeRAdam: 5,
  soap: 2,
}

/**
 * Rules that divide by the sum of all squared norms so far, or by that of the momentum: a huge gradient stops them for long, in any arithmetic.
 * PSGD Dense moves every parameter so far that float32 does not see the steps after. GGT has no singular value below a share of the largest, as
 * long as that is in its window.
 */
const stoppedByOne = ['aDoG', 'adaGradNorm', 'dog', 'dowg', 'ggt', 'momentumPolyak', 'momo', 'momoAdam', 'psgdDense']

/** What moves few elements of all parameters together: those of a small one seldom. */
const movesFew = ['sparseGGT', 'sparseMFac']

function largestOf(arrays: CompiledOptimizer['gradients']): number {
  return Math.max(...Object.values(arrays).map((array) => Math.max(...Array.from(array, Math.abs))))
}

async function both(factory: OptimizerFactory): Promise<{ exact: CompiledOptimizer; fast: CompiledOptimizer }> {
  const options = { nonFinite: 'allow' as const }
  const exact = await compile(tried(factory), smallModel, { ...options, backend: reference() })
  const fast = await compile(tried(factory), smallModel, { ...options, backend: wasm() })
  return { exact, fast }
}

/**
 * What float32 can hold: below its normal numbers squares vanish, which nothing but the reference in float64 keeps, and
 * rules hold averages of squares at 3.4e38, which float64 and float32 round apart.
 */
function withinFloat32(values: Snapshot): Snapshot {
  const limited = (x: number) => (Math.abs(x) > 3.3e38 ? 3.4e38 : Math.abs(x) < 1.2e-38 ? 0 : x)
  return Object.fromEntries(Object.entries(values).map(([name, array]) => [name, array.map(limited)]))
}

describe.each(registry.map((factory) => [factory.definition.name, factory] as const))('%s', (name, factory) => {
  const { kind } = describeOptimizer(factory)
  // Nero subtracts the mean of a row from elements of its size, and sums over all tensors cancel.
  const scale = kind === 'matrix' ? 3e-4 : kind === 'global' || factory === (nero as unknown) ? 3e-5 : 6e-6
  const tolerance = { relative: 1e-6, scale }

  const { definition, options, fallback = definition.fallback?.(options) } = factory() as BaseOptimizer
  const owners = [definition, ...(fallback?.kind === 'base' ? [fallback.definition] : [])]
  const limit = Math.min(...owners.map(({ largestGradient = Number.POSITIVE_INFINITY }) => largestGradient))
  const endured = Object.keys(courses).filter((course) => ![beyondFloat32[name] ?? []].flat().includes(course))

  it.each(sample(name, endured, (course) => course))(
    'stays finite and equal on both backends with %s',
    async (course) => {
      for (const start of ['ordinary', 'zero'] as const) {
        const { exact, fast } = await both(factory)
        // There and back again parameters are rounded even where the step leaves them.
        const allowed = exact.moves ? { ...tolerance, absolute: 1e-7 } : tolerance
        if (start === 'ordinary') fillAll(exact.parameters, randomNumbers(1))
        copyAll(exact.parameters, fast.parameters)
        for (let step = 1; step <= 10; step++) {
          exact.load(fast.save())
          const before = snapshot(exact)
          const write = courses[course]![step] ?? ordinary
          write(exact.gradients, step)
          copyAll(exact.gradients, fast.gradients)
          copyAll(fast.gradients, exact.gradients)
          await takeStep(exact)
          await takeStep(fast)
          const [expected, actual] = [snapshot(exact), snapshot(fast)].map(withinFloat32) as [Snapshot, Snapshot]
          expect({ step, start, notFinite: notFinite(snapshot(fast)) }).toEqual({ step, start, notFinite: [] })
          // What is limited in float32 alone is compared in huge-gradient.test.ts.
          if (largestOf(exact.gradients) > limit) continue
          expect({ step, start, found: differences(actual, expected, before, allowed) }).toEqual({
            step,
            start,
            found: [],
          })
        }
        expect(changedBits(snapshot(fast), snapshot(await compile(factory(), smallModel)))).toContain(
          (firstMove[name] ?? 1) > 10 ? 'weight state g1' : 'weight',
        )
      }
    },
  )

  it('trains on after one gradient of 1e20, which freezes no more than the rule says', async () => {
    const { fast } = await both(factory)
    for (let step = 1; step <= 20; step++) {
      if (step === 3) oneElement(1e20)(fast.gradients, step)
      else ordinary(fast.gradients, step)
      const before = Float32Array.from(fast.parameters.bias!)
      await takeStep(fast)
      const moved = fast.parameters.bias!.some((value, index) => value !== before[index])
      const still = step < (firstMove[name] ?? 1) || (step > 3 && stoppedByOne.includes(name))
      // Steps that are a loss divided by the gradient's square vanish beside a huge one, and so do those of a damped inverse of such squares.
      const vanishes = stoppedByOne.includes(name) || 'loss' in fast.needs || factory.definition.joint
      if ((step !== 3 || !vanishes) && !movesFew.includes(name)) expect(moved).toBe(!still)
    }
    // Sums over rows, columns or a matrix (Adafactor, Muon) pass the huge number on to the rest of the tensor until it has
    // decayed. Otherwise every element is alive but the one that was hit, whose average of squares decays as slowly.
    if (kind === 'reduction' || kind === 'matrix' || stoppedByOne.includes(name)) return
    const before = Float32Array.from(fast.parameters.weight!)
    ordinary(fast.gradients, 21)
    fast.gradients.weight!.forEach((value, index, array) => {
      array[index] = Math.sign(value) || 1
    })
    for (let step = 0; step < 5; step++) await takeStep(fast)
    const still = [...before.keys()].filter((index) => fast.parameters.weight![index] === before[index])
    expect(still.filter((index) => index !== 11)).toEqual([])
  })

  // Whether a step is taken does not depend on its rule.
  const checking = backends.filter(([title]) => meets(`gradients not finite on ${title}`, name))
  describe.each(checking)('on %s', (_, backend) => {
    const bad = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]

    it('throws by default: names the tensors, changes no byte, goes on afterwards', async () => {
      const optimizer = await compile(factory(), smallModel, { backend: backend() })
      const untouched = await compile(factory(), smallModel, { backend: backend() })
      for (let step = 1; step <= 3; step++) {
        ordinary(optimizer.gradients, step)
        const value = bad[step - 1]!
        const [before, values] = [optimizer.save(), snapshot(optimizer)]
        optimizer.gradients.kernel!.fill(value, step, step + 1)
        optimizer.gradients.scale![0] = value
        await expect(takeStep(optimizer)).rejects.toThrow(
          new RegExp(
            `step ${step}: the gradient of 'kernel', 'scale' is not finite; parameters and state are unchanged`,
          ),
        )
        if (!optimizer.moves) expect(differentByte(optimizer.save(), before)).toBe(-1)
        expect(touched(optimizer, values)).toEqual([])
        for (const each of [optimizer, untouched]) {
          ordinary(each.gradients, step)
          await takeStep(each)
        }
      }
      expect(touched(optimizer, snapshot(untouched))).toEqual([])
      expect(optimizer.skipped).toBe(0)
    })

    it('skips when asked to: names the tensors, changes nothing but the count', async () => {
      const optimizer = await compile(factory(), smallModel, { backend: backend(), nonFinite: 'skip' })
      const untouched = await compile(factory(), smallModel, { backend: backend() })
      for (let step = 1; step <= 3; step++) {
        ordinary(optimizer.gradients, step)
        optimizer.gradients.bias![4] = bad[step - 1]!
        const before = snapshot(optimizer)
        expect(await takeStep(optimizer)).toEqual({ step: step - 1, skipped: true, nonFinite: ['bias'] })
        expect(touched(optimizer, before)).toEqual([])
        expect([optimizer.skipped, optimizer.steps]).toEqual([step, step - 1])
        for (const each of [optimizer, untouched]) {
          ordinary(each.gradients, step)
          expect(await takeStep(each)).toEqual({ step, skipped: false, nonFinite: [] })
        }
      }
      expect(touched(optimizer, snapshot(untouched))).toEqual([])
    })
  })

  it('lets a gradient that is not a number through when told so, alike on both backends', async () => {
    const { exact, fast } = await both(factory)
    const clean = await compile(tried(factory), smallModel)
    for (const optimizer of [exact, fast, clean]) fillAll(optimizer.parameters, randomNumbers(1))
    for (let step = 1; step <= 3; step++) {
      for (const optimizer of [exact, fast, clean]) {
        ordinary(optimizer.gradients, step)
        if (step === 2 && optimizer !== clean) optimizer.gradients.weight![11] = Number.NaN
        expect((await takeStep(optimizer)).skipped).toBe(false)
      }
    }
    expect(notFinite(snapshot(fast))).toEqual(notFinite(snapshot(exact)))
    const spoiled = (optimizer: CompiledOptimizer, name: string) =>
      [...optimizer.parameters[name]!.keys()].filter((index) => Number.isNaN(optimizer.parameters[name]![index]))
    for (const name of names) expect(spoiled(fast, name)).toEqual(spoiled(exact, name))
    if (!readsGradient(factory)) expect(changedBits(snapshot(fast), snapshot(clean))).toEqual([])
    else if (kind === 'elementwise') {
      // Nothing but the element itself. Lion's sign of what is not a number is 0: its parameter even stays a number.
      const changed = (name: string) =>
        [...fast.parameters[name]!.keys()].filter(
          (index) => !Object.is(fast.parameters[name]![index], clean.parameters[name]![index]),
        )
      expect(names.filter((name) => changed(name).length > 0)).toEqual(['weight'])
      expect(changed('weight')).toEqual([11])
    } else if (!tiesTensors(factory)) {
      // A sum over the tensor carries it to all of the tensor, but not further.
      const others = (optimizer: CompiledOptimizer) =>
        Object.fromEntries(Object.entries(snapshot(optimizer)).filter(([key]) => !key.startsWith('weight')))
      expect(changedBits(others(fast), others(clean))).toEqual([])
    }
  })
})

describe('the check for finiteness', () => {
  it('finds one bad element wherever it is and whatever it is', async () => {
    for (const size of [1, 2, 3, 4, 5, 7, 15, 16, 17, 31, 64, 67]) {
      const optimizer = await compile(sgd(), { a: [size], b: [size] }, { nonFinite: 'skip' })
      for (let index = 0; index < size; index++) {
        for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
          optimizer.gradients.b![index] = value
          expect(optimizer.step().nonFinite).toEqual(['b'])
          optimizer.gradients.b![index] = 0
        }
      }
      expect(optimizer.step().skipped).toBe(false)
    }
  })

  it('lets the largest and smallest numbers of float32 pass', async () => {
    const optimizer = await compile(sgd(), { a: [6] })
    optimizer.gradients.a!.set([3.4028234663852886e38, -3.4028234663852886e38, 1.401298464324817e-45, -0, 1, 0])
    expect(optimizer.step().skipped).toBe(false)
  })

  it('catches what becomes infinite when it is rounded to float32', async () => {
    const optimizer = await compile(sgd(), { a: [2] })
    expect(() => optimizer.step({ gradients: { a: [1e39, 0] } })).toThrow(/gradient of 'a' is not finite/)
  })

  it('knows three policies', async () => {
    await expect(compile(sgd(), { a: [1] }, { nonFinite: 'ignore' as never })).rejects.toThrow(
      /compile: nonFinite must be throw, skip or allow, not ignore/,
    )
  })
})
