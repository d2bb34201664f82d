import { describe, expect, it } from 'vitest'
import { Draws } from '../src/draws.ts'
import { type MultiBlockOptions, type MultiBlockProblem, multiBlockBilevel } from '../src/index.ts'

// Blocks a y² / 2 - b x y with noise, so that y = b x / a; above them (y - t)² / 2 + r x² / 2.
const m = 16
const r = 0.5
const blocks = Array.from({ length: m }, (_, i) => ({
  a: 1 + (i % 4) / 4,
  b: 1 + ((i * 7) % m) / m,
  t: Math.sin(i) + 1,
}))
const sum = (of: (block: (typeof blocks)[number]) => number) => blocks.reduce((total, block) => total + of(block), 0)
const solution = sum(({ a, b, t }) => (b / a) * t) / (sum(({ a, b }) => (b / a) ** 2) + r * m)
const problem = (noise: number): MultiBlockProblem => ({
  blocks: m,
  upper: (i, x, y, sample) => ({
    x: [r * x[0]! + noise * new Draws(sample).normal()],
    y: [y[0]! - blocks[i]!.t + noise * new Draws(sample + 1).normal()],
  }),
  lower: (i, x, y, sample) => {
    const { a, b } = blocks[i]!
    return {
      y: [a * y[0]! - b * x[0]! + noise * new Draws(sample + 2).normal()],
      yy: [[a * (1 + 0.3 * noise * new Draws(sample + 3).normal())]],
      yx: [[-b]],
    }
  },
})
const start = { x: [3], y: blocks.map(() => [0]) }
const errorAfter = (noise: number, options: MultiBlockOptions) =>
  Array.from({ length: 6 }, (_, seed) => {
    const { x } = multiBlockBilevel(problem(noise), start, { ...options, seed })
    return (x[0]! - solution) ** 2 / 6
  }).reduce((total, each) => total + each, 0)

describe('many lower blocks', () => {
  it('comes to the solution with a few blocks a step, and to its blocks', () => {
    const { x, y, status } = multiBlockBilevel(problem(0), start, { sampled: 4, step: 0.02, iterations: 800 })
    expect(status).toEqual({ kind: 'limit', of: 'iterations' })
    expect(Math.abs(x[0]! - solution)).toBeLessThan(0.05)
    blocks.forEach(({ a, b }, i) => {
      expect(Math.abs(y[i]![0]! - (b * x[0]!) / a)).toBeLessThan(0.1)
    })
  })

  it.runIf(process.env.FALLLINE_TEST_ALL === '1')('is nearer with more blocks a step, with noise', () => {
    const options = { step: 0.02, innerStep: 0.1, iterations: 300 }
    const [one, eight] = [1, 8].map((sampled) => errorAfter(0.5, { ...options, sampled }))
    expect(eight).toBeLessThan(one! / 3)
  })

  it('tracks the hypergradient, near the solution, where single samples are mostly noise', () => {
    const noiseOf = (momentum: number) =>
      [0, 1, 2, 3, 4, 5].reduce((total, seed) => {
        const options = { step: 0.02, innerStep: 0.1, iterations: 400, sampled: 8, momentum, seed }
        return total + multiBlockBilevel(problem(0.5), start, options).residual ** 2 / 6
      }, 0)
    expect(noiseOf(0.05)).toBeLessThan(noiseOf(0.999) / 2)
  })

  it('keeps what it has where a block throws, says what is wrong, same seed same run', () => {
    const run = () => multiBlockBilevel(problem(1), start, { iterations: 20, sampled: 2, seed: 3 }).x
    expect(run()).toEqual(run())
    let calls = 0
    const thrown = multiBlockBilevel(
      {
        ...problem(0),
        upper: (...given) => {
          if (++calls > 5) throw new Error('no more')
          return problem(0).upper(...given)
        },
      },
      start,
    )
    expect(thrown.status).toEqual({ kind: 'failed', reason: 'no more' })
    expect(thrown.x.every(Number.isFinite)).toBe(true)
    expect(() => multiBlockBilevel(problem(0), start, { sampled: 17 })).toThrow('sampled: 17')
    expect(() => multiBlockBilevel(problem(0), { x: [0], y: [] })).toThrow('start.y: 0')
    expect(() => multiBlockBilevel(problem(0), start, { momentum: 1 })).toThrow('momentum: 1')
    expect(() => multiBlockBilevel(problem(0), { ...start, x: [Number.NaN] })).toThrow('start')
  })
})
