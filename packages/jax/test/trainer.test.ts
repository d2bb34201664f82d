import {
  createTrainer,
  gradientTransformation,
  type Trainer,
  type TrainerOptions,
  type TrainerPath,
} from '@fallline/jax'
import { defaultDevice, grad, init, nn, numpy as np, tree } from '@jax-js/jax'
import {
  accumulateGradients,
  adam,
  adamW,
  type CompiledOptimizer,
  clipByGlobalNorm,
  compile,
  cosine,
  defineOptimizer,
  groups,
  inputNumber,
  logUniform,
  lookahead,
  microAdam,
  multiAdam,
  muon,
  nonNegative,
  type Optimizer,
  prodigy,
  quantized,
  reference,
  scheduleFreeAdamW,
  sgd,
  sophiaH,
} from 'fallline'
import { type BaseOptimizer, inputsOf } from 'fallline/internal'
import { beforeAll, describe, expect, it } from 'vitest'
import { registry } from '../../core/test/support/variants.ts'
import { numbers } from './support/numbers.ts'

beforeAll(async () => {
  await init('cpu', 'wasm')
})

type Params = { hidden: { w: np.Array; b: np.Array }; out: { w: np.Array } }
const paths = ['fused', 'graph'] as const

function parameters(): Params {
  return {
    hidden: { w: np.array(numbers(24, 1), { shape: [4, 6] }), b: np.array(numbers(6, 2)) },
    out: { w: np.array(numbers(18, 3), { shape: [6, 3] }) },
  }
}

/** A batch whose classes follow from its inputs. */
function batch(step: number): [np.Array, np.Array] {
  const inputs = numbers(32, 100 + (step % 7))
  const targets = new Float32Array(24)
  for (let row = 0; row < 8; row++) {
    const [a, b] = [inputs[4 * row]!, inputs[4 * row + 1]!]
    targets[3 * row + (a > 0 ? 0 : b > 0 ? 1 : 2)] = 1
  }
  return [np.array(inputs, { shape: [8, 4] }), np.array(targets, { shape: [8, 3] })]
}

function loss({ hidden, out }: Params, x: np.Array, y: np.Array): np.Array {
  const logits = np.matmul(nn.relu(np.matmul(x, hidden.w).add(hidden.b)), out.w)
  return np.mean(np.sum(nn.logSoftmax(logits, -1).mul(y), -1)).neg()
}

const create = (optimizer: Optimizer, options: TrainerOptions = {}) =>
  createTrainer(loss, optimizer, parameters(), options)
type Model = Trainer<Params, [np.Array, np.Array]>

async function train(trainer: Model, steps: number): Promise<number[]> {
  const losses: number[] = []
  for (let step = 0; step < steps; step++) losses.push((await trainer.step(...batch(trainer.steps))).item())
  return losses
}

function flat(params: Params): number[] {
  return tree.leaves(params).flatMap((leaf) => [...(leaf as np.Array).dataSync()])
}

const rules = {
  adamW: clipByGlobalNorm(adamW({ learningRate: cosine({ from: 0.05, to: 0, steps: 30 }) }), { maximumNorm: 1 }),
  'muon and adamW': groups(adamW({ learningRate: 0.01 }), [
    { match: ({ rank }) => rank === 2, optimizer: muon({ learningRate: 0.02 }) },
  ]),
  scheduleFree: scheduleFreeAdamW({ learningRate: 0.05 }),
  prodigy: prodigy({ d0: 1e-2 }),
  'lookahead in accumulation': accumulateGradients(
    lookahead(sgd({ learningRate: 0.1, momentum: 0.9 }), { period: 2 }),
    {
      period: 3,
    },
  ),
}

describe.each(Object.entries(rules))('a trainer with %s', (_, rule) => {
  it.each(paths)('learns on the %s path', async (path) => {
    const trainer = await create(rule, { path })
    expect(trainer.path).toBe(path)
    const losses = await train(trainer, 30)
    expect(trainer.steps).toBe(30)
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
    expect(mean(losses.slice(-7))).toBeLessThan(mean(losses.slice(0, 7)))
    trainer.dispose()
  })

  it('takes the same steps on both paths', async () => {
    const [fused, graph] = [await create(rule, { path: 'fused' }), await create(rule, { path: 'graph' })]
    const [a, b] = [await train(fused, 12), await train(graph, 12)]
    a.forEach((value, step) => {
      expect(value).toBeCloseTo(b[step]!, 3)
    })
    const close = (x: number[], y: number[]) => {
      x.forEach((value, index) => {
        expect(value).toBeCloseTo(y[index]!, 3)
      })
    }
    close(flat(fused.parameters()), flat(graph.parameters()))
    close(flat(fused.evaluationParameters()), flat(graph.evaluationParameters()))
    fused.dispose()
    graph.dispose()
  })

  it.each([...paths.map((path) => [path, path] as const), ['fused', 'graph'], ['graph', 'fused']] as const)(
    'continues on the %s path what the %s path saved',
    async (to: TrainerPath, from: TrainerPath) => {
      const whole = await create(rule, { path: from })
      await train(whole, 5)
      const bytes = await whole.save()
      const expected = await train(whole, 6)
      const rest = await create(rule, { path: to })
      await train(rest, 2)
      rest.load(bytes)
      expect(rest.steps).toBe(5)
      const averages = rest.evaluationParameters()
      const found = await train(rest, 6)
      if (from === to) expect(found).toEqual(expected)
      else for (const [step, value] of found.entries()) expect(value).toBeCloseTo(expected[step]!, 3)
      const again = await create(rule, { path: from })
      again.load(bytes)
      flat(averages).forEach((value, index) => {
        expect(value).toBeCloseTo(flat(again.evaluationParameters())[index]!, 5)
      })
      for (const trainer of [whole, rest, again]) trainer.dispose()
    },
  )
})

describe('a trainer', () => {
  it('computes what the compiled optimizer computes, to the bit, on the fused path', async () => {
    const rule = adamW({ learningRate: 0.05 })
    const shapes = { 'hidden/w': [4, 6], 'hidden/b': [6], 'out/w': [6, 3] }
    const compiled: CompiledOptimizer = await compile(rule, shapes)
    const start = parameters()
    const leaves = { 'hidden/w': start.hidden.w, 'hidden/b': start.hidden.b, 'out/w': start.out.w }
    for (const [name, array] of Object.entries(leaves)) compiled.parameters[name]!.set(array.dataSync())
    const seen: number[][] = []
    // A loss whose gradient is the batch.
    const trainer = await createTrainer(
      (p: Params, g: Params) =>
        tree
          .leaves(p)
          .reduce<np.Array>(
            (sum, leaf, index) => sum.add(np.sum((leaf as np.Array).mul(tree.leaves(g)[index] as np.Array))),
            np.array(0),
          ),
      rule,
      parameters(),
    )
    for (let step = 1; step <= 4; step++) {
      const gradients = {
        'hidden/w': numbers(24, 10 * step),
        'hidden/b': numbers(6, 20 * step),
        'out/w': numbers(18, 30 * step),
      }
      compiled.step({ gradients })
      const loss = await trainer.step({
        hidden: { w: np.array(gradients['hidden/w'], { shape: [4, 6] }), b: np.array(gradients['hidden/b']) },
        out: { w: np.array(gradients['out/w'], { shape: [6, 3] }) },
      })
      seen.push(loss.js())
    }
    expect(seen).toHaveLength(4)
    expect(flat(trainer.parameters())).toEqual(compiled.names.flatMap((name) => [...compiled.parameters[name]!]))
    trainer.dispose()
  })

  it.each(paths)('takes new hyperparameters at the next step on the %s path', async (path) => {
    const trainer = await create(sgd({ learningRate: 0.1 }), { path })
    await train(trainer, 1)
    trainer.set({ learningRate: 0 })
    const before = flat(trainer.parameters())
    await train(trainer, 1)
    expect(flat(trainer.parameters())).toEqual(before)
    expect(trainer.hyper.learningRate).toBe(0)
    expect(() => trainer.hyperOf('none')).toThrow("unknown group 'none'")
    trainer.dispose()
  })

  it.each(paths)('survives a loss that throws on the %s path', async (path) => {
    let broken = true
    const rule = adamW()
    const trainer = await createTrainer(
      (p: { w: np.Array }) => {
        if (broken) throw new Error('broken loss')
        return np.sum(np.square(p.w))
      },
      rule,
      { w: np.array([1, 2, 3]) },
      { path },
    )
    await expect(trainer.step()).rejects.toThrow('broken loss')
    expect(trainer.steps).toBe(0)
    broken = false
    expect((await trainer.step()).item()).toBe(14)
    expect(trainer.steps).toBe(1)
    const reference = await createTrainer((p: { w: np.Array }) => np.sum(np.square(p.w)), rule, {
      w: np.array([1, 2, 3]),
    })
    ;(await reference.step()).dispose()
    const [found, expected] = [trainer.parameters().w.js(), reference.parameters().w.js()]
    expected.forEach((value: number, index: number) => {
      expect(found[index]).toBeCloseTo(value, 6)
    })
    trainer.dispose()
    reference.dispose()
  })

  it('says which gradient is not finite, and changes nothing', async () => {
    const trainer = await createTrainer(
      (p: { a: np.Array; b: np.Array }, x: np.Array) => np.sum(p.a.mul(x)).add(np.sum(p.b)),
      adamW(),
      { a: np.array([1]), b: np.array([2]) },
    )
    await expect(trainer.step(np.array([Number.POSITIVE_INFINITY]))).rejects.toThrow(
      "the gradient of 'a' is not finite",
    )
    expect([trainer.steps, trainer.parameters().a.item(), trainer.parameters().b.item()]).toEqual([0, 1, 2])
    trainer.dispose()
    const skipping = await createTrainer(
      (p: { a: np.Array }, x: np.Array) => np.sum(p.a.mul(x)),
      adamW(),
      { a: np.array([1]) },
      { nonFinite: 'skip' },
    )
    ;(await skipping.step(np.array([Number.NaN]))).dispose()
    expect([skipping.steps, skipping.parameters().a.item()]).toEqual([0, 1])
    skipping.dispose()
  })

  it('chooses the fused path on wasm and cpu, and takes another backend there', async () => {
    expect(defaultDevice()).toBe('wasm')
    const trainer = await create(sgd({ learningRate: 0.1 }), { backend: reference() })
    expect(trainer.path).toBe('fused')
    const losses = await train(trainer, 10)
    expect(losses.every(Number.isFinite)).toBe(true)
    trainer.dispose()
  })

  it('refuses unknown options, paths, other types, and options of the other path', async () => {
    await expect(create(sgd(), { pth: 'graph' } as never)).rejects.toThrow(
      "createTrainer: unknown option 'pth'; valid names are path, nonFinite, backend",
    )
    await expect(create(sgd(), { path: 'fast' as never })).rejects.toThrow(
      'path must be auto, fused or graph, not fast',
    )
    await expect(create(sgd(), { path: 'graph', nonFinite: 'skip' })).rejects.toThrow(
      "createTrainer: nonFinite: 'skip' needs the fused path; on the device wasm the path is graph",
    )
    await expect(create(sgd(), { path: 'graph', backend: reference() })).rejects.toThrow('backend needs the fused path')
    await expect(createTrainer(() => np.array(0), sgd(), { w: np.ones([2], { dtype: np.int32 }) })).rejects.toThrow(
      "createTrainer: 'w' must be a jax-js array of float32, not an array of int32",
    )
  })

  it('refuses arrays of another copy of jax-js', async () => {
    // A query makes Node load the module once more.
    const again = `${import.meta.resolve('@jax-js/jax')}?again`
    const other: typeof import('@jax-js/jax') = await import(/* @vite-ignore */ again)
    expect(other.numpy.ones).not.toBe(np.ones)
    await expect(createTrainer(({ w }) => w, sgd(), { w: other.numpy.ones([2]) })).rejects.toThrow(
      "createTrainer: 'w' is of another copy of jax-js; in CommonJS load it with await import('@jax-js/jax')",
    )
  })

  it('refuses a checkpoint of another model', async () => {
    const trainer = await create(adamW(), { path: 'graph' })
    const other = await createTrainer((p: { w: np.Array }) => np.sum(p.w), adamW(), { w: np.ones([2]) })
    const before = flat(trainer.parameters())
    expect(() => trainer.load(new Uint8Array(3))).toThrow()
    const bytes = await other.save()
    expect(() => trainer.load(bytes)).toThrow("load: the checkpoint lacks 'parameters/hidden/w'")
    expect(flat(trainer.parameters())).toEqual(before)
    trainer.dispose()
    other.dispose()
  })

  it.each(registry.map((factory) => [factory.definition.name, factory] as const))(
    'takes a fused step with %s, or says what to pass',
    async (name, factory) => {
      const given = { sophiaG: 'sampledGradient', multiAdam: 'gradientOfLoss1' }[name]
      if (given === undefined) {
        const trainer = await create(factory())
        // Some ask for the Hessian only every tenth step.
        const more = Object.keys(inputsOf(factory() as BaseOptimizer)).some((input) => input !== 'loss')
        expect((await train(trainer, more ? 12 : 2)).every(Number.isFinite)).toBe(true)
        trainer.dispose()
      } else {
        await expect(create(factory())).rejects.toThrow(
          `createTrainer: the optimizer needs '${given}', ${inputsOf(factory() as BaseOptimizer)[given]!.description}, which does ` +
            `not follow from the loss: pass the option inputs: { ${given}: (params, ...batch) => a tree of arrays with the keys of params }`,
        )
      }
    },
  )
})

describe.each(paths)('inputs that functions give, on the %s path', (path) => {
  const slopes = (factor: number) => (params: Params, x: np.Array, y: np.Array) =>
    tree.map((gradient: np.Array) => gradient.mul(factor), grad(loss)(params, x, y)) as Params

  it('are what the optimizer is given', async () => {
    // MultiAdam of one loss is Adam.
    const betas = { learningRate: 0.02, beta1: 0.99, beta2: 0.99 }
    const inputs = { gradientOfLoss1: slopes(0.5) }
    const trainer = await create(multiAdam({ ...betas, losses: 1 }), { path, inputs } as never)
    const half = (params: Params, x: np.Array, y: np.Array) => loss(params, x, y).mul(0.5)
    const expected = await createTrainer(half, adam(betas), parameters(), { path })
    await train(trainer, 5)
    await train(expected, 5)
    const found = flat(trainer.parameters())
    flat(expected.parameters()).forEach((value, index) => {
      expect(found[index]!).toBeCloseTo(value, 6)
    })
    expect(found).not.toEqual(flat(parameters()))
    for (const each of [trainer, expected]) each.dispose()
  })

  it('come before what follows from the loss', async () => {
    const ones = ({ hidden, out }: Params) => ({
      hidden: tree.map((array: np.Array) => np.onesLike(array), hidden),
      out: tree.map((array: np.Array) => np.onesLike(array), out),
    })
    const rule = sophiaH({ learningRate: 0.1, hessianPeriod: 1, gamma: 1, beta2: 0, weightDecay: 0 })
    const trainer = await create(rule, { path, inputs: { hessianDiagonal: ones } } as never)
    const start = flat(parameters())
    await train(trainer, 1)
    // Of a curvature of 1 everywhere, the step is the momentum, a part of the gradient, within 0.1.
    const gradient = flat(grad(loss)(parameters(), ...batch(0)) as Params)
    flat(trainer.parameters()).forEach((value, index) => {
      expect(value).toBeCloseTo(start[index]! - 0.1 * 0.04 * gradient[index]!, 6)
    })
    trainer.dispose()
  })

  it('that are missing, of another size, or none are refused by name', async () => {
    const rule = multiAdam({ losses: 1 })
    const step = async (gradientOfLoss1: (params: Params) => unknown) => {
      const trainer = await create(rule, { path, inputs: { gradientOfLoss1 } } as never)
      try {
        await trainer.step(...batch(1))
      } finally {
        expect(trainer.steps).toBe(0)
        expect(flat(trainer.parameters())).toEqual(flat(parameters()))
        trainer.dispose()
      }
    }
    await expect(step(({ out }) => ({ out }))).rejects.toThrow(
      "inputs.gradientOfLoss1: there is no array for 'hidden/w', only for out/w",
    )
    await expect(step(({ hidden }) => ({ hidden, out: { w: np.ones([2]) } }))).rejects.toThrow(
      "inputs.gradientOfLoss1: the array for 'out/w' must have 18 numbers, not 2",
    )
    await expect(create(rule, { path, inputs: { gradientOfLos1: slopes(1) } } as never)).rejects.toThrow(
      "createTrainer: the optimizer has no input 'gradientOfLos1'; it takes gradientOfLoss1; did you mean 'gradientOfLoss1'?",
    )
    await expect(create(sgd(), { path, inputs: { loss2: slopes(1) } } as never)).rejects.toThrow(
      "createTrainer: the optimizer has no input 'loss2'; it takes none",
    )
  })
})

it('an input that is a number is given on the fused path', async () => {
  const rule = defineOptimizer({
    name: 'annealed',
    title: 'Annealed',
    paper: { title: 'None', authors: 'Nobody', year: 2026 },
    family: 'momentum',
    hyper: { learningRate: nonNegative(1) },
    inputs: { temperature: inputNumber('the temperature') },
    state: {},
    decay: 'decoupled',
    search: { learningRate: logUniform(1e-3, 1) },
    rule: ({ g, inputs }) => ({ direction: g.times(inputs.temperature) }),
  })()
  const line = ({ w }: { w: np.Array }, x: np.Array) => np.sum(w.mul(x))
  const inputs = { temperature: (_: { w: np.Array }, x: np.Array) => np.sum(x) }
  const trainer = await createTrainer(line, rule, { w: np.zeros([2]) }, { inputs })
  ;(await trainer.step(np.array([2, 3]))).dispose()
  expect(trainer.parameters().w.js()).toEqual([-10, -15])
  trainer.dispose()
  await expect(createTrainer(line, rule, { w: np.zeros([2]) }, { inputs, path: 'graph' })).rejects.toThrow(
    "Annealed (parameter 'w') needs temperature, but an update is given only gradients; createTrainer takes such steps on the path 'fused'",
  )
})

describe.each(paths)('continuing on the %s path', (path) => {
  const start = async (optimizer: Optimizer) => {
    const trainer: Trainer<{ w: np.Array }, [np.Array]> = await createTrainer(
      ({ w }: { w: np.Array }, x: np.Array) => np.sum(w.mul(x)),
      optimizer,
      { w: np.array([1, 2]) },
      { path },
    )
    const step = async (...gradient: [number, number]) => (await trainer.step(np.array(gradient))).dispose()
    return { trainer, step, values: () => trainer.parameters().w.js() as number[] }
  }

  it('rebase moves copies of the parameters along', async () => {
    const { trainer, step, values } = await start(lookahead(sgd({ learningRate: 0.5 }), { period: 2, alpha: 0.5 }))
    expect(await trainer.rebase({ w: np.array([1, 2]) })).toEqual({ moved: ['w/lookahead.slow'], kept: [] })
    await step(1, 1)
    expect(values()).toEqual([0.5, 1.5])
    expect((await trainer.rebase({ w: np.array([10, 20]) })).moved).toEqual(['w/lookahead.slow'])
    expect(values()).toEqual([10, 20])
    await step(1, 1)
    // From 10 to 9.5, halfway back to where lookahead began, which moved along: 10.5.
    expect(values()).toEqual([10, 20])
    expect(trainer.steps).toBe(2)
    await expect(trainer.rebase({ w: np.array([1, 2, 3]) })).rejects.toThrow('has shape [2], so it cannot become [3]')
    await expect(trainer.rebase({ v: np.array([1, 2]) } as never)).rejects.toThrow('rebase: the parameters must be')
    expect(values()).toEqual([10, 20])
    trainer.dispose()
  })

  it('finish leaves what to evaluate with', async () => {
    const { trainer, step, values } = await start(scheduleFreeAdamW({ learningRate: 0.1 }))
    for (let index = 0; index < 3; index++) await step(1, -1)
    const bytes = await trainer.save()
    const expected = trainer.evaluationParameters().w.js()
    expect(expected).not.toEqual(values())
    trainer.finish()
    trainer.finish()
    expect(values()).toEqual(expected)
    await expect(step(1, 1)).rejects.toThrow('step: finish has put what to evaluate with into the parameters')
    await expect(trainer.save()).rejects.toThrow('save: finish')
    await expect(trainer.rebase({ w: np.array([1, 2]) })).rejects.toThrow('rebase: finish')
    trainer.load(bytes)
    expect(values()).not.toEqual(expected)
    await step(1, 1)
    trainer.dispose()
  })

  it('load takes what fits when that is asked for, or parameters alone', async () => {
    const one = await start(adamW({ learningRate: 0.1 }))
    for (let index = 0; index < 3; index++) await one.step(1, -1)
    const bytes = await one.trainer.save()
    const two = await start(lookahead(sgd({ learningRate: 0.5, momentum: 0.9 })))
    expect(() => two.trainer.load(bytes)).toThrow(/the checkpoint is of the optimizer adamW/)
    expect(two.trainer.load(bytes, { take: 'fitting' })).toEqual({
      taken: ['parameters/w'],
      missing: ['state/w/lookahead.slow', 'state/w/lookahead/sgd.b'],
      unused: ['state/w/adamW.m', 'state/w/adamW.v'],
    })
    expect([two.trainer.steps, two.values()]).toEqual([3, one.values()])
    await two.step(1, 1)
    two.trainer.load(bytes, { take: 'parameters' })
    expect([two.trainer.steps, two.values()]).toEqual([0, one.values()])
    await two.step(1, 1)
    expect(two.values()).toEqual(one.values().map((value) => Math.fround(value - 0.5)))
    const back = await start(adamW({ learningRate: 0.1 }))
    expect(back.trainer.load(bytes)).toMatchObject({ missing: [], unused: [] })
    for (const { trainer } of [one, two, back]) trainer.dispose()
  })

  it('names of hyperparameters are in the types', async () => {
    const trainer = await createTrainer(
      ({ w }: { w: np.Array }) => np.sum(w),
      clipByGlobalNorm(adamW()),
      { w: np.ones([2]) },
      { path },
    )
    trainer.set({ maximumNorm: 3, beta1: 0.5 })
    expect(trainer.hyper.maximumNorm).toBe(3)
    // @ts-expect-error the name is misspelt
    expect(() => trainer.set({ bata1: 0.5 })).toThrow(/did you mean 'beta1'/)
    trainer.dispose()
  })
})

describe.each(paths)('while a step is being taken on the %s path', (path) => {
  it('a second one is refused and everything else too, until it is taken', async () => {
    const trainer: Model = await create(sgd({ learningRate: 0.1 }), { path })
    const twin: Model = await create(sgd({ learningRate: 0.1 }), { path })
    const bytes = await trainer.save()
    const message = (name: string) => `${name}: a step is being taken; await that first`
    const pending = trainer.step(...batch(1))
    expect(() => trainer.set({ learningRate: 1 })).toThrow(message('set'))
    expect(() => trainer.load(bytes)).toThrow(message('load'))
    expect(() => trainer.parameters()).toThrow(message('parameters'))
    expect(() => trainer.evaluationParameters()).toThrow(message('evaluationParameters'))
    expect(() => trainer.dispose()).toThrow(message('dispose'))
    await expect(Promise.all([trainer.step(...batch(2)), pending])).rejects.toThrow(message('step'))
    ;(await pending).dispose()
    const saving = trainer.save()
    await expect(Promise.all([trainer.step(...batch(2)), saving])).rejects.toThrow('step: save is reading the state')
    await saving
    ;(await trainer.step(...batch(2))).dispose()
    for (const step of [1, 2]) (await twin.step(...batch(step))).dispose()
    expect(await trainer.save()).toEqual(await twin.save())
    trainer.dispose()
    trainer.dispose()
    twin.dispose()
    expect(() => trainer.parameters()).toThrow('parameters: this trainer has been disposed; create a new one')
    await expect(trainer.step(...batch(1))).rejects.toThrow('step: this trainer has been disposed')
  })
})

describe.each<readonly [string, Optimizer, string]>([
  ['8 bits', quantized(adamW({ learningRate: 0.05 }), { minimumSize: 0 }), 'adamW.m as dynamic8'],
  ['4 bits', quantized(adamW({ learningRate: 0.05 }), { bits: 4, minimumSize: 0 }), 'adamW.v as sixteenths'],
  ['bfloat16', quantized(adamW({ learningRate: 0.05 }), { storage: 'bf16', minimumSize: 0 }), 'adamW.v as bfloat16'],
  [
    'bfloat16 and a byte',
    accumulateGradients(
      quantized(sgd({ learningRate: 0.05, momentum: 0.9 }), { storage: 'bf16+byte', minimumSize: 0 }),
      {
        period: 2,
      },
    ),
    'as bfloat16AndByte',
  ],
  ['codes of 4 bits', microAdam({ learningRate: 0.05 }), 'as sixteenths'],
])('state in %s', (_, rule, storage) => {
  it('is the same on both paths, and goes on where the other one saved it', async () => {
    const [fused, graph] = [await create(rule, { path: 'fused' }), await create(rule, { path: 'graph' })]
    const [a, b] = [await train(fused, 5), await train(graph, 5)]
    a.forEach((value, step) => {
      expect(b[step]!).toBeCloseTo(value, 3)
    })
    const [ofFused, ofGraph] = [await fused.save(), await graph.save()]
    for (const bytes of [ofFused, ofGraph]) expect(new TextDecoder().decode(bytes)).toContain(storage)
    expect(ofGraph.length).toBe(ofFused.length)
    const [then, again] = [await create(rule, { path: 'graph' }), await create(rule, { path: 'fused' })]
    then.load(ofFused)
    again.load(ofGraph)
    // What was read is what was written.
    expect(await then.save()).toEqual(ofFused)
    expect(await again.save()).toEqual(ofGraph)
    const [c, d, e, f] = [await train(fused, 3), await train(then, 3), await train(graph, 3), await train(again, 3)]
    c.forEach((value, step) => {
      expect(d[step]!).toBeCloseTo(value, 3)
      expect(f[step]!).toBeCloseTo(e[step]!, 3)
    })
    // The eighth batch is the first once more.
    expect(c.at(-1)!).toBeLessThan(a[0]!)
    for (const trainer of [fused, graph, then, again]) trainer.dispose()
  })
})

it('state of 8 bits takes a quarter of the memory in the graph of jax-js', () => {
  const bytes = (rule: Optimizer) => {
    const state = gradientTransformation(rule).init({ w: np.zeros([64, 64]) })
    const sizes = (tree.leaves(state.slots) as np.Array[]).map((array) => 4 * array.size)
    tree.dispose(state)
    return sizes.reduce((sum, size) => sum + size, 0)
  }
  expect(bytes(adamW())).toBe(2 * 4 * 4096)
  expect(bytes(quantized(adamW(), { bits: 8 }))).toBe(2 * (4096 + (4 * 4096) / 256))
  expect(bytes(quantized(adamW(), { bits: 4 }))).toBe(2048 + (4 * 4096) / 128 + 2048 + 4 * 128)
})

it.each(['fused', 'graph'] as const)('refuses parameters in anything but float32 on the path %s', async (path) => {
  const rule = quantized(adamW(), { parameters: 'bf16', minimumSize: 0 })
  await expect(create(rule, { path })).rejects.toThrow(path === 'graph' ? "jax-js holds '" : 'is kept as bfloat16')
})
