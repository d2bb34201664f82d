import {
  accumulateGradients,
  adaHessian,
  adam,
  adamW,
  type CompiledOptimizer,
  compile,
  defineOptimizer,
  groups,
  inputNumber,
  logUniform,
  lookahead,
  nonNegative,
  type RuleContext,
  reference,
  refresh,
  sgd,
  similarTriangles,
  sophiaH,
  stableSpam,
  type Value,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { decodeSafetensors, encodeSafetensors } from '../src/state/safetensors.ts'
import { takeStep } from './support/step.ts'
import { registry } from './support/variants.ts'

const backends = [
  ['reference', reference],
  ['wasm', wasm],
] as const

function define(rule: (context: RuleContext<'learningRate', never, 'sum', 'lossScale'>) => { direction: Value }) {
  return defineOptimizer({
    name: 'mine',
    title: 'Mine',
    paper: { title: 'Mine', authors: 'Me', year: 2000 },
    hyper: { learningRate: nonNegative(1) },
    state: {},
    inputs: { lossScale: inputNumber('what the loss was multiplied by') },
    decay: 'decoupled',
    search: { learningRate: logUniform(1, 2) },
    rule: rule as never,
  })
}

describe.each(backends)('array inputs on %s', (_, backend) => {
  it('that were never given are missed, not taken for zeros', async () => {
    const optimizer = await compile(adaHessian(), { w: [2] }, { backend: backend() })
    const gradients = { w: [1, 2] }
    expect(() => optimizer.step({ gradients })).toThrow(
      "step 1: AdaHessian needs z ⊙ H z, an estimate of the diagonal of the Hessian with z of -1 and 1, for 'w' too: pass " +
        "step({ inputs: { hessianDiagonal: { 'w': ... } } }), or write inputs.hessianDiagonal in minimize(evaluate)",
    )
    expect([...optimizer.parameters.w!, optimizer.steps]).toEqual([0, 0, 0])
    await expect(optimizer.minimize(({ gradients }) => void gradients.w!.fill(1))).rejects.toThrow('AdaHessian needs')
    optimizer.step({ gradients, inputs: { hessianDiagonal: { w: [1, 1] } } })
    expect(optimizer.parameters.w![0]).toBeCloseTo(-0.15, 3)
  })

  it('that are not finite are named', async () => {
    const optimizer = await compile(adaHessian(), { w: [2] }, { backend: backend() })
    const inputs = { hessianDiagonal: { w: [1, Number.POSITIVE_INFINITY] } }
    expect(() => optimizer.step({ gradients: { w: [1, 2] }, inputs })).toThrow(
      "step 1: the input 'hessianDiagonal' of 'w' is not finite; parameters and state are unchanged",
    )
    expect([...optimizer.parameters.w!, optimizer.steps]).toEqual([0, 0, 0])
  })

  it('are missed by every rule and wrapper that reads them', async () => {
    const sophia = await compile(sophiaH({ hessianPeriod: 1 }), { w: [2] }, { backend: backend() })
    expect(() => sophia.step({ gradients: { w: [1, 2] } })).toThrow('Sophia-H needs')
    const refreshed = await compile(refresh(sgd(), { fisher: true }), { w: [2] }, { backend: backend() })
    await expect(refreshed.minimize(({ gradients }) => void gradients.w!.fill(1))).rejects.toThrow(/needs|finite/)
  })
})

it('an input whose name begins with loss is not a loss', async () => {
  const mine = define(({ g, inputs }) => ({ direction: g.over(inputs.lossScale) }))
  const optimizer = await compile(mine({ maximize: true }), { w: [1] })
  optimizer.step({ gradients: { w: [8] }, inputs: { lossScale: 4 } })
  expect(optimizer.parameters.w![0]).toBe(2)
  expect(() => optimizer.step({ gradients: { w: [8] }, inputs: { lossScale: Number.NaN } })).toThrow(
    "the input 'lossScale' is not finite",
  )
})

describe('a value in the place of a condition', () => {
  const train = (rule: Parameters<typeof define>[0]) => compile(define(rule)(), { w: [1] })

  it('throws where it is compared or added', async () => {
    const cases: ((g: Value) => unknown)[] = [
      (g) => ((g.sum() as unknown as number) > 0 ? 1 : 2),
      (g) => (g as unknown as number) + 1,
      (g) => `${g}`,
      (g) => -(g as unknown as number),
    ]
    for (const use of cases) {
      const compiled = train(({ g }) => ({ direction: use(g) as Value }))
      await expect(compiled).rejects.toThrow(/Mine: a value is not known while the rule runs.*x\.isGreaterThan\(0\)/)
    }
  })

  it('throws where nothing reads the truth value', async () => {
    const compiled = train(({ g }) => ({ direction: g.isGreaterThan(0) ? g : g.negated() }))
    await expect(compiled).rejects.toThrow(
      /^Mine: a truth value \(less\) is computed and nothing reads it.*where\(condition, a, b\) \(parameter 'w', shape \[1\]\)$/,
    )
  })
})

describe('gradient accumulation', () => {
  it.each(backends)(
    'averages over the gradients that there were, also when the period changes, on %s',
    async (_, backend) => {
      const period = (step: number) => (step <= 2 ? 2 : 3)
      const rule = accumulateGradients(sgd({ learningRate: 1 }), { period })
      const optimizer = await compile(rule, { w: [1] }, { backend: backend() })
      const moved: number[] = []
      for (let step = 1; step <= 6; step++) {
        const before = optimizer.parameters.w[0]!
        optimizer.step({ gradients: { w: [1] } })
        moved.push(before - optimizer.parameters.w[0]!)
      }
      // Gradients of 1 have the mean 1, whatever the window.
      expect(moved).toEqual([0, 1, 1, 0, 0, 1])
    },
  )

  it('ends a window on request, with the mean of what it has', async () => {
    const optimizer = await compile(accumulateGradients(sgd({ learningRate: 1 }), { period: 4 }), { w: [1] })
    optimizer.step({ gradients: { w: [1] } })
    optimizer.step({ gradients: { w: [2] } })
    optimizer.set({ period: 1 })
    optimizer.step({ gradients: { w: [6] } })
    expect(optimizer.parameters.w[0]).toBe(-3)
    const copy = await compile(accumulateGradients(sgd({ learningRate: 1 }), { period: 4 }), { w: [1] })
    copy.load(optimizer.save())
    expect(copy.state('w')).toMatchObject({ count: 0, sum: Float32Array.of(0) })
  })

  it('counts whole steps', async () => {
    const message = 'Gradient accumulation: period must be a whole number from 1 up, not 2.5'
    expect(() => accumulateGradients(sgd(), { period: 2.5 })).toThrow(message)
    const optimizer = await compile(accumulateGradients(sgd(), { period: () => 2.5 }), { w: [1] })
    expect(() => optimizer.step({ gradients: { w: [1] } })).toThrow(message)
    expect(() => optimizer.set({ period: 2.5 })).toThrow(message)
    expect(optimizer.steps).toBe(0)
  })
})

describe('names that would collide', () => {
  it('in checkpoints are refused', async () => {
    const optimizer = groups(adam(), [{ name: 'g', match: 'w', optimizer: adam() }])
    await expect(compile(optimizer, { w: [1], 'w/g': [1] })).rejects.toThrow(
      "compile: the state of 'w' and of 'w/g' would both be named 'w/g/adam.m'; rename a parameter or a group",
    )
  })

  it('of optimizers are refused', async () => {
    const optimizer = groups(lookahead(sgd({ learningRate: 1 })), [
      { name: 'lookahead', match: 'a', optimizer: sgd({ learningRate: 2 }) },
    ])
    await expect(compile(optimizer, { a: [1], b: [1] })).rejects.toThrow(
      "groups: two optimizers (SGD and SGD) would both be named 'lookahead/sgd'; give the group another name",
    )
  })

  it.each(['a/b', 'a@b', ''])('of groups are refused: %s', (name) => {
    expect(() => groups(sgd(), [{ name, match: 'a', hyper: {} }])).toThrow(`groups: the name '${name}' of a group`)
  })
})

describe('a learning rate of 0', () => {
  it('leaves the method of similar triangles where it is, and able to go on', async () => {
    const optimizer = await compile(similarTriangles({ learningRate: 0 }), { w: [1] })
    optimizer.parameters.w![0] = 3
    for (let step = 0; step < 3; step++) optimizer.step({ gradients: { w: [1] } })
    expect([optimizer.parameters.w![0], optimizer.evaluationParameters().w![0]]).toEqual([3, 3])
    optimizer.set({ learningRate: 0.5 })
    for (let step = 0; step < 3; step++) optimizer.step({ gradients: { w: [1] } })
    expect(optimizer.parameters.w![0]).toBeLessThan(2)
  })

  it.each(registry.map((factory) => [factory.definition.name, factory] as const))(
    'stays finite and can be left: %s',
    async (_, factory) => {
      const make = factory as (settings: object) => ReturnType<typeof sgd>
      const learningRate = (step: number) => (step <= 3 ? 0 : 1e-3)
      const optimizer = await compile(make({ learningRate }), { matrix: [2, 3], vector: [3] })
      for (let step = 1; step <= 6; step++) {
        for (const gradient of Object.values(optimizer.gradients)) gradient.fill(step % 2 === 0 ? 1 : -2)
        await takeStep(optimizer)
      }
      for (const parameter of Object.values(optimizer.parameters)) expect(parameter.every(Number.isFinite)).toBe(true)
    },
  )
})

it('Stable-SPAM corrects the average of the largest element with the steps since the reset, as the official file', async () => {
  const [beta, resetPeriod] = [0.999, 15]
  const optimizer = await compile(stableSpam({ resetPeriod, maximumDecay: beta }), { w: [5] }, { backend: reference() })
  let [largest, norm, s] = [0, 0, 0]
  for (let step = 1; step <= 30; step++) {
    const g = [1, -2, 0.5, 1.5, step % 7 === 0 ? 9 : -1].map((value) => value * (1 + (step % 3)))
    optimizer.step({ gradients: { w: g } })
    s++
    const maximum = Math.max(...g.map(Math.abs))
    largest = beta * largest + (1 - beta) * maximum
    const usual = largest / (1 - beta ** s)
    const clipped = g.map((value) => (Math.abs(value) > usual ? (value * usual) / maximum : value))
    const length = Math.hypot(...clipped)
    // The norm that stays in the state tells which elements were clipped.
    norm = 0.7 * norm + 0.3 * length
    expect(optimizer.state('w').norm).toBeCloseTo(norm, 12)
    if (step % resetPeriod === 0) s = 1
  }
})

describe('step counts of checkpoints', () => {
  const make = () => compile(accumulateGradients(sgd({ learningRate: 1 }), { period: 2 }), { w: [1] })
  const changed = (optimizer: CompiledOptimizer, change: (counts: [string, [string, number][]][]) => unknown) => {
    const { tensors, metadata } = decodeSafetensors(optimizer.save())
    const counts = JSON.parse(metadata.counts!)
    change(counts)
    return encodeSafetensors(tensors, { ...metadata, counts: JSON.stringify(counts) })
  }
  const trained = async () => {
    const optimizer = await make()
    for (let step = 0; step < 3; step++) optimizer.step({ gradients: { w: [1] } })
    return optimizer
  }

  it('hold every clock from the start', async () => {
    const optimizer = await make()
    const counts = JSON.parse(decodeSafetensors(optimizer.save()).metadata.counts!)
    const clocks = [
      ['', 0],
      ['accumulateGradients', 0],
    ]
    expect(counts).toEqual([
      ['', clocks],
      ['parameters/w', clocks],
    ])
    ;(await make()).load(optimizer.save())
  })

  it.each<[string, (counts: [string, [string, number][]][]) => unknown]>([
    ['missing', (counts) => counts[1]![1].pop()],
    ['missing for the optimizer', (counts) => counts[0]![1].pop()],
    ['renamed', (counts) => counts[1]![1].splice(1, 1, ['accumulate', 1])],
    ['too many', (counts) => counts[1]![1].push(['another', 1])],
    ['ahead of its parameter', (counts) => counts[1]![1].splice(1, 1, ['accumulateGradients', 4])],
    ['ahead of the optimizer', (counts) => counts[1]![1].splice(0, 1, ['', 4])],
    ['no count', (counts) => counts[0]![1].splice(0, 1, ['', 2 ** 53])],
    ['given twice', (counts) => counts[1]![1].push(['', 3])],
    ['of a parameter given twice', (counts) => counts.push(counts[1]!)],
    ['of an unknown parameter', (counts) => counts.push(['parameters/x', [['', 1]]])],
  ])('with a clock that is %s are refused', async (_, change) => {
    const [source, target] = [await trained(), await make()]
    expect(() => target.load(changed(source, change))).toThrow('load: the step counts')
    expect(target.steps).toBe(0)
  })

  it('a header larger than the model can need is not read', async () => {
    const optimizer = await make()
    const { tensors, metadata } = decodeSafetensors(optimizer.save())
    const bytes = encodeSafetensors(tensors, { ...metadata, ignored: ' '.repeat(1_000_000) })
    expect(() => optimizer.load(bytes)).toThrow(
      /safetensors: the header claims 1000\d+ bytes, more than the \d{5} allowed/,
    )
  })

  it('a model with many long names has a header as long as it needs', async () => {
    const shapes = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`${'"\u0001é'.repeat(40)}${i}`, [1]]))
    const optimizer = await compile(adamW(), shapes)
    ;(await compile(adamW(), shapes)).load(optimizer.save())
  })
})
