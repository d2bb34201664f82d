import {
  adamW,
  adan,
  type CompiledOptimizer,
  type CompileOptions,
  clipByGlobalNorm,
  compile,
  cosine,
  defineOptimizer,
  defineTransform,
  findOptimizer,
  groups,
  lookahead,
  muon,
  nonNegative,
  type Optimizer,
  type Shapes,
  sgd,
  uniform,
  zeros,
} from 'fallline'
import { describe, expect, expectTypeOf, it } from 'vitest'

/** Each `@ts-expect-error` is a claim that the type check of the repository verifies: without an error there it fails. */
describe('wrong settings are compile errors, and errors that name the right ones at run time', () => {
  it('of optimizers', () => {
    // @ts-expect-error the name is misspelt
    expect(() => adan({ lerningRate: 1 })).toThrow(
      /^Adan: unknown setting 'lerningRate'; valid names are learningRate, beta1, beta2, beta3, epsilon, weightDecay, maximumGradientNorm, decay, maximize; did you mean 'learningRate'\?$/,
    )
    // @ts-expect-error a hyperparameter is a number or a schedule
    expect(() => adamW({ learningRate: '0.1' })).toThrow(/learningRate must be a number, a schedule or a function/)
    // @ts-expect-error the option is a boolean
    expect(() => adamW({ amsgrad: 1 })).toThrow(/amsgrad must be/)
    // @ts-expect-error one of two forms
    expect(() => muon({ form: 'moonlit' })).toThrow(/form must be one of original, moonlight/)
    // @ts-expect-error no such style
    expect(() => adamW({ decay: 'strong' })).toThrow(/decay must be one of/)
    // @ts-expect-error momentum is not one of Adam's
    expect(() => adamW({ momentum: 0.9 })).toThrow(/unknown setting 'momentum'/)
  })

  it('of wrappers', () => {
    // @ts-expect-error the name is another wrapper's
    expect(() => clipByGlobalNorm(adamW(), { maximum: 1 })).toThrow(
      /unknown setting 'maximum'; valid names are maximumNorm/,
    )
    // @ts-expect-error the factory was not called
    expect(() => lookahead(adamW)).toThrow(/the first argument must be an optimizer/)
    // @ts-expect-error there is nothing to wrap
    expect(() => lookahead()).toThrow(/the first argument must be an optimizer/)
  })

  it('of compiling', () => {
    expectTypeOf<CompileOptions['nonFinite']>().toEqualTypeOf<'throw' | 'skip' | 'allow' | undefined>()
    // @ts-expect-error an unknown option
    const options: CompileOptions = { thread: 2 }
    expect(options).toBeDefined()
  })
})

describe('right settings are accepted', () => {
  it('numbers, schedules and functions, options and styles, in one object', () => {
    expectTypeOf(
      adamW({
        learningRate: cosine({ from: 1, to: 0, steps: 9 }),
        beta1: (step) => 1 - 1 / step,
        amsgrad: true,
        decay: 'proximal',
        maximize: true,
      }),
    ).toExtend<Optimizer>()
    expectTypeOf(muon({ form: 'moonlight', newtonSchulzSteps: 4, fallback: sgd() })).toExtend<Optimizer>()
    expect(findOptimizer('adamw')({ learningRate: cosine({ from: 1e-3, to: 0, steps: 9 }), amsgrad: true }).kind).toBe(
      'base',
    )
  })
})

describe('definitions infer their names', () => {
  const paper = { title: 'None', authors: 'Nobody', year: 2000 }

  it('for the rule and for the factory', () => {
    const made = defineOptimizer({
      name: 'made',
      title: 'Made',
      paper,
      hyper: { learningRate: nonNegative(1), inertia: nonNegative(0.5) },
      options: { twice: false, form: 'a' as 'a' | 'b' },
      choices: { form: ['a', 'b'] },
      state: { velocity: zeros() },
      decay: 'decoupled',
      search: { learningRate: uniform(0, 1), inertia: uniform(0, 1) },
      rule({ g, state, hyper, options }) {
        expectTypeOf(options.twice).toEqualTypeOf<boolean>()
        expectTypeOf(options.form).toEqualTypeOf<'a' | 'b'>()
        // @ts-expect-error no such hyperparameter
        void hyper.momentum
        // @ts-expect-error no such state
        void state.m
        const velocity = state.velocity.times(hyper.inertia).plus(g)
        return { direction: options.twice ? velocity.times(2) : velocity, state: { velocity } }
      },
    })
    expect(made({ inertia: 0.9, twice: true, form: 'b' }).kind).toBe('base')
    // @ts-expect-error the name is misspelt
    expect(() => made({ inertai: 0.9 })).toThrow(/unknown setting 'inertai'/)
    expectTypeOf(made.definition.name).toEqualTypeOf<string>()
  })

  it('and refuse what does not fit them', () => {
    const base = { name: 'made', title: 'Made', paper, decay: 'decoupled' } as const
    const hyper = { learningRate: nonNegative(1) }
    defineOptimizer({
      ...base,
      hyper,
      state: {},
      // @ts-expect-error a search needs the learning rate
      search: {},
      rule: ({ g }) => ({ direction: g }),
    })
    defineOptimizer({
      ...base,
      hyper,
      state: {},
      // @ts-expect-error there is no such hyperparameter to search
      search: { learningRate: uniform(0, 1), momentum: uniform(0, 1) },
      rule: ({ g }) => ({ direction: g }),
    })
    defineOptimizer({
      ...base,
      hyper,
      state: { m: zeros() },
      search: { learningRate: uniform(0, 1) },
      // @ts-expect-error the new state has a name that is not declared
      rule: ({ g }) => ({ direction: g, state: { v: g } }),
    })
    defineOptimizer({
      ...base,
      hyper,
      state: {},
      search: { learningRate: uniform(0, 1) },
      // @ts-expect-error a rule gives a direction
      rule: ({ g }) => ({ step: g }),
    })
    const wrap = defineTransform({
      name: 'wrap',
      title: 'Wrap',
      hyper: { gain: nonNegative(1) },
      gradient: ({ g, hyper }) => ({ gradient: g.times(hyper.gain) }),
    })
    expect(wrap(sgd(), { gain: 2 }).kind).toBe('wrapped')
    // @ts-expect-error the name is misspelt
    expect(() => wrap(sgd(), { gian: 2 })).toThrow(/unknown setting 'gian'/)
  })
})

describe('the names of hyperparameters', () => {
  it('are in the types of groups and of set, through wrappers, and others are refused', async () => {
    const base = clipByGlobalNorm(adamW())
    // @ts-expect-error misspelt
    const wrong = groups(base, [{ match: 'b', hyper: { weightDecai: 0 } }])
    await expect(compile(wrong, { w: [1], b: [1] })).rejects.toThrow("did you mean 'weightDecay'?")
    const grouped = groups(base, [
      { match: 'b', hyper: { weightDecay: 0, maximumNorm: 2 } },
      { name: 'others', match: 'o', optimizer: sgd({ momentum: 0.9 }) },
    ])
    const optimizer = await compile(grouped, { w: [1], b: [1], o: [1] })
    optimizer.set({ learningRate: 0.5, maximumNorm: 3 })
    optimizer.set({ momentum: 0.5 }, { group: 'others' })
    expect([optimizer.hyper.maximumNorm, optimizer.hyper.learningRate]).toEqual([3, 0.5])
    // @ts-expect-error misspelt
    expect(() => optimizer.set({ learnigRate: 1 })).toThrow("did you mean 'learningRate'?")
    // @ts-expect-error momentum is not one of Adam's
    expect(optimizer.hyper.momentum).toBeUndefined()
  })

  it('do not stand in the way of wrapping what a variable holds, or of any optimizer', async () => {
    let optimizer = adamW()
    optimizer = clipByGlobalNorm(optimizer)
    const some: Optimizer[] = [optimizer, sgd(), findOptimizer('lion')()]
    const either = await compile(Math.random() < 2 ? sgd() : adamW(), { w: [1] })
    either.set({ learningRate: 1 })
    for (const one of some) {
      const compiled: CompiledOptimizer = await compile(one, { w: [1] })
      compiled.set({ learningRate: 1 })
    }
    expect(either.hyper.learningRate).toBe(1)
  })
})

describe('the names of parameters', () => {
  it('are in the types: they need no assertion, and others are refused', async () => {
    const optimizer = await compile(sgd({ learningRate: 1 }), { weights: [1], 'dense/bias': [1] })
    optimizer.parameters.weights[0] = 3
    optimizer.step({ gradients: { weights: [1] } })
    expect(optimizer.parameters.weights[0] + optimizer.evaluationParameters()['dense/bias'][0]!).toBe(2)
    // @ts-expect-error misspelled
    expect(optimizer.parameters.wieghts).toBeUndefined()
    // @ts-expect-error misspelled
    expect(() => optimizer.step({ gradients: { wieghts: [1] } })).toThrow("unknown parameter 'wieghts'")
    // @ts-expect-error misspelled
    expect(() => optimizer.step({ without: ['wieghts'] })).toThrow("unknown parameter 'wieghts'")
    // @ts-expect-error misspelled
    expect(() => optimizer.attach({ parameters: { wieghts: [1] } })).toThrow("unknown parameter 'wieghts'")
    // @ts-expect-error misspelled
    expect(() => optimizer.state('wieghts')).toThrow("unknown parameter 'wieghts'")
    await optimizer.minimize(({ parameters, gradients }) => {
      gradients.weights[0] = parameters.weights[0]!
      // @ts-expect-error misspelled
      expect(gradients.wieghts).toBeUndefined()
    })
    expect(optimizer.parameters.weights[0]).toBe(0)
  })

  it('may be any where they are known only when the program runs', async () => {
    const shapes: Shapes = Object.fromEntries(['a', 'b'].map((name) => [name, [1]]))
    const optimizer: CompiledOptimizer = await compile(sgd({ learningRate: 1 }), shapes)
    for (const name of optimizer.names) optimizer.gradients[name]!.fill(1)
    optimizer.step()
    expect(optimizer.names.map((name) => optimizer.parameters[name]![0])).toEqual([-1, -1])
  })
})
