import { describe, expect, test } from 'vitest'
import { float, naturalEvolution, random, space } from '../../src/index.ts'
import { beginShape, sampleShape, updateShape } from '../../src/samplers/natural-evolution.ts'
import { ellipsoid, least, run, sphere } from '../support/evolution-functions.ts'

describe('natural evolution', () => {
  test('has the closed form of one number: the mean moves along g and the deviation by exp(rate G / 2)', () => {
    const population = 4
    const normals = [-1, -0.5, 0.5, 2]
    const raw = normals.map((_, rank) => Math.max(0, Math.log(3) - Math.log(rank + 1)))
    const utilities = raw.map((value) => value / raw.reduce((sum, each) => sum + each, 0) - 1 / 4)
    const along = utilities.reduce((sum, utility, rank) => sum + utility * normals[rank]!, 0)
    const slope = utilities.reduce((sum, utility, rank) => sum + utility * (normals[rank]! ** 2 - 1), 0)
    const before = { mean: [3], shape: [2], population }
    const { mean, shape } = updateShape(
      before,
      normals.map((z) => [3 + 2 * z]),
    )
    expect(mean[0]).toBeCloseTo(3 + 2 * along, 12)
    expect(shape[0]).toBeCloseTo(2 * Math.exp((9 / 5 / 2) * slope), 12)
  })

  test.each([true, false])('descends on sphere and ellipsoid, full: %s', (isFull) => {
    const source = random(2, 'natural')
    for (const loss of [sphere, ellipsoid]) {
      let state = beginShape([1, 1, 1, 1], 0.5, isFull)
      for (let generation = 0; generation < 600; generation++) {
        const points = Array.from({ length: state.population }, () => sampleShape(state, source))
        state = updateShape(
          state,
          points.sort((a, b) => loss(a) - loss(b)),
        )
      }
      expect(loss(state.mean)).toBeLessThan(1e-8)
    }
  })

  test('does not change with the order of what is equally far: rotated points give the rotated distribution', () => {
    const turn = ([x = 0, y = 0]: readonly number[]) => [0.6 * x - 0.8 * y, 0.8 * x + 0.6 * y]
    const source = random(1, 'points')
    const points = Array.from({ length: 6 }, () => [source.normal(), source.normal()])
    const state = beginShape([0, 0], 1, true, 6)
    const plain = updateShape(state, points)
    const turned = updateShape(state, points.map(turn))
    const expected = turn(plain.mean)
    for (const axis of [0, 1]) expect(turned.mean[axis]).toBeCloseTo(expected[axis]!, 12)
    const determinant = ([a = 0, b = 0, c = 0, d = 0]: readonly number[]) => a * d - b * c
    expect(determinant(turned.shape)).toBeCloseTo(determinant(plain.shape), 12)
  })

  test('finds the least of a sphere in a study', async () => {
    const box = space({ x: float(-1, 2), y: float(-1, 2) })
    for (const covariance of ['full', 'separable'] as const) {
      const trials = await run(naturalEvolution({ covariance }), box, ({ x, y }) => sphere([x, y]), { trials: 500 })
      expect(least(trials)).toBeLessThan(1e-2)
    }
  })
})
