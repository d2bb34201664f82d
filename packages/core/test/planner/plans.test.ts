import {
  adafactor,
  adamW,
  adan,
  type Backend,
  cautious,
  centralizeGradients,
  clipByGlobalNorm,
  columns,
  compile,
  describe as describeOptimizer,
  ema,
  lion,
  lookahead,
  type Optimizer,
  type OptimizerFactory,
  parameterAverage,
  reference,
  rows,
  type Shapes,
  scalar,
  sgd,
  sharedScalar,
  type Value,
  wasm,
  where,
  zeros,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { assembleModule } from '../../src/backends/wasm/assembler.ts'
import { generateFunctions } from '../../src/backends/wasm/everything.ts'
import { driver } from '../../src/backends/wasm/library.ts'
import { mathematicalFunctions } from '../../src/backends/wasm/mathematics.ts'
import { randomFunctions } from '../../src/backends/wasm/random.ts'
import { routineFunctions } from '../../src/backends/wasm/routines/kernels.ts'
import { schedule } from '../../src/plan/schedule.ts'
import { differences, snapshot } from '../support/compare.ts'
import { costsOf, plansOf, signaturesOf } from '../support/plans.ts'
import { copyAll, fillAll, randomNumbers } from '../support/random.ts'
import { optimizerOf } from '../support/rules.ts'
import { everything } from '../support/sample.ts'
import { registry } from '../support/variants.ts'

const shape = [64, 64]
const size = 64 * 64
/** Bytes per parameter of one number per row or column of that shape. */
const line = (4 * 64) / size

const a = { a: zeros() }
const both = { a: zeros(), b: zeros() }

/** Rules, and what their best plan costs by hand: passes over arrays, matrix operations, bytes read, bytes written. */
const cases: readonly (readonly [
  string,
  Optimizer,
  { passes: number; matrices?: number; read: number; written: number },
])[] = [
  ['nothing but the gradient', optimizerOf(({ g }) => ({ direction: g })), { passes: 1, read: 8, written: 4 }],
  [
    'state beside it',
    optimizerOf(({ g, state }) => ({ direction: g, state: { a: g.plus(state.a!) } })),
    { passes: 1, read: 12, written: 8 },
  ],
  [
    'state that is not read',
    optimizerOf(({ g }) => ({ direction: g, state: { a: g } })),
    { passes: 1, read: 8, written: 8 },
  ],
  ['state that is declared only', optimizerOf(({ g }) => ({ direction: g }), both), { passes: 1, read: 8, written: 4 }],
  [
    'two sums that do not wait for each other: one pass for both',
    optimizerOf(({ p, g }) => ({ direction: g.times(p.norm().over(g.norm())) })),
    { passes: 2, read: 8 + 8, written: 4 },
  ],
  [
    'a sum that waits for another: a pass each',
    optimizerOf(({ p, g }) => {
      const x = g.over(g.norm().plus(1)).plus(p)
      return { direction: x.over(x.norm().plus(1)) }
    }),
    { passes: 3, read: 4 + 8 + 8, written: 4 },
  ],
  [
    'three sums in a row',
    optimizerOf(({ g }) => {
      let x = g
      for (let round = 0; round < 3; round++) x = x.minus(x.abs().mean())
      return { direction: x }
    }),
    { passes: 4, read: 3 * 4 + 8, written: 4 },
  ],
  [
    'a factor that leaves the sum: no second pass',
    optimizerOf(({ g }) => ({ direction: g.times(g.times(g.norm()).sum()) })),
    { passes: 2, read: 4 + 8, written: 4 },
  ],
  [
    'rows and columns of the same: one pass for both',
    optimizerOf(({ g }) => ({
      direction: g.over(g.square().mean('columns').plus(1)).over(g.square().mean('rows').plus(1)),
    })),
    // Read g, write two lines; add 1 to the two lines, of equal length here, in one pass; read p, g and the lines.
    { passes: 3, read: 4 + 2 * line + 8 + 2 * line, written: 2 * line + 2 * line + 4 },
  ],
  [
    'sums of rows as they are: repeated from where they were summed',
    optimizerOf(({ g }) => ({ direction: g.minus(g.sum('columns')) })),
    { passes: 2, read: 4 + 8 + line, written: line + 4 },
  ],
  [
    'a sum over rows of what a sum over columns was taken from',
    optimizerOf(({ g }) => {
      const x = g.minus(g.sum('columns'))
      return { direction: x.minus(x.sum('rows')) }
    }),
    { passes: 3, read: 4 + (4 + line) + (8 + 2 * line), written: line + line + 4 },
  ],
  [
    'a sum over all of a sum of rows',
    optimizerOf(({ g }) => ({ direction: g.times(g.sum('columns').largest()) })),
    { passes: 3, read: 4 + line + 8, written: line + 4 },
  ],
  [
    'new state that a sum needs: stored in its pass, read back in the next',
    optimizerOf(({ g, state }) => {
      const m = ema(state.a!, g, state.a!.lifted(0.9))
      return { direction: m.over(m.norm().plus(1)), state: { a: m } }
    }),
    // Early: read g, a, write a; read p, a, write p. Late would read g and a twice: 8 + 12, and write 8 = 28.
    { passes: 2, read: 8 + 8, written: 4 + 4 },
  ],
  [
    'new state of two that is not worth an early store alone',
    optimizerOf(({ g, state }) => {
      const [m, v] = [ema(state.a!, g, state.a!.lifted(0.9)), ema(state.b!, g.square(), state.a!.lifted(0.9))]
      const u = m.minus(v)
      return { direction: u.over(u.norm()), state: { a: m, b: v } }
    }, both),
    { passes: 2, read: 12 + 12, written: 8 + 4 },
  ],
  [
    'an update of two with a root and a quotient: kept for the pass after its norm',
    optimizerOf(({ g, state }) => {
      const [m, v] = [ema(state.a!, g, state.a!.lifted(0.9)), ema(state.b!, g.square(), state.a!.lifted(0.9))]
      const u = m.over(v.sqrt().plus(1))
      return { direction: u.over(u.norm()), state: { a: m, b: v } }
    }, both),
    // Computed again it would take as many bytes: read p, a and b instead of writing u and reading p and u.
    { passes: 2, read: 12 + 8, written: 12 + 4 },
  ],
  [
    'a root that only the pass after a norm needs, as its parts are stored on the way',
    optimizerOf(({ g, state }) => {
      const v = ema(state.a!, g.square(), state.a!.lifted(0.9))
      return { direction: v.sqrt().times(v.norm()), state: { a: v } }
    }),
    // To keep the root would take one more store.
    { passes: 2, read: 8 + 8, written: 4 + 4 },
  ],
  [
    'old state that is read after the sum over the new one: the store waits',
    optimizerOf(({ g, state }) => {
      const m = ema(state.a!, g, state.a!.lifted(0.9))
      return { direction: state.a!.over(m.norm().plus(1)), state: { a: m } }
    }),
    { passes: 2, read: 8 + 12, written: 8 },
  ],
  [
    'state of rows',
    optimizerOf(
      ({ g, state }) => {
        const r = ema(state.r!, g.square().sum('columns'), state.r!.lifted(0.9))
        return { direction: g.over(r.plus(1)), state: { r } }
      },
      { r: rows() },
    ),
    { passes: 3, read: 4 + 2 * line + 8 + line, written: line + 2 * line + 4 },
  ],
  [
    'one product',
    optimizerOf(({ g, state }) => ({ direction: state.a!.matmul(g) })),
    { passes: 1, matrices: 1, read: 8 + 8, written: 4 + 4 },
  ],
  [
    'g gᵀ g',
    optimizerOf(({ g }) => ({ direction: g.matmul(g.transposed()).matmul(g) })),
    // The Gram matrix; a product; the pass over p and the result.
    { passes: 1, matrices: 2, read: 4 + 8 + 8, written: 4 + 4 + 4 },
  ],
  [
    'a product of something computed: stored before',
    optimizerOf(({ p, g }) => ({ direction: g.plus(p).matmul(p) })),
    { passes: 2, matrices: 1, read: 8 + 8 + 8, written: 4 + 4 + 4 },
  ],
  [
    'the transposed of a computed value',
    optimizerOf(({ p, g }) => ({ direction: g.times(p).transposed() })),
    { passes: 2, matrices: 1, read: 8 + 4 + 8, written: 4 + 4 + 4 },
  ],
  [
    'a sum over all tensors and one over the tensor that needs it',
    optimizerOf(({ p, g }) => {
      const x = g.over(g.norm('all').plus(1)).plus(p)
      return { direction: x.over(x.norm().plus(1)) }
    }),
    { passes: 3, read: 4 + 8 + 8, written: 4 },
  ],
  [
    'scalars alone',
    optimizerOf(({ p, g, state }) => ({ direction: p.times(state.s!), state: { s: g.sum() } }), { s: scalar(0) }),
    { passes: 1, read: 8, written: 4 },
  ],
]

describe('the plan of', () => {
  it.each(cases)('%s', (_, optimizer, expected) => {
    const found = costsOf(optimizer, shape)[0]!
    expect({ ...found, read: expect.closeTo(found.read, 9), written: expect.closeTo(found.written, 9) }).toEqual({
      matrices: 0,
      ...expected,
    })
  })

  it.each(cases)('%s computes what the reference computes', async (_, optimizer) => {
    expect(await differing(optimizer, { a: [6, 6], b: [5, 5] })).toEqual([])
  })
})

/** What differs between the backends in some steps, each from equal numbers. */
async function differing(optimizer: Optimizer, shapes: Shapes, absolute = 1e-5): Promise<string[]> {
  const exact = await compile(optimizer, shapes, { backend: reference() })
  const fast = await compile(optimizer, shapes, { backend: wasm() })
  const random = randomNumbers(3)
  fillAll(exact.parameters, random)
  copyAll(exact.parameters, fast.parameters)
  for (let step = 1; step <= 4; step++) {
    exact.load(fast.save())
    const before = snapshot(exact)
    fillAll(exact.gradients, random)
    copyAll(exact.gradients, fast.gradients)
    exact.step()
    fast.step()
    const found = differences(snapshot(fast), snapshot(exact), before, { relative: 1e-5, scale: 1e-5, absolute })
    if (found.length > 0) return found
  }
  return []
}

describe('a step that has its rate inside', () => {
  const rule = (rate: (context: { readonly g: Value; readonly hyper: Readonly<Record<'h', Value>> }) => Value) =>
    optimizerOf(({ g, hyper }) => {
      const learningRate = rate({ g, hyper })
      const step = g.plus(1).times(learningRate)
      return { direction: where(learningRate.isGreaterThan(0), step.over(learningRate), 0), learningRate }
    })
  const rates: [string, Optimizer][] = [
    ['that the host knows', rule(({ hyper }) => hyper.h)],
    ['that a sum tells', rule(({ g }) => g.norm('all'))],
  ]

  it.each(rates)('%s is not divided by it and multiplied again', (_, optimizer) => {
    const [plan] = plansOf(optimizer, shape)
    const operations = plan!.loops.at(-1)!.body.map(({ operation }) => operation)
    expect(operations.filter((operation) => operation === 'divide' || operation === 'scale')).toEqual([])
  })

  it.each(rates)('%s is what the reference computes', async (_, optimizer) => {
    expect(await differing(optimizer, { a: [6, 6], b: [5, 5] })).toEqual([])
  })

  it('is nothing while the rate is 0, and not a number once the rate is none', async () => {
    for (const backend of [wasm(), reference()]) {
      const optimizer = await compile(
        rule(({ hyper }) => hyper.h),
        { a: [3] },
        { backend, nonFinite: 'allow' },
      )
      optimizer.set({ h: 0 })
      optimizer.gradients.a.set([1, 2, 3])
      optimizer.step()
      expect([...optimizer.parameters.a]).toEqual([0, 0, 0])
      const lost = await compile(
        rule(({ g }) => g.norm('all')),
        { a: [3] },
        { backend, nonFinite: 'allow' },
      )
      lost.gradients.a.set([1, Number.NaN, 3])
      lost.step()
      expect([...lost.parameters.a]).toEqual([Number.NaN, Number.NaN, Number.NaN])
    }
  })
})

describe('a value times and over numbers', () => {
  const normalized = optimizerOf(({ g, p, hyper }) => ({ direction: g.over(g.norm()).times(hyper.h).over(p.norm()) }))

  it('takes two products, whatever their count', () => {
    const [plan] = plansOf(normalized, shape)
    const body = plan!.loops.at(-1)!.body
    expect(body.filter(({ operation }) => operation === 'divide')).toEqual([])
    expect(body.filter(({ operation }) => operation === 'scale')).toHaveLength(1)
  })

  it.each([1e-41, 1e-38, 1e-30, 1e-15, 1, 1e15, 1e30, 3e36])('is right where a number is near %d', async (size) => {
    const optimizers = []
    for (const backend of [wasm(), reference()]) {
      const optimizer = await compile(normalized, { a: [5, 21] }, { backend })
      const random = randomNumbers(7)
      optimizer.parameters.a.fill(1)
      optimizer.gradients.a.forEach((_, index, array) => {
        array[index] = Math.fround(size * random())
      })
      optimizer.set({ learningRate: 100 })
      // Both divide what float32 holds of the gradient.
      optimizer.step()
      optimizers.push(optimizer)
    }
    const [fast, exact] = optimizers.map(({ parameters }) => [...parameters.a]) as [number[], number[]]
    expect(exact.some((x) => Math.abs(x - 1) > 0.1)).toBe(true)
    for (const [index, x] of fast.entries()) expect(Math.abs(x - exact[index]!)).toBeLessThan(1e-5)
  })
})

describe('bytes per parameter, counted by hand', () => {
  it.each<[string, Optimizer | OptimizerFactory, number, number, number]>([
    // What is read and written once per step: p, g and state in, p and state out.
    ['sgd', sgd(), 8, 4, 0],
    ['sgd with momentum', sgd({ momentum: 0.9 }), 12, 8, 4],
    ['adamW', adamW(), 16, 12, 8],
    ['adamW with amsgrad', adamW({ amsgrad: true }), 20, 16, 12],
    ['adan', adan(), 24, 20, 16],
    ['lion', lion(), 12, 8, 4],
    ['adEMAMix', named('adEMAMix'), 20, 16, 12],
    ['adaBelief', named('adaBelief'), 16, 12, 8],
    ['scheduleFreeAdamW', named('scheduleFreeAdamW'), 16, 12, 8],
    // Norms of p and of the update first: p, g, m, v in, m, v and the update out; p and the update in, p out.
    ['lamb', named('lamb'), 16 + 8, 12 + 4, 8],
    // Sums over g, θ0 - θ and s first, with s stored on the way; then p, g, m, v in and p, m, v out.
    ['prodigy', named('prodigy'), 16 + 16, 4 + 12, 16],
    // One more read of the gradient.
    ['clipByGlobalNorm(adamW)', clipByGlobalNorm(adamW()), 20, 12, 8],
    ['clipByGlobalNorm(lion)', clipByGlobalNorm(lion()), 16, 8, 4],
    // The share that agrees first: g, m, v in, m, v and the update out, which the pass after it needs beside p.
    ['cautious(adamW)', cautious(adamW()), 12 + 8, 12 + 4, 8],
    ['parameterAverage(adamW)', parameterAverage(adamW()), 20, 16, 12],
    // A fifth of the steps read and write the slow weights too.
    ['lookahead(adamW)', lookahead(adamW(), { period: 5 }), 16 + 4 / 5, 12 + 4 / 5, 12],
  ])('%s', (_, optimizer, read, written, state) => {
    const found = describeOptimizer(optimizer)
    expect(found.readBytesPerParameter).toBeCloseTo(read, 9)
    expect(found.writtenBytesPerParameter).toBeCloseTo(written, 9)
    expect(found.bytesPerParameter).toBeCloseTo(read + written, 9)
    // Scalars are eight bytes per tensor.
    expect(found.stateBytesPerParameter).toBeCloseTo(state, 3)
  })

  it('adafactor: three passes over the gradient, two over the parameter, lines of state', () => {
    const found = describeOptimizer(adafactor(), [1024, 1024])
    expect(found.bytesPerParameter).toBeCloseTo(3 * 4 + 2 * 4 + 4, 0)
    expect(found.stateBytesPerParameter).toBeCloseTo((2 * 1024 * 4) / 1024 ** 2, 9)
  })

  it('muon: per round of Newton-Schulz two Gram matrices, a product and two sums', () => {
    const found = describeOptimizer(named('muon'), [512, 512])
    const round = { read: 4 + 4 + 8 + 8 + 8, written: 5 * 4 }
    // Before: b and g in for the norm with b stored, b and g in for the first X. The last sum of the last round is part of
    // the pass that updates: p is read besides, and p written instead of X.
    expect(found.readBytesPerParameter).toBeCloseTo(8 + 8 + 5 * round.read + 4, 1)
    expect(found.writtenBytesPerParameter).toBeCloseTo(4 + 4 + 5 * round.written, 1)
    expect(found.kind).toBe('matrix')
  })

  it('kinds', () => {
    const kinds = Object.fromEntries(
      registry.map((factory) => [factory.definition.name, describeOptimizer(factory).kind]),
    )
    expect(kinds).toMatchObject({
      sgd: 'elementwise',
      adamW: 'elementwise',
      lamb: 'reduction',
      adafactor: 'reduction',
      prodigy: 'global',
      muon: 'matrix',
    })
    expect(describeOptimizer(clipByGlobalNorm(sgd())).kind).toBe('global')
    expect(describeOptimizer(clipByGlobalNorm(named('muon')())).kind).toBe('matrix')
  })
})

function named(name: string): OptimizerFactory {
  return registry.find(({ definition }) => definition.name === name)!
}

describe('old and new values', () => {
  it.each<[string, Backend]>([
    ['reference', reference()],
    ['wasm', wasm()],
  ])('are told apart on %s', async (_, backend) => {
    const swap = optimizerOf(({ p, g, state }) => ({ direction: g, state: { a: state.b!, b: state.a!.plus(p) } }), both)
    const optimizer = await compile(swap, { w: [3] }, { backend })
    optimizer.parameters.w!.set([1, 2, 3])
    const values = () => Object.values(optimizer.state('w')).map((array) => [...(array as Float32Array)])
    optimizer.step({ gradients: { w: [1, 1, 1] } })
    expect(values()).toEqual([
      [0, 0, 0],
      [1, 2, 3],
    ])
    optimizer.step({ gradients: { w: [1, 1, 1] } })
    expect(values()).toEqual([
      [1, 2, 3],
      [0, 1, 2],
    ])
  })

  it.each<[string, Optimizer, Shapes]>([
    [
      'a swap of two slots',
      optimizerOf(({ g, state }) => ({ direction: g, state: { a: state.b!, b: state.a!.plus(g) } }), both),
      { w: [5] },
    ],
    [
      'a slot that takes the old parameter, another that takes the old slot',
      optimizerOf(({ p, g, state }) => ({ direction: g.plus(state.b!), state: { a: p, b: state.a! } }), both),
      { w: [4, 3] },
    ],
    [
      'a slot turned over',
      optimizerOf(({ g, state }) => ({ direction: g.plus(state.a!), state: { a: state.a!.transposed().plus(g) } })),
      { w: [4, 4], x: [2, 3, 3] },
    ],
    [
      'a slot read old after a sum over its new value, which another slot keeps',
      optimizerOf(({ g, state }) => {
        const m = ema(state.a!, g, state.a!.lifted(0.5))
        const scaled = state.a!.times(m.norm())
        return { direction: scaled, state: { a: m, b: scaled } }
      }, both),
      { w: [7], x: [3, 5] },
    ],
    [
      'a row repeated old while it is stored new',
      optimizerOf(
        ({ p, g, state }) => ({
          direction: g.plus(state.r!),
          state: { r: state.r!.times(0.5).plus(g.sum('columns')), a: p },
        }),
        { r: rows(), ...a },
      ),
      { w: [4, 6], x: [1, 5], y: [5, 1] },
    ],
    [
      'a column repeated old in sums that its new value is made of',
      optimizerOf(({ g, state }) => ({ direction: g.minus(state.k!), state: { k: g.minus(state.k!).sum('rows') } }), {
        k: columns(),
      }),
      { w: [4, 6], x: [1, 5], y: [2, 3, 4] },
    ],
    [
      'rows and columns of one another',
      optimizerOf(
        ({ g, state }) => {
          const weighted = g.times(state.r!.plus(1)).times(state.k!.plus(1))
          return { direction: weighted, state: { r: weighted.sum('columns'), k: weighted.sum('rows') } }
        },
        { r: rows(), k: columns() },
      ),
      { w: [4, 4], x: [3, 5], y: [2, 3, 4] },
    ],
    [
      'a shared number read old by one tensor after another has its new one',
      optimizerOf(
        ({ g, state }) => ({
          direction: g.times(state.all!.plus(1)),
          state: { all: state.all!.times(0.5).plus(g.norm('all')) },
        }),
        { all: sharedScalar(1) },
      ),
      { w: [4], x: [3], y: [2, 3] },
    ],
    [
      'a number of each tensor that takes one of all',
      optimizerOf(({ g, state }) => ({ direction: g.times(state.s!), state: { s: g.norm('all') } }), {
        s: scalar(0.5),
      }),
      { w: [4], x: [3], y: [2, 3] },
    ],
  ])('%s', async (_, optimizer, shapes) => {
    expect(await differing(optimizer, shapes)).toEqual([])
  })
})

describe('views and shapes', () => {
  it('mix: centralized gradients for Adafactor in four dimensions', async () => {
    for (const form of ['original', 'transformers'] as const) {
      const optimizer = centralizeGradients(adafactor({ form, beta1: 0.5 }))
      expect(
        await differing(optimizer, { w: [3, 4, 2, 5], x: [2, 2, 3, 3], y: [1, 3, 1, 2], z: [6, 1, 1, 1] }),
      ).toEqual([])
    }
  })

  it('mix: rows of one view, columns of another, the transposed of a third', async () => {
    const optimizer = optimizerOf(({ p, g }) => {
      const byFirst = g.as([1, p.batch, p.rows * p.columns])
      const one = byFirst.minus(byFirst.mean('columns')).as(p)
      const two = one.minus(
        one
          .as([1, p.batch * p.rows, p.columns])
          .mean('rows')
          .sum('columns')
          .plus(one.mean('columns')),
      )
      return { direction: two.plus(g.transposed().as(p).times(0.5)), state: { a: one } }
    })
    expect(await differing(optimizer, { w: [3, 4, 5], x: [2, 2, 3, 3], y: [4, 6], z: [7], s: [] })).toEqual([])
  })

  it('of empty parameters do not spoil the kernels of others', async () => {
    const optimizer = optimizerOf(
      ({ g, state }) => {
        const r = ema(state.r!, g.square().sum('columns'), state.r!.lifted(0.5))
        const k = ema(state.k!, g.square().sum('rows'), state.k!.lifted(0.5))
        return { direction: g.over(r.sqrt().plus(1)).over(k.sqrt().plus(1)), state: { r, k } }
      },
      { r: rows(), k: columns() },
    )
    for (const empty of [[0], [0, 3, 5], [2, 0, 5], [2, 3, 0]]) {
      expect(await differing(optimizer, { empty, full: [2, 3, 5] })).toEqual([])
    }
  })

  it('of one kind share a kernel, whatever their sizes; others do not', async () => {
    const optimizer = optimizerOf(({ g }) => ({ direction: g.minus(g.sum('columns')).over(g.norm('rows').plus(1)) }))
    const shapes = {
      a: [2, 3],
      b: [3, 2],
      c: [1, 4],
      d: [4, 1],
      e: [5, 5],
      f: [2, 2, 2],
      g: [],
      h: [3],
      i: [70, 3],
      j: [2, 2, 3],
    }
    expect(await differing(optimizer, shapes)).toEqual([])
    expect(signaturesOf(optimizer, [2, 3])[0]).toBe(signaturesOf(optimizer, [70, 9])[0])
    expect(signaturesOf(optimizer, [2, 3])[0]).not.toBe(signaturesOf(optimizer, [5, 5])[0])
    expect(signaturesOf(optimizer, [2, 3])[0]).not.toBe(signaturesOf(optimizer, [1, 5])[0])
  })

  it('stands alone: it is written to JSON, read back, and makes the same kernels', () => {
    const bytesOf = (list: ReturnType<typeof plansOf>) => {
      const { functions, helpers } = generateFunctions(list)
      const called = { ...helpers, ...routineFunctions, ...mathematicalFunctions, ...randomFunctions }
      return assembleModule(functions, driver(), called, undefined)
    }
    for (const [index, factory] of registry.entries()) {
      const plans = plansOf(factory(), [6, 4], true)
      const read = JSON.parse(JSON.stringify(plans)) as typeof plans
      expect(read).toEqual(plans)
      if (everything || index % 12 === 0) expect(bytesOf(read)).toEqual(bytesOf(plans))
    }
  })

  it('says in what order the work is done', () => {
    const optimizer = clipByGlobalNorm(optimizerOf(({ g }) => ({ direction: g.over(g.norm().plus(1)) })))
    const order = schedule([plansOf(optimizer, [3])[0]!, plansOf(optimizer, [3])[0]!], () => [])
    expect(order.map(({ kind, together, work }) => [kind, together, work.length])).toEqual([
      ['loops', false, 2],
      ['scalars', false, 2],
      ['totals', true, 2],
      ['scalars', false, 2],
      ['loops', false, 2],
      ['scalars', false, 2],
      ['loops', false, 2],
    ])
  })

  it('share scratch memory of matrices only when it is free', async () => {
    const optimizer = optimizerOf(({ g, p }) => {
      const first = g.matmul(p.transposed())
      let x = first
      for (let round = 0; round < 3; round++) x = x.matmul(x).times(0.1).plus(first)
      return { direction: x.matmul(g).plus(first.matmul(p)) }
    })
    expect(await differing(optimizer, { w: [5, 4], x: [3, 2, 6] }, 1e-4)).toEqual([])
  })

  it('read new state that was stored through a view, not what it was made from', async () => {
    const optimizer = optimizerOf(({ g, state }) => {
      const flat = state.a!.plus(g).as([1, 3, 18])
      const a = flat.over(flat.norm('columns').plus(1)).as(g)
      const seen = a.plus(g).as([1, 3, 18])
      return { direction: a.over(seen.norm('columns').plus(1).sum()), state: { a } }
    })
    expect(await differing(optimizer, { x: [3, 2, 3, 3] })).toEqual([])
  })

  it('count everyElement from the first element of the tensor', async () => {
    const optimizer = optimizerOf(({ p, g }) => ({ direction: where(g.everyElement(5), p, 0).minus(g.sum('columns')) }))
    expect(await differing(optimizer, { w: [7, 13], x: [3, 3, 3], y: [300, 301] })).toEqual([])
  })
})

describe('several tensors', () => {
  it('see each other’s old values only, through two sums over all', async () => {
    const optimizer = optimizerOf(({ p, g }) => {
      const x = g.over(g.norm('all').plus(1))
      const y = x.plus(p.times(x.minus(p).sum('all')))
      return { direction: y.over(y.norm().plus(1)).over(y.norm('all').plus(1)) }
    })
    expect(await differing(optimizer, { w: [7], x: [3, 5], y: [], z: [2, 2, 2, 2] }, 1e-4)).toEqual([])
  })

  it('of different rules share sums over all by the wrapper they come from', async () => {
    const { groups } = await import('fallline')
    const list = [
      { match: 'x', optimizer: named('muon')() },
      { match: 'y', optimizer: named('adafactor')() },
    ]
    expect(
      await differing(clipByGlobalNorm(groups(adamW(), list), { maximumNorm: 0.5 }), {
        w: [7],
        x: [3, 5],
        y: [4, 2],
        z: [],
      }),
    ).toEqual([])
  })

  it('enter sums over all with factors of their own', async () => {
    const run = async (rule: Parameters<typeof optimizerOf>[0], backend: Backend) => {
      const { groups } = await import('fallline')
      const optimizer = await compile(
        groups(optimizerOf(rule), [{ match: 'b', hyper: { h: 2 } }]),
        { a: [1], b: [1] },
        { backend },
      )
      optimizer.step({ gradients: { a: [3], b: null } })
      for (const array of Object.values(optimizer.parameters)) array.fill(0)
      optimizer.step({ gradients: { a: [3], b: [4] } })
      return [-optimizer.parameters.a![0]!, -optimizer.parameters.b![0]!]
    }
    for (const backend of [reference(), wasm()]) {
      expect(await run(({ g }) => ({ direction: g.times(g.norm()).sum('all') }), backend)).toEqual([25, 25])
      expect(await run(({ g, t }) => ({ direction: g.times(t).sum('all') }), backend)).toEqual([10, 10])
      expect(await run(({ g, hyper }) => ({ direction: g.times(hyper.h).sum('all') }), backend)).toEqual([9.5, 9.5])
      expect(await run(({ g, hyper }) => ({ direction: g.times(hyper.h).norm('all').square() }), backend)).toEqual([
        66.25, 66.25,
      ])
    }
  })
})
