import { fileURLToPath } from 'node:url'
import { ranger21 } from 'fallline'
import { describe, expect, it } from 'vitest'
import { Fields } from '../../golden/fields.ts'
import { readGolden } from '../../golden/files.ts'
import { mappings } from '../../golden/mapping.ts'
import { relativeError, replay } from '../../golden/replay.ts'
import { norm, restate, type Step, sum, type Tensor, trajectory } from '../support/restate.ts'

/** The indices of each unit: all of a vector, else one index of the first dimension. */
function units({ p, shape }: Tensor): number[][] {
  const count = shape.length < 2 ? 1 : shape[0]!
  const width = p.length / count
  return Array.from({ length: count }, (_, unit) => Array.from({ length: width }, (_, i) => unit * width + i))
}

/** Clipped, centralized and normalized. */
function prepared(tensor: Tensor, clipping: number): number[] {
  const { p, shape } = tensor
  const g = [...tensor.g]
  for (const unit of units(tensor)) {
    const maximum = clipping * Math.max(norm(unit.map((i) => p[i]!)), 1e-3)
    const length = norm(unit.map((i) => g[i]!))
    if (length > maximum) for (const i of unit) g[i]! *= maximum / Math.max(length, 1e-6)
    if (shape.length < 2) continue
    const mean = sum(unit.map((i) => g[i]!)) / unit.length
    for (const i of unit) g[i]! -= mean
  }
  return normalized(g)
}

function normalized(g: readonly number[]): number[] {
  return g.length <= 2 ? [...g] : g.map((value) => value / (deviationOf(g) + 1e-8))
}

/** The standard deviation of a sample. */
function deviationOf(g: readonly number[]): number {
  const mean = sum(g) / g.length
  return Math.sqrt(sum(g.map((value) => (value - mean) ** 2)) / (g.length - 1))
}

/** What the authors' file does otherwise: `twice`, it normalizes the gradients of the momentum once more. */
interface Official {
  readonly twice: boolean
}

const rule =
  (
    rateOrSchedule: number | ((t: number) => number),
    beta1: number,
    beta2: number,
    decay: number,
    clipping: number,
    normLoss: number,
    official?: Official,
  ): Step =>
  (tensors, t) => {
    const rate = typeof rateOrSchedule === 'number' ? rateOrSchedule : rateOrSchedule(t)
    const [current, other] = t % 2 === 1 ? ['a', 'b'] : ['b', 'a']
    const gradients = tensors.map((tensor) => prepared(tensor, clipping))
    tensors.forEach(({ p, s }, k) => {
      if (t === 1) for (let i = 0; i < p.length; i++) s.slow![i] = p[i]!
      for (let i = 0; i < p.length; i++) s.v![i] = beta2 * s.v![i]! + (1 - beta2) * gradients[k]![i]! ** 2
    })
    const all = tensors.flatMap(({ s }) => s.v!.map((value) => value / (1 - beta2 ** t)))
    const scale = Math.sqrt(sum(all) / all.length)
    tensors.forEach((tensor, k) => {
      const { p, s } = tensor
      // The official file decays the last tensor only.
      if (!official || k === tensors.length - 1) {
        for (let i = 0; i < p.length; i++) p[i]! *= 1 - (rate * decay) / scale
        for (const unit of units(tensor)) {
          const length = norm(unit.map((i) => p[i]!))
          for (const i of unit) p[i]! *= 1 - rate * 2 * normLoss * (1 - 1 / (length + 1e-8))
        }
      }
      const g = official?.twice ? normalized(gradients[k]!) : gradients[k]!
      for (let i = 0; i < p.length; i++) {
        // It never updates the maximum.
        s.largest![i] = official ? s.v![i]! : Math.max(s.largest![i]!, s.v![i]!)
        s[current!]![i] = beta1 ** 2 * s[current!]![i]! + (1 - beta1 ** 2) * g[i]!
        const momentum = (2 * s[current!]![i]! - s[other!]![i]!) / Math.sqrt((1 + beta2) ** 2 + beta2 ** 2)
        const root = Math.sqrt(s.largest![i]! / (1 - beta2 ** t)) + 1e-8
        p[i]! -= (rate * momentum) / (1 - beta1 ** t) / (Math.log1p(Math.exp(50 * root)) / 50)
        if (t % 5 !== 0) continue
        s.slow![i] = 0.5 * p[i]! + 0.5 * s.slow![i]!
        p[i] = s.slow![i]!
      }
    })
  }

const madgrad =
  (rate: number, beta2: number, decay: number, normLoss: number, momentum: number): Step =>
  (tensors, t) => {
    const weight = rate * Math.sqrt(t)
    const gradients = tensors.map((tensor) => prepared(tensor, 0.01))
    tensors.forEach(({ p, s }, k) => {
      if (t === 1) for (let i = 0; i < p.length; i++) s.slow![i] = p[i]!
      for (let i = 0; i < p.length; i++) s.v![i] = beta2 * s.v![i]! + (1 - beta2) * gradients[k]![i]! ** 2
    })
    const all = tensors.flatMap(({ s }) => s.v!.map((value) => value / (1 - beta2 ** t)))
    const scale = Math.cbrt(sum(all) / all.length)
    tensors.forEach((tensor, k) => {
      const { p, s } = tensor
      for (let i = 0; i < p.length; i++) p[i]! *= 1 - (weight * decay) / scale
      for (const unit of units(tensor)) {
        const length = norm(unit.map((i) => p[i]!))
        for (const i of unit) p[i]! *= 1 - rate * 2 * normLoss * (1 - 1 / (length + 1e-8))
      }
      for (let i = 0; i < p.length; i++) {
        if (t === 1) s.start![i] = p[i]!
        s.sum![i]! += weight * gradients[k]![i]!
        s.squares![i]! += weight * gradients[k]![i]! ** 2
        const root = Math.log1p(Math.exp(50 * Math.cbrt(s.squares![i]!))) / 50
        p[i] = momentum * p[i]! + (1 - momentum) * (s.start![i]! - s.sum![i]! / root)
        if (t % 5 !== 0) continue
        s.slow![i] = 0.5 * p[i]! + 0.5 * s.slow![i]!
        p[i] = s.slow![i]!
      }
    })
  }

restate(ranger21, {
  'the core of MADGRAD': {
    optimizer: ranger21({
      core: 'madgrad',
      learningRate: 0.01,
      beta2: 0.99,
      weightDecay: 0.1,
      normLoss: 0.05,
      momentum: 0.8,
    }),
    salt: 1.7,
    paper: () => madgrad(0.01, 0.99, 0.1, 0.05, 0.8),
  },
  'everything on, decay and norm loss that show': {
    optimizer: ranger21({ learningRate: 0.01, weightDecay: 0.1, normLoss: 0.05 }),
    salt: 0.9,
    paper: () => rule(0.01, 0.9, 0.999, 0.1, 0.01, 0.05),
  },
  'a run of known length': {
    optimizer: ranger21({ learningRate: 0.01, totalSteps: 50, warmupSteps: 8, warmdownStart: 0.6, finalRate: 1e-3 }),
    salt: 1.3,
    paper: () => {
      // Beyond its end the rate stays.
      const schedule = (t: number) =>
        t >= 30 ? 0.01 - 0.009 * Math.min(1, (t + 1 - 30) / (50 - 30 + 1)) : 0.01 * Math.min(1, t / 8)
      return rule(schedule, 0.9, 0.999, 1e-4, 0.01, 1e-4)
    },
  },
  'other averages, little clipping': {
    optimizer: ranger21({ learningRate: 0.02, beta1: 0.8, beta2: 0.9, clipping: 0.5 }),
    salt: 2.4,
    layout: 'matrices',
    paper: () => rule(0.02, 0.8, 0.9, 1e-4, 0.5, 1e-4),
  },
})

describe('ranger21 and its official file', async () => {
  const path = fileURLToPath(new URL('../golden-data/ranger21.json.gz', import.meta.url))
  const { salt, runs } = (await readGolden(path))!
  const usual = runs.filter(({ config }) => ['default', 'weight_decay', 'betas', 'warmdown_off'].includes(config))

  it.each(usual.map((run) => [run.config, run.layout, run] as const))(
    '%s, %s: what differs is that it normalizes the gradients of the momentum twice',
    async (_, __, run) => {
      const ranks = run.shapes.map((shape) => shape.length)
      const optimizer = mappings.ranger21!.optimizer(new Fields(run.hyper), ranks)
      // Up over 22 of 100 steps, and with it down from step 72 on, as the authors' code has it.
      const schedule = (t: number) =>
        t >= 72 && run.config !== 'warmdown_off'
          ? 0.02 - (0.02 - 3e-5) * Math.min(1, (t + 1 - 72) / (100 - 72 + 1))
          : 0.02 * Math.min(1, t / 22)
      const [beta1, beta2] = run.hyper.betas as [number, number]
      const decay = run.hyper.weight_decay as number
      const steps = run.checkpoints.map(({ step }) => step)
      const restated = (twice: boolean) =>
        trajectory(salt, run.shapes, rule(schedule, beta1, beta2, decay, 0.01, 1e-4, { twice }), {}, steps)
      const errors = (twice: boolean) =>
        restated(twice).checkpoints.flatMap(({ params }, index) =>
          params.map((tensor, k) => relativeError(tensor, run.checkpoints[index]!.params[k]!)),
        )
      expect(steps.at(-1)).toBe(100)
      expect(Math.max(...errors(true))).toBeLessThan(1e-10)
      expect(Math.max(...errors(false))).toBeGreaterThan(1e-8)
      const once = { ...restated(false), hyper: {} }
      const mapping = { optimizer: () => optimizer, signs: false, inputs: {} }
      expect((await replay(optimizer, once, salt, mapping, 'reference')).error).toBeLessThan(1e-11)
    },
  )

  it('the second normalization changes a gradient by 1e-8 over its standard deviation', () => {
    for (const scale of [1, 1e-2, 1e-4, 1e-6]) {
      const g = Array.from({ length: 7 }, (_, i) => scale * Math.sin(3 * i))
      const [once, twice] = [normalized(g), normalized(normalized(g))]
      const expected = (1 - deviationOf(g)) * (1e-8 / deviationOf(g))
      for (const i of [1, 2, 3]) expect(twice[i]! / once[i]! - 1).toBeCloseTo(expected, scale < 1e-5 ? 3 : 7)
    }
  })
})
