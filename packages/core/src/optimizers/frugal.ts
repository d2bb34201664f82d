import { defineOptimizer } from '../language/definition.ts'
import {
  decayRate,
  fraction,
  logUniform,
  nonNegative,
  oneOf,
  seed,
  smallDivisor,
  stepCount,
} from '../language/hyperparameters.ts'
import { type ParameterShape, shaped } from '../language/slots.ts'
import { biasCorrection, ema, type Value, where } from '../language/value.ts'
import { ageOf } from '../parts/age.ts'
import { basisOf, beside } from '../parts/bases.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { type sides, subspaceOf } from '../parts/subspace.ts'

/**
 * FRUGAL: Adam in a part of the gradient, and in the rest the signs, which need no state, so that the step has full rank.
 *
 * ```text
 * P ← a subspace, m ← 0, v ← 0, k ← 0      steps 1, 1 + T, 1 + 2 T, ...; m, v and k go on with `reset: false`
 * k ← k + 1
 * R ← Pᵀ g
 * m ← β1 m + (1 - β1) R
 * v ← β2 v + (1 - β2) R²
 * u ← (m / (1 - β1ᵏ)) / (√(v / (1 - β2ᵏ)) + ε)         m / (√v + ε) with `biasCorrection: false`
 * θ ← (1 - η λ) θ - η (P u + α sign(g - P R))
 * ```
 *
 * `subspace` says what has state: one in `rankDivisor` of the `columns` (inputs; default) or `rows` (outputs) of a matrix, drawn anew
 * at every change; the first left singular vectors (`singular`) of the shorter side, one in `rankDivisor` of its dimensions, as in
 * GaLore; or `blocks`, which are whole tensors of any shape: those whose hyperparameter `active` is 1 and not 0 at a step, which
 * a function of the step for each group of `groups` says. `rest` says what is done beside: the `sign` (default), the `gradient` or
 * `none`. But for blocks, what has other than two dimensions is Adam. Defaults: η 1e-3, β (0.9, 0.999), ε 1e-8, α (`scale`) 1, period
 * (T) 200, rankDivisor 4, λ 0. State: `basis` (P), `m` and `v`, which have one in rankDivisor of the parameter's numbers; with blocks
 * `m` and `v` of all tensors, whether active or not, which saves nothing.
 *
 * The official code can also draw single elements, which is not here.
 *
 * Zmushko, Beznosikov, Takáč, Horváth 2024, FRUGAL: Memory-Efficient Optimization by Reducing State Overhead for Scalable Training,
 * arXiv 2411.07837.
 */
export const frugal = defineOptimizer({
  name: 'frugal',
  title: 'FRUGAL',
  family: 'matrix',
  paper: {
    title: 'FRUGAL: Memory-Efficient Optimization by Reducing State Overhead for Scalable Training',
    authors: 'Zmushko, Beznosikov, Takáč, Horváth',
    year: 2024,
    arxiv: '2411.07837',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    scale: nonNegative(1),
    active: fraction(1),
    period: stepCount(200),
    seed: seed(),
    weightDecay: nonNegative(0),
  },
  options: {
    subspace: 'columns' as 'columns' | 'rows' | 'singular' | 'blocks',
    rankDivisor: 4,
    rest: 'sign' as 'sign' | 'gradient' | 'none',
    reset: true,
    biasCorrection: true,
  },
  choices: { subspace: ['columns', 'rows', 'singular', 'blocks'], rest: ['sign', 'gradient', 'none'] },
  state: {
    basis: shaped((shape, options) => seen(shape, options as unknown as Options).basis, {
      when: ({ shape, options }) => shape.rank === 2 && options.subspace !== 'blocks',
    }),
    m: shaped((shape, options) => seen(shape, options as unknown as Options).projected),
    v: shaped((shape, options) => seen(shape, options as unknown as Options).projected),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 1e-1), scale: oneOf(0.1, 0.3, 1), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule(context) {
    const { g, t, state, hyper, options, shape, every } = context
    const { isMatrix, rank, lay, restore } = seen(shape, options)
    const x = lay(g)
    const age = ageOf(t, hyper.period)
    const adam = (projected: Value) => {
      const { beta1, beta2, epsilon } = hyper
      const begun = (old: Value) => (options.reset ? where(age.equals(1), 0, old) : old)
      const k = options.reset ? age : t
      const m = ema(begun(state.m), projected, beta1)
      const v = emaOfSquare(begun(state.v), projected, beta2)
      const root = options.biasCorrection ? v.sqrt().over(biasCorrection(beta2, k).sqrt()) : v.sqrt()
      const u = m.over(root.plus(epsilon))
      return { u: options.biasCorrection ? u.over(biasCorrection(beta1, k)) : u, moments: { m, v } }
    }
    const rest = { sign: (y: Value) => y.sign(), gradient: (y: Value) => y, none: (y: Value) => y.times(0) }[
      options.rest
    ]
    if (!isMatrix) {
      const { u, moments } = adam(x)
      if (options.subspace !== 'blocks') return { direction: u.as(g), state: moments }
      const active = hyper.active.isAtLeast(0.5)
      const kept = (fresh: Value, old: Value) => where(active, fresh, old)
      return {
        direction: where(active, u, rest(x).times(hyper.scale)).as(g),
        state: { m: kept(moments.m, state.m), v: kept(moments.v, state.v) },
      }
    }
    const kind = options.subspace === 'singular' ? 'singular' : 'random'
    const basis = every(hyper.period, () => basisOf(x, rank, kind, context), state.basis, 'first')
    const projected = basis.transposed().matmul(x)
    const { u, moments } = adam(projected)
    const step = basis.matmul(u).plus(rest(beside(x, basis, projected)).times(hyper.scale))
    return { direction: restore(step), state: { basis, ...moments } }
  },
})

interface Options {
  readonly subspace: 'columns' | 'rows' | 'singular' | 'blocks'
  readonly rankDivisor: number
}

function seen(shape: ParameterShape, { subspace, rankDivisor }: Options) {
  const sideOf = { columns: 'inputs', rows: 'outputs', singular: 'shorter', blocks: 'shorter' } as const
  const side: (typeof sides)[number] = sideOf[subspace]
  const length = subspaceOf(shape, { side }).basis[1]
  const share = length / rankDivisor
  // As what has no sides.
  if (subspace === 'blocks') return subspaceOf({ ...shape, rank: 0 }, { side })
  return subspaceOf(shape, { side, rank: Math.max(1, subspace === 'singular' ? halfToEven(share) : Math.floor(share)) })
}

/** As Python rounds. */
function halfToEven(x: number): number {
  const rounded = Math.round(x)
  return rounded - x === 0.5 && rounded % 2 === 1 ? rounded - 1 : rounded
}
