import {
  type CompiledOptimizer,
  clipByNorm,
  compile,
  describe as describeOptimizer,
  dion,
  emoFact,
  explain,
  findOptimizer,
  gravity,
  groups,
  type Hyperparameter,
  muon,
  type Optimizer,
  type OptimizerDefinition,
  type OptimizerFactory,
  reference,
  sgd,
  sgdSaI,
  sPlus,
  wasm,
} from 'fallline'
import { withHyper } from 'fallline/internal'
import { describe, expect, it } from 'vitest'
import { countLimits } from '../../src/language/definition.ts'
import * as transforms from '../../src/transforms/index.ts'
import { changedBits, differentByte, snapshot, touched } from '../support/compare.ts'
import { smallModel } from '../support/models.ts'
import { fillAll, randomNumbers } from '../support/random.ts'
import { meets, sample } from '../support/sample.ts'
import { takeStep } from '../support/step.ts'
import { make, registry } from '../support/variants.ts'

/** The text of a value as a regular expression. */
const literally = (value: unknown) => String(value).replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** Numbers outside a range: on its open ends, just and far beyond its closed ones, and what is no finite number. */
function outside({ minimum, maximum, aboveMinimum, belowMaximum, whole }: Hyperparameter): number[] {
  const values = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, ...(whole ? [minimum + 0.5] : [])]
  if (Number.isFinite(minimum))
    values.push(minimum - 1e-9 * Math.max(1, Math.abs(minimum)), minimum - 1e9, ...(aboveMinimum ? [minimum] : []))
  if (Number.isFinite(maximum))
    values.push(maximum + 1e-9 * Math.max(1, Math.abs(maximum)), maximum + 1e9, ...(belowMaximum ? [maximum] : []))
  return values
}

/** Numbers inside: the ends that belong to the range, and next to those that do not. */
function inside({ default: value, minimum, maximum, aboveMinimum, belowMaximum }: Hyperparameter): number[] {
  const values = [value]
  if (Number.isFinite(minimum)) values.push(aboveMinimum ? minimum + 1e-12 : minimum)
  if (Number.isFinite(maximum)) values.push(belowMaximum ? maximum - 1e-12 : maximum)
  return values
}

/** A setting, and its neighbours moved out of the way where it must not be above or below them. */
function withNeighbours(
  { ordered = [], hyper }: OptimizerDefinition,
  name: string,
  value: number,
): Record<string, number> {
  const settings: Record<string, number> = { [name]: value }
  for (const [smaller, larger] of ordered) {
    if (name === smaller) settings[larger] = Math.max(value, hyper[larger]!.default)
    if (name === larger) settings[smaller] = Math.min(value, hyper[smaller]!.default)
  }
  return settings
}

/** The options that count something, with the least and the most that they may be. */
function counts(definition: Pick<OptimizerDefinition, 'options' | 'limits'>) {
  const { options = {} } = definition
  const names = Object.keys(options).filter((name) => typeof options[name] === 'number')
  return names.map((name) => [name, ...countLimits(definition, name)] as const)
}

/** Compiles with the least and the most, or as many as anybody may want; one more or less is refused. */
async function expectCounts(
  create: (settings: Record<string, unknown>) => Optimizer,
  title: string,
  [name, least, most]: readonly [string, number, number],
): Promise<void> {
  for (const count of [least, Number.isFinite(most) ? most : 12]) {
    const optimizer = await compile(create({ [name]: count }), smallModel)
    optimizer.dispose()
  }
  const words = `must be a whole number from ${least} ${Number.isFinite(most) ? `to ${most}` : 'up'}`
  for (const count of [least - 1, least + 0.5, -1, Number.POSITIVE_INFINITY, Number.NaN, most + 1])
    expect(() => create({ [name]: count })).toThrow(`${title}: ${name} ${words}, not ${count}`)
}

const notNumbers = ['0.1', '', null, true, {}, [0.1], { kind: 'mine' }, { at: 3 }]

async function trained(factory: OptimizerFactory, settings = {}): Promise<CompiledOptimizer> {
  const optimizer = await compile(make(factory, settings), smallModel)
  fillAll(optimizer.parameters, randomNumbers(1))
  fillAll(optimizer.gradients, randomNumbers(2))
  await takeStep(optimizer)
  return optimizer
}

/** Fails with this message and leaves every byte as it was. */
function expectRefusal(optimizer: CompiledOptimizer, action: () => unknown, message: RegExp): void {
  const [bytes, values, hyper] = [optimizer.save(), snapshot(optimizer), optimizer.hyper]
  expect(action).toThrow(message)
  expect(differentByte(optimizer.save(), bytes)).toBe(-1)
  expect(changedBits(snapshot(optimizer), values)).toEqual([])
  expect(optimizer.hyper).toEqual(hyper)
}

describe.each(registry.map((factory) => [factory.definition.name, factory] as const))('%s', (_, factory) => {
  const { name, title, hyper, options = {}, choices = {} } = factory.definition
  const some = sample(name, Object.entries(hyper), ([key]) => key)

  it.runIf(meets('bad numbers', factory.definition.name)).each(some)('says what %s may be', async (name, range) => {
    for (const value of inside(range))
      expect(() => make(factory, withNeighbours(factory.definition, name, value))).not.toThrow()
    const said = /must be (a (whole )?number|any number)/.source
    const optimizer = await trained(factory)
    for (const value of outside(range)) {
      const message = new RegExp(`^${literally(title)}: ${name} ${said}.*not ${literally(value)}$`)
      expect(() => make(factory, { [name]: value })).toThrow(message)
      expectRefusal(optimizer, () => optimizer.set({ [name]: value }), message)
    }
    for (const value of notNumbers) {
      const message = new RegExp(
        `^${literally(title)}: ${name} must be a number, a schedule or a function of the step, not`,
      )
      expect(() => make(factory, { [name]: value })).toThrow(message)
      expectRefusal(optimizer, () => optimizer.set({ [name]: value as never }), message)
    }
  })

  it.runIf(meets('bad numbers of schedules', name)).each(some)(
    'stops before a step for which a schedule gives a bad %s',
    async (name, range) => {
      const start = range.default === 0 ? (range.whole ? 1 : 0.5) : range.default
      const settings = { [name]: start === range.default ? start : () => start }
      // EmoFact and SPlus have a second rate for vectors only.
      const second =
        factory === (emoFact as unknown) ? 'beta2' : factory === (sPlus as unknown) ? 'plainRate' : undefined
      const shape = name === second ? [7] : [4, 7]
      const sections = explain(make(factory, settings), shape).split('Phases').slice(1)
      const toPoint = (text: string) => text.split('\n')[0]!.includes('to the point of')
      // What happens on some steps only is asked for on those; the period itself always.
      const late = sections.filter((text) => !/up to step 1\b/.test(text.split('\n')[0]!))
      const [between, ...others] = late.filter((text) => !toPoint(text))
      const phases = [...sections.filter(toPoint), between, ...others.map((text) => text.split('\n')[0])].join()
      for (const value of outside(range)) {
        const optimizer = await trained(factory, { [name]: (step: number) => (step < 2 ? start : value) })
        const [bytes, before] = [optimizer.save(), snapshot(optimizer)]
        // SGD-SaI measures, and Gravity and Dion draw, at the first step only.
        const early =
          (factory === (sgdSaI as unknown) && name === 'epsilon') ||
          (factory === (gravity as unknown) && name === 'alpha') ||
          (factory === (dion as unknown) && name === 'seed')
        // The cadences of both Shampoos and PSGD are every step, unless told otherwise.
        const often =
          (['shampoo', 'distributedShampoo'].includes(factory.definition.name) &&
            ['beta', 'epsilon', 'inverseExponent'].includes(name)) ||
          (factory.definition.name.startsWith('psgd') &&
            ['smoothnessBeta', 'damping', 'relativeDamping', 'preconditionerRate', 'seed'].includes(name))
        if (early || (!often && !new RegExp(`\\b${name}\\b`).test(phases))) {
          // Not part of the rule as it is set up by default: nobody asks the schedule.
          expect((await takeStep(optimizer)).step).toBe(2)
          continue
        }
        const finite = new RegExp(`${literally(title)}: ${name} must be .*not ${literally(value)}`)
        const message = Number.isFinite(value) ? finite : new RegExp(`"${name}" gave ${literally(value)} at step 2`)
        await expect(takeStep(optimizer)).rejects.toThrow(message)
        if (!optimizer.moves) expect(differentByte(optimizer.save(), bytes)).toBe(-1)
        expect(touched(optimizer, before)).toEqual([])
        expect(optimizer.steps).toBe(1)
      }
    },
  )

  it('names the settings it has when one is unknown', () => {
    const names = [...Object.keys(hyper), ...Object.keys(options), 'decay', 'maximize']
    for (const wrong of ['lerningRate', 'LearningRate', 'toString', '__proto__x', 'constructor']) {
      const message = new RegExp(
        `^${literally(title)}: unknown setting '${wrong}'; valid names are ${names.join(', ')}${/^.erningRate|^learn/i.test(wrong) ? "(, fallback)?; did you mean 'learningRate'\\?" : ''}`,
      )
      expect(() => make(factory, { [wrong]: 1 })).toThrow(message)
    }
    expect(() => make(factory, { learningRate: undefined, nothing: undefined })).not.toThrow()
  })

  it('says what each option may be', () => {
    for (const [name, value] of Object.entries(options)) {
      const wrong = choices[name]
        ? ['other', 1, true, null]
        : typeof value === 'boolean'
          ? ['true', 1, null]
          : ['1', true, null, -1.5, Number.NaN]
      for (const other of wrong) {
        expect(() => make(factory, { [name]: other }), `${name}: ${other}`).toThrow(
          new RegExp(`^${literally(title)}: ${name} must be .*not ${literally(other)}$`),
        )
      }
      for (const choice of choices[name] ?? []) expect(() => make(factory, { [name]: choice })).not.toThrow()
    }
  })

  it.each(counts(factory.definition))('takes every count that %s is said to take, and no other', (...count) =>
    expectCounts((settings) => make(factory, settings), title, count),
  )

  it('says what decay and maximize may be', () => {
    expect(() => make(factory, { decay: 'strong' })).toThrow(
      new RegExp(
        `^${literally(title)}: decay must be one of decoupled, independent, corrected, proximal, coupled, not strong$`,
      ),
    )
    for (const wrong of ['yes', 1, null]) {
      expect(() => make(factory, { maximize: wrong })).toThrow(
        new RegExp(`^${literally(title)}: maximize must be .*not ${wrong}$`),
      )
    }
  })

  it('takes an object of settings and nothing else', () => {
    for (const wrong of [3, 'adam', null, true]) {
      expect(() => factory(wrong as never)).toThrow(new RegExp(`^${literally(title)}: .*settings.* not ${wrong}$`))
    }
  })

  it.runIf(meets('arrays that do not fit', factory.definition.name))(
    'says which arrays do not fit, and steps no further',
    async () => {
      const optimizer = await trained(factory)
      const fits = { bias: [1, 2, 3, 4, 5] }
      // Who moves between evaluations does not take single steps at all.
      const noStep = /use await optimizer.minimize/
      for (const length of [0, 27, 29]) {
        const message = optimizer.moves
          ? noStep
          : new RegExp(`step: 'weight' has shape \\[4, 7\\], so 28 elements, not ${length}`)
        expectRefusal(
          optimizer,
          () => optimizer.step({ gradients: { ...fits, weight: new Float32Array(length) } }),
          message,
        )
      }
      const there = 'there are weight, kernel, bias, scale'
      const unknown = optimizer.moves ? noStep : new RegExp(`step: unknown parameter 'wieght'; ${there}`)
      expectRefusal(optimizer, () => optimizer.step({ gradients: { ...fits, wieght: [1] } }), unknown)
      expectRefusal(optimizer, () => optimizer.step({ without: ['wieght'] }), unknown)
      expectRefusal(
        optimizer,
        () => optimizer.step({ gradient: fits } as never),
        optimizer.moves ? noStep : /step: unknown option 'gradient'.*gradients, without/,
      )
      expect(() => optimizer.state('wieght')).toThrow(new RegExp(`state: unknown parameter 'wieght'; ${there}`))
      expectRefusal(
        optimizer,
        () => optimizer.attach({ parameters: { bias: [1] } }),
        /attach: 'bias' has shape \[5\], so 5 elements, not 1/,
      )
      expectRefusal(
        optimizer,
        () => optimizer.attach({ gradients: { b: [1] } }),
        new RegExp(`attach: unknown parameter 'b'; ${there}`),
      )
      expectRefusal(
        optimizer,
        () => optimizer.attach({ parameter: fits } as never),
        /attach: unknown option 'parameter'.*parameters, gradients/,
      )
      // Parts of one vector all have a gradient or none.
      expect((await takeStep(optimizer, factory.definition.joint ? {} : { gradients: fits })).step).toBe(2)
    },
  )
})

describe.each(Object.entries(transforms))('%s', (name, factory) => {
  const { title, hyper } = factory.definition
  const wrap = factory as (inner: unknown, hyper?: object) => unknown

  it('is named in the errors of its hyperparameters', () => {
    expect(factory.definition.name).toBe(name)
    for (const [key, range] of Object.entries<Hyperparameter>(hyper)) {
      for (const value of outside(range)) {
        expect(() => wrap(sgd(), { [key]: value })).toThrow(
          new RegExp(`^${literally(title)}: ${key} must be .*number.*not ${literally(value)}$`),
        )
      }
      for (const value of notNumbers)
        expect(() => wrap(sgd(), { [key]: value })).toThrow(
          new RegExp(`^${literally(title)}: ${key} must be a number, a schedule`),
        )
    }
    const known = [...Object.keys(hyper), ...Object.keys(factory.definition.options ?? {})]
    const valid = known.length > 0 ? `valid names are ${known.join(', ')}` : 'it takes none'
    expect(() => wrap(sgd(), { fancy: 1 })).toThrow(
      new RegExp(`^${literally(title)}: unknown setting 'fancy'; ${valid}`),
    )
  })

  it.each(counts(factory.definition))('takes every count that %s is said to take, and no other', (...count) =>
    expectCounts((settings) => wrap(sgd(), settings) as Optimizer, title, count),
  )

  it('wraps optimizers only', () => {
    for (const wrong of [undefined, null, 3, {}, 'sgd']) {
      const shown = typeof wrong === 'object' && wrong !== null ? 'an object with nothing' : wrong
      expect(() => wrap(wrong)).toThrow(
        new RegExp(
          `^${literally(title)}: the first argument must be an optimizer such as adamW\\(\\), not ${literally(shown)}`,
        ),
      )
    }
    expect(() => wrap(sgd)).toThrow(
      new RegExp(`^${literally(title)}: the first argument must be an optimizer such as adamW\\(\\)`),
    )
    expect(() => wrap(sgd(), { ...hyper, x: 1 })).toThrow(/unknown setting|must be a number/)
  })
})

describe('compile', () => {
  it('takes an optimizer', async () => {
    for (const wrong of [undefined, null, {}, 'sgd']) {
      await expect(compile(wrong as never, {})).rejects.toThrow(
        /compile: the first argument must be an optimizer such as adamW\(\), not/,
      )
    }
  })

  it('takes shapes', async () => {
    for (const wrong of [[-1], [1.5], [Number.NaN], ['3'], [[3]], 3, null, 'x']) {
      await expect(compile(sgd(), { ok: [1], wrong: wrong as never })).rejects.toThrow(
        /compile: the shape of parameter 'wrong' must be a list of whole numbers from 0 up, not/,
      )
    }
    for (const wrong of [null, undefined, 3]) {
      await expect(compile(sgd(), wrong as never)).rejects.toThrow(/^compile: .*shapes?/)
    }
  })

  it('takes options by their names', async () => {
    await expect(compile(sgd(), {}, { threads: 2 } as never)).rejects.toThrow(
      /compile: unknown option 'threads'; valid names are backend, nonFinite, telemetry/,
    )
    await expect(compile(sgd(), {}, { backend: 'wasm' as never })).rejects.toThrow(
      /compile: backend must be .*not wasm/,
    )
    for (const wrong of [0, -1, 1.5, Number.NaN, '2']) {
      expect(() => wasm({ threads: wrong as never })).toThrow(/wasm: threads must be a whole number from 1 up, not/)
    }
    expect(() => wasm({ fusedMultiplyAdd: 1 as never })).toThrow('wasm: fusedMultiplyAdd must be true or false, not 1')
    expect(() => wasm({ thread: 2 } as never)).toThrow(/wasm: unknown option 'thread'; .*threads/)
  })

  it('says how much memory a model needs that no WebAssembly memory can hold', async () => {
    await expect(compile(sgd(), { huge: [2 ** 15, 2 ** 15] })).rejects.toThrow(
      /this model and optimizer need 8\.\d GiB; one WebAssembly memory holds at most 4 GiB/,
    )
    await expect(compile(sgd(), { huge: [2 ** 17, 2 ** 17] })).rejects.toThrow(/need 128\.\d GiB; .* at most 4 GiB/)
  })

  it('takes a model without parameters', async () => {
    for (const backend of [wasm(), reference()]) {
      const optimizer = await compile(sgd({ momentum: 0.9 }), {}, { backend, telemetry: true })
      expect(optimizer.step()).toEqual({ step: 1, skipped: false, nonFinite: [], telemetry: {} })
      expect(optimizer.evaluationParameters()).toEqual({})
      optimizer.load(optimizer.save())
      expect(optimizer.steps).toBe(1)
    }
  })

  it('takes any name', async () => {
    const names = ['__proto__', 'constructor', 'toString', 'length', '', 'a/b.c@d', 'ünï😀', ' ', '0', 'steps']
    const shapes = Object.fromEntries(names.map((name) => [name, [2]]))
    const optimizer = await compile(sgd({ learningRate: 1, momentum: 0.5 }), shapes)
    expect([...optimizer.names].sort()).toEqual([...names].sort())
    for (const name of names) optimizer.gradients[name]!.fill(1)
    optimizer.step()
    for (const name of names) {
      expect([...optimizer.parameters[name]!]).toEqual([-1, -1])
      expect([...(optimizer.state(name).b as Float32Array)]).toEqual([1, 1])
      expect([...optimizer.evaluationParameters()[name]!]).toEqual([-1, -1])
    }
    const other = await compile(sgd({ learningRate: 1, momentum: 0.5 }), shapes)
    other.load(optimizer.save())
    expect(changedBits(snapshot(other), snapshot(optimizer))).toEqual([])
    const [proto] = names as [string]
    optimizer.step({ gradients: { [proto]: [1, 1] } })
    expect(optimizer.parameters.length![0]).toBe(-1)
    expect(optimizer.parameters[proto]![0]).toBe(-2.5)
  })
})

describe('set', () => {
  it('refuses all when it refuses one', async () => {
    const optimizer = await compile(clipByNorm(sgd({ momentum: 0.9 })), smallModel)
    expectRefusal(
      optimizer,
      () => optimizer.set({ learningRate: 5, momentum: -1 }),
      /SGD: momentum must be a number from 0 up, not -1/,
    )
    expectRefusal(
      optimizer,
      // @ts-expect-error no such hyperparameter
      () => optimizer.set({ learningRate: 5, speed: 1 }),
      /set: unknown hyperparameter 'speed'; valid names are maximumNorm, learningRate, momentum, dampening, weightDecay/,
    )
    expectRefusal(
      optimizer,
      () => optimizer.set({ learningRate: 5 }, { group: 'x' }),
      /unknown group 'x'; there are none/,
    )
  })

  it('refuses to cross zero where the rule was built on it', async () => {
    const [with9, without] = [await compile(sgd({ momentum: 0.9 }), smallModel), await compile(sgd(), smallModel)]
    expectRefusal(
      with9,
      () => with9.set({ momentum: 0 }),
      /SGD: made with a momentum other than 0; it cannot become 0 while training, compile it anew/,
    )
    expectRefusal(
      without,
      () => without.set({ momentum: 0.9 }),
      /SGD: made with momentum 0, .*compile it with a momentum other than 0/,
    )
    without.set({ momentum: 0, learningRate: 2 })
    expect(without.hyper.learningRate).toBe(2)
  })
})

describe('a hyperparameter that must not be above another', () => {
  type Maker = readonly [
    string,
    (settings: Record<string, unknown>) => Optimizer,
    Pick<OptimizerDefinition, 'title' | 'ordered'>,
  ]
  const makers: readonly Maker[] = [
    ...registry.map((factory): Maker => {
      return [factory.definition.name, (settings) => make(factory, settings), factory.definition]
    }),
    ...Object.entries(transforms).map(([name, transform]): Maker => {
      return [name, (settings) => transform(sgd(), settings as never), transform.definition]
    }),
  ]
  const cases = makers.flatMap(([name, create, { title, ordered = [] }]) =>
    ordered.map((pair) => [name, pair, create, title] as const),
  )

  it('is one of these', () => {
    expect(cases.map(([name, pair]) => [name, ...pair].join(' '))).toEqual([
      'coRe minimumStepSize maximumStepSize',
      'rprop minimumScale maximumScale',
      'projectOntoBox lower upper',
    ])
  })

  it.each(cases)('%s: %j', async (_, [smaller, larger], create, title) => {
    const message = new RegExp(
      `^${literally(title)}: ${smaller} must not be above ${larger}, but ${smaller} is 0.5 and ${larger} is 0.25$`,
    )
    const bad = { [smaller]: 0.5, [larger]: 0.25 }
    expect(() => create(bad)).toThrow(message)
    for (const value of [0.25, 0.125]) expect(() => create({ [smaller]: value, [larger]: 0.25 })).not.toThrow()

    const optimizer = await compile(create({ [smaller]: 0.125, [larger]: 0.25 }), smallModel)
    expectRefusal(optimizer, () => optimizer.set({ [smaller]: 0.5 }), message)
    expectRefusal(optimizer, () => optimizer.set(bad), message)
    optimizer.set({ [smaller]: 0.5, [larger]: 0.75 })
    expect(optimizer.hyper).toMatchObject({ [smaller]: 0.5, [larger]: 0.75 })
    expect(() => withHyper(create({ [smaller]: 0.125, [larger]: 0.25 }), { [smaller]: 0.5 }, '')).toThrow(message)

    const grouped = (hyper: object) =>
      groups(create({ [smaller]: 0.125, [larger]: 0.25 }), [{ name: 'some', match: /weight/, hyper: hyper as never }])
    await expect(compile(grouped({ [smaller]: 0.5 }), smallModel)).rejects.toThrow(message)
    expect(() => withHyper(grouped({ [smaller]: 0.2 }), { [smaller]: 0.5 }, 'some')).toThrow(message)
    const inGroup = await compile(grouped({ [smaller]: 0.2 }), smallModel)
    expectRefusal(inGroup, () => inGroup.set({ [smaller]: 0.5 }, { group: 'some' }), message)
    // What a group leaves to the others changes with them.
    const above = new RegExp(`${smaller} is 0.2 and ${larger} is 0.15$`)
    expectRefusal(inGroup, () => inGroup.set({ [larger]: 0.15 }), above)
  })

  it.each(cases)('%s: %j stops before a step when schedules say so', async (_, [smaller, larger], create, title) => {
    const optimizer = await compile(
      create({ [smaller]: 0.125, [larger]: (step: number) => (step < 2 ? 0.25 : 0.0625) }),
      smallModel,
    )
    fillAll(optimizer.gradients, randomNumbers(2))
    await takeStep(optimizer)
    const before = snapshot(optimizer)
    const bytes = optimizer.save()
    await expect(takeStep(optimizer)).rejects.toThrow(
      new RegExp(
        `^${literally(title)}: ${smaller} must not be above ${larger}, but ${smaller} is 0.125 and .* is 0.0625$`,
      ),
    )
    expect(touched(optimizer, before)).toEqual([])
    expect(differentByte(optimizer.save(), bytes)).toBe(-1)
    expect(optimizer.steps).toBe(1)
  })
})

describe('names and subjects', () => {
  it('of unknown optimizers get the known ones as an answer', () => {
    expect(findOptimizer('ADAMW').definition.name).toBe('adamW')
    const known = registry.map(({ definition }) => definition.name).join(', ')
    expect(() => findOptimizer('adamq')).toThrow(new RegExp(`^unknown optimizer 'adamq'; known are ${known}$`))
  })

  it('describe and explain take optimizers and factories', () => {
    for (const wrong of [3, null, {}, 'sgd']) {
      expect(() => describeOptimizer(wrong as never)).toThrow(/must be an optimizer such as adamW\(\), not/)
      expect(() => explain(wrong as never)).toThrow(/must be an optimizer such as adamW\(\), not/)
    }
    expect(() => describeOptimizer(sgd(), [1.5])).toThrow(/shape/)
  })

  it('a fallback must be an optimizer', () => {
    expect(() => muon({ fallback: 3 as never })).toThrow(/^Muon: fallback must be an optimizer.*not 3$/)
    expect(() => sgd({ fallback: sgd() } as never)).toThrow(/SGD: unknown setting 'fallback'/)
  })
})
