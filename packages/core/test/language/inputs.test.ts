import {
  type Backend,
  clipByNorm,
  compile,
  defineOptimizer,
  defineTransform,
  describe as describeOptimizer,
  emoNavi,
  evolutionStrategies,
  groups,
  type Input,
  inputArray,
  inputNumber,
  lossInput,
  mezo,
  nonNegative,
  positive,
  reference,
  type StepOptions,
  sgd,
  shapedInput,
  stepCount,
  switchAfter,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'

const backends: readonly (readonly [string, () => Backend])[] = [
  ['reference', reference],
  ['wasm', wasm],
]

const common = {
  paper: { title: 'None', authors: 'Nobody', year: 2000 },
  decay: 'decoupled',
  search: { learningRate: { scale: 'linear', minimum: 0, maximum: 1 } },
} as const

/** θ ← θ - η (loss g + temperature d); `d` only with `directed`, and then only every `period`-th step. */
const informed = defineOptimizer({
  ...common,
  name: 'informed',
  title: 'Informed descent',
  hyper: { learningRate: nonNegative(1), period: stepCount(1) },
  options: { directed: false, source: 'loss' as 'loss' | 'temperature' },
  choices: { source: ['loss', 'temperature'] },
  state: {},
  inputs: (options): Readonly<Record<string, Input>> => ({
    ...(options.source === 'loss' ? { loss: lossInput } : { temperature: inputNumber('the temperature of the bath') }),
    ...(options.directed ? { d: inputArray('a direction') } : {}),
  }),
  rule({ g, inputs, hyper, options, every }) {
    const scaled = g.times((options.source === 'loss' ? inputs.loss : inputs.temperature)!)
    if (!options.directed) return { direction: scaled }
    return { direction: every(hyper.period, () => scaled.plus(inputs.d!), scaled) }
  },
})

const shapes = { a: [2], b: [3] }
const gradients = { a: [1, 2], b: [3, 4, 5] }

describe.each(backends)('declared inputs on %s', (_, backend) => {
  const start = async (settings: Parameters<typeof informed>[0], nonFinite: 'throw' | 'skip' = 'throw') =>
    compile(informed(settings), shapes, { backend: backend(), nonFinite })

  it('enter the step: a number for all tensors, arrays by name', async () => {
    const compiled = await start({ directed: true, source: 'temperature' })
    compiled.step({ gradients, inputs: { temperature: 2, d: { a: [10, 20], b: Float32Array.of(30, 40, 50) } } })
    expect([...compiled.parameters.a!]).toEqual([-12, -24])
    expect([...compiled.parameters.b!]).toEqual([-36, -48, -60])
    // Arrays keep what was written, as gradients do; they may be written in place too.
    compiled.inputs.d!.a!.fill(1)
    compiled.step({ gradients, inputs: { temperature: 0 } })
    expect([...compiled.parameters.a!]).toEqual([-13, -25])
    expect([...compiled.parameters.b!]).toEqual([-66, -88, -110])
  })

  it('are those that the options ask for', async () => {
    expect((await start({})).needs).toEqual({ loss: lossInput })
    const compiled = await start({ directed: true, source: 'temperature' })
    expect(compiled.needs).toEqual({
      temperature: { kind: 'number', description: 'the temperature of the bath' },
      d: { kind: 'array', description: 'a direction' },
    })
    expect(Object.keys(compiled.inputs)).toEqual(['d'])
    expect(describeOptimizer(informed({ directed: true })).inputs).toEqual({
      loss: lossInput,
      d: inputArray('a direction'),
    })
  })

  it('that are missing or unknown or of another kind are errors, and nothing is changed', async () => {
    const compiled = await start({ directed: true, source: 'temperature' })
    const step = (inputs: NonNullable<StepOptions['inputs']> = {}) => compiled.step({ gradients, inputs })
    expect(() => step()).toThrow(
      'step 1: Informed descent needs the temperature of the bath: pass step({ inputs: { temperature: ... } }), or use ' +
        'minimize(evaluate)',
    )
    expect(() => step({ temperature: 1, loss: 3 })).toThrow(
      "step: unknown input 'loss' of this optimizer; it takes temperature, d",
    )
    expect(() => step({ temperature: { a: [1, 2] } })).toThrow(
      "step: input 'temperature' must be a number, not [object Object]",
    )
    expect(() => step({ temperature: 1, d: 3 })).toThrow("step: input 'd' must be arrays by parameter name, not 3")
    expect(() => step({ temperature: 1, d: { a: [1] } })).toThrow(/'a'.* 2/)
    expect(() => step({ temperature: 1, d: { c: [1] } })).toThrow(/'c'/)
    expect(() => step({ temperature: Number.NaN })).toThrow(/the input 'temperature' is not finite/)
    expect(compiled.steps).toBe(0)
    expect([...compiled.parameters.a!, ...compiled.parameters.b!]).toEqual([0, 0, 0, 0, 0])
    const plain = await compile(sgd(), shapes, { backend: backend() })
    expect(() => plain.step({ gradients, inputs: { loss: 1 } })).toThrow(
      "unknown input 'loss' of this optimizer; it takes none",
    )
  })

  it('that are not finite skip the step where that is the policy', async () => {
    const compiled = await start({}, 'skip')
    expect(compiled.step({ gradients, inputs: { loss: Number.POSITIVE_INFINITY } })).toMatchObject({
      skipped: true,
      nonFinite: ['loss'],
    })
    expect([...compiled.parameters.a!]).toEqual([0, 0])
  })

  it('are what minimize asks for, when the step reads them', async () => {
    const compiled = await start({ directed: true, period: 2 })
    const wanted: string[][] = []
    for (let step = 1; step <= 4; step++) {
      await compiled.minimize(({ wants, inputs, gradients }) => {
        wanted.push([...wants].sort())
        gradients.a!.fill(1)
        gradients.b!.fill(1)
        if (wants.has('d')) for (const array of Object.values(inputs.d!)) array.fill(10)
        return 0.5
      })
    }
    expect(wanted).toEqual([
      ['gradient', 'loss'],
      ['d', 'gradient', 'loss'],
      ['gradient', 'loss'],
      ['d', 'gradient', 'loss'],
    ])
    expect([...compiled.parameters.a!]).toEqual([-22, -22])
  })

  it('of other names come back from minimize beside the loss', async () => {
    const compiled = await start({ source: 'temperature' })
    const evaluate = (inputs: Record<string, number>) =>
      compiled.minimize(({ gradients, wants }) => {
        expect([...wants].sort()).toEqual(['gradient', 'temperature'])
        gradients.a!.set([1, 2])
        return { inputs }
      })
    await evaluate({ temperature: 3 })
    expect([...compiled.parameters.a!]).toEqual([-3, -6])
    await expect(evaluate({})).rejects.toThrow('step 2: Informed descent needs the temperature of the bath')
    await expect(compiled.minimize(() => 'much' as never)).rejects.toThrow('needs the temperature of the bath')
    expect(compiled.steps).toBe(1)
  })

  it('of several optimizers are all taken, and the error names the one that misses its own', async () => {
    const optimizer = groups(emoNavi(), [{ match: 'b', optimizer: informed({ source: 'temperature' }) }])
    const compiled = await compile(optimizer, shapes, { backend: backend() })
    expect(Object.keys(compiled.needs).sort()).toEqual(['loss', 'temperature'])
    expect(() => compiled.step({ gradients, inputs: { loss: 1 } })).toThrow('Informed descent needs the temperature')
    expect(() => compiled.step({ gradients, inputs: { temperature: 1 } })).toThrow(
      'EmoNavi needs the loss at the point',
    )
    compiled.step({ gradients, inputs: { loss: 1, temperature: 2 } })
    expect([...compiled.parameters.b!]).toEqual([-6, -8, -10])
  })
})

/** θ ← θ - η C g, C of `[columns, columns]` for matrices; vectors go to SGD. */
const shapedBy = (name: string, dimensions: Parameters<typeof shapedInput>[1]) =>
  defineOptimizer({
    ...common,
    name,
    title: name,
    hyper: { learningRate: nonNegative(1) },
    state: {},
    inputs: { C: shapedInput('a matrix for the inputs', dimensions) },
    accepts: ({ rank }) => rank === 2,
    needs: 'a matrix',
    fallback: () => sgd({ learningRate: 1 }),
    rule: ({ g, inputs }) => ({ direction: g.matmul(inputs.C) }),
  })
const preconditioned = shapedBy('preconditioned', ({ inputs }) => [1, inputs, inputs])

describe.each(backends)('inputs of dimensions of their own on %s', (_, backend) => {
  const start = () => compile(preconditioned(), { w: [1, 2], b: [2] }, { backend: backend() })
  const gradients = { w: [1, 10], b: [3, 4] }

  it('enter the step of the parameters that read them', async () => {
    const compiled = await start()
    expect(Object.keys(compiled.inputs.C!)).toEqual(['w'])
    expect(compiled.inputs.C!.w!.length).toBe(4)
    compiled.step({ gradients, inputs: { C: { w: [1, 2, 3, 4] } } })
    expect([...compiled.parameters.w!, ...compiled.parameters.b!]).toEqual([-31, -42, -3, -4])
    await compiled.minimize(({ gradients, inputs, wants }) => {
      expect([...wants].sort()).toEqual(['C', 'gradient'])
      gradients.w!.set([1, 0])
      gradients.b!.fill(0)
      inputs.C!.w!.set([5, 6, 0, 0])
    })
    expect([...compiled.parameters.w!]).toEqual([-36, -48])
  })

  it('that are missing or of another length are errors, and nothing is changed', async () => {
    const compiled = await start()
    expect(() => compiled.step({ gradients })).toThrow(
      "step 1: preconditioned needs a matrix for the inputs, for 'w' too, of dimensions [1, 2, 2]: pass " +
        "step({ inputs: { C: { 'w': ... } } }), or write inputs.C in minimize(evaluate)",
    )
    const step = (C: Record<string, number[]>) => () => compiled.step({ gradients, inputs: { C } })
    expect(step({ w: [1, 2] })).toThrow("step: the input 'C' of 'w' has 4 elements, not 2")
    expect(step({ w: [1, 2, 3, Number.NaN] })).toThrow("the input 'C' of 'w' is not finite")
    expect(step({ c: [1] })).toThrow(/'c'/)
    expect(compiled.steps).toBe(0)
    expect([...compiled.parameters.w!, ...compiled.parameters.b!]).toEqual([0, 0, 0, 0])
    // Nothing reads one of a vector.
    step({ w: [0, 0, 0, 0], b: [1, 2, 3] })()
    expect(compiled.steps).toBe(1)
  })
})

describe('dimensions of an input', () => {
  it('are batch, rows and columns', async () => {
    const wrong = shapedBy('wrong', ({ inputs }) => [1, inputs / 2, 1])
    await expect(compile(wrong(), { w: [1, 3] })).rejects.toThrow(
      "wrong: the dimensions of the input 'C' must be batch, rows and columns, whole numbers from 0 up, not [1,1.5,1]",
    )
  })

  it('are the same for all that read it', async () => {
    const other = shapedBy('other', () => [1, 2, 2])
    const both = () => switchAfter(preconditioned(), other(), { steps: 3 })
    await compile(both(), { w: [4, 2] })
    await expect(compile(both(), { w: [4, 3] })).rejects.toThrow(
      "the input 'C' is an array of [1, 3, 3] for preconditioned, but an array of [1, 2, 2] for other; rename one",
    )
  })
})

/** Multiplies or divides the gradient by `by`, and by an input with `warm`. */
const scaleGradient = defineTransform({
  name: 'scaleGradient',
  title: 'Gradient scaling',
  hyper: { by: positive(4) },
  options: { how: 'times' as 'times' | 'over', warm: false, repeats: 1 },
  choices: { how: ['times', 'over'] },
  inputs: (options): Readonly<Record<string, Input>> =>
    options.warm ? { temperature: inputNumber('the temperature of the bath') } : {},
  gradient({ g, hyper, options, inputs }) {
    let gradient = g
    for (let count = 0; count < options.repeats; count++) gradient = gradient[options.how](hyper.by)
    return { gradient: options.warm ? gradient.times((inputs as Record<string, typeof g>).temperature!) : gradient }
  },
})

describe('options of a transform', () => {
  it.each(backends)('choose what is traced on %s', async (_, backend) => {
    const cases = [
      [{}, [4, 8]],
      [{ how: 'over' }, [0.25, 0.5]],
      [{ how: 'times', repeats: 3, by: 2 }, [8, 16]],
      [{ warm: true }, [12, 24]],
    ] as const
    for (const [settings, expected] of cases) {
      const compiled = await compile(
        scaleGradient(sgd({ learningRate: 1 }), settings),
        { a: [2] },
        { backend: backend() },
      )
      const inputs = 'warm' in settings ? { temperature: 3 } : {}
      compiled.step({ gradients: { a: [1, 2] }, inputs })
      expect([...compiled.parameters.a!]).toEqual(expected.map((value) => -value))
    }
  })

  it('must be of their kind and among the choices', () => {
    const wrap = (settings: object) => () => scaleGradient(sgd(), settings as never)
    expect(wrap({ how: 'minus' })).toThrow('Gradient scaling: how must be one of times, over, not minus')
    expect(wrap({ warm: 1 })).toThrow('Gradient scaling: warm must be a boolean, not 1')
    expect(wrap({ repeats: 0.5 })).toThrow('Gradient scaling: repeats must be a whole number from 1 up, not 0.5')
    expect(wrap({ cold: true })).toThrow(
      "Gradient scaling: unknown setting 'cold'; valid names are by, how, warm, repeats",
    )
  })

  it('decide about inputs, and the error names the transform', async () => {
    const compiled = await compile(scaleGradient(sgd(), { warm: true }), { a: [2] })
    expect(() => compiled.step()).toThrow('step 1: Gradient scaling needs the temperature of the bath')
  })
})

describe('a wrapper that changes the gradient', () => {
  const refused = (optimizer: Parameters<typeof compile>[0]) => expect(compile(optimizer, shapes)).rejects

  it('is refused where nothing reads it, naming both', async () => {
    await refused(clipByNorm(mezo())).toThrow(
      'Clipping by tensor norm changes the gradient, which MeZO does not read; leave it out',
    )
    await refused(scaleGradient(clipByNorm(mezo()))).toThrow('Clipping by tensor norm changes the gradient, which MeZO')
  })

  it('is refused outside what makes a gradient of its own, and may stand inside', async () => {
    await refused(clipByNorm(evolutionStrategies(sgd()))).toThrow(
      'does not read; put it inside: evolutionStrategies(clipByNorm(...))',
    )
    await compile(evolutionStrategies(clipByNorm(sgd())), shapes)
  })

  it('may stand around groups of which one reads it', async () => {
    await compile(clipByNorm(groups(sgd(), [{ match: 'a', optimizer: mezo() }])), shapes)
    await refused(clipByNorm(groups(mezo(), [{ match: 'a', optimizer: mezo() }]))).toThrow('which MeZO does not read')
  })
})
