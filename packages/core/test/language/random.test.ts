import { compile, defineOptimizer, logUniform, nonNegative, seed, wasm } from 'fallline'
import { describe, expect, it } from 'vitest'
import { philox } from '../../src/graph/philox.ts'

const hex = (words: readonly number[]) => words.map((word) => word.toString(16).padStart(8, '0')).join(' ')

describe('Philox4x32-10', () => {
  it.each([
    ['zeros', [0, 0, 0, 0], [0, 0], '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    [
      'ones',
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      '408f276d 41c83b0e a20bc7c6 6d5451fd',
    ],
    [
      'digits of pi',
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      'd16cfe09 94fdcceb 5001e420 24126ea1',
    ],
  ] as const)('gives the known answers for %s', (_, counter, key, expected) => {
    expect(hex(philox([...counter], key))).toBe(expected)
  })
})

const kinds = ['normal', 'uniform', 'sign'] as const

const draw = defineOptimizer({
  name: 'draw',
  title: 'Draw',
  paper: { title: 'None', authors: 'Nobody', year: 2000 },
  hyper: { learningRate: nonNegative(1), seed: seed() },
  options: { kind: 'normal' as (typeof kinds)[number], draw: 1 },
  choices: { kind: [...kinds] },
  state: {},
  decay: 'decoupled',
  search: { learningRate: logUniform(1, 2) },
  rule: ({ p, random, hyper, options }) => ({
    direction: p.minus(random[options.kind]({ seed: hyper.seed, draw: options.draw })),
  }),
})

async function drawn(settings: Parameters<typeof draw>[0], name = 'x', steps = 1): Promise<Float32Array> {
  const compiled = await compile(draw(settings), { [name]: [100_003] }, { backend: wasm() })
  for (let step = 0; step < steps; step++) compiled.step()
  return Float32Array.from(compiled.parameters[name]!)
}

const mean = (values: Iterable<number>) => {
  let [sum, count] = [0, 0]
  for (const value of values) {
    sum += value
    count++
  }
  return sum / count
}

describe('random arrays', () => {
  // Means of 100,003 numbers are within 6 standard errors but for one chance in 5e8.
  const bound = 6 / Math.sqrt(100_003)

  it.each([
    ['normal', 0, 1, 3],
    ['uniform', 0.5, 1 / 12, 1 / 80],
    ['sign', 0, 1, 1],
  ] as const)('%s have the moments of their distribution', async (kind, center, variance, fourth) => {
    const values = await drawn({ kind })
    const centered = [...values].map((value) => value - center)
    expect(Math.abs(mean(centered))).toBeLessThan(bound * Math.sqrt(variance))
    const squares = mean(centered.map((value) => value ** 2))
    expect(Math.abs(squares - variance)).toBeLessThan(bound * Math.sqrt(fourth - variance ** 2) + 1e-6)
    if (kind === 'uniform') for (const value of values) expect(value > 0 && value < 1).toBe(true)
    if (kind === 'sign') expect(new Set(values)).toEqual(new Set([-1, 1]))
    // Neighbours and numbers a vector apart are not correlated.
    for (const lag of [1, 4, 16]) {
      const products = centered.slice(lag).map((value, index) => value * centered[index]!)
      expect(Math.abs(mean(products))).toBeLessThan(bound * variance)
    }
  })

  it('follow the normal distribution function', async () => {
    const values = [...(await drawn({}))].sort((a, b) => a - b)
    for (const [place, probability] of [
      [-2, 0.02275],
      [-1, 0.15866],
      [0, 0.5],
      [1, 0.84134],
      [3, 0.99865],
    ] as const) {
      const share = values.filter((value) => value < place).length / values.length
      expect(Math.abs(share - probability)).toBeLessThan(bound * Math.sqrt(probability * (1 - probability)) + 1e-5)
    }
  })

  it('are others for another seed, step, tensor or draw, and the same for the same', async () => {
    const first = await drawn({ seed: 3 })
    expect(await drawn({ seed: 3 })).toEqual(first)
    const others = await Promise.all([
      drawn({ seed: 4 }),
      drawn({ seed: 3 }, 'y'),
      drawn({ seed: 3, draw: 2 }),
      drawn({ seed: 3 }, 'x', 2),
    ])
    for (const other of others) {
      const products = other.map((value, index) => value * first[index]!)
      expect(Math.abs(mean(products))).toBeLessThan(bound)
      expect(other.filter((value, index) => value === first[index]).length).toBeLessThan(5)
    }
  })
})
