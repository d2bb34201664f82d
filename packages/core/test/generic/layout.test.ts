import { fileURLToPath } from 'node:url'
import {
  adamP,
  adaptiveGradientClipping,
  type CompiledOptimizer,
  centralizeGradients,
  compile,
  emoFact,
  type Layout,
  type LayoutChoice,
  lanton,
  mkor,
  muon,
  nero,
  type Optimizer,
  ranger21,
  reference,
  type Shapes,
  sgd,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { Fields } from '../../golden/fields.ts'
import { type GoldenRun, readGolden } from '../../golden/files.ts'
import { mappings } from '../../golden/mapping.ts'
import { gradientAt, hessianDiagonalAt, lossAt, total, writeEach, writeInitial } from '../../golden/problem.ts'
import { fillAll, randomNumbers } from '../support/random.ts'
import { everything } from '../support/sample.ts'
import { draws, hasOwnShape, takeStep } from '../support/step.ts'
import { outputLast, outputLastShapes, relativeDifference, toOutputFirst, toOutputLast } from '../support/transposed.ts'
import { make, refuses, registry, variantsOf, wrappers } from '../support/variants.ts'

const data = (name: string) => fileURLToPath(new URL(`../golden-data/${name}.json.gz`, import.meta.url))

/** The largest relative error: that of replays in float64, and what a few steps in float32 leave. */
const tolerances = { reference: 1e-9, wasm: 2e-4 }

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string): void {
  const scale = Math.max(...Array.from(expected, Math.abs))
  const error = Math.max(0, ...Array.from(expected, (value, index) => Math.abs(actual[index]! - value)))
  expect(error, what).toBeLessThanOrEqual(tolerance * scale)
}

/** Replays a trajectory of the authors' code with every parameter kept the other way round. */
async function replayTransposed(
  optimizer: Optimizer,
  run: GoldenRun,
  salt: number,
  backend: 'reference' | 'wasm',
  tolerance = tolerances[backend],
) {
  const shapes = Object.fromEntries(run.shapes.map((shape, k) => [`tensor${k}`, outputLast(shape)]))
  const compiled = await compile(optimizer, shapes, {
    backend: backend === 'wasm' ? wasm() : reference(),
    layout: 'outputLast',
    nonFinite: 'allow',
  })
  const each = (visit: (name: string, shape: readonly number[], k: number) => void) =>
    compiled.names.forEach((name, k) => {
      visit(name, run.shapes[k]!, k)
    })
  each((name, shape, k) => {
    const initial = new Float64Array(compiled.parameters[name]!.length)
    writeInitial(initial, k, salt)
    compiled.parameters[name]!.set(toOutputLast(initial, shape))
  })
  // Rounding drives long runs in float32 apart, and says nothing of a layout.
  const checkpoints = run.checkpoints.filter(({ step }) => step <= (backend === 'wasm' ? 5 : 30))
  for (const { step, params } of checkpoints) {
    while (compiled.steps < step) {
      await compiled.minimize(({ parameters, gradients, inputs, wants }) => {
        const t = compiled.steps + 1
        const known: [typeof gradientAt, typeof gradients][] = [[gradientAt, gradients]]
        if (wants.has('hessianDiagonal')) known.push([hessianDiagonalAt, inputs.hessianDiagonal!])
        const all: Float64Array[] = []
        each((name, shape, k) => {
          const parameter = toOutputFirst(parameters[name]!, shape)
          all.push(parameter)
          for (const [at, arrays] of known) {
            const values = new Float64Array(parameter.length)
            writeEach(values, at, parameter, k, t, salt)
            arrays[name]?.set(toOutputLast(values, shape))
          }
        })
        return total(lossAt, all, t, salt)
      })
    }
    each((name, shape, k) => {
      const found = toOutputFirst(compiled.parameters[name]!, shape)
      expectClose(found, params[k]!, tolerance, `${run.config} ${run.layout} ${name} at step ${step}`)
    })
  }
  compiled.dispose()
}

describe('trajectories of the authors with outputs last', () => {
  const files = ['muon', 'cmuon', 'muon_moonlight', 'nero', 'adafactor_t2t', 'adafactor', 'came', 'emofact']
  files.push('adamp', 'sgdp', 'ranger21', 'mars', 'amos', 'adahessian', 'sm3', 'lamb')
  // Factored over the last two dimensions as they are stored: height and width with outputs first.
  const stored = new Set(['adafactor', 'came'])

  it.each(files)('%s', async (name) => {
    const file = (await readGolden(data(name)))!
    const runs = file.runs.filter(({ layout }) => !stored.has(name) || layout === 'matrix')
    const chosen = everything
      ? runs
      : runs.filter(({ layout }, i) => i < 2 || layout !== runs[i - 1]!.layout).slice(0, 3)
    let replayed = 0
    for (const run of chosen) {
      if (run.portable === false || (name === 'ranger21' && run.config === 'adabelief')) continue
      const ranks = run.shapes.map(({ length }) => length)
      const fields = new Fields(run.hyper)
      const optimizer = mappings[file.optimizer]!.optimizer(fields, ranks)
      const mapping = mappings[file.optimizer]!
      for (const backend of ['reference', 'wasm'] as const) {
        await replayTransposed(optimizer, run, file.salt, backend, mapping.tolerances?.[backend])
      }
      replayed++
    }
    expect(replayed).toBeGreaterThan(0)
  })
})

const model: Shapes = { wide: [3, 5], tall: [6, 2], kernel: [3, 2, 3, 2], bias: [5] }

/** The same steps with outputs first and last, on the reference backend: how far the parameters are apart, relatively. */
async function apart(optimizer: Optimizer, shapes: Shapes = model): Promise<number> {
  const first = await compile(optimizer, shapes, { backend: reference() })
  const last = await compile(optimizer, outputLastShapes(shapes), { backend: reference(), layout: 'outputLast' })
  const random = randomNumbers(17)
  fillAll(first.parameters, random)
  for (const name of first.names) last.parameters[name]!.set(toOutputLast(first.parameters[name]!, shapes[name]!))
  for (let step = 0; step < 3; step++) {
    fillAll(first.gradients, random)
    const told: Record<string, Record<string, Float64Array>>[] = []
    // What the first is told, the last is told in its own order.
    const { minimize } = first
    first.minimize = (evaluate) =>
      minimize.call(first, async (request) => {
        const result = await evaluate(request)
        const arrays = { ...request.inputs, gradient: request.gradients }
        told.push(
          Object.fromEntries(
            Object.entries(arrays).map(([input, values]) => [
              input,
              Object.fromEntries(
                Object.entries(values).map(([name, array]) => [
                  name,
                  // Statistics of a layer have no rows and columns of the parameter.
                  hasOwnShape(input) ? Float64Array.from(array) : toOutputLast(array, shapes[name]!),
                ]),
              ),
            ]),
          ),
        )
        results.push(result)
        return result
      })
    const results: Awaited<ReturnType<Parameters<CompiledOptimizer['minimize']>[0]>>[] = []
    for (const name of first.names) last.gradients[name]!.set(toOutputLast(first.gradients[name]!, shapes[name]!))
    await takeStep(first)
    first.minimize = minimize
    if (told.length === 0) last.step()
    else
      await last.minimize(({ gradients, inputs, evaluation }) => {
        for (const [input, arrays] of Object.entries({ ...inputs, gradient: gradients })) {
          for (const [name, array] of Object.entries(arrays)) array.set(told[evaluation]![input]![name]!)
        }
        return results[evaluation]!
      })
  }
  let worst = 0
  for (const name of first.names) {
    const expected = first.parameters[name]!
    const found = toOutputFirst(last.parameters[name]!, shapes[name]!)
    const scale = Math.max(...expected.map(Math.abs), Number.MIN_VALUE)
    found.forEach((value, index) => {
      worst = Math.max(worst, Math.abs(value - expected[index]!) / scale)
    })
  }
  first.dispose()
  last.dispose()
  return worst
}

describe('a model and its transposed', () => {
  const { kernel, ...matrices } = model
  /** Factored over the last two dimensions as they are stored. */
  const lastTwo = ['came', 'norMuon']
  // Shampoo's powers of singular matrices magnify rounding a thousand and a million times.
  const byLastTwo = (title: string) => /transformers/.test(title)

  it.each(registry.filter((factory) => !draws(factory)).map((factory) => [factory.definition.name, factory] as const))(
    '%s',
    async (name, factory) => {
      const [defaults, ...others] = variantsOf(factory)
      // A share of the elements, and blocks of them, are of those that lie in memory, and dimensions are merged as they lie there.
      const chosen = [defaults!, ...(everything ? others : [])]
      for (const { title, settings } of chosen.filter(({ title }) => !/slice|blocks|merges|dimensions:/.test(title))) {
        const shapes = lastTwo.includes(name) || byLastTwo(title) ? matrices : model
        expect(await apart(make(factory, settings), shapes), title).toBeLessThan(/shampoo/i.test(name) ? 1e-5 : 1e-9)
      }
    },
  )

  it('mkor', async () => {
    const biased = { renewalPeriod: 1, lastIsBias: true }
    for (const settings of [{ renewalPeriod: 1 }, biased]) {
      expect(await apart(mkor(sgd({ learningRate: 0.1 }), settings))).toBeLessThan(1e-9)
    }
  })

  it.each(Object.entries(wrappers))('%s', async (name, wrap) => {
    expect(refuses(sgd, name)).toBe(false)
    expect(await apart(wrap(sgd({ learningRate: 0.1 })))).toBeLessThan(1e-9)
  })
})

describe('kernels with outputs last', () => {
  const rules: Readonly<Record<string, Optimizer>> = {
    muon: muon(),
    nero: nero(),
    lanton: lanton(),
    emoFact: emoFact(),
    mkor: mkor(sgd(), { renewalPeriod: 1 }),
    adamP: adamP(),
    ranger21: ranger21(),
    centralizeGradients: centralizeGradients(sgd()),
    adaptiveGradientClipping: adaptiveGradientClipping(sgd(), { clipping: 0.1 }),
  }

  it.each(Object.entries(rules))('%s does in float32 what it does in float64', async (_, rule) => {
    // Beside vectors and turns of the loops, one row, one column, and nothing.
    const shapes: Shapes = {
      wide: [19, 37],
      tall: [130, 6],
      kernel: [3, 3, 5, 18],
      one: [1, 9],
      thin: [9, 1],
      none: [0, 3],
    }
    const both = await Promise.all(
      [reference(), wasm()].map((backend) => compile(rule, shapes, { backend, layout: 'outputLast' })),
    )
    for (const optimizer of both) {
      const random = randomNumbers(5)
      fillAll(optimizer.parameters, random)
      for (let step = 0; step < 2; step++) {
        fillAll(optimizer.gradients, random)
        await takeStep(optimizer)
      }
    }
    const [exact, fast] = both as [CompiledOptimizer, CompiledOptimizer]
    for (const name of exact.names) {
      expect(relativeDifference(fast.parameters[name]!, exact.parameters[name]!), name).toBeLessThan(1e-5)
    }
    for (const optimizer of both) optimizer.dispose()
  })
})

describe('the choice of a layout', () => {
  const longer = async (layout: LayoutChoice | undefined, shape: number[]) => {
    const optimizer = await compile(muon({ learningRate: 1 }), { w: shape }, layout ? { layout } : {})
    optimizer.gradients.w.forEach((_, i, gradient) => {
      gradient[i] = Math.sin(i * i + 1)
    })
    optimizer.step()
    const length = Math.hypot(...optimizer.parameters.w)
    optimizer.dispose()
    return length
  }

  it('is one for all or a function of name and shape', async () => {
    expect((await longer('outputLast', [4, 64])) / (await longer('outputFirst', [4, 64]))).toBeCloseTo(4, 5)
    expect(await longer(undefined, [4, 64])).toBe(await longer('outputFirst', [4, 64]))
    const asked: unknown[] = []
    const choose = (name: string, shape: readonly number[]) => {
      asked.push([name, shape])
      return 'outputLast' as const
    }
    expect(await longer(choose, [4, 64])).toBe(await longer('outputLast', [4, 64]))
    expect(asked).toEqual([['w', [4, 64]]])
  })

  it('counts the last two dimensions of a depthwise kernel as outputs', async () => {
    const rule = centralizeGradients(sgd({ learningRate: 1 }))
    const optimizer = await compile(rule, { w: [2, 1, 2, 2] }, { layout: 'depthwise' })
    optimizer.gradients.w.set([1, 0, 2, 0, 3, 4, 0, 5])
    optimizer.step()
    expect([...optimizer.parameters.w]).toEqual([1, 2, -1, 2.5, -1, -2, 1, -2.5])
    optimizer.dispose()
  })

  it('is refused where it is none or does not fit', async () => {
    await expect(longer('rows' as Layout, [2, 2])).rejects.toThrow(
      /layout must be outputFirst, outputLast, depthwise or/,
    )
    await expect(longer(() => 'rows' as Layout, [2, 2])).rejects.toThrow(/layout of parameter 'w' must be/)
    await expect(longer('depthwise', [2, 2])).rejects.toThrow(/'depthwise' of parameter 'w' needs three dimensions/)
  })

  it('keeps a checkpoint from being read with state of the other kind', async () => {
    const shapes = { w: [5, 5] }
    const first = await compile(nero(), shapes)
    const last = await compile(nero(), shapes, { layout: 'outputLast' })
    expect(() => last.load(first.save())).toThrow(
      /'state\/w\/nero.v' has shape \[1, 5, 1\] in the checkpoint and \[1, 1, 5\]/,
    )
    last.load(last.save())
    for (const optimizer of [first, last]) optimizer.dispose()
  })
})
