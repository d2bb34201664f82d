import { expect, test } from 'vitest'
import { agingEvolution, choice, float, space, variant } from '../../src/index.ts'
import { least, run } from '../support/evolution-functions.ts'

const mixed = space({
  x: float(0, 1),
  kind: variant({ a: { depth: float(0, 1) }, b: { width: choice([1, 2, 3]) } }),
})

test('children differ from a parent that lives in one dimension that exists', async () => {
  const trials = await run(agingEvolution({ population: 10, tournament: 4 }), mixed, ({ x }) => x, { trials: 150 })
  for (const [number, { point, note }] of trials.entries()) {
    if (number < 10) continue
    const { genome } = note as { genome: readonly number[] }
    const parents = trials.slice(number - 10, number).map((each) => (each.note as { genome: readonly number[] }).genome)
    const changes = parents.map((parent) => parent.flatMap((gene, index) => (gene === genome[index] ? [] : [index])))
    // A change of the variant makes others appear; a change of what does not exist would be none.
    const isChild = changes.some(([first = -1, second]) => second === undefined && (point[first] ?? null) !== null)
    expect(isChild).toBe(true)
  }
})

test('forgets what is older than the population, however good it was', async () => {
  const line = space({ x: float(0, 1) })
  let count = 0
  const shifting = ({ x }: { x: number }) => (count++ < 100 ? x - 100 : 1 - x)
  const trials = await run(agingEvolution({ population: 10, tournament: 5 }), line, shifting, { trials: 250 })
  const late = trials.slice(220).map(({ parameters }) => parameters.x as number)
  expect(late.reduce((sum, x) => sum + x, 0) / late.length).toBeGreaterThan(0.8)
})

test('solves what is separable faster than by chance', async () => {
  const bits = space(Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`b${index}`, choice([0, 1])])))
  const trials = await run(
    agingEvolution({ population: 20, tournament: 8 }),
    bits,
    (values) => -Object.values(values).reduce<number>((sum, bit) => sum + (bit as number), 0),
    { trials: 250 },
  )
  expect(least(trials)).toBe(-12)
})
