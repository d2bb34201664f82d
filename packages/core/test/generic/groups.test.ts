import {
  adamW,
  type CompiledOptimizer,
  clipByGlobalNorm,
  compile,
  groups,
  lanton,
  linear,
  lion,
  mars,
  muon,
  type Optimizer,
  type ParameterMatch,
  reference,
  relativeRate,
  type Shapes,
  sgd,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { changedBits, differences, snapshot } from '../support/compare.ts'
import { smallModel } from '../support/models.ts'
import { fillAll, randomNumbers } from '../support/random.ts'
import { meets } from '../support/sample.ts'
import { takeStep } from '../support/step.ts'
import { registry, tiesTensors } from '../support/variants.ts'

const names = Object.keys(smallModel)

/** Parameters and gradients that depend on the parameter's name only, not on what else there is. */
async function train(optimizer: CompiledOptimizer, steps = 6): Promise<CompiledOptimizer> {
  const fill = (arrays: CompiledOptimizer['parameters'], seed: number) => {
    for (const name of optimizer.names)
      fillAll({ [name]: arrays[name]! }, randomNumbers(97 * seed + names.indexOf(name)))
  }
  fill(optimizer.parameters, 0)
  for (let step = 1; step <= steps; step++) {
    fill(optimizer.gradients, step)
    await takeStep(optimizer)
  }
  return optimizer
}

async function trained(optimizer: Optimizer, shapes: Shapes = smallModel): Promise<CompiledOptimizer> {
  return await train(await compile(optimizer, shapes))
}

/** Which of `found` differ from the same arrays of a run of its own. */
function differing(found: CompiledOptimizer, own: CompiledOptimizer, among = own.names): string[] {
  const [all, expected] = [snapshot(found), snapshot(own)]
  const of = (values: typeof all) =>
    Object.fromEntries(Object.entries(values).filter(([key]) => among.includes(key.split(' ')[0]!)))
  return changedBits(of(all), of(expected))
}

/** The parameter in a group of its own: a matrix, which every optimizer takes itself. */
const { weight, ...others } = smallModel

describe.each(registry.map((factory) => [factory.definition.name, factory] as const))(
  'groups over %s',
  (name, factory) => {
    const global = tiesTensors(factory)
    const rate = factory.definition.hyper.learningRate!.default

    it('with other hyperparameters treat each parameter as its own optimizer would', async () => {
      const optimizer = groups(factory(), [{ match: 'weight', hyper: { learningRate: rate / 4 } }])
      const found = await trained(optimizer)
      // A sum over all tensors ties them together; float32 rounds much of Prodigy's first steps of 1e-6 away.
      if (global) {
        const exact = await compile(optimizer, smallModel, { backend: reference() })
        const before = snapshot(exact)
        expect(
          differences(snapshot(found), snapshot(await train(exact)), before, { relative: 4e-6, scale: 5e-2 }),
        ).toEqual([])
      } else {
        expect(differing(found, await trained(factory(), others))).toEqual([])
        expect(differing(found, await trained(factory({ learningRate: rate / 4 }), { weight: weight! }))).toEqual([])
      }
      // AdaShift does not move before its queue of gradients is full.
      if (name === 'adaShift') return
      expect(differing(found, await trained(factory()), ['weight'])).toContain('weight')
    })

    it.runIf(meets('given away', name))('give some parameters to another optimizer', async () => {
      const found = await trained(groups(factory(), [{ match: 'weight', optimizer: sgd({ momentum: 0.5 }) }]))
      expect(differing(found, await trained(factory(), others))).toEqual([])
      expect(differing(found, await trained(sgd({ momentum: 0.5 }), { weight: weight! }))).toEqual([])
    })

    it.runIf(meets('taken', name))('take some parameters from another optimizer', async () => {
      const found = await trained(groups(sgd({ momentum: 0.5 }), [{ match: 'weight', optimizer: factory() }]))
      expect(differing(found, await trained(sgd({ momentum: 0.5 }), others))).toEqual([])
      expect(differing(found, await trained(factory(), { weight: weight! }))).toEqual([])
    })

    it.runIf(meets('frozen', name))('freeze some parameters, whatever their gradient', async () => {
      const optimizer = await compile(groups(factory(), [{ match: 'weight', frozen: true }]), smallModel)
      await train(optimizer, 3)
      const before = Float32Array.from(optimizer.parameters.weight!)
      optimizer.gradients.weight!.fill(Number.NaN)
      await takeStep(optimizer, {
        gradients: Object.fromEntries(names.map((name) => [name, optimizer.gradients[name]!])),
      })
      expect(optimizer.parameters.weight).toEqual(before)
      expect(optimizer.state('weight')).toEqual({})
      expect(optimizer.evaluationParameters().weight).toEqual(before)
      const again = await trained(groups(factory(), [{ match: 'weight', frozen: true }]))
      expect(differing(again, await trained(factory(), others))).toEqual([])
    })

    // Each group is a vector of its own.
    it.runIf(!factory.definition.joint && meets('groups alike', name))(
      'that all say the same change nothing',
      async () => {
        const list = ['weight', 'kernel'].map((match) => ({ match, hyper: { learningRate: rate } }))
        const [same, plain] = [groups(factory(), list), factory()]
        if (!global) expect(differing(await trained(same), await trained(plain))).toEqual([])
        // In float64, since sums over all tensors may be taken in another order.
        const exact = async (optimizer: Optimizer) =>
          await train(await compile(optimizer, smallModel, { backend: reference() }))
        const [found, expected] = [snapshot(await exact(same)), snapshot(await exact(plain))]
        expect(differences(found, expected, {}, { relative: 1e-12, scale: 1e-12 })).toEqual([])
      },
    )
  },
)

describe('matching', () => {
  const shapes: Shapes = { 'block0/kernel': [2, 2], 'block0/bias': [2], 'block1/kernel': [2, 2], 'a.b': [1], axb: [1] }
  const frozenBy = async (match: ParameterMatch) => {
    const optimizer = await compile(groups(sgd({ momentum: 0.9 }), [{ match, frozen: true }]), shapes)
    return optimizer.names.filter((name) => Object.keys(optimizer.state(name)).length === 0)
  }

  it.each<[string, ParameterMatch, string[]]>([
    ['a regular expression anywhere in the name', /bias|1/, ['block0/bias', 'block1/kernel']],
    ['a global one, which remembers its position', /block/g, ['block0/kernel', 'block0/bias', 'block1/kernel']],
    ['a sticky one', /a/y, ['block0/bias', 'a.b', 'axb']],
    ['one that ignores case', /BIAS/i, ['block0/bias']],
    ['a whole name', 'block0/bias', ['block0/bias']],
    ['a star for anything, slashes too', 'block*', ['block0/kernel', 'block0/bias', 'block1/kernel']],
    ['a star in the middle', 'block*/kernel', ['block0/kernel', 'block1/kernel']],
    ['several stars', '*0/*', ['block0/kernel', 'block0/bias']],
    ['a dot for itself', 'a.b', ['a.b']],
    ['a function of the name', ({ name }) => name.length === 3, ['a.b', 'axb']],
    ['a function of the rank', ({ rank }) => rank === 2, ['block0/kernel', 'block1/kernel']],
    ['a function of the size', ({ size, shape }) => size === 2 && shape[0] === 2, ['block0/bias']],
  ])('by %s', async (_, match, expected) => {
    expect(await frozenBy(match)).toEqual(expected)
  })

  it('takes the first group that fits', async () => {
    const optimizer = groups(sgd(), [
      { name: 'first', match: 'axb', hyper: { learningRate: 0 } },
      { name: 'second', match: 'a*', hyper: { learningRate: 1 } },
    ])
    const compiled = await compile(optimizer, shapes)
    compiled.step({ gradients: { axb: [1], 'a.b': [1], 'block0/bias': [1, 1] } })
    expect([compiled.parameters.axb![0], compiled.parameters['a.b']![0]]).toEqual([0, -1])
    expect(compiled.parameters['block0/bias']![0]).toBeCloseTo(-0.01)
  })

  it('that takes nothing is an error that names the group, its pattern and the parameters', async () => {
    const compiling = (list: Parameters<typeof groups>[1]) => compile(groups(sgd(), list), { one: [1], two: [2] })
    await expect(compiling([{ match: /norm/, frozen: true }])).rejects.toThrow(
      /groups: group 1 \(\/norm\/\) matches no parameter; there are one, two/,
    )
    await expect(
      compiling([
        { match: 'o*', frozen: true },
        { name: 'late', match: 'one', frozen: true },
      ]),
    ).rejects.toThrow(/groups: late \(one\) matches no parameter/)
    const outer = groups(groups(sgd(), [{ name: 'inner', match: 'x', frozen: true }]), [{ match: 'one', frozen: true }])
    await expect(compile(outer, { one: [1], two: [2] })).rejects.toThrow(/inner \(x\) matches no parameter/)
  })
})

describe('hyperparameters of groups', () => {
  const shapes: Shapes = { w: [2], norm: [2], embedding: [2] }
  const optimizer = clipByGlobalNorm(
    groups(adamW({ learningRate: 0.1 }), [
      { name: 'plain', match: 'norm', hyper: { weightDecay: 0, learningRate: 0.2 } },
      { name: 'signs', match: 'emb*', optimizer: lion({ learningRate: 0.3 }) },
    ]),
  )

  it('are read and changed by the name of the group', async () => {
    const compiled = await compile(optimizer, shapes)
    expect(compiled.hyper).toMatchObject({ learningRate: 0.1, weightDecay: 0.01, maximumNorm: 1 })
    expect(compiled.hyperOf('plain')).toMatchObject({ learningRate: 0.2, weightDecay: 0, beta1: 0.9 })
    expect(compiled.hyperOf('signs')).toMatchObject({ learningRate: 0.3, beta2: 0.99 })
    compiled.set({ learningRate: 0.5 }, { group: 'signs' })
    compiled.set({ learningRate: 0.6 }, { group: 'plain' })
    expect(compiled.hyper.learningRate).toBe(0.1)
    expect(compiled.hyperOf('signs').learningRate).toBe(0.5)
    expect(compiled.hyperOf('plain').learningRate).toBe(0.6)
  })

  it('follow the default group until they are set themselves', async () => {
    const compiled = await compile(optimizer, shapes)
    compiled.set({ beta1: 0.5, learningRate: 0.7 })
    expect(compiled.hyperOf('plain')).toMatchObject({ beta1: 0.5, learningRate: 0.2 })
    compiled.set({ beta1: 0.6 }, { group: 'plain' })
    compiled.set({ beta1: 0.7 })
    expect(compiled.hyperOf('plain').beta1).toBe(0.6)
  })

  it('act on the parameters of the group', async () => {
    const compiled = await compile(optimizer, shapes)
    compiled.set({ learningRate: 0 })
    compiled.set({ learningRate: 0 }, { group: 'plain' })
    compiled.step({ gradients: { w: [1, 1], norm: [1, 1], embedding: [1, -1] } })
    expect([...compiled.parameters.w!, ...compiled.parameters.norm!]).toEqual([0, 0, 0, 0])
    expect([...compiled.parameters.embedding!]).toEqual([Math.fround(-0.3), Math.fround(0.3)])
  })

  it('that do not exist or do not fit are errors', async () => {
    const grouped = (hyper: Record<string, number>) => groups(adamW(), [{ name: 'g', match: 'w', hyper }])
    await expect(compile(grouped({ momentum: 0.9 }), shapes)).rejects.toThrow(
      /groups: g sets unknown hyperparameter 'momentum'; valid names are learningRate, beta1, beta2, epsilon, weightDecay/,
    )
    await expect(compile(grouped({ beta1: 1 }), shapes)).rejects.toThrow(
      /AdamW: beta1 must be a number from 0 to below 1, not 1/,
    )
    const compiled = await compile(optimizer, shapes)
    expect(() => compiled.set({ learningRate: 1 }, { group: 'other' })).toThrow(
      /unknown group 'other'; there are plain, signs/,
    )
    expect(() => compiled.hyperOf('other')).toThrow(/unknown group 'other'/)
    expect(() => compiled.set({ epsilon: 1 }, { group: 'signs' })).toThrow(/unknown hyperparameter 'epsilon'/)
  })

  it('reach the wrappers around the group', async () => {
    const clipped = groups(clipByGlobalNorm(sgd()), [{ name: 'g', match: 'w', hyper: { maximumNorm: 5 } }])
    const compiled = await compile(clipped, shapes)
    expect([compiled.hyper.maximumNorm, compiled.hyperOf('g').maximumNorm]).toEqual([1, 5])
    compiled.step({ gradients: { w: [3, 4], norm: [0, 0], embedding: [0, 0] } })
    expect(compiled.parameters.w![0]).toBeCloseTo(-0.03)
  })
})

describe('groups', () => {
  it('may be nested', async () => {
    const inner = groups(adamW({ learningRate: 0 }), [{ name: 'in', match: '*2', hyper: { learningRate: 1 } }])
    const outer = groups(inner, [{ name: 'out', match: 'b*', hyper: { learningRate: 2 } }])
    const compiled = await compile(outer, { a1: [1], a2: [1], b1: [1], b2: [1] })
    for (const gradient of Object.values(compiled.gradients)) gradient.fill(1)
    compiled.set({ weightDecay: 0.02 })
    compiled.step()
    const moved = Object.values(compiled.parameters).map((array) => array[0]!)
    expect(moved.map((value) => Math.round(value) + 0)).toEqual([0, -1, -2, -2])
    expect(compiled.hyperOf('out').weightDecay).toBe(0.02)
  })

  it('may have wrappers of their own', async () => {
    const optimizer = groups(sgd({ learningRate: 1 }), [
      { match: 'b', optimizer: clipByGlobalNorm(sgd({ learningRate: 1 }), { maximumNorm: 1 }) },
    ])
    const compiled = await compile(optimizer, { a: [2], b: [2] })
    compiled.step({ gradients: { a: [3, 4], b: [3, 4] } })
    expect([...compiled.parameters.a!]).toEqual([-3, -4])
    expect([...compiled.parameters.b!]).toEqual([Math.fround(-0.6), Math.fround(-0.8)])
  })

  it('under one wrapper share its sums', async () => {
    const list = [{ match: 'b', optimizer: sgd({ learningRate: 2 }) }]
    const compiled = await compile(clipByGlobalNorm(groups(sgd({ learningRate: 1 }), list)), { a: [1], b: [1] })
    compiled.step({ gradients: { a: [3], b: [4] } })
    expect([compiled.parameters.a![0], compiled.parameters.b![0]]).toEqual([Math.fround(-0.6), Math.fround(-1.6)])
  })

  it('with a fallback name it: muon gives vectors to AdamW', async () => {
    const compiled = await compile(muon(), { matrix: [2, 2], vector: [2] })
    expect(compiled.hyperOf('fallback')).toMatchObject({ learningRate: 3e-4, beta2: 0.95 })
    compiled.set({ learningRate: 0 }, { group: 'fallback' })
    compiled.step({ gradients: { matrix: [1, 0, 0, 1], vector: [1, 1] } })
    expect([...compiled.parameters.vector!]).toEqual([0, 0])
    expect(compiled.parameters.matrix![0]).toBeLessThan(-0.01)
  })

  it('a fallback follows the learning rate of its optimizer: by schedule, by set, and in groups', async () => {
    const shapes = { matrix: [2, 2], vector: [2], other: [2] }
    const learningRate = linear({ from: 0.04, to: 0, steps: 4 })
    const list = [{ name: 'others', match: 'other', hyper: { learningRate: 0.1 } }]
    const compiled = await compile(groups(muon({ learningRate }), list), shapes)
    const rates = () => [compiled.hyperOf(''), compiled.hyperOf('fallback')].map((hyper) => hyper.learningRate)
    const move = () => {
      const before = Object.fromEntries(compiled.names.map((name) => [name, compiled.parameters[name]!.slice()]))
      for (const gradient of Object.values(compiled.gradients)) gradient.fill(1)
      compiled.step()
      return compiled.names.map((name) => Math.abs(compiled.parameters[name]![0]! - before[name]![0]!))
    }
    const [, first, other] = move()
    expect(rates()).toEqual([0.03, 0.03 * 0.015])
    expect(first).toBeCloseTo(0.03 * 0.015, 8)
    expect(other).toBeCloseTo(0.1 * 0.015, 7)
    move()
    expect(rates()).toEqual([0.02, 3e-4])
    compiled.set({ learningRate: 0 })
    expect(move().slice(0, 2)).toEqual([0, 0])
    expect(rates()).toEqual([0, 0])
    compiled.set({ learningRate: 0 }, { group: 'others' })
    expect(move()).toEqual([0, 0, 0])
    // A rate of its own is its own.
    compiled.set({ learningRate: 0.01 }, { group: 'fallback' })
    expect(rates()).toEqual([0, 0.01])
    expect(move()[1]).toBeGreaterThan(0.005)
  })

  it.each([
    ['muon', () => muon({ learningRate: 0 })],
    ['muon, moonlight', () => muon({ learningRate: 0, form: 'moonlight' })],
    ['lanton', () => lanton({ learningRate: 0 })],
    ['mars', () => mars({ learningRate: 0 })],
    [
      'a fallback within a fallback',
      () => muon({ learningRate: 0, fallback: mars({ learningRate: relativeRate(2) }) }),
    ],
  ])('with a learning rate of 0 nothing moves, whatever takes it: %s', async (_, make) => {
    const compiled = await compile(make(), { matrix: [2, 2], kernel: [2, 2, 1, 1], vector: [2], scalar: [] })
    for (let step = 1; step <= 3; step++) {
      for (const gradient of Object.values(compiled.gradients)) gradient.fill(step)
      compiled.step()
    }
    for (const parameter of Object.values(compiled.parameters))
      expect(parameter.every((value) => value === 0)).toBe(true)
  })

  it('a relative rate has a meaning in a fallback only', async () => {
    const compiled = await compile(sgd({ learningRate: relativeRate(1) }), { a: [1] })
    expect(() => compiled.step({ gradients: { a: [1] } })).toThrow('relativeRate is the learning rate of a fallback')
    expect(() => relativeRate(-1)).toThrow('relativeRate: the factor must be a finite number from 0 up, not -1')
  })

  it('need exactly one purpose each, and a list', () => {
    expect(() => groups(sgd(), [{ match: 'a' }])).toThrow(
      /groups: group 1 \(a\) must have exactly one of hyper, optimizer and frozen: true/,
    )
    expect(() => groups(sgd(), [{ match: 'a', hyper: {}, frozen: true }])).toThrow(/exactly one of/)
    expect(() => groups(sgd(), [{ name: 'x', match: /q/, optimizer: sgd(), hyper: {} }])).toThrow(/groups: x \(\/q\/\)/)
    expect(() => groups(3 as never, [])).toThrow(
      /groups: the first argument must be an optimizer such as adamW\(\), not 3/,
    )
    expect(() => groups(sgd(), { match: 'a', frozen: true } as never)).toThrow(/groups: .*list/)
    expect(() => groups(sgd(), [{ match: 3 as never, frozen: true }])).toThrow(/groups: group 1.* match/)
    const twice = [
      { name: 'same', match: 'a', frozen: true },
      { name: 'same', match: 'b', hyper: {} },
    ]
    expect(() => groups(sgd(), twice)).toThrow(/groups: .*same/)
  })
})
