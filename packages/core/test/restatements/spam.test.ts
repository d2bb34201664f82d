import { compile, spam } from 'fallline'
import { describe, expect, it } from 'vitest'
import { hashName, randomNumber } from '../../src/graph/philox.ts'
import { fillAll, randomNumbers } from '../support/random.ts'
import { restate, type Step } from '../support/restate.ts'

interface Settings {
  readonly rate: number
  readonly decay: number
  readonly threshold: number
  readonly period: number
  readonly warmup: number
  readonly delay: number
  readonly groups: (size: number) => number
  readonly seed: number
}

/** SPAM over full arrays: one of each group of consecutive elements of a matrix has momentum until the next reset, all of other tensors. */
function sparse({ rate, decay, threshold, period, warmup, delay, groups, seed }: Settings): Step {
  return (tensors, t) => {
    tensors.forEach(({ p, g, s, shape }, k) => {
      const [r, resets] = [t % period, Math.floor(t / period)]
      const size = shape.length === 2 ? groups(p.length) : 1
      const stream = { seed, step: resets, draw: 0, tensor: hashName(`tensor${k}/spam`) }
      const kappa = r < warmup && t >= period ? (0.99 * (1 + Math.cos((Math.PI * r) / (warmup + 1)))) / 2 : 0
      for (let i = 0; i < p.length; i++) {
        if (r === 0) s.m![i] = s.v![i] = 0
        const group = Math.floor(i / size)
        const has = size === 1 || Math.floor(randomNumber('uniform', stream, group) * size) === i % size
        let step = 0
        if (has) {
          const limit = Math.sqrt(threshold * s.v![i]!)
          const clips = r >= delay && limit > 0
          const gradient = clips ? Math.min(Math.max(g[i]!, -limit), limit) : g[i]!
          s.m![i] = 0.9 * s.m![i]! + 0.1 * gradient
          s.v![i] = 0.999 * s.v![i]! + 0.001 * gradient ** 2
          step = (((1 - kappa) * s.m![i]!) / (1 - 0.9 ** t)) * Math.sqrt(1 - 0.999 ** t)
          step /= Math.sqrt(s.v![i]!) + 1e-6
        }
        p[i] = (1 - rate * decay) * (p[i]! - rate * step)
      }
    })
  }
}

const settings = { learningRate: 0.02, resetPeriod: 9, warmupSteps: 3, clippingDelay: 2, threshold: 2 }
const common = { rate: 0.02, threshold: 2, period: 9, warmup: 3, delay: 2 }

restate(spam, {
  'momentum for one element in three': {
    optimizer: spam({ ...settings, keepOneIn: 3, seed: 4 }),
    salt: 0.7,
    paper: () => sparse({ ...common, decay: 0, groups: () => 3, seed: 4 }),
  },
  'groups of the next smaller divisor, with decay': {
    optimizer: spam({ ...settings, keepOneIn: 5, weightDecay: 0.1, seed: 11 }),
    salt: 2.2,
    layout: 'matrices',
    // 12, 12, 9 and 4 elements.
    paper: () => sparse({ ...common, decay: 0.1, groups: (size) => ({ 12: 4, 9: 3, 4: 4 })[size]!, seed: 11 }),
  },
})

describe('compact momentum', () => {
  it('takes the share of the memory that it says', async () => {
    const shapes = { weight: [64, 48], bias: [64] }
    const sizes: number[] = []
    for (const keepOneIn of [1, 8]) {
      const optimizer = await compile(spam({ keepOneIn }), shapes)
      fillAll(optimizer.gradients, randomNumbers(1))
      optimizer.step()
      const arrays = Object.values(optimizer.state('weight')).filter((value) => typeof value !== 'number')
      sizes.push(arrays.reduce((sum, array) => sum + array.byteLength, 0))
      optimizer.dispose()
    }
    expect(sizes).toEqual([2 * 4 * 64 * 48, (2 * 4 * 64 * 48) / 8])
  })
})
