import {
  defineOptimizer,
  defineTransform,
  inputArray,
  logUniform,
  lossInput,
  nonNegative,
  type OptimizerDefinition,
  sgd,
  zeros,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import type { GoldenFile } from '../golden/files.ts'
import { mappings } from '../golden/mapping.ts'
import type { Mapping } from '../golden/mappings/mapping.ts'
import { gradientAt, hessianDiagonalAt, lossAt, type Numbers, total } from '../golden/problem.ts'
import { type BackendName, replay, replayFile } from '../golden/replay.ts'
import { elementwise, norm, type Step, trajectory } from './support/restate.ts'

const common = {
  title: 'Test rule',
  paper: { title: '', authors: '', year: 2026 },
  decay: 'decoupled' as const,
  search: { learningRate: logUniform(1e-3, 1) },
} satisfies Partial<OptimizerDefinition>

const salt = 0.8

/** A definition that looks around, and its step in plain loops. */
interface Case {
  readonly mapping: Mapping
  readonly step: Step
}

const signed = { name: 'sign', hyper: { learningRate: nonNegative(0.05) }, state: {}, ...common }
const signDescent = defineOptimizer({ ...signed, rule: ({ g }) => ({ direction: g.sign() }) })

/** To the point of the highest loss nearby and back, the gradient of there. */
const sharp = defineTransform({
  name: 'sharp',
  title: 'Sharp',
  hyper: { rho: nonNegative(0.1) },
  state: { start: zeros() },
  evaluations: () => [
    { wants: ['gradient'] },
    {
      wants: ['gradient'],
      at: ({ p, g, hyper }) => ({ parameter: p.plus(g.times(hyper.rho.over(g.norm('all')))), state: { start: p } }),
    },
  ],
  origin: ({ state }) => state.start,
})

function sharpStep(change: (p: number, gradient: number) => number): Step {
  return (tensors, t) => {
    const length = norm(tensors.flatMap(({ g }) => g))
    tensors.forEach(({ p, g }, k) => {
      for (let i = 0; i < p.length; i++) {
        const up = p[i]! + (0.1 * g[i]!) / length
        p[i] = change(p[i]!, gradientAt({ p: up, i, k, t, salt }))
      }
    })
  }
}

/** The step size from the loss, and from the curvature that the user computes. */
const polyak = defineOptimizer({
  name: 'polyak',
  hyper: { learningRate: nonNegative(0.1) },
  state: {},
  inputs: { loss: lossInput, hessianDiagonal: inputArray('the second derivatives'), probe: inputArray('a direction') },
  ...common,
  rule: ({ g, inputs, hyper }) => ({
    direction: g.over(inputs.hessianDiagonal.abs().plus(1)).plus(inputs.probe.times(0.1)),
    learningRate: hyper.learningRate.times(inputs.loss.abs().sqrt()),
  }),
})

/** Losses at two points, no gradient. */
const blind = defineOptimizer({
  name: 'blind',
  hyper: { learningRate: nonNegative(0.05), epsilon: nonNegative(0.01) },
  state: {},
  ...common,
  evaluations: () => [
    { wants: ['loss'], at: ({ p, hyper }) => ({ parameter: p.plus(hyper.epsilon) }) },
    { wants: ['loss'], at: ({ p, hyper }) => ({ parameter: p.minus(hyper.epsilon.times(2)) }) },
  ],
  origin: ({ p, hyper }) => p.plus(hyper.epsilon),
  rule: ({ p, losses, hyper }) => ({
    direction: p.times(0).plus(losses[0]!.minus(losses[1]!).over(hyper.epsilon.times(20))),
  }),
})

const losses = (tensors: readonly { p: Numbers }[], t: number, shift = 0) =>
  total(
    ({ p, ...place }) => lossAt({ ...place, p: p + shift }),
    tensors.map(({ p }) => p),
    t,
    salt,
  )

const cases: Readonly<Record<string, Case>> = {
  'a second evaluation elsewhere': {
    mapping: { optimizer: () => sharp(sgd({ learningRate: 0.05 })) },
    step: sharpStep((p, gradient) => p - 0.05 * gradient),
  },
  'the loss, a known array and an array of the mapping': {
    mapping: {
      optimizer: () => polyak(),
      inputs: { probe: ({ i, k, t }, run) => Math.cos(i + k + t) * (run.captured as number) },
      captured: () => {},
    },
    step: (tensors, t) => {
      const rate = 0.1 * Math.sqrt(Math.abs(losses(tensors, t)))
      tensors.forEach(({ p, g }, k) => {
        for (let i = 0; i < p.length; i++) {
          const curvature = Math.abs(hessianDiagonalAt({ p: p[i]!, i, k, t, salt }))
          p[i]! -= rate * (g[i]! / (curvature + 1) + 0.1 * Math.cos(i + k + t) * 3)
        }
      })
    },
  },
  'losses without a gradient': {
    mapping: { optimizer: () => blind(), tolerances: { reference: 1e-8, wasm: 1e-3, reason: 'differences of losses' } },
    step: (tensors, t) => {
      const slope = (losses(tensors, t, 0.01) - losses(tensors, t, -0.01)) / 0.2
      elementwise(({ p }, i) => {
        p[i]! -= 0.05 * slope
      })(tensors, t)
    },
  },
}

const run = (step: Step) => ({ ...trajectory(salt, 'mixed', step), hyper: {}, captured: 3 })

describe('the replay of rules that look around', () => {
  const backends: readonly BackendName[] = ['reference', 'wasm']

  it.each(Object.entries(cases))('gives %s', async (_, { mapping, step }) => {
    for (const backend of backends) {
      const optimizer = mapping.optimizer(undefined as never, [])
      const outcome = await replay(optimizer, run(step), salt, mapping, backend)
      expect({ backend, failedAt: outcome.failedAt, ...outcome }).toMatchObject({ backend, failedAt: undefined })
    }
  })

  it('notices another point, another curvature, another loss', async () => {
    const wrong: Record<string, [Mapping, Step]> = {
      point: [{ optimizer: () => sharp(sgd({ learningRate: 0.05 }), { rho: 0.11 }) }, Object.values(cases)[0]!.step],
      curvature: [
        { ...Object.values(cases)[1]!.mapping, inputs: { probe: () => 0, hessianDiagonal: () => 1 } },
        Object.values(cases)[1]!.step,
      ],
      loss: [{ optimizer: () => blind({ epsilon: 0.02 }) }, Object.values(cases)[2]!.step],
    }
    for (const [name, [mapping, step]] of Object.entries(wrong)) {
      const optimizer = mapping.optimizer(undefined as never, [])
      const { failedAt } = await replay(optimizer, run(step), salt, mapping, 'reference')
      expect([name, failedAt]).toEqual([name, 1])
    }
  })

  it('compares signs at the second point step by step, told the same there', async () => {
    const optimizer = sharp(signDescent())
    const step = sharpStep((p, gradient) => p - 0.05 * Math.sign(gradient))
    // No float32 trajectory is as near as this: only single steps are.
    const tolerances = { wasm: 1e-9, reason: 'forces the comparison of steps' }
    const mapping = { optimizer: () => optimizer, signs: true, tolerances }
    expect((await replay(optimizer, run(step), salt, mapping, 'reference')).failedAt).toBeUndefined()
    const outcome = await replay(optimizer, run(step), salt, mapping, 'wasm')
    expect(outcome).toMatchObject({ comparison: 'stepwise' })
    expect(outcome.failedAt).toBeUndefined()
    const polyakCase = Object.values(cases)[1]!
    const other = { ...polyakCase.mapping, signs: true, tolerances }
    const own = await replay(polyak(), run(polyakCase.step), salt, other, 'wasm')
    expect(own).toMatchObject({ comparison: 'stepwise' })
    expect(own.failedAt).toBeUndefined()
  })

  it('skips what a reference was given or captured and the mapping does not use', async () => {
    const file = (change: object): GoldenFile => ({
      optimizer: 'torch_sgd',
      reference: '',
      salt,
      dtype: 'float64',
      runs: [
        {
          ...trajectory(salt, 'mixed', () => {}),
          hyper: { lr: 0, momentum: 0, dampening: 0, weight_decay: 0, nesterov: false },
          ...change,
        },
      ],
    })
    const skipped = async (change: object) => (await replayFile(file(change), ['reference']))[0]!.skipped
    expect(mappings.torch_sgd).toBeDefined()
    expect(await skipped({})).toBeUndefined()
    expect(await skipped({ inputs: 'the loss' })).toBe('the reference had inputs that this optimizer does not take')
    expect(await skipped({ captured: [1] })).toBe('the reference captured choices that are not used here')
  })

  it('says which input a mapping must give', async () => {
    const mapping = { optimizer: () => polyak() }
    await expect(replay(polyak(), run(Object.values(cases)[1]!.step), salt, mapping, 'reference')).rejects.toThrow(
      "the mapping does not say what the input 'probe' is",
    )
  })
})
