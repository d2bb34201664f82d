import {
  type AverageSnapshot,
  adamW,
  compile,
  postHocAverage,
  reconstructAverage,
  reference,
  sgd,
  snapshotAverages,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { randomNumbers } from './support/random.ts'
import { restate, type Step } from './support/restate.ts'

/** The average by its definition: the integral of (γ + 1) τ^γ / t^(γ + 1) over each step, times the parameters after it. */
function weights(gamma: number, t: number): number[] {
  return Array.from({ length: t }, (_, k) => ((k + 1) / t) ** (gamma + 1) - (k / t) ** (gamma + 1))
}

/** Plain descent that keeps every point and averages them anew. */
function descended(
  rate: number,
  gamma: number,
): { step: Step; average: (tensor: { p: readonly number[] }) => number[] } {
  const points = new Map<readonly number[], number[][]>()
  return {
    step(tensors) {
      for (const { p, g } of tensors) {
        for (let i = 0; i < p.length; i++) p[i]! -= rate * g[i]!
        points.set(p, [...(points.get(p) ?? []), [...p]])
      }
    },
    average({ p }) {
      const past = points.get(p)!
      const w = weights(gamma, past.length)
      return p.map((_, i) => past.reduce((sum, point, k) => sum + w[k]! * point[i]!, 0))
    },
  }
}

const [defaults, other] = [descended(0.05, 16.97), descended(0.1, 3)]
restate(postHocAverage, {
  defaults: {
    optimizer: postHocAverage(sgd({ learningRate: 0.05 })),
    salt: 0.4,
    paper: () => defaults.step,
    evaluation: defaults.average,
  },
  'a wider average': {
    optimizer: postHocAverage(sgd({ learningRate: 0.1 }), { gamma1: 3, gamma2: 1 }),
    salt: 1.7,
    paper: () => other.step,
    evaluation: other.average,
  },
})

/** Trains on noise; gives the snapshots at every `period`-th step, and all points. */
async function noisyRun(steps: number, period: number, backend = reference()) {
  const optimizer = await compile(postHocAverage(sgd({ learningRate: 0.1 })), { w: [4], b: [] }, { backend })
  const random = randomNumbers(3)
  const snapshots: AverageSnapshot[] = []
  const points: number[][] = []
  for (let step = 1; step <= steps; step++) {
    optimizer.step({ gradients: { w: Array.from({ length: 4 }, random), b: [random()] } })
    points.push([...optimizer.parameters.w!, ...optimizer.parameters.b!])
    if (step % period === 0) snapshots.push(snapshotAverages(optimizer))
  }
  optimizer.dispose()
  return { snapshots, points }
}

/** The power whose weights have this standard deviation, found from the definition of the standard deviation. */
function powerOf(length: number): number {
  let best = 0
  for (let gamma = 0; gamma < 60; gamma += 0.001) {
    const mean = (gamma + 1) / (gamma + 2)
    const deviation = Math.sqrt((gamma + 1) / (gamma + 3) - mean ** 2)
    if (deviation >= length) best = gamma
  }
  return best
}

describe('averages of any length after training', () => {
  it.each([0.06, 0.1, 0.15, 0.2])('come close to the definition, with a length of %d', async (length) => {
    const { snapshots, points } = await noisyRun(400, 20)
    const { parameters, error } = reconstructAverage(snapshots, { length })
    const found = [...parameters.w!, ...parameters.b!]
    const w = weights(powerOf(length), 400)
    const spread = Math.sqrt(points.flat().reduce((sum, x) => sum + x ** 2, 0) / points.flat().length)
    expect(error).toBeLessThan(0.02)
    found.forEach((value, i) => {
      const expected = points.reduce((sum, point, k) => sum + w[k]! * point[i]!, 0)
      expect(Math.abs(value - expected)).toBeLessThan(0.02 * spread)
    })
  })

  it('can be had for a step in the middle, and are the averages themselves where these are asked for', async () => {
    const { snapshots, points } = await noisyRun(200, 10, wasm())
    const { parameters, error } = reconstructAverage(snapshots, { length: 0.1, step: 120 })
    const w = weights(powerOf(0.1), 120)
    const expected = w.reduce((sum, share, k) => sum + share * points[k]![0]!, 0)
    expect(error).toBeLessThan(0.02)
    expect(Math.abs(parameters.w![0]! - expected)).toBeLessThan(0.02 * Math.max(...points.flat().map(Math.abs)))
    const kept = Math.sqrt(7.94) / (8.94 * Math.sqrt(9.94))
    const same = reconstructAverage(snapshots, { length: kept })
    expect(same.error).toBeLessThan(1e-5)
    same.parameters.w!.forEach((value, i) => {
      expect(value).toBeCloseTo(snapshots.at(-1)!.averages[1]!.parameters.w![i]!, 4)
    })
  })

  it('say how far they are from what was asked: one snapshot makes no short average', async () => {
    const { snapshots } = await noisyRun(100, 100)
    expect(reconstructAverage(snapshots, { length: 0.07 }).error).toBeLessThan(0.05)
    expect(reconstructAverage(snapshots, { length: 0.01 }).error).toBeGreaterThan(0.3)
  })
})

describe('what is refused', () => {
  it('names what is wrong', async () => {
    const { snapshots } = await noisyRun(20, 10)
    expect(() => reconstructAverage([], { length: 0.1 })).toThrow(/there is no snapshot/)
    expect(() => reconstructAverage(snapshots, { length: 0 })).toThrow(/above 0 and at most 0.2887, not 0/)
    expect(() => reconstructAverage(snapshots, { length: 0.3 })).toThrow(/at most 0.2887, not 0.3/)
    expect(() => reconstructAverage(snapshots, { length: 0.1, step: 21 })).toThrow(
      /at most 20, the last snapshot's, not 21/,
    )
    expect(() => reconstructAverage(snapshots, { length: 0.1, at: 2 } as never)).toThrow(/unknown option 'at'/)
    const [one] = snapshots
    const wrong = { step: 15, averages: [{ gamma: 1, parameters: { w: new Float32Array(3) } }] }
    expect(() => reconstructAverage([one!, wrong], { length: 0.1 })).toThrow(/of step 15 has not the 4 elements of 'w'/)
    const plain = await compile(adamW(), { w: [1] })
    expect(() => snapshotAverages(plain)).toThrow(/keeps no averages: wrap it, postHocAverage/)
    expect(() => snapshotAverages({ ...plain, hyper: { gamma1: 1, gamma2: 2 }, steps: 0 } as never)).toThrow(
      /before the first step/,
    )
  })
})
