import { describe, expect, test } from 'vitest'
import {
  float,
  hypE,
  hypervolume,
  moeaD,
  nsga2,
  nsga3,
  random,
  randomSearch,
  type Sampler,
  space,
  type View,
} from '../../src/index.ts'
import { samplesOf, sharedVolumes } from '../../src/samplers/hyp-e.ts'
import { tchebycheff } from '../../src/samplers/moea-d.ts'
import { associated, normalized } from '../../src/samplers/nsga3.ts'
import { crowding } from '../../src/samplers/parts/crowding.ts'
import { directions, directionsUpTo } from '../../src/samplers/parts/directions.ts'
import { dominates, frontsOf, type Table } from '../../src/samplers/parts/domination.ts'
import { binaryCrossover, polynomialMutation } from '../../src/samplers/parts/genome.ts'
import { everything } from '../support/everything.ts'
import { dtlz2, run, zdt1, zdt2 } from '../support/evolution-functions.ts'
import { seen, viewOf } from '../support/view.ts'

type StateOf<S> = S extends Sampler<infer State> ? State : never

function table(rows: readonly (readonly number[])[], violations: readonly number[] = rows.map(() => 0)): Table {
  const losses = Float64Array.from(rows.flat())
  return { count: rows.length, objectives: rows[0]!.length, losses, violations: Float64Array.from(violations) }
}

const drawn = (count: number, objectives: number, seed: number) => {
  const source = random(seed, 'points')
  return Array.from({ length: count }, () => Array.from({ length: objectives }, () => source.integer(0, 9) / 10))
}

describe('the hypervolume', () => {
  test('has closed forms', () => {
    expect(hypervolume([], [1, 1])).toBe(0)
    expect(hypervolume([[0.25]], [1])).toBe(0.75)
    expect(hypervolume([[0.5, 0.5]], [1, 1])).toBe(0.25)
    expect(hypervolume([[0, 2]], [1, 1])).toBe(0)
    // Steps along the diagonal: 1 - (n - 1) n / 2 / n^2 of the square less what is above.
    const steps = Array.from({ length: 10 }, (_, index) => [index / 10, (9 - index) / 10])
    expect(hypervolume(steps, [1, 1])).toBeCloseTo(0.55, 12)
    expect(
      hypervolume(
        [
          [0.5, 0, 0],
          [0, 0.5, 0],
          [0, 0, 0.5],
        ],
        [1, 1, 1],
      ),
    ).toBeCloseTo(1 - 0.125, 12)
  })

  test.each([2, 3, 4])('is the number of cells that are dominated, in %i objectives', (objectives) => {
    for (const seed of [1, 2, 3]) {
      const points = drawn(8, objectives, seed)
      let cells = 0
      for (let cell = 0; cell < 10 ** objectives; cell++) {
        const corner = Array.from({ length: objectives }, (_, axis) => (Math.floor(cell / 10 ** axis) % 10) / 10)
        if (points.some((point) => point.every((value, axis) => value <= corner[axis]!))) cells++
      }
      expect(hypervolume(points, new Array(objectives).fill(1))).toBeCloseTo(cells / 10 ** objectives, 10)
    }
  })
})

test('fronts are those of brute force, under constraints too', () => {
  for (const seed of [1, 2, 3, 4]) {
    const source = random(seed, 'violations')
    const each = table(
      drawn(40, 3, seed),
      Array.from({ length: 40 }, () => Math.max(0, source.integer(-2, 2))),
    )
    let left = Array.from({ length: 40 }, (_, row) => row)
    for (const front of frontsOf(each)) {
      const best = left.filter((row) => !left.some((other) => dominates(each, other, row)))
      expect(front).toEqual(best)
      left = left.filter((row) => !best.includes(row))
    }
    expect(left).toEqual([])
  }
  const two = table(
    [
      [0, 0],
      [5, 5],
      [1, 1],
    ],
    [1, 0, Infinity],
  )
  expect(frontsOf(two)).toEqual([[1], [0], [2]])
})

test('crowding is the distance of the neighbours in each range', () => {
  const front = table([
    [0, 4],
    [1, 2],
    [3, 1],
    [4, 0],
  ])
  expect(crowding(front, [0, 1, 2, 3])).toEqual([Infinity, 3 / 4 + 3 / 4, 3 / 4 + 2 / 4, Infinity])
})

test('directions are all that sum to 1, as many as the binomial coefficient', () => {
  expect(directions(3, 12)).toHaveLength(91)
  expect(directions(2, 4)).toEqual([
    [0, 1],
    [0.25, 0.75],
    [0.5, 0.5],
    [0.75, 0.25],
    [1, 0],
  ])
  for (const direction of directions(4, 5)) expect(direction.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 12)
  expect(directionsUpTo(3, 50)).toHaveLength(45)
})

test('losses are scaled by the intercepts of the plane through the extremes', () => {
  // The plane x / 2 + y / 4 + z / 8 = 1, moved by 1.
  const rows = [
    [3, 1, 1],
    [1, 5, 1],
    [1, 1, 9],
    [2, 2, 2],
  ]
  const scaled = normalized(table(rows), [0, 1, 2, 3])
  expect(scaled[3]!.map((value) => value.toFixed(9))).toEqual(['0.500000000', '0.250000000', '0.125000000'])
  expect(
    associated(
      [1, 1],
      [
        [1, 0],
        [0.5, 0.5],
        [0, 1],
      ],
    ),
  ).toEqual({ reference: 1, distance: expect.closeTo(0, 12) })
  expect(associated([3, 4], [[1, 0]]).distance).toBeCloseTo(4, 12)
  expect(tchebycheff({ losses: [3, 2], state: 'complete' }, [0.25, 0.75], [1, 1])).toBe(0.75)
})

describe('shared hypervolume', () => {
  test('is the loss of removing one, and the mean loss of removing several, by brute force', () => {
    const points = [
      [0, 1],
      [0.2, 0.5],
      [0.5, 0.4],
      [0.6, 0.1],
      [1, 0],
    ]
    const samples = samplesOf(Float64Array.from(points.flat()), 5, 2, random(1, ''))
    const whole = (kept: readonly number[]) =>
      hypervolume(
        kept.map((index) => points[index]!),
        [1.1, 1.1],
      )
    const all = [0, 1, 2, 3, 4]
    const one = sharedVolumes(samples, 5, all, 1)
    for (const index of all)
      expect(one[index]).toBeCloseTo(whole(all) - whole(all.filter((each) => each !== index)), 12)
    const [total, removed] = [sharedVolumes(samples, 5, all, 5).reduce((sum, value) => sum + value, 0), 5]
    expect(total, `of ${removed}`).toBeCloseTo(whole(all), 12)
    // With two to go, what two dominate alone is shared between them: the mean over the other that goes.
    const two = sharedVolumes(samples, 5, all, 2)
    for (const index of all) {
      const others = all.filter((each) => each !== index)
      const losses = others.map((other) => {
        const alone = whole(all) - whole(all.filter((each) => each !== index))
        const both = whole(all) - whole(all.filter((each) => each !== index && each !== other))
        const otherAlone = whole(all) - whole(all.filter((each) => each !== other))
        return alone + (both - alone - otherAlone) / 2
      })
      expect(two[index]).toBeCloseTo(losses.reduce((sum, loss) => sum + loss, 0) / 4, 12)
    }
  })

  test('is estimated where the grid is too large', () => {
    const source = random(5, 'sphere')
    const points = Array.from({ length: 40 }, () => {
      const vector = [source.uniform(), source.uniform(), source.uniform()]
      const length = Math.hypot(...vector)
      return vector.map((value) => 1 - value / length)
    })
    const samples = samplesOf(Float64Array.from(points.flat()), 40, 3, random(1, 'samples'))
    const all = points.map((_, index) => index)
    const total = sharedVolumes(samples, 40, all, 40).reduce((sum, value) => sum + value, 0)
    expect(Math.abs(total - hypervolume(points, [1.1, 1.1, 1.1]))).toBeLessThan(0.03)
  })
})

describe('variation', () => {
  const line = space({ x: float(0, 1) })

  test('crossover keeps the mean of parents and stays within bounds', () => {
    const source = random(1, 'crossover')
    const children = Array.from({ length: 20_000 }, () => binaryCrossover(line, [0.4], [0.6], 15, source)[0]!)
    expect(children.reduce((sum, value) => sum + value, 0) / children.length).toBeCloseTo(0.5, 2)
    expect(Math.min(...children)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...children)).toBeLessThanOrEqual(1)
    const near = children.filter((value) => Math.min(Math.abs(value - 0.4), Math.abs(value - 0.6)) < 0.05)
    expect(near.length).toBeGreaterThan(0.9 * children.length)
  })

  test('mutation changes as many genes as its rate says, less with a larger index', () => {
    const source = random(1, 'mutation')
    const spread = (index: number) => {
      const moves = Array.from({ length: 4000 }, () =>
        Math.abs(polynomialMutation(line, [0.5], index, 1, source)[0]! - 0.5),
      )
      return moves.reduce((sum, value) => sum + value, 0) / moves.length
    }
    // The mean of |1 - (2 u)^(1 / (index + 1))| is 1 / (index + 2), less what the bounds cut.
    expect(spread(20)).toBeCloseTo(1 / 22, 2)
    expect(spread(100)).toBeLessThan(0.3 * spread(20))
    const same = Array.from({ length: 2000 }, () => polynomialMutation(line, [0.5], 20, 0.25, source)[0])
    expect(same.filter((value) => value !== 0.5).length / 2000).toBeCloseTo(0.25, 1)
  })
})

/** With the hypervolume that is reached at least on ZDT1, ZDT2 and DTLZ2. */
const makers: readonly [string, () => Sampler, readonly [number, number, number]][] = [
  ['nsga2', () => nsga2({ population: 20 }), [0.8, 0.44, 0.66]],
  ['nsga3', () => nsga3({ population: 20 }), [0.8, 0.25, 0.66]],
  ['moeaD', () => moeaD({ population: 20 }), [0.8, 0.44, 0.66]],
  ['hypE', () => hypE({ population: 20 }), [0.8, 0.44, 0.66]],
]

/** The hypervolume of all trials of a study on numbers from 0 to 1. */
async function reached(
  sampler: Sampler,
  of: (x: readonly number[]) => number[],
  n: number,
  trials: number,
  objectives: number,
) {
  const box = space(Object.fromEntries(Array.from({ length: n }, (_, index) => [`x${index}`, float(0, 1)])))
  const found = await run(sampler, box, (values) => of(Object.values(values) as number[]), { trials, objectives })
  return hypervolume(
    found.map(({ values }) => values!),
    new Array<number>(objectives).fill(1.1),
  )
}

// The whole fronts have 1.21 - 1 / 3, 1.21 - 2 / 3 and 1.331 - pi / 6.
test.each(everything ? makers : makers.slice(0, 1))(
  '%s comes near to the fronts of ZDT1, ZDT2 and DTLZ2',
  async (_, make, [onZdt1, onZdt2, onDtlz2]) => {
    expect(await reached(make(), zdt1, 5, 1600, 2)).toBeGreaterThan(onZdt1)
    expect(await reached(make(), zdt2, 5, 1600, 2)).toBeGreaterThan(onZdt2)
    expect(await reached(make(), dtlz2, 7, 3000, 3)).toBeGreaterThan(onDtlz2)
  },
)

test('chance comes to none of these fronts', async () => {
  expect(await reached(randomSearch(), zdt1, 5, 1600, 2)).toBeLessThan(0.4)
  expect(await reached(randomSearch(), zdt2, 5, 1600, 2)).toBeLessThan(0.1)
  expect(await reached(randomSearch(), dtlz2, 7, 3000, 3)).toBeLessThan(0.62)
})

test('options are checked', () => {
  expect(() => nsga2({ population: 1 })).toThrow('nsga2: population must be a whole number from 2, not 1')
  expect(() => hypE({ crossover: 2 })).toThrow('hypE: crossover must be from 0 to 1, not 2')
  expect(() => nsga3({ mutationIndex: -1 })).toThrow('nsga3: mutationIndex must be a number from 0, not -1')
  expect(() => moeaD({ neighbors: 1 })).toThrow('moeaD: neighbors must be a whole number from 2, not 1')
})

test('thousands of trials that come at once survive a generation at a time', async () => {
  const searched = space({ x: float(0, 1) })
  const trials = drawn(4_050, 2, 7).map((losses, number) => seen(number, { losses, point: [losses[0]!] }))
  const population = 40
  const sampler = nsga2({ population })
  const stateAfter = async (count: number, state: StateOf<typeof sampler> | null) => {
    const objectives = ['first', 'second'].map((name) => ({ name, direction: 'minimize' as const }))
    const view: View = { ...viewOf(searched, trials.slice(0, count)), objectives, trial: (number) => trials[number] }
    const proposal = await sampler.propose(view, { number: count, random: random(0, 'once'), state })
    return proposal.state ?? state
  }
  let step: StateOf<typeof sampler> | null = null
  for (let count = population; count <= 3_960; count += population) step = await stateAfter(count, step)
  const end = trials.length
  expect(await stateAfter(end, null)).toEqual(await stateAfter(end, step))
})
