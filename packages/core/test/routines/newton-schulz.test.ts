import { readFileSync } from 'node:fs'
import {
  type Backend,
  compile,
  defineOptimizer,
  explain,
  logUniform,
  muon,
  newtonSchulz,
  nonNegative,
  polarExpress,
  type QuinticCoefficients,
  reference,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { writeInitial } from '../../golden/problem.ts'
import { randomNumbers } from '../support/random.ts'

/** What the authors' code of Polar Express makes of matrices, by number of steps. */
const examples = JSON.parse(readFileSync(new URL('polar-express.json', import.meta.url), 'utf8')) as {
  readonly tensor: number
  readonly shape: readonly [number, number]
  readonly steps: number
  readonly output: readonly number[]
}[]

async function iterated(
  backend: Backend,
  shape: readonly number[],
  values: ArrayLike<number>,
  steps: number,
  coefficients?: QuinticCoefficients,
) {
  const optimizer = defineOptimizer({
    name: 'iterated',
    title: 'Iterated',
    paper: { title: 'None', authors: 'Nobody', year: 2000 },
    hyper: { learningRate: nonNegative(1) },
    state: {},
    decay: 'decoupled',
    search: { learningRate: logUniform(0.1, 1) },
    rule: ({ g }) => ({ direction: newtonSchulz(g, steps, 1e-7, coefficients).negated() }),
  })
  const compiled = await compile(optimizer(), { w: shape }, { backend })
  compiled.gradients.w.set(values)
  compiled.step()
  return [...compiled.parameters.w]
}

/** The iteration as its papers write it, on X itself. */
function plain(rows: number, columns: number, values: ArrayLike<number>, steps: number, table: QuinticCoefficients) {
  const norm = Math.hypot(...Array.from(values))
  let x = Array.from({ length: rows }, (_, i) =>
    Array.from({ length: columns }, (_, j) => values[i * columns + j]! / (norm + 1e-7)),
  )
  const transposed = (a: number[][]) => a[0]!.map((_, j) => a.map((row) => row[j]!))
  const times = (a: number[][], b: number[][]) =>
    a.map((row) => transposed(b).map((column) => row.reduce((sum, value, k) => sum + value * column[k]!, 0)))
  for (let step = 0; step < steps; step++) {
    const [a, b, c] = table[Math.min(step, table.length - 1)]!
    const gram = times(x, transposed(x))
    const [first, second] = [times(gram, x), times(gram, times(gram, x))]
    x = x.map((row, i) => row.map((value, j) => a * value + b * first[i]![j]! + c * second[i]![j]!))
  }
  return x.flat()
}

describe.each([
  ['reference', reference, 1e-8],
  ['wasm', wasm, 5e-4],
] as const)('Newton-Schulz on %s', (_, backend, tolerance) => {
  it.each(examples)(
    'does as the code of Polar Express: $shape, $steps steps',
    async ({ tensor, shape, steps, output }) => {
      const given = new Float64Array(output.length)
      writeInitial(given, tensor, 0)
      const found = await iterated(backend(), shape, given, steps, polarExpress)
      for (const [index, value] of found.entries()) expect(Math.abs(value - output[index]!)).toBeLessThan(tolerance)
    },
  )

  it.each([
    [3, 6],
    [3, 7],
    [5, 40],
    [1, 9],
    [40, 5],
  ])('is the same on the short side: %i x %i', async (rows, columns) => {
    const random = randomNumbers(rows + columns)
    const given = Float64Array.from({ length: rows * columns }, () => Math.fround(random()))
    const muonTable: QuinticCoefficients = [[3.4445, -4.775, 2.0315]]
    for (const table of [muonTable, polarExpress]) {
      const turned = rows > columns
      const at = (i: number, j: number) => given[i * columns + j]!
      const wide = turned
        ? Array.from({ length: given.length }, (_, place) => at(place % rows, Math.floor(place / rows)))
        : [...given]
      const expected = plain(Math.min(rows, columns), Math.max(rows, columns), wide, 5, table)
      const found = await iterated(backend(), [rows, columns], given, 5, table)
      found.forEach((value, place) => {
        const [i, j] = [Math.floor(place / columns), place % columns]
        const other = turned ? expected[j * rows + i]! : expected[place]!
        expect(Math.abs(value - other)).toBeLessThan(tolerance)
      })
    }
  })
})

it('multiplies matrices of the short side only, but for two products', () => {
  const text = explain(muon(), [16, 128])
  expect(text.match(/symmetric product of/g)?.length).toBe(4 + 2 * 4)
  expect(text.match(/(?<!symmetric )product of/g)?.length).toBe(1)
})
