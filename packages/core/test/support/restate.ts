import type { Optimizer } from 'fallline'
import { describe, expect, it } from 'vitest'
import type { GoldenRun } from '../../golden/files.ts'
import type { Source } from '../../golden/mappings/mapping.ts'
import { writeGradient, writeInitial } from '../../golden/problem.ts'
import { replay } from '../../golden/replay.ts'

/** What a literal restatement of a paper computes with: plain arrays of one tensor. */
export interface Tensor {
  readonly p: number[]
  readonly g: number[]
  readonly shape: readonly number[]
  /** State by name, zeros at first. */
  readonly s: Record<string, number[]>
}

/** One step of all tensors, t from 1: changes `p` and `s`. */
export type Step = (tensors: readonly Tensor[], t: number) => void

const layouts = {
  mixed: [[4, 3], [5], [2, 3, 2, 2], [1], []],
  large: [[20, 16], [3]],
  matrices: [
    [4, 3],
    [2, 6],
    [3, 3],
    [1, 4],
  ],
} satisfies Record<string, number[][]>

export type Layout = keyof typeof layouts

/** The trajectory of a restatement on the closed-form problem at some steps; `read` gives more numbers to compare. */
export function trajectory(
  salt: number,
  layout: Layout | readonly (readonly number[])[],
  step: Step,
  read: Readonly<Record<string, (tensors: readonly Tensor[]) => unknown>> = {},
  steps: readonly number[] = [1, 2, 3, 20, 40, 60],
) {
  const shapes: readonly (readonly number[])[] = typeof layout === 'string' ? layouts[layout] : layout
  const tensors = shapes.map((shape, k): Tensor => {
    const size = shape.reduce((product, value) => product * value, 1)
    const zeros = () => new Array<number>(size).fill(0)
    const p = zeros()
    writeInitial(p, k, salt)
    const s = new Proxy<Record<string, number[]>>(
      {},
      {
        get: (slots, name: string) => {
          slots[name] ??= zeros()
          return slots[name]
        },
      },
    )
    return { p, g: zeros(), shape, s }
  })
  const checkpoints: GoldenRun['checkpoints'][number][] = []
  for (let t = 1; t <= steps.at(-1)!; t++) {
    tensors.forEach(({ p, g }, k) => {
      writeGradient(g, p, k, t, salt)
    })
    step(tensors, t)
    if (!steps.includes(t)) continue
    const extra = Object.entries(read).map(([name, value]) => [name, value(tensors)])
    checkpoints.push({ step: t, params: tensors.map(({ p }) => [...p]), ...Object.fromEntries(extra) })
  }
  return { config: 'restated', layout: String(layout), shapes, checkpoints }
}

/** For rules that treat every element alike. */
export const elementwise =
  (update: (tensor: Tensor, i: number, t: number) => void): Step =>
  (tensors, t) => {
    for (const tensor of tensors) for (let i = 0; i < tensor.p.length; i++) update(tensor, i, t)
  }

export const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
export const norm = (values: readonly number[]) => Math.sqrt(sum(values.map((value) => value * value)))

/** The factory of an optimizer or a wrapper. */
interface Named {
  readonly definition: { readonly name: string }
}

/** One configuration of an optimizer and the paper's step for the same settings. */
export interface Restatement {
  readonly optimizer: Optimizer
  /** Makes the paper's step; what it keeps besides `s` lives in its closure. */
  readonly paper: () => Step
  readonly salt: number
  /** What to evaluate with, where that is not the parameter. */
  readonly evaluation?: (tensor: Tensor) => readonly number[]
  readonly layout?: Layout
  /** True when rounding can turn a sign: then float32 may be compared step by step. */
  readonly signs?: boolean
  /** What the optimizer's inputs other than `loss` and `hessianDiagonal` are on the problem. */
  readonly inputs?: Readonly<Record<string, Source>>
}

/**
 * Compares an optimizer with literal restatements of its paper, by configuration: every step in float64 on the reference
 * backend, and in float32 on wasm. Stands for the trajectory of a reference implementation where there is no right one.
 */
export function restate(factory: Named, configurations: Readonly<Record<string, Restatement>>): void {
  const cases = Object.entries(configurations)
  if (cases.length < 2) throw new Error(`${factory.definition.name}: restate at least two configurations`)
  describe(`${factory.definition.name} as its paper says`, () => {
    it.each(cases)('%s', async (_, configuration) => {
      const { optimizer, paper, salt, evaluation, layout = 'mixed', signs = false, inputs = {} } = configuration
      const read = evaluation && { eval_params: (tensors: readonly Tensor[]) => tensors.map((t) => [...evaluation(t)]) }
      const run = { ...trajectory(salt, layout, paper(), read), hyper: {} }
      const mapping = { optimizer: () => optimizer, signs, inputs }
      const outcomes = {
        reference: await replay(optimizer, run, salt, mapping, 'reference'),
        wasm: await replay(optimizer, run, salt, mapping, 'wasm'),
      }
      for (const [backend, outcome] of Object.entries(outcomes)) {
        expect({ backend, ...outcome, failedAt: outcome.failedAt }).toMatchObject({ backend, failedAt: undefined })
      }
    })
  })
}
