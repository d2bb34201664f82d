import {
  defineOptimizer,
  type HyperValue,
  inputArray,
  type OptimizerFactory,
  psgdAffine,
  psgdDense,
  psgdKron,
  psgdLowRank,
  psgdXMat,
  type Value,
} from 'fallline'
import type { Fields } from '../fields.ts'
import type { GoldenRun } from '../files.ts'
import { hessianDiagonalAt, normal } from '../problem.ts'
import type { Mapping, Source } from './mapping.ts'

/** What all of them have. */
function common(fields: Fields) {
  return {
    learningRate: fields.number('lr_params'),
    preconditionerRate: fields.number('lr_preconditioner'),
    smoothnessBeta: fields.number('betaL'),
    damping: fields.number('damping'),
    momentum: fields.number('momentum'),
    ...initialScale(fields),
  }
}

function initialScale(fields: Fields) {
  const scale = fields.optional('preconditioner_init_scale')
  return scale === undefined ? {} : { scalesByGradient: false, initialScale: scale }
}

function whitening(fields: Fields) {
  const [maximumAmplitude, maximumElement] = fields.numbers('grad_clip_max_amps', 2) as [number, number]
  return { maximumAmplitude, maximumElement, fits: fields.boolean('whiten_grad') ? 'gradient' : 'momentum' } as const
}

function newton(fields: Fields) {
  fields.expect('exact_hessian_vector_product', true, 'products are inputs here, whoever makes them of differences')
  const maximumNorm = fields.number('grad_clip_max_norm')
  return {
    fits: 'curvature',
    maximumNorm: Number.isFinite(maximumNorm) ? maximumNorm : 0,
    preconditionerPeriod: periodOf(fields),
  } as const
}

/** What the older classes have. */
function oldClass(fields: Fields) {
  fields.expect('exact_hessian_vector_product', true, 'products are inputs here, whoever makes them of differences')
  const second = fields.string('step_normalizer', ['1st', '2nd']) === '2nd'
  return {
    learningRate: fields.number('lr_params'),
    preconditionerRate: fields.optional('lr_preconditioner') ?? (second ? 0.1 : 0.01),
    momentum: fields.number('momentum'),
    maximumNorm: fields.optional('grad_clip_max_norm') ?? 0,
    preconditionerPeriod: periodOf(fields),
    normalizer: second ? 'sum' : 'difference',
    fits: fields.string('preconditioner_type', ['Newton', 'whitening']) === 'Newton' ? 'curvature' : 'gradient',
    ...initialScale(fields),
  } as const
}

function coordinates(fields: Fields) {
  return { dQ: fields.string('dQ', ['Q0.5EQ1.5', 'QEQ', 'QEP', 'QUAD', 'EQ', 'QUAD4P', 'PRO4P']) }
}

function kronecker(fields: Fields) {
  const size = fields.value('preconditioner_max_size')
  const skew = fields.number('preconditioner_max_skew')
  return {
    ...common(fields),
    ...coordinates(fields),
    maximumSize: size === 'inf' ? 10_000 : Number(size),
    maximumPercent: Number.isFinite(skew) ? 100 * skew : 1_000_000,
    // Balanced at random there, and never in these trajectories.
    balancePeriod: 1_000_000,
  }
}

/** A period that is over exactly at the steps whose uniform number says that the preconditioner moves; it does at the first. */
function periodOf(fields: Fields): HyperValue {
  const probability = fields.number('preconditioner_update_probability')
  return probability === 1 ? 1 : (step) => (uniform(step, 0) < probability ? 1 : 1_000_000)
}

/** The c-th uniform number of a step, in these trajectories. */
const uniform = (step: number, c: number) => (((3 * step + 5 * c) % 7) + 0.5) / 7

const remainder = (x: Value, divisor: number): Value => x.minus(x.over(divisor).floor().times(divisor))

/** The same where they are drawn in the rule, for each element of a draw. */
function normalArray(step: Value, d: Value, like: Value): Value {
  const size = like.batch * like.rows * like.columns
  // Remainders first: float32 has no whole numbers beyond 2²⁴.
  const i = remainder(like.as([1, 1, size]).columnIndex(), 101).as(like)
  const n = remainder(step.times(1000).plus(d).plus(1), 101)
  const h = remainder(i.square().times(31).plus(i.times(17)).plus(n.times(57)).plus(i.times(n).times(13)).plus(5), 101)
  return h.times(2).minus(99.5).over(58)
}

/** Captured are the closed forms, which are computed here. */
function drawnByFormula(): void {}

const curvature: Readonly<Record<string, Source>> = {
  probe: ({ t, k, i }) => normal(t, k, i),
  hessianVectorProduct: (place) => hessianDiagonalAt(place) * normal(place.t, place.k, place.i),
}

/** How many draws come before the one over all tensors: a probe for each. */
const afterProbes: Source = (_, { shapes }) => shapes.length

/** How many draws come before those of a tensor's preconditioner: the probes, and those of the tensors before. */
function firstDrawOfTensor({ k }: { readonly k: number }, { shapes, captured }: GoldenRun): number {
  const { draws_step1: draws } = captured as { readonly draws_step1: readonly (readonly number[])[] }
  // The draws of a tensor begin with the damping of its shape; the others are for bounds, of 32 rows.
  const starts = draws.flatMap(([rows], index) => (index >= shapes.length && rows !== 32 ? [index] : []))
  return starts[k]!
}

/** PSGD Kron with the closed forms that these trajectories have in the place of random numbers. */
const whiteningKron = (() => {
  const { definition } = psgdKron
  return defineOptimizer({
    ...definition,
    inputs: { noise: inputArray('what disturbs the gradient') },
    rule: (context) => {
      const normal: typeof context.random.normal = (settings) => {
        if (settings.dimensions === undefined) return context.inputs.noise
        const place = context.random.normal(settings)
        return place.rowIndex().times(1.7).plus(place.columnIndex().times(0.9)).plus(0.3).cos()
      }
      return definition.rule({ ...context, random: { ...context.random, normal } })
    },
  })
})()

/** Which draw of which step an array of normal numbers is, after the `first` draws of a step; by default in the order of the rule. */
type Draws = (step: Value, first: Value, draw: number, order: number) => { readonly step: Value; readonly d: Value }

/** U and V are drawn before the first step, as its draws 0 and 1. */
const lowRankDraws: Draws = (step, first, draw) =>
  draw === 0 ? { step, d: first } : { step: step.lifted(0), d: step.lifted(draw - 1) }

/** An optimizer whose random numbers are those of the closed forms. */
function drawn<Factory extends OptimizerFactory>(
  factory: Factory,
  drawsOf: Draws = (step, first, _, order) => ({ step, d: first.plus(order) }),
): Factory {
  const { definition } = factory
  const inputs = typeof definition.inputs === 'function' ? definition.inputs : () => definition.inputs
  return defineOptimizer({
    ...definition,
    inputs: (options) => ({ ...inputs(options), firstDraw: inputArray('how many draws of a step come before') }),
    rule: (context) => {
      const order: number[] = []
      const normal: typeof context.random.normal = (settings) => {
        const { draw = 0 } = settings
        if (!order.includes(draw)) order.push(draw)
        const { step, d } = drawsOf(context.step, context.inputs.firstDraw!.largest(), draw, order.indexOf(draw))
        return normalArray(step, d, context.random.normal(settings))
      }
      const uniform: typeof context.random.uniform = (settings) =>
        context.random
          .uniform(settings)
          .times(0)
          .plus(remainder(context.step.times(3).plus(5), 7).plus(0.5).over(7))
      return definition.rule({ ...context, random: { ...context.random, normal, uniform } })
    },
  }) as unknown as Factory
}

const curvatureKron = drawn(psgdKron)
const drawnAffine = drawn(psgdAffine)
const drawnDense = drawn(psgdDense)
const drawnXMat = drawn(psgdXMat)
const drawnLowRank = drawn(psgdLowRank, lowRankDraws)

/** PSGD in all its groups. */
export const psgd: Readonly<Record<string, Mapping>> = {
  psgd_kron: {
    // Rounding decides on which side of the longest row a vector of a bound starts, and which row is the longest.
    signs: true,
    inputs: { noise: ({ i, k, t }) => Math.cos(0.9 * (i + 1) + 0.5 * t + k) },
    optimizer(fields) {
      fields.expect('preconditioner_update_probability', 1, 'the preconditioner is updated at every step')
      return whiteningKron({
        ...kronecker(fields),
        ...whitening(fields),
        updatesFirst: fields.boolean('update_preconditioner_first'),
      })
    },
  },
  psgd_kron_newton: {
    signs: true,
    captured: drawnByFormula,
    inputs: { ...curvature, firstDraw: firstDrawOfTensor },
    optimizer: (fields) => curvatureKron({ ...kronecker(fields), ...newton(fields) }),
  },
  psgd_lra_whiten: {
    captured: drawnByFormula,
    inputs: { firstDraw: () => 0 },
    optimizer: (fields) =>
      drawnLowRank({
        ...common(fields),
        ...whitening(fields),
        rank: fields.number('rank_of_approximation'),
        updatesFirst: fields.boolean('update_preconditioner_first'),
        preconditionerPeriod: periodOf(fields),
      }),
  },
  psgd_lra_newton: {
    captured: drawnByFormula,
    inputs: { ...curvature, firstDraw: afterProbes },
    optimizer: (fields) =>
      drawnLowRank({ ...common(fields), ...newton(fields), rank: fields.number('rank_of_approximation') }),
  },
  psgd_dense_newton: {
    captured: drawnByFormula,
    inputs: { ...curvature, firstDraw: afterProbes },
    optimizer(fields) {
      const { fits, ...settings } = newton(fields)
      return drawnDense({ ...common(fields), ...settings, ...coordinates(fields) })
    },
  },
  psgd_xmat: {
    captured: drawnByFormula,
    // With probes there is no other draw.
    inputs: { ...curvature, firstDraw: () => 0 },
    optimizer: (fields) => drawnXMat(oldClass(fields)),
  },
  psgd_affine: {
    captured: drawnByFormula,
    inputs: { ...curvature, firstDraw: ({ k }) => k },
    optimizer(fields) {
      const size = fields.number('preconditioner_max_size')
      const skew = fields.number('preconditioner_max_skew')
      return drawnAffine({
        ...oldClass(fields),
        maximumSize: Number.isFinite(size) ? size : 1024,
        maximumPercent: Number.isFinite(skew) ? 100 * skew : 1_000_000,
        balancePeriod: 1_000_000,
      })
    },
  },
}
