import { countedSlots } from '../language/counted-slots.ts'
import { defineOptimizer } from '../language/definition.ts'
import { solveUpper } from '../language/factorizations.ts'
import {
  decayRate,
  fraction,
  logUniform,
  nonNegative,
  oneOf,
  positive,
  seed,
  stepCount,
} from '../language/hyperparameters.ts'
import { type ParameterShape, type SlotFacts, scalar, shaped, zeros } from '../language/slots.ts'
import { ema, type Value, where } from '../language/value.ts'
import { diagonalOf, identityLike } from '../parts/diagonal.ts'
import { modeGram, modeProduct, modeScaled, modeSquares, mostModes } from '../parts/modes.ts'
import { boundVectors, normBound } from '../parts/norm-bound.ts'

type Options = { maximumSize: number; maximumPercent: number }

/** The sizes of the dimensions without those of one element, where there are too many the last ones as one, and which have a matrix. */
function sidesOf({ shape, size: count }: ParameterShape, { maximumSize, maximumPercent }: Options) {
  const long = shape.filter((size) => size !== 1)
  const rest = long.slice(mostModes - 1).reduce((product, size) => product * size, 1)
  const sizes = long.length === 0 ? [1] : long.length > mostModes ? [...long.slice(0, mostModes - 1), rest] : long
  const dense = (size: number) => size > 1 && size <= maximumSize && size ** 2 <= (maximumPercent / 100) * count
  return { sizes, matrices: sizes.map(dense) }
}

const countOf = ({ shape, options }: SlotFacts) => sidesOf(shape, options as Options).sizes.length

/** A square matrix for a dimension, or its diagonal as a column. */
const factor = (matrix: boolean) => (index: number) => ({
  ...shaped(
    (shape, options) => {
      const { sizes } = sidesOf(shape, options as Options)
      const size = sizes[index] ?? 1
      return [1, size, matrix ? size : 1]
    },
    { start: matrix ? 'identity' : 1 },
  ),
  when: ({ shape, options }: SlotFacts) => sidesOf(shape, options as Options).matrices[index] === matrix,
})

const smoothness = countedSlots('smoothness', mostModes, scalar(0), countOf)
const matrixSlots = countedSlots('factor', mostModes, factor(true))
const diagonalSlots = countedSlots('diagonal', mostModes, factor(false))

/**
 * PSGD with Kronecker-factored preconditioners: P = QᵀQ, with a factor Qᵢ for every dimension, is fitted so that P g has uncorrelated
 * elements of size 1.
 *
 * ```text
 * h ← P (g + δ z)                                z: normal random numbers
 * Eᵢ ← HᵢHᵢᵀ - (n / nᵢ) I                        Hᵢ: h unfolded along dimension i; n elements, nᵢ along i
 * ℓᵢ ← ‖HᵢHᵢᵀ‖ + n / nᵢ;  Lᵢ ← max(β Lᵢ + (1 - β) ℓᵢ, ℓᵢ)
 * Qᵢ ← Qᵢ - μ / Lᵢ Eᵢ Qᵢ, then turned towards a symmetric matrix
 * m ← b m + (1 - b) g,  b = min((t - 1) / t, momentum)
 * u ← P m, scaled to a root mean square of at most 2, its elements cut at 10
 * θ ← θ - η u
 * ```
 *
 * Defaults of the official code: η 1e-3, μ 0.1 (`preconditionerRate`), β 0.9 (`smoothnessBeta`), δ 1e-9 (`damping`), no momentum. State: for
 * every dimension `factor`, its size squared, and one number L, with momentum also m. Dimensions of more than `maximumSize` elements, or whose
 * matrix would have more than `maximumPercent` per cent of the elements of the parameter, have the diagonal alone; dimensions of one
 * element do not count, and those from the eighth on are one where there are more than eight. Q starts at a multiple of the identity, (max over tensors of mean(g⁴) + δ⁴)^(-1/8) at the first gradient, or
 * with `scalesByGradient: false` at `initialScale`. ‖·‖ is a lower bound by products with random vectors. `whitens: 'momentum'` fits P to m,
 * for which a learning rate smaller by √((1 - b) / (1 + b)) is advised; `updatesFirst: false` takes P from before the step.
 *
 * `dQ` says how Q moves, E in the units of L: `'Q0.5EQ1.5'` as above; `'QEQ'` by Q E; `'QUAD'` to (I - E / 2) Q (I - E / 2), symmetric;
 * `'QUAD4P'` the same of P itself, with E in the place of E / 2; `'QEP'` with E from Q h and QQᵀ, factors balanced before; `'EQ'` with E from
 * Q g and Q⁻ᵀz, the upper triangle of it, which takes triangular solves.
 *
 * Deviations: P moves at every `preconditionerPeriod`-th step, and factors are given the same largest element every
 * `balancePeriod` steps, where the official code draws whether to, the latter with a probability of 0.01. There sizes are not limited, and newer
 * versions add the precision of a number times |g| to δ.
 *
 * Pooladzandi, Li 2024, Curvature-Informed SGD via General Purpose Lie-Group Preconditioners, arXiv 2402.11858.
 */
export const psgdKron = defineOptimizer({
  name: 'psgdKron',
  title: 'PSGD Kron',
  family: 'matrix',
  paper: {
    title: 'Curvature-Informed SGD via General Purpose Lie-Group Preconditioners',
    authors: 'Pooladzandi, Li',
    year: 2024,
    arxiv: '2402.11858',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    momentum: decayRate(0),
    preconditionerRate: nonNegative(0.1),
    smoothnessBeta: fraction(0.9),
    damping: nonNegative(1e-9),
    initialScale: positive(1),
    maximumAmplitude: positive(2),
    maximumElement: positive(10),
    weightDecay: nonNegative(0),
    preconditionerPeriod: stepCount(1),
    balancePeriod: stepCount(100),
    seed: seed(),
  },
  options: {
    dQ: 'Q0.5EQ1.5' as 'Q0.5EQ1.5' | 'QEQ' | 'QEP' | 'QUAD' | 'EQ' | 'QUAD4P',
    whitens: 'gradient' as 'gradient' | 'momentum',
    scalesByGradient: true,
    updatesFirst: true,
    maximumSize: 10_000,
    maximumPercent: 100,
  },
  choices: { dQ: ['Q0.5EQ1.5', 'QEQ', 'QEP', 'QUAD', 'EQ', 'QUAD4P'], whitens: ['gradient', 'momentum'] },
  limits: { maximumSize: [0], maximumPercent: [0] },
  state: {
    m: zeros({ when: ({ disabled }) => !disabled('momentum') }),
    ...smoothness.slots,
    ...matrixSlots.slots,
    ...diagonalSlots.slots,
  },
  decay: 'decoupled',
  search: {
    learningRate: logUniform(1e-4, 1e-1),
    momentum: oneOf(0, 0.9, 0.95),
    preconditionerRate: oneOf(0.1, 0.3, 0.5),
  },
  largestGradient: 1e15,
  rule({ g, t, state, hyper, options, shape, disabled, every, firstSteps, random }) {
    // What has no elements has nothing to whiten.
    if (shape.size === 0) return { direction: g, state: {} }
    const { dQ } = options
    const { sizes, matrices } = sidesOf(shape, options)
    const modes = [...sizes.keys()]
    const fitsP = dQ === 'QUAD4P'
    const one = hyper.learningRate.lifted(1)

    const slots: Readonly<Record<string, Value>> = state
    const slotOf = (mode: number) => `${matrices[mode] ? 'factor' : 'diagonal'}${mode + 1}`
    const applied = (x: Value, factors: readonly Value[], transposes: boolean) =>
      modes.reduce((y, mode) => {
        const Q = factors[mode]!
        if (!matrices[mode]) return modeScaled(y, sizes, mode, Q)
        return modeProduct(y, sizes, mode, transposes ? Q : Q.transposed())
      }, x)
    const preconditioned = (x: Value, factors: readonly Value[]) => {
      const once = applied(x, factors, false)
      return fitsP ? once : applied(once, factors, true)
    }
    const gram = (x: Value, mode: number) => (matrices[mode] ? modeGram(x, sizes, mode) : modeSquares(x, sizes, mode))

    const scale = () => {
      const largest = g.abs().largest().maximum(1e-30)
      const size = g.over(largest).square().square().mean().sqrt().sqrt().times(largest).largest('all')
      const unit = size.maximum(hyper.damping).maximum(1e-30)
      const sum = size.over(unit).square().square().plus(hyper.damping.over(unit).square().square())
      const chosen = options.scalesByGradient ? sum.power(-1 / 8).over(unit.sqrt()) : hyper.initialScale
      return chosen.power((fitsP ? 2 : 1) / sizes.length)
    }
    const old = modes.map((mode) => slots[slotOf(mode)]!)
    const begun = firstSteps(
      1,
      () => {
        const first = scale()
        return old.map((Q) => Q.times(first))
      },
      old,
    )
    const balance = (factors: readonly Value[]) => {
      if (sizes.length === 1) return factors
      const sizesOfFactors = factors.map((Q) => Q.abs().largest())
      const mean = sizesOfFactors
        .map((size) => size.log())
        .reduce((sum, log) => sum.plus(log))
        .over(sizes.length)
        .exp()
      return factors.map((Q, mode) => Q.times(mean.over(sizesOfFactors[mode]!)))
    }
    const Q = dQ === 'QEP' ? every(hyper.preconditionerPeriod, () => balance(begun), begun, 'first') : begun

    const momentum = () => ema(state.m, g, t.minus(1).over(t).minimum(hyper.momentum))
    const m = disabled('momentum') ? g : momentum()
    const given = options.whitens === 'momentum' ? m : g

    const renewed = () => {
      const noise = random.normal({ seed: hyper.seed })
      const noisy = disabled('damping') ? given : given.plus(noise.times(hyper.damping))
      const L = smoothness.read(state)
      const Pg = dQ === 'EQ' ? applied(noisy, Q, false) : preconditioned(noisy, Q)
      const inverses = () =>
        Q.map((factor, mode) => (matrices[mode] ? solveUpper(factor, identityLike(factor)) : one.over(factor)))
      const solved =
        dQ === 'EQ'
          ? applied(
              noise,
              inverses().map((factor, mode) => (matrices[mode] ? factor.transposed() : factor)),
              false,
            )
          : undefined
      const results = modes.map((mode) => {
        const q = Q[mode]!
        const matrix = matrices[mode]!
        const size = sizes[mode]!
        const applyOne = (x: Value) =>
          matrix ? modeProduct(x, sizes, mode, q.transposed()) : modeScaled(x, sizes, mode, q)
        const first = dQ === 'QEP' ? applyOne(Pg) : Pg
        // Relative to the largest number, so that float32 holds the squares.
        const unit = first.abs().largest().maximum(1e-30)
        const square = unit.square()
        const term1 = gram(first.over(unit), mode)
        const share = shape.size / size
        // The second term relative to the first one's unit.
        const term2 =
          dQ === 'EQ'
            ? gram(solved!.over(unit), mode)
            : dQ === 'QEP'
              ? (matrix ? q.matmul(q.transposed()) : q.square()).times(one.times(share).over(square))
              : undefined
        const bounded = term2 ? term1.plus(term2) : term1
        const bound = matrix
          ? normBound(
              bounded,
              diagonalOf(bounded).largest(),
              random.normal({ seed: hyper.seed, draw: 1 + 2 * mode, dimensions: [1, boundVectors, size] }),
            )
          : bounded.largest()
        const ell = term2 ? bound.times(square) : bound.times(square).plus(share)
        const l = ema(L[mode]!, ell, hyper.smoothnessBeta).maximum(ell)
        const rate = hyper.preconditionerRate.over(l)
        const E = term2
          ? term1.minus(term2).times(rate.times(square))
          : matrix
            ? term1.times(rate.times(square)).minus(identityLike(term1).times(rate.times(share)))
            : term1.times(rate.times(square)).minus(rate.times(share))
        return { l, q: moved(q, E, matrix, mode) }
      })
      return { factors: results.map(({ q }) => q), L: results.map(({ l }) => l) }
    }
    const moved = (q: Value, E: Value, matrix: boolean, mode: number) => {
      if (dQ === 'QUAD' || dQ === 'QUAD4P') {
        const step = dQ === 'QUAD' ? E.times(0.5) : E
        if (!matrix) return q.times(one.minus(step).square())
        const left = q.minus(step.matmul(q))
        const both = left.minus(left.matmul(step))
        return both.plus(both.transposed()).times(0.5)
      }
      if (!matrix) return q.minus(E.times(q))
      if (dQ === 'QEQ') return q.minus(q.matmul(E))
      if (dQ === 'QEP') return q.minus(E.matmul(q))
      if (dQ === 'EQ') return q.minus(where(E.rowIndex().isAtMost(E.columnIndex()), E, 0).matmul(q))
      const drawn = random.normal({ seed: hyper.seed, draw: 2 + 2 * mode, dimensions: [1, boundVectors, q.rows] })
      return towardsSymmetric(q.minus(E.matmul(q)), drawn)
    }
    const held = { factors: Q, L: smoothness.read(state) }
    const next = every(hyper.preconditionerPeriod, renewed, held, 'first')
    const u = preconditioned(m, options.updatesFirst ? next.factors : Q)
    const balanced = dQ === 'QEP' ? next.factors : every(hyper.balancePeriod, () => balance(next.factors), next.factors)

    const amplitude = u.over(u.abs().largest().maximum(1e-30)).square().mean().sqrt().times(u.abs().largest())
    const clipped = u.times(one.minimum(hyper.maximumAmplitude.over(amplitude.maximum(1e-30))))
    const direction = clipped.minimum(hyper.maximumElement).maximum(hyper.maximumElement.negated())
    return {
      direction,
      state: {
        ...(disabled('momentum') ? {} : { m }),
        ...smoothness.write(next.L),
        ...Object.fromEntries(balanced.map((factor, mode) => [slotOf(mode), factor])),
      },
    }
  },
})

/** A rotation of Q towards a symmetric matrix: exp(a R) Q to second order, with R = Qᵀ - Q of norm 1 and the best a up to 1 / 8. */
function towardsSymmetric(Q: Value, drawn: Value): Value {
  const difference = Q.transposed().minus(Q)
  const R = difference.over(normBound(difference, difference.abs().largest(), drawn).plus(2 ** -126))
  const RQ = R.matmul(Q)
  const RRQ = R.matmul(RQ)
  const trace = (x: Value) => diagonalOf(x).sum()
  const curvature = trace(RRQ)
  const best = trace(RQ)
    .negated()
    .over(where(curvature.isLessThan(0), curvature, -1))
    .minimum(1 / 8)
  const a = where(curvature.isLessThan(0), best, 1 / 8)
  return Q.plus(RQ.plus(RRQ.times(a.times(0.5))).times(a))
}
