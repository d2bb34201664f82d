import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import {
  adaBelief,
  adafactor,
  adam,
  adamW,
  adan,
  adEMAMix,
  type CompiledOptimizer,
  cautious,
  compile,
  findOptimizer,
  lamb,
  lion,
  muon,
  type Optimizer,
  prodigy,
  reference,
  registry,
  scheduleFreeAdamW,
  sgd,
  wasm,
} from 'fallline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runGolden } from '../golden/cli.ts'
import { Fields } from '../golden/fields.ts'
import { type GoldenFile, type GoldenRun, readGolden } from '../golden/files.ts'
import { mappings } from '../golden/mapping.ts'
import { drivers } from '../golden/mappings/drivers.ts'
import { passes, type RunResult, relativeError, replayFile } from '../golden/replay.ts'
import { formatReport } from '../golden/report.ts'
import { elementwise, type Layout, norm, type Step, sum, trajectory } from './support/restate.ts'
import { everything, meets, sample } from './support/sample.ts'

const data = fileURLToPath(new URL('golden-data/', import.meta.url))
const restatementFiles = fileURLToPath(new URL('restatements/', import.meta.url))
const command = fileURLToPath(new URL('../golden/command.ts', import.meta.url))

function failuresOf(results: readonly RunResult[]): string[] {
  return results.filter((result) => !passes(result)).map((result) => formatReport([result], ['reference', 'wasm']))
}

/** The configurations that have no counterpart here; their mapping says why. */
const withoutCounterpart: Readonly<Record<string, readonly string[]>> = {
  grokfastadamw: ['weight_decouple'],
  ranger21: ['adabelief'],
  adalomo: ['clip_norm'],
  apollo: ['scale_front'],
  apollo_mini: ['scale_front'],
  conda: ['full'],
  focus: ['weight_decay'],
  frugal: ['coord_randk'],
  galore: ['proj_full'],
  lomo: ['clip_norm', 'clip_both'],
  microadam: ['alpha_minus2'],
  psgd_lra_newton: ['finite_difference'],
  scion: ['rownorm_transpose'],
}

describe('trajectories of the reference implementations', async () => {
  const names = (await readdir(data)).sort()

  it.each(names)('%s', async (name) => {
    const file = await readGolden(join(data, name))
    const runs = sample(file!.optimizer, file!.runs, ({ config, layout }) => `${config} ${layout}`, everything)
    // Float32 is also compared with the reference, optimizer by optimizer.
    const inFloat32 = meets('trajectories in float32', file!.optimizer)
    const results = await replayFile({ ...file!, runs }, inFloat32 ? ['reference', 'wasm'] : ['reference'])
    expect(failuresOf(results)).toEqual([])
    expect(results).toHaveLength(runs.length)
    const skipped = results.filter((result) => result.skipped !== undefined).map((result) => result.config)
    const known = withoutCounterpart[name.replace('.json.gz', '')] ?? []
    expect(skipped).toEqual(known.filter((config) => runs.some((run) => run.config === config)))
    expect(file!.runs.length).toBeGreaterThan(2)
  })

  it('cover every optimizer of the registry', async () => {
    const covered = new Set<string>()
    for (const name of names) {
      const file = await readGolden(join(data, name))
      if (Object.hasOwn(drivers, file!.optimizer)) continue
      const { hyper, shapes } = file!.runs[0]!
      const ranks = shapes.map((shape) => shape.length)
      let optimizer = mappings[file!.optimizer]!.optimizer(new Fields(hyper), ranks)
      if (optimizer.kind === 'wrapped') optimizer = optimizer.inner
      if (optimizer.kind === 'grouped') optimizer = optimizer.base
      if (optimizer.kind === 'base') covered.add(optimizer.definition.name)
    }
    for (const name of await readdir(restatementFiles)) {
      // `restate` itself refuses to be called without configurations.
      const calls = (await readFile(join(restatementFiles, name), 'utf8')).matchAll(/^restate\((\w+), \{$/gm)
      for (const [, optimizer] of calls) covered.add(optimizer!)
    }
    const registered = registry.map(({ definition }) => definition.name)
    expect(registered.filter((name) => !covered.has(name))).toEqual([])
  })
})

// Published numbers: four steps on one small vector, worked out with torch, optax and NumPy.
const initial = [1, -2, 0.5]
const gradients = [
  [0.5, -0.25, 0],
  [-0.1, 0.3, 0.2],
  [0.4, 0.1, -0.3],
  [0.05, -0.6, 0.1],
]

async function afterFourSteps(optimizer: Optimizer): Promise<CompiledOptimizer> {
  const compiled = await compile(optimizer, { vector: [3] }, { backend: reference() })
  compiled.parameters.vector!.set(initial)
  for (const vector of gradients) compiled.step({ gradients: { vector } })
  return compiled
}

function expectDigits(actual: ArrayLike<number>, expected: readonly number[], digits = 9): void {
  expected.forEach((value, index) => {
    expect(Math.abs(actual[index]! - value)).toBeLessThan(0.6 * 10 ** -digits)
  })
}

describe('worked numbers after four steps', () => {
  const learningRate = 0.01
  const cases: [string, Optimizer, number[]][] = [
    ['SGD', sgd({ learningRate }), [0.9915, -1.9955, 0.5]],
    ['SGD with momentum', sgd({ learningRate, momentum: 0.9 }), [0.977415, -1.9954325, 0.49928]],
    ['Nesterov', sgd({ learningRate, momentum: 0.9, nesterov: true }), [0.9711735, -1.99138925, 0.499352]],
    ['dampening', sgd({ learningRate, momentum: 0.9, dampening: 0.1 }), [0.977954, -1.9950295, 0.499352]],
    ['Adam', adam({ learningRate }), [0.971630605, -1.99047253, 0.494809385]],
    ['Adam with λ', adam({ learningRate, weightDecay: 0.01 }), [0.971135287, -1.98844786, 0.484158164]],
    ['AdamW', adamW({ learningRate, weightDecay: 0.01 }), [0.971235392, -1.9896751, 0.494610691]],
    ['AMSGrad', adam({ learningRate, amsgrad: true }), [0.971630605, -1.99047253, 0.494809385]],
    ['AdaBelief', adaBelief({ learningRate, rectify: false }), [0.968335964, -1.98934386, 0.494120574]],
    ['AdaBelief, rectified', adaBelief({ learningRate }), [0.988502944, -1.99720648, 0.499413435]],
    ['Adan', adan({ learningRate }), [0.986184909, -1.99505329, 0.495042493]],
    ['Adan with λ', adan({ learningRate, weightDecay: 0.02 }), [0.985394168, -1.9934585, 0.494646007]],
    ['Lion', lion({ learningRate }), [0.98, -2, 0.49]],
    ['Lion with λ', lion({ learningRate, weightDecay: 0.1 }), [0.976025976, -1.99201197, 0.488012988]],
    ['AdEMAMix', adEMAMix({ learningRate }), [0.971616878, -1.99046969, 0.494807518]],
    ['C-AdamW', cautious(adamW({ learningRate, weightDecay: 0 })), [0.968637355, -1.98438073, 0.490964376]],
    ['Adafactor', adafactor(), [0.974388739, -1.98627148, 0.492883324]],
    [
      'LAMB',
      lamb({ form: 'nvidia', learningRate, weightDecay: 0, alwaysAdapt: true, maximumGradientNorm: 0 }),
      [0.931160728, -1.98364427, 0.488056543],
    ],
  ]

  it.each(cases)('%s', async (_, optimizer, expected) => {
    // The published numbers have nine significant digits, eight of them behind the point where the number is above 1.
    const compiled = await afterFourSteps(optimizer)
    expectDigits(compiled.parameters.vector!, expected, 8)
  })

  it('Prodigy without and with bias correction', async () => {
    const plain = await afterFourSteps(prodigy())
    expectDigits(plain.parameters.vector!, [0.999987797492, -1.99999679395, 0.499997958011], 11)
    const corrected = await afterFourSteps(prodigy({ biasCorrection: true }))
    expectDigits(corrected.parameters.vector!, [0.999997163062, -1.99999904725, 0.499999480939], 11)
  })

  it('Schedule-Free AdamW: y, z and x', async () => {
    const compiled = await afterFourSteps(scheduleFreeAdamW({ learningRate }))
    expectDigits(compiled.parameters.vector!, [0.985769407, -1.99538973, 0.495229235], 8)
    expectDigits(compiled.state('vector').z as Float64Array, [0.980543546, -1.98856649, 0.494923484], 8)
    expectDigits(compiled.evaluationParameters().vector!, [0.986350059, -1.99614787, 0.495263208], 8)
  })

  it('Muon after three steps of a matrix', async () => {
    const compiled = await compile(muon(), { matrix: [2, 3] }, { backend: reference() })
    compiled.parameters.matrix!.set([1, -2, 0.5, 0.25, 0.75, -1.5])
    const steps = [
      [0.5, -0.25, 0.1, 0.2, 0.3, -0.4],
      [-0.1, 0.3, 0.2, 0.05, -0.2, 0.15],
      [0.4, 0.1, -0.3, -0.2, 0.25, 0.1],
    ]
    for (const matrix of steps) compiled.step({ gradients: { matrix } })
    const expected = [0.962460599, -2.002141139, 0.490670377, 0.225455838, 0.72457115, -1.477932123]
    expectDigits(compiled.parameters.matrix!, expected, 9)
  })
})

// Literal restatements: plain loops over numbers, for settings and salts that no file has.
/** A trajectory file with one run, made by a restatement. */
function restated(
  optimizer: string,
  salt: number,
  layout: Layout,
  hyper: GoldenRun['hyper'],
  step: Step,
  read: Record<string, () => unknown> = {},
): GoldenFile {
  const runs = [{ ...trajectory(salt, layout, step, read), hyper }]
  return { optimizer, reference: 'restated in the test', salt, dtype: 'float64', runs }
}

const restatements: Record<string, () => GoldenFile> = {
  'SGD: Nesterov, coupled decay': () =>
    restated(
      'torch_sgd',
      1.3,
      'mixed',
      { lr: 0.03, momentum: 0.8, dampening: 0, weight_decay: 0.1, nesterov: true },
      elementwise(({ p, g, s }, i, t) => {
        const gradient = g[i]! + 0.1 * p[i]!
        s.b![i] = t === 1 ? gradient : 0.8 * s.b![i]! + gradient
        p[i]! -= 0.03 * (gradient + 0.8 * s.b![i]!)
      }),
    ),

  'SGD: dampening, uphill': () =>
    restated(
      'torch_sgd',
      2.2,
      'mixed',
      { lr: 0.001, momentum: 0.9, dampening: 0.4, weight_decay: 0.02, nesterov: false, maximize: true },
      elementwise(({ p, g, s }, i, t) => {
        const gradient = -g[i]! + 0.02 * p[i]!
        s.b![i] = t === 1 ? gradient : 0.9 * s.b![i]! + 0.6 * gradient
        p[i]! -= 0.001 * s.b![i]!
      }),
    ),

  'AdamW: AMSGrad': () =>
    restated(
      'torch_adamw',
      4.1,
      'mixed',
      { lr: 0.05, betas: [0.7, 0.9], eps: 1e-4, weight_decay: 0.3, amsgrad: true },
      elementwise(({ p, g, s }, i, t) => {
        p[i]! *= 1 - 0.05 * 0.3
        s.m![i] = 0.7 * s.m![i]! + 0.3 * g[i]!
        s.v![i] = 0.9 * s.v![i]! + 0.1 * g[i]! ** 2
        s.largest![i] = Math.max(s.largest![i]!, s.v![i]!)
        const denominator = Math.sqrt(s.largest![i]! / (1 - 0.9 ** t)) + 1e-4
        p[i]! -= (0.05 * (s.m![i]! / (1 - 0.7 ** t))) / denominator
      }),
    ),

  'Adan: clipped, proximal decay': () =>
    restated(
      'adan',
      1.7,
      'mixed',
      { lr: 0.04, betas: [0.95, 0.8, 0.9], eps: 1e-6, weight_decay: 0.1, max_grad_norm: 0.7, no_prox: false },
      (tensors, t) => {
        const total = Math.sqrt(sum(tensors.map(({ g }) => norm(g) ** 2)))
        const clip = Math.min(1, 0.7 / (total + 1e-6))
        for (const { p, g, s } of tensors) {
          for (let i = 0; i < p.length; i++) {
            const gradient = g[i]! * clip
            const difference = t === 1 ? 0 : gradient - s.previous![i]!
            s.m![i] = 0.95 * s.m![i]! + 0.05 * gradient
            s.v![i] = 0.8 * s.v![i]! + 0.2 * difference
            s.n![i] = 0.9 * s.n![i]! + 0.1 * (gradient + 0.8 * difference) ** 2
            const denominator = Math.sqrt(s.n![i]! / (1 - 0.9 ** t)) + 1e-6
            p[i]! -= (0.04 * (s.m![i]! / (1 - 0.95 ** t) + (0.8 * s.v![i]!) / (1 - 0.8 ** t))) / denominator
            p[i]! /= 1 + 0.04 * 0.1
            s.previous![i] = gradient
          }
        }
      },
    ),

  'AdaBelief: rectified, ε that matters': () =>
    restated(
      'adabelief',
      0.6,
      'mixed',
      {
        lr: 0.05,
        betas: [0.8, 0.97],
        eps: 1e-5,
        weight_decay: 0.01,
        amsgrad: false,
        weight_decouple: true,
        fixed_decay: true,
        rectify: true,
        degenerated_to_sgd: true,
      },
      elementwise(({ p, g, s }, i, t) => {
        p[i]! *= 1 - 0.01
        s.m![i] = 0.8 * s.m![i]! + 0.2 * g[i]!
        s.s![i] = 0.97 * s.s![i]! + 0.03 * (g[i]! - s.m![i]!) ** 2 + 1e-5
        const limit = 2 / 0.03 - 1
        const length = limit - (2 * t * 0.97 ** t) / (1 - 0.97 ** t)
        const mean = s.m![i]! / (1 - 0.8 ** t)
        if (length < 5) {
          p[i]! -= 0.05 * mean
          return
        }
        const ratio = ((length - 4) / (limit - 4)) * ((length - 2) / length) * (limit / (limit - 2))
        p[i]! -= (0.05 * mean * Math.sqrt((1 - 0.97 ** t) * ratio)) / (Math.sqrt(s.s![i]!) + 1e-5)
      }),
    ),

  'Lion: large decay': () =>
    restated(
      'lion',
      3.3,
      'mixed',
      { lr: 0.01, betas: [0.7, 0.95], weight_decay: 1.5 },
      elementwise(({ p, g, s }, i) => {
        p[i]! *= 1 - 0.01 * 1.5
        p[i]! -= 0.01 * Math.sign(0.7 * s.m![i]! + 0.3 * g[i]!)
        s.m![i] = 0.95 * s.m![i]! + 0.05 * g[i]!
      }),
    ),

  'AdEMAMix: both warm-ups end on the way': () =>
    restated(
      'ademamix',
      5.1,
      'mixed',
      {
        lr: 0.02,
        betas: [0.8, 0.95, 0.995],
        alpha: 6,
        beta3_warmup: 37,
        alpha_warmup: 23,
        eps: 1e-5,
        weight_decay: 0.2,
      },
      elementwise(({ p, g, s }, i, t) => {
        const alpha = t < 23 ? (6 * t) / 23 : 6
        const halfLife = (beta: number) => Math.log(0.5) / Math.log(beta + 1e-8) - 1
        const mixed = (1 - t / 37) * halfLife(0.8) + (t / 37) * halfLife(0.995)
        const beta3 = t < 37 ? 0.5 ** (1 / (mixed + 1)) : 0.995
        s.fast![i] = 0.8 * s.fast![i]! + 0.2 * g[i]!
        s.slow![i] = beta3 * s.slow![i]! + (1 - beta3) * g[i]!
        s.v![i] = 0.95 * s.v![i]! + 0.05 * g[i]! ** 2
        const denominator = Math.sqrt(s.v![i]!) / Math.sqrt(1 - 0.95 ** t) + 1e-5
        p[i]! -= 0.02 * ((s.fast![i]! / (1 - 0.8 ** t) + alpha * s.slow![i]!) / denominator + 0.2 * p[i]!)
      }),
    ),

  'LAMB, the paper: a norm above 10': () =>
    restated(
      'lamb',
      0.9,
      'large',
      { lr: 0.01, betas: [0.8, 0.95], eps: 1e-4, weight_decay: 0.2, adam: false },
      (tensors) => {
        for (const { p, g, s } of tensors) {
          const update = p.map((_, i) => {
            s.m![i] = 0.8 * s.m![i]! + 0.2 * g[i]!
            s.v![i] = 0.95 * s.v![i]! + 0.05 * g[i]! ** 2
            return s.m![i]! / (Math.sqrt(s.v![i]!) + 1e-4) + 0.2 * p[i]!
          })
          const ratio = Math.min(norm(p), 10) / norm(update)
          for (let i = 0; i < p.length; i++) p[i]! -= 0.01 * ratio * update[i]!
        }
      },
    ),

  'LAMB, NVIDIA: no averaging of gradients, trust clipped': () =>
    restated(
      'lamb_timm',
      2.7,
      'mixed',
      {
        lr: 0.03,
        bias_correction: true,
        betas: [0.7, 0.9],
        eps: 1e-3,
        weight_decay: 0.2,
        grad_averaging: false,
        max_grad_norm: 0.4,
        trust_clip: true,
        always_adapt: false,
        caution: true,
        decoupled_decay: true,
        corrected_weight_decay: true,
      },
      (tensors, t) => {
        const total = Math.sqrt(sum(tensors.map(({ g }) => norm(g) ** 2)))
        for (const { p, g, s } of tensors) {
          const clipped = g.map((value) => value / Math.max(1, total / 0.4))
          const step = p.map((_, i) => {
            s.m![i] = 0.7 * s.m![i]! + clipped[i]!
            s.v![i] = 0.9 * s.v![i]! + 0.1 * clipped[i]! ** 2
            return s.m![i]! / (1 - 0.7 ** t) / (Math.sqrt(s.v![i]! / (1 - 0.9 ** t)) + 1e-3)
          })
          const mask = step.map((value, i) => (value * clipped[i]! > 0 ? 1 : 0))
          const share = Math.max(sum(mask) / mask.length, 1e-3)
          const update = step.map((value, i) => (value * mask[i]!) / share)
          for (let i = 0; i < p.length; i++) p[i]! *= 1 - 0.03 * 0.2
          const [length, reach] = [norm(update), norm(p)]
          const ratio = Math.min(1, length > 0 && reach > 0 ? reach / length : 1)
          for (let i = 0; i < p.length; i++) p[i]! -= 0.03 * ratio * update[i]!
        }
      },
    ),

  'Adafactor, Hugging Face: momentum, decay and parameter scale': () =>
    restated(
      'adafactor',
      1.1,
      'matrices',
      {
        lr: 0.1,
        eps: [1e-6, 0.2],
        clip_threshold: 0.6,
        decay_rate: -0.6,
        beta1: 0.7,
        weight_decay: 0.3,
        scale_parameter: true,
        relative_step: false,
        warmup_init: false,
      },
      (tensors, t) => {
        for (const { p, g, s, shape } of tensors) {
          const [rows, columns] = shape as [number, number]
          const beta2 = 1 - t ** -0.6
          const rate = 0.1 * Math.max(0.2, norm(p) / Math.sqrt(p.length))
          const square = g.map((value) => value * value + 1e-6)
          const row = (r: number) => sum(square.slice(r * columns, (r + 1) * columns)) / columns
          const column = (c: number) => sum(square.filter((_, i) => i % columns === c)) / rows
          for (let r = 0; r < rows; r++) s.r![r] = beta2 * s.r![r]! + (1 - beta2) * row(r)
          for (let c = 0; c < columns; c++) s.c![c] = beta2 * s.c![c]! + (1 - beta2) * column(c)
          const mean = sum(s.r!.slice(0, rows)) / rows
          const update = g.map((value, i) => {
            const [r, c] = [Math.floor(i / columns), i % columns]
            return value / Math.sqrt(s.r![r]! / mean) / Math.sqrt(s.c![c]!)
          })
          const clip = Math.max(1, norm(update) / Math.sqrt(p.length) / 0.6)
          for (let i = 0; i < p.length; i++) {
            s.m![i] = 0.7 * s.m![i]! + 0.3 * rate * (update[i]! / clip)
            p[i] = p[i]! - 0.3 * rate * p[i]! - s.m![i]!
          }
        }
      },
    ),

  'Prodigy: limited growth, every second element, coupled decay': () => {
    let [d, largest, numerator] = [0.02, 0.02, 0]
    let start: number[][] | undefined
    const beta3 = 0.8
    return restated(
      'prodigy',
      2.4,
      'mixed',
      {
        lr: 0.7,
        betas: [0.8, 0.95],
        beta3,
        eps: 1e-5,
        weight_decay: 0.1,
        decouple: false,
        use_bias_correction: true,
        safeguard_warmup: true,
        d0: 0.02,
        d_coef: 1.5,
        growth_rate: 1.1,
        fsdp_in_use: false,
        slice_p: 2,
      },
      (tensors, t) => {
        start ??= tensors.map(({ p }) => [...p])
        const gamma = (d * 0.7 * Math.sqrt(1 - 0.95 ** t)) / (1 - 0.8 ** t)
        let denominator = 0
        numerator *= beta3
        tensors.forEach(({ p, g, s }, k) => {
          for (let i = 0; i < p.length; i++) {
            const gradient = g[i]! + 0.1 * p[i]!
            s.m![i] = 0.8 * s.m![i]! + 0.2 * d * gradient
            s.v![i] = 0.95 * s.v![i]! + 0.05 * (d * gradient) ** 2
            if (i % 2 !== 0) continue
            numerator += (d / 0.02) * gamma * gradient * (start![k]![i]! - p[i]!)
            s.s![i] = beta3 * s.s![i]! + (d / 0.02) * d * gradient
            denominator += Math.abs(s.s![i]!)
          }
        })
        const estimate = (1.5 * numerator) / denominator
        const grown = d === 0.02 ? Math.max(d, estimate) : d
        largest = Math.max(largest, estimate)
        d = Math.min(largest, grown * 1.1)
        for (const { p, s } of tensors) {
          for (let i = 0; i < p.length; i++) p[i]! -= (gamma * s.m![i]!) / (Math.sqrt(s.v![i]!) + d * 1e-5)
        }
      },
      { d: () => d },
    )
  },

  'Schedule-Free AdamW: the three sequences kept apart': () => {
    const beta1 = 0.8
    let [weights, largest] = [0, 0]
    let sequences: { x: number[]; z: number[] }[] | undefined
    return restated(
      'schedulefree_adamw',
      3.9,
      'mixed',
      {
        lr: 0.03,
        betas: [beta1, 0.9],
        eps: 1e-4,
        weight_decay: 0.1,
        warmup_steps: 7,
        r: 0.5,
        weight_lr_power: 1.5,
        inner_momentum: 0.6,
      },
      (tensors, t) => {
        sequences ??= tensors.map(({ p }) => ({ x: [...p], z: [...p] }))
        const rate = 0.03 * Math.min(1, t / 7)
        largest = Math.max(largest, rate)
        const weight = t ** 0.5 * largest ** 1.5
        weights += weight
        tensors.forEach(({ p, g, s }, k) => {
          const { x, z } = sequences![k]!
          for (let i = 0; i < p.length; i++) {
            s.m![i] = 0.6 * s.m![i]! + 0.4 * g[i]!
            s.v![i] = 0.9 * s.v![i]! + 0.1 * g[i]! ** 2
            const direction = s.m![i]! / (1 - 0.6 ** t) / (Math.sqrt(s.v![i]! / (1 - 0.9 ** t)) + 1e-4)
            z[i]! -= rate * (direction + 0.1 * p[i]!)
            x[i] = (1 - weight / weights) * x[i]! + (weight / weights) * z[i]!
            p[i] = beta1 * x[i]! + (1 - beta1) * z[i]!
          }
        })
      },
      { eval_params: () => sequences!.map(({ x }) => [...x]) },
    )
  },

  'Muon, Moonlight: no Nesterov, three iterations': () => {
    const multiply = (a: number[][], b: number[][]) =>
      a.map((row) => b[0]!.map((_, c) => sum(row.map((value, k) => value * b[k]![c]!))))
    const transpose = (a: number[][]) => a[0]!.map((_, c) => a.map((row) => row[c]!))
    const orthogonal = (u: number[][]): number[][] => {
      if (u.length > u[0]!.length) return transpose(orthogonal(transpose(u)))
      const length = norm(u.flat()) + 1e-7
      let x = u.map((row) => row.map((value) => value / length))
      for (let n = 0; n < 3; n++) {
        const a = multiply(x, transpose(x))
        const squared = multiply(a, a)
        const polynomial = a.map((row, r) => row.map((value, c) => -4.775 * value + 2.0315 * squared[r]![c]!))
        const product = multiply(polynomial, x)
        x = x.map((row, r) => row.map((value, c) => 3.4445 * value + product[r]![c]!))
      }
      return x
    }
    return restated(
      'muon_moonlight',
      0.4,
      'matrices',
      { lr: 0.01, wd: 0.2, momentum: 0.8, nesterov: false, ns_steps: 3, adamw_betas: [0.9, 0.95], adamw_eps: 1e-8 },
      (tensors) => {
        for (const { p, g, s, shape } of tensors) {
          const [rows, columns] = shape as [number, number]
          for (let i = 0; i < p.length; i++) s.b![i] = 0.8 * s.b![i]! + g[i]!
          const matrix = Array.from({ length: rows }, (_, r) => s.b!.slice(r * columns, (r + 1) * columns))
          const update = orthogonal(matrix).flat()
          const scale = 0.2 * Math.sqrt(Math.max(rows, columns))
          for (let i = 0; i < p.length; i++) p[i] = (1 - 0.01 * 0.2) * p[i]! - 0.01 * scale * update[i]!
        }
      },
    )
  },
}

describe('literal restatements with other salts and settings', () => {
  it.each(Object.entries(restatements))('%s', async (_, make) => {
    const results = await replayFile(make(), ['reference', 'wasm'])
    expect(failuresOf(results)).toEqual([])
    expect(results.map((result) => result.skipped)).toEqual([undefined])
  })
})

describe('the replay', () => {
  const adanFile = () => readGolden(join(data, 'adan.json.gz')) as Promise<GoldenFile>
  const only = (file: GoldenFile, change: Partial<GoldenRun>): GoldenFile => ({
    ...file,
    runs: [{ ...file.runs[0]!, ...change }],
  })

  it('fails where a trajectory is wrong in the seventh digit', async () => {
    const file = await adanFile()
    const checkpoints = file.runs[0]!.checkpoints.map((checkpoint) => ({
      ...checkpoint,
      params: checkpoint.params.map((values) => values.map((value) => value * (checkpoint.step === 30 ? 1 + 1e-7 : 1))),
    }))
    const [result] = await replayFile(only(file, { checkpoints }), ['reference'])
    expect(passes(result!)).toBe(false)
    expect(result!.outcomes.reference).toMatchObject({ failedAt: 30 })
    expect(formatReport([result!], ['reference'])).toContain('FAIL: reference from step 30')
  })

  it('compares float32 step by step only with a float64 trajectory that is right', async () => {
    const file = (await readGolden(join(data, 'prodigy.json.gz')))!
    const [result] = await replayFile(only(file, {}), ['wasm'])
    expect(result!.outcomes.wasm).toMatchObject({ comparison: 'stepwise' })
    expect(passes(result!)).toBe(true)
    expect(result!.outcomes.wasm!.error).toBeGreaterThan(0)
    const checkpoints = file.runs[0]!.checkpoints.map((checkpoint) => ({
      ...checkpoint,
      d: (checkpoint.d as number) * 1.001,
    }))
    const [wrong] = await replayFile(only(file, { checkpoints }), ['wasm'])
    expect(passes(wrong!)).toBe(false)
  })

  it('fails where a setting differs a little', async () => {
    const file = await adanFile()
    const hyper = { ...file.runs[0]!.hyper, lr: 0.02 * (1 + 1e-6) }
    const [result] = await replayFile(only(file, { hyper }), ['reference'])
    expect(passes(result!)).toBe(false)
  })

  it('skips what it has no counterpart for, with the reason', async () => {
    const file = await adanFile()
    const { hyper } = file.runs[0]!
    const reasons = async (change: Partial<GoldenRun>) =>
      (await replayFile(only(file, change), ['reference'])).map((result) => result.skipped)
    expect(await reasons({ hyper: { ...hyper, lookahead: true } })).toEqual(['no counterpart for lookahead true'])
    expect(await reasons({ hyper: { ...hyper, betas: [0.9, 0.99] } })).toEqual(['betas is [0.9,0.99], not 3 numbers'])
    expect(await reasons({ portable: false })).toEqual(['portable: false, it cannot be replayed without the reference'])
    expect(await reasons({ captured: {} })).toEqual(['the reference captured choices that are not used here'])
    expect(await reasons({ hyper: { ...hyper, betas: [0.9, 0.9, 1] } })).toEqual([
      'Adan: beta3 must be a number from 0 to below 1, not 1',
    ])
    const other = await replayFile({ ...file, optimizer: 'nothing' }, ['reference'])
    expect(other.map((result) => result.skipped)).toEqual(["no optimizer here stands for 'nothing'"])
    const { eps, ...without } = hyper
    expect(eps).toBe(1e-8)
    expect(await reasons({ hyper: without })).toEqual(['its settings have no eps'])
  })

  it('measures errors relatively, on a scale of at least 1e-3', () => {
    expect(relativeError([2, 1e-9], [2.0002, 0])).toBeCloseTo(1e-4, 6)
    expect(relativeError([0], [1e-6])).toBeCloseTo(1e-3, 12)
    expect(relativeError([Number.NaN], [Number.NaN])).toBe(0)
    expect(relativeError([Number.NaN], [1])).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('the command', () => {
  const golden = async (...args: string[]) => {
    let [stdout, stderr] = ['', '']
    const output = (text: string) => {
      stdout += text
    }
    const error = (text: string) => {
      stderr += text
    }
    return { code: await runGolden(args, { output, error }), stdout, stderr }
  }
  let directory: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'golden-'))
  })
  afterAll(() => rm(directory, { recursive: true }))

  it('passes on the copies and prints a table', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--import',
      'tsx',
      '--conditions=@fallline/source',
      command,
      data,
      '--only',
      'torch_sgd',
      '--backend',
      'reference',
    ])
    expect(stdout).toMatch(/torch_sgd +nesterov +default +\d\.\de-\d+ +pass/)
    expect(stdout).toMatch(/\d+ passed, 0 failed, 0 skipped/)
  })

  it('names an empty, a missing and a wrong directory, and wrong arguments', async () => {
    expect(await golden(directory)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('has no trajectory files'),
    })
    expect(await golden(join(directory, 'missing'))).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('cannot read'),
    })
    expect(await golden()).toMatchObject({ code: 2, stderr: expect.stringContaining('give one directory') })
    expect(await golden(data, '--backend', 'gpu')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("not 'gpu'"),
    })
    expect(await golden('--help')).toMatchObject({ code: 0, stdout: expect.stringContaining('Usage:') })
  })

  it('exits with 1 for a broken file and lists files it does not know', async () => {
    await writeFile(join(directory, 'other.json'), '{"table": [1, 2]}')
    await writeFile(
      join(directory, 'unknown.json'),
      JSON.stringify(restatements['Lion: large decay']!()).replace('"lion"', '"puma"'),
    )
    const skipped = await golden(directory)
    expect(skipped).toMatchObject({ code: 0, stdout: expect.stringContaining('0 passed, 0 failed, 2 skipped') })
    expect(skipped.stdout).toContain("no optimizer here stands for 'puma'")
    await writeFile(join(directory, 'broken.json'), '{"optimizer": "adan", "salt"')
    const broken = await golden(directory)
    expect(broken).toMatchObject({ code: 1, stdout: expect.stringContaining('FAIL: cannot read broken.json') })
  })
})

describe('a gradient of 1e20', () => {
  // AdaShift, AvaGrad, M-ConFIG and Schedule-Free RAdam wait before they move; SGD-SaI divides by the deviation, which equal gradients have not.
  // Gradient-free methods never see it. SINGD multiplies its factors by statistics, which are 1e20 here too.
  const others = registry.filter(
    ({ definition: { name, family } }) =>
      !['adaShift', 'avaGrad', 'momentumConflictFree', 'scheduleFreeRAdam', 'sgdSaI', 'singd'].includes(name) &&
      family !== 'gradientFree',
  )
  it.each(others.map((factory) => [factory.definition.name, factory] as const))(
    'does not freeze %s',
    async (name, factory) => {
      const compiled = await compile(factory(), { matrix: [4, 3], vector: [5] }, { backend: wasm() })
      const before: number[][] = []
      for (let t = 1; t <= 3; t++) {
        before.push(compiled.names.flatMap((tensor) => [...compiled.parameters[tensor]!]))
        await compiled.minimize(({ gradients, inputs }) => {
          for (const arrays of [gradients, ...Object.values(inputs)]) {
            for (const array of Object.values(arrays)) array.fill(t === 1 ? 1e20 : 0.1)
          }
          return 1
        })
        for (const tensor of compiled.names) expect(compiled.parameters[tensor]!.every(Number.isFinite)).toBe(true)
      }
      // Moves at once, and for a second time on the momentum it took up, where there is one.
      // ADOPT, Adam with critical momenta and SOAP only note their first gradient; to Gravity the largest gradients count least.
      if (!['adamCriticalMomenta', 'adopt', 'gravity', 'soap'].includes(name)) expect(before[1]).not.toEqual(before[0])
      if (['adam', 'adamW', 'adan', 'adEMAMix', 'lamb'].includes(name)) expect(before[2]).not.toEqual(before[1])
      for (const value of Object.values(compiled.state('vector'))) {
        for (const number of typeof value === 'number' ? [value] : value) expect(number).toSatisfy(Number.isFinite)
      }
    },
  )
})

describe('the registry', () => {
  it('finds optimizers whatever the case of their name', () => {
    expect(findOptimizer('ADAMW')).toBe(adamW)
    expect(findOptimizer('schedulefreeadamw')).toBe(scheduleFreeAdamW)
    expect(() => findOptimizer('adamx')).toThrow(/unknown optimizer 'adamx'; known are .*adamW.*sgd/)
  })

  it('has names that are unique whatever their case, papers, and search ranges within what is valid', () => {
    const names = registry.map(({ definition }) => definition.name.toLowerCase())
    expect(new Set(names).size).toBe(names.length)
    for (const { definition } of registry) {
      expect(definition.paper.arxiv ?? definition.paper.url).toBeTruthy()
      for (const [name, range] of Object.entries(definition.search)) {
        const { minimum, maximum, belowMaximum } = definition.hyper[name]!
        const ends = range!.scale === 'choice' ? range!.values : [range!.minimum, range!.maximum]
        for (const value of ends) {
          expect(value).toBeGreaterThanOrEqual(minimum)
          expect(belowMaximum ? value < maximum : value <= maximum).toBe(true)
        }
        expect(Math.min(...ends)).toBeLessThan(Math.max(...ends))
      }
      expect(definition.search.learningRate.scale).toBe('log')
    }
  })
})
