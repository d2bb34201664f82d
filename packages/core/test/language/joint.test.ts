import {
  adamW,
  clipByNorm,
  compile,
  defineOptimizer,
  groups,
  logUniform,
  nonNegative,
  reference,
  sgd,
  shaped,
  switchAfter,
  wasm,
  zeros,
} from 'fallline'
import { build } from 'fallline/build'
import { type RunningOptimizer, save, start } from 'fallline/runtime'
import { describe, expect, it } from 'vitest'
import { differentByte } from '../support/compare.ts'

/** A full matrix over all parameters: P ← P + g gᵀ, m ← 0.5 m + g, θ ← θ - η P m. */
const wholeMatrix = defineOptimizer({
  name: 'wholeMatrix',
  title: 'Whole matrix',
  paper: { title: 'None', authors: 'Nobody', year: 2024 },
  hyper: { learningRate: nonNegative(0.01), weightDecay: nonNegative(0) },
  state: {
    m: zeros(),
    P: shaped(({ size }) => [1, size, size], { start: 'identity' }),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 1) },
  joint: true,
  rule({ g, state, shape }) {
    const column = [1, shape.size, 1] as const
    const vector = g.as(column)
    const P = state.P.plus(vector.matmul(vector.transposed()))
    const m = state.m.times(0.5).plus(g)
    return { direction: P.matmul(m.as(column)).as(g), state: { P, m } }
  },
})

const shapes = { a: [2, 2], b: [3], c: [] }
const gradientAt = (step: number, place: number) => Math.sin(1.3 * step + 0.7 * place)

/** The same by hand, on one list of numbers. */
function byHand(start: readonly number[], steps: number, rate: number): number[] {
  const size = start.length
  const p = [...start]
  const m = p.map(() => 0)
  const P = p.map((_, i) => p.map((_, j): number => (i === j ? 1 : 0)))
  for (let step = 1; step <= steps; step++) {
    const g = p.map((_, i) => gradientAt(step, i))
    for (let i = 0; i < size; i++) {
      m[i] = 0.5 * m[i]! + g[i]!
      for (let j = 0; j < size; j++) P[i]![j]! += g[i]! * g[j]!
    }
    const move = P.map((row) => row.reduce((sum, x, j) => sum + x * m[j]!, 0))
    for (let i = 0; i < size; i++) p[i]! -= rate * move[i]!
  }
  return p
}

const sizes = [4, 3, 1]
const begin = Array.from({ length: 8 }, (_, i) => Math.cos(i))

/** Gives every parameter its stretch of a list. */
function spread(views: Readonly<Record<string, Float32Array | Float64Array>>, list: readonly number[]): void {
  let next = 0
  for (const view of Object.values(views)) for (let i = 0; i < view.length; i++) view[i] = list[next++]!
}

const together = (views: Readonly<Record<string, ArrayLike<number>>>) =>
  Object.values(views).flatMap((view) => [...Array.from(view)])

function steps(optimizer: RunningOptimizer<'a' | 'b' | 'c'>, count: number): void {
  for (let i = 0; i < count; i++) {
    const step = optimizer.steps + 1
    spread(
      optimizer.gradients,
      begin.map((_, place) => gradientAt(step, place)),
    )
    optimizer.step()
  }
}

describe('a rule that takes all parameters as one vector', () => {
  it.each([
    ['reference', reference(), 12],
    ['wasm', wasm(), 5],
  ] as const)('moves them as by hand on %s', async (_, backend, digits) => {
    const optimizer = await compile(wholeMatrix({ learningRate: 0.02 }), shapes, { backend })
    expect(optimizer.names).toEqual(['a', 'b', 'c'])
    expect(Object.values(optimizer.parameters).map(({ length }) => length)).toEqual(sizes)
    spread(optimizer.parameters, begin)
    steps(optimizer, 6)
    const expected = byHand(begin, 6, 0.02)
    together(optimizer.parameters).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, digits)
    })
    expect(together(optimizer.evaluationParameters())).toEqual(together(optimizer.parameters))
    expect(together(await optimizer.readParameters())).toEqual(together(optimizer.parameters))
  })

  it('shows each its own state and what all share, live', async () => {
    const optimizer = await compile(wholeMatrix(), shapes)
    steps(optimizer, 1)
    const { m, P } = optimizer.state('b') as Record<string, Float32Array>
    expect(Array.from(m!)).toEqual([4, 5, 6].map((place) => Math.fround(gradientAt(1, place))))
    expect(P).toHaveLength(64)
    expect(optimizer.state('a').P).toEqual(P)
    expect(await optimizer.readState('b')).toEqual(optimizer.state('b'))
    steps(optimizer, 1)
    expect(optimizer.state('b').m).toEqual(m)
  })

  it('continues from a checkpoint to the bit, and from other parameters', async () => {
    const [one, other] = [await compile(wholeMatrix(), shapes), await compile(wholeMatrix(), shapes)]
    spread(one.parameters, begin)
    steps(one, 3)
    other.load(one.save())
    steps(one, 2)
    steps(other, 2)
    expect(differentByte(one.save(), other.save())).toBe(-1)
    const before = together(one.parameters)
    const { kept } = one.rebase({ b: [1, 2, 3] })
    expect(kept).toEqual(['a to c/wholeMatrix.m', 'a to c/wholeMatrix.P'])
    expect(together(one.parameters)).toEqual([...before.slice(0, 4), 1, 2, 3, before[7]])
    one.writeParameters({ c: [9] })
    one.step({ gradients: { a: [0, 0, 0, 0], b: [0, 0, 0], c: [0] } })
    expect(() => one.step({ gradients: { a: [0, 0, 0, 0], b: [0, 0], c: [0] } })).toThrow("'b' has shape [3]")
  })

  it('asks for the gradients of all of them, or of none', async () => {
    const optimizer = await compile(wholeMatrix(), shapes)
    steps(optimizer, 1)
    const before = together(optimizer.parameters)
    expect(() => optimizer.step({ without: ['b'] })).toThrow(
      "step: 'b' is a part of a to c, which moves as a whole; give a gradient (of zeros) for it, or leave out 'a' too",
    )
    expect(() => optimizer.step({ gradients: { a: [1, 1, 1, 1] } })).toThrow('which moves as a whole')
    optimizer.step({ without: ['a', 'b', 'c'] })
    expect(together(optimizer.parameters)).toEqual(before)
    expect(() => optimizer.step({ without: ['d' as 'a'] })).toThrow("unknown parameter 'd'; there are a, b, c")
  })

  it('names those whose gradient is not finite', async () => {
    const optimizer = await compile(wholeMatrix(), shapes, { nonFinite: 'skip' })
    steps(optimizer, 1)
    optimizer.gradients.b[2] = Number.NaN
    optimizer.gradients.c[0] = Number.POSITIVE_INFINITY
    expect(optimizer.step()).toEqual({ step: 1, skipped: true, nonFinite: ['b', 'c'] })
  })

  it('leaves others out, and groups each have their own vector', async () => {
    const optimizer = await compile(
      groups(clipByNorm(wholeMatrix(), { maximumNorm: 1e3 }), [
        { match: 'b', optimizer: sgd({ learningRate: 1 }) },
        { match: /^[de]$/, hyper: { learningRate: 0.5 } },
      ]),
      { a: [2], b: [1], c: [2], d: [1], e: [2] },
    )
    expect([...optimizer.names].sort()).toEqual(['a', 'b', 'c', 'd', 'e'])
    for (const name of optimizer.names) optimizer.gradients[name].fill(1)
    optimizer.step()
    // P = 1 + g gT, so P g is (1 + n) g.
    for (const value of optimizer.parameters.a) expect(value).toBeCloseTo(-0.05, 6)
    expect(Array.from(optimizer.parameters.e)).toEqual([-2, -2])
    expect(Array.from(optimizer.parameters.b)).toEqual([-1])
  })

  it('is built ahead of time with its parts', async () => {
    const { code, declaration } = build(wholeMatrix({ learningRate: 0.02 }), shapes)
    expect(declaration).toContain('export type Name = "a" | "b" | "c"')
    const body = code.replaceAll(/^import .*$/gm, '').replace('export const create = ', 'return ')
    const built = await (new Function('start', body)(start)() as Promise<RunningOptimizer<'a' | 'b' | 'c'>>)
    const compiled = await compile(wholeMatrix({ learningRate: 0.02 }), shapes, {
      backend: wasm({ fusedMultiplyAdd: false }),
    })
    for (const optimizer of [built, compiled]) {
      spread(optimizer.parameters, begin)
      steps(optimizer, 4)
    }
    expect(differentByte(save(built), compiled.save())).toBe(-1)
  })

  it('says what it cannot do', async () => {
    await expect(compile(wholeMatrix(), { ...shapes, 'a to b': [1] })).resolves.toBeDefined()
    await expect(
      compile(groups(wholeMatrix(), [{ match: 'a to c', frozen: true }]), { ...shapes, 'a to c': [1], d: [2] }),
    ).resolves.toBeDefined()
    await expect(
      compile(groups(wholeMatrix(), [{ match: 'a to c', frozen: true }]), { 'a to c': [1], ...shapes }),
    ).rejects.toThrow("rename the parameter 'a to c'")
    await expect(compile(switchAfter(adamW(), wholeMatrix(), { steps: 2 }), shapes)).rejects.toThrow(
      'Whole matrix takes all parameters as one vector and AdamW each by itself: neither can follow the other',
    )
  })
})
