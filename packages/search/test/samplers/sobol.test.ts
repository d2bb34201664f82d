import { describe, expect, it, test } from 'vitest'
import { choice, float, integer, openStudy, sobolSearch, space, variant } from '../../src/index.ts'
import { sobol, sobolDimensions } from '../../src/internal.ts'
import { pointsOf } from '../support/propose.ts'
import { seen, viewOf } from '../support/view.ts'

describe('sobol', () => {
  it('starts with the published points', () => {
    // Joe and Kuo, new-joe-kuo-6, natural order; the first dimension is van der Corput in base 2.
    expect([0, 1, 2, 3, 4, 5, 6, 7].map((index) => sobol(0, index))).toEqual([
      0, 0.5, 0.25, 0.75, 0.125, 0.625, 0.375, 0.875,
    ])
    expect([0, 1, 2, 3, 4, 5, 6, 7].map((index) => sobol(1, index))).toEqual([
      0, 0.5, 0.75, 0.25, 0.625, 0.125, 0.375, 0.875,
    ])
    expect([0, 1, 2, 3, 4].map((dimension) => sobol(dimension, 7))).toEqual([0.875, 0.875, 0.125, 0.375, 0.875])
  })

  it('puts one of the first 2^k points into each of 2^k equal intervals, in every dimension', () => {
    for (let dimension = 0; dimension < sobolDimensions; dimension++) {
      const cells = new Set(Array.from({ length: 64 }, (_, index) => Math.floor(sobol(dimension, index) * 64)))
      expect(cells.size, `dimension ${dimension}`).toBe(64)
    }
  })

  it('names the dimensions there are', () => {
    expect(() => sobol(sobolDimensions, 0)).toThrow(`use 0 to ${sobolDimensions - 1}`)
  })
})

describe('sobol search', () => {
  const square = space({ x: float(0, 1), y: float(0, 1) })

  test('puts one of the first 2^k points into each of 2^k boxes of every shape, scrambled', async () => {
    for (const seed of [0, 1, 2]) {
      const points = await pointsOf(sobolSearch(), viewOf(square, [], { seed }), 64)
      for (let columns = 0; columns <= 6; columns++) {
        const [wide, high] = [2 ** columns, 2 ** (6 - columns)]
        const boxes = points.map(([x, y]) => Math.floor(x! * wide) * high + Math.floor(y! * high))
        expect(new Set(boxes).size, `seed ${seed}, ${wide} by ${high}`).toBe(64)
      }
    }
    expect(await pointsOf(sobolSearch(), viewOf(square, [], { seed: 1 }), 4)).not.toEqual(
      await pointsOf(sobolSearch(), viewOf(square, [], { seed: 2 }), 4),
    )
  })

  test('goes on where it was, whatever was enqueued or failed, with 4 workers as with one', async () => {
    const alone = await pointsOf(sobolSearch(), viewOf(square, []), 12)
    const study = await openStudy({ space: square, sampler: sobolSearch() })
    await study.enqueue({ x: 0.1, y: 0.2 })
    const flaky = ({ number }: { number: number }) => {
      if (number % 3 === 0) throw new Error('no')
      return number
    }
    await study.optimize(flaky, { trials: 8, parallel: 4, failures: 'continue' })
    const tried = (await study.trials()).map(({ point }) => point).slice(1, 12)
    expect(tried).toEqual(alone.slice(0, 11))
  })

  test('passes over what was tried in a study that was copied', async () => {
    const study = await openStudy({ space: square, sampler: sobolSearch() })
    await study.optimize(() => 1, { trials: 4 })
    const copy = await study.copy({ name: 'copy' })
    await copy.optimize(() => 1, { trials: 6 })
    const points = (await copy.trials()).map(({ point }) => point.join())
    expect(new Set(points).size).toBe(6)
    expect(points).toEqual((await pointsOf(sobolSearch(), viewOf(square, []), 6)).map((point) => point.join()))
  })

  test('lets variants share coordinates, and says when there are too many', async () => {
    const block = (size: number) =>
      Object.fromEntries(Array.from({ length: size }, (_, index) => [`h${index}`, float(0, 1)]))
    const shared = space({ kind: variant({ a: block(20), b: block(20) }) })
    const [point] = await pointsOf(sobolSearch(), viewOf(shared, []), 1)
    expect(point!.filter((coordinate) => coordinate === null)).toHaveLength(20)
    expect(() =>
      sobolSearch().propose(viewOf(space(block(22)), []), { number: 0, random: null!, state: null }),
    ).toThrow(/22 dimensions, and at most 21/)
  })

  test('passes over points that break a constraint or were tried, and repeats a small space when it is through', async () => {
    const small = space({ a: integer(1, 4), b: choice([1, 2]) }, [{ name: 'not 1', allows: ({ a }) => a !== 1 }])
    const study = await openStudy({ space: small, sampler: sobolSearch() })
    await study.optimize(() => 1, { trials: 6 })
    const points = (await study.trials()).map(({ parameters }) => `${parameters.a} ${parameters.b}`)
    expect(new Set(points).size).toBe(6)
    expect(points.filter((point) => point.startsWith('1'))).toEqual([])
    await study.optimize(() => 1, { trials: 7 })
    const all = space({ a: integer(1, 2) })
    const trials = [seen(0, { point: [0.25], state: 'failed' }), seen(1, { point: [0.75], losses: [Infinity] })]
    expect(await pointsOf(sobolSearch(), viewOf(all, trials), 1)).toHaveLength(1)
  })
})
