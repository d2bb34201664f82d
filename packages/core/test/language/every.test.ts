import {
  accumulateGradients,
  type Backend,
  compilationCount,
  compile,
  defineTransform,
  describe as describeOptimizer,
  explain,
  lookahead,
  positive,
  reference,
  sgd,
  stepCount,
  wasm,
  zeros,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { programsOf } from '../../src/program/program.ts'
import { costsOf, plansOf, variantsOfModel } from '../support/plans.ts'
import { optimizerOf } from '../support/rules.ts'

const backends: readonly (readonly [string, () => Backend])[] = [
  ['reference', reference],
  ['wasm', wasm],
]

/** `a` takes the gradient at every `k`-th step, and the direction is `a`. */
const refreshed = optimizerOf(({ g, state, hyper, every }) => {
  const a = every(hyper.k, () => g, state.a!)
  return { direction: a, state: { a } }
})

/** What `a` is after steps with the gradients 1, 2, 3, ... */
async function values(
  backend: Backend,
  steps: number,
  before: (step: number, set: (k: number) => void) => void = () => {},
) {
  const optimizer = await compile(refreshed, { w: [2] }, { backend })
  const found: number[] = []
  for (let step = 1; step <= steps; step++) {
    before(step, (k) => optimizer.set({ k }))
    optimizer.step({ gradients: { w: [step, step] } })
    found.push((optimizer.state('w').a as Float32Array)[1]!)
  }
  return found
}

describe.each(backends)('every() on %s', (_, backend) => {
  it('refreshes at the period and its multiples', async () => {
    expect(await values(backend(), 10)).toEqual([0, 0, 3, 3, 3, 6, 6, 6, 9, 9])
  })

  it('refreshes at the first step and a period after each refresh when it begins so', async () => {
    const early = optimizerOf(({ g, state, hyper, every }) => {
      const a = every(hyper.k, () => g, state.a!, 'first')
      return { direction: a, state: { a } }
    })
    const optimizer = await compile(early, { w: [2] }, { backend: backend() })
    const found = Array.from({ length: 8 }, (_, step) => {
      optimizer.step({ gradients: { w: [step + 1, step + 1] } })
      return (optimizer.state('w').a as Float32Array)[1]!
    })
    expect(found).toEqual([1, 1, 1, 4, 4, 4, 7, 7])
  })

  it('follows its period when that is set, without compiling', async () => {
    await values(backend(), 1)
    const compiled = compilationCount()
    const found = await values(backend(), 9, (step, set) => {
      if (step === 3) set(2)
      if (step === 7) set(1)
    })
    expect(found).toEqual([0, 0, 0, 4, 4, 6, 7, 8, 9])
    expect(compilationCount()).toBe(compiled)
  })

  it('counts the steps of each tensor', async () => {
    const optimizer = await compile(refreshed, { w: [1], x: [1] }, { backend: backend() })
    for (let step = 1; step <= 4; step++) {
      optimizer.step({ gradients: { w: [step], x: step === 2 ? null : [step] } })
    }
    expect([optimizer.state('w').a, optimizer.state('x').a].map((array) => (array as Float32Array)[0])).toEqual([3, 4])
  })

  it('nests and combines: each combination is a program of its own', async () => {
    const made = optimizerOf(
      ({ g, state, every }) => {
        const a = every(2, () => state.a!.plus(g), state.a!)
        const b = every(3, () => every(2, () => g.times(10), g), state.b!)
        return { direction: a, state: { a, b } }
      },
      { a: zeros(), b: zeros() },
    )
    expect(programsOf(variantsOfModel(made, [2])).length).toBe(6)
    const optimizer = await compile(made, { w: [1] }, { backend: backend() })
    const found: number[][] = []
    for (let step = 1; step <= 6; step++) {
      optimizer.step({ gradients: { w: [step] } })
      found.push(Object.values(optimizer.state('w')).map((array) => (array as Float32Array)[0]!))
    }
    expect(found).toEqual([
      [0, 0],
      [2, 0],
      [2, 3],
      [6, 3],
      [6, 3],
      [12, 60],
    ])
  })

  it('of a wrapper can hold the whole step, with a clock of its own inside', async () => {
    const onceIn = defineTransform({
      name: 'onceIn',
      title: 'Once in',
      hyper: { period: stepCount(3), gain: positive(1) },
      gradient: ({ g, hyper, every }) =>
        every(hyper.period, () => ({ gradient: g.times(hyper.gain) }), { hold: true as const }),
    })
    const seen: number[] = []
    const learningRate = (step: number) => {
      seen.push(step)
      return 1
    }
    const optimizer = await compile(
      onceIn(onceIn(sgd({ learningRate }), { period: 2 }), { gain: 2 }),
      { w: [1] },
      { backend: backend() },
    )
    const found: number[] = []
    for (let step = 1; step <= 12; step++) {
      optimizer.step({ gradients: { w: [1] } })
      found.push(-optimizer.parameters.w![0]! + 0)
    }
    expect(found).toEqual([0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 4])
    // The innermost schedule counts the steps of its own optimizer: two in twelve.
    expect(Math.max(...seen)).toBe(2)
  })

  it('takes scalars of the host, of a tensor and of all', async () => {
    const { scalar, sharedScalar } = await import('fallline')
    const made = optimizerOf(
      ({ g, t, state, every }) => ({
        direction: g.times(0),
        state: {
          h: every(2, () => t.times(10), state.h!),
          s: every(2, () => state.s!.plus(g.sum()), state.s!),
          all: every(3, () => state.all!.plus(g.sum('all')), state.all!),
        },
      }),
      { h: scalar(1), s: scalar(1), all: sharedScalar(1) },
    )
    const optimizer = await compile(made, { w: [2], x: [1] }, { backend: backend() })
    for (let step = 1; step <= 7; step++) optimizer.step({ gradients: { w: [1, 1], x: [5] } })
    expect(optimizer.state('w')).toEqual({ h: 60, s: 7, all: 15 })
    expect(optimizer.state('x')).toEqual({ h: 60, s: 16, all: 15 })
  })
})

describe('what is held', () => {
  it('moves no bytes', () => {
    const [held, fired] = costsOf(refreshed, [64, 64])
    // Held: p and a in, p out. Fired: p and g in, p and a out.
    expect(held).toEqual({ passes: 1, matrices: 0, read: 8, written: 4 })
    expect(fired).toEqual({ passes: 1, matrices: 0, read: 8, written: 8 })
  })

  it('makes accumulation cheap: the sum and nothing else between updates', () => {
    const optimizer = accumulateGradients(sgd({ momentum: 0.9 }), { period: 4 })
    const [held, fired] = costsOf(optimizer, [64, 64])
    expect(held).toMatchObject({ read: 8, written: 4 })
    expect(fired).toMatchObject({ read: 16, written: 12 })
    expect(describeOptimizer(optimizer).bytesPerParameter).toBeCloseTo((3 * 12 + 28) / 4, 9)
  })

  it('leaves products of matrices out', () => {
    const made = optimizerOf(({ g, state, every }) => {
      const a = every(10, () => g.matmul(g.transposed()), state.a!)
      return { direction: a.matmul(g), state: { a } }
    })
    const [held, fired] = plansOf(made, [8, 8])
    // A matrix times its transpose is one function.
    expect([held!.routines.length, fired!.routines.length]).toEqual([1, 2])
  })

  it('is told in the explanation, with the period by its name', () => {
    const text = explain(lookahead(sgd()))
    expect(text).toMatch(/Phases for shape \[1024, 1024\], between\n/)
    expect(text).toMatch(/Phases for shape \[1024, 1024\], every period steps\n/)
  })
})
