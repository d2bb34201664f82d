import { countedSlots } from '../language/counted-slots.ts'
import { defineOptimizer } from '../language/definition.ts'
import { decayRate, fraction, logUniform, nonNegative, positive, seed, stepCount } from '../language/hyperparameters.ts'
import { type ParameterShape, scalar, zeros } from '../language/slots.ts'
import type { Value } from '../language/value.ts'
import { diagonalOf, identityLike } from '../parts/diagonal.ts'
import {
  applied,
  appliedAlong,
  appliedTransposed,
  balanced,
  type Factors,
  factorSlots,
  gramFor,
  inverses,
  isMatrix,
  upperTriangle,
} from '../parts/kronecker.ts'
import { mostModes } from '../parts/modes.ts'
import { boundVectors, normBound } from '../parts/norm-bound.ts'
import {
  averagedFromStart,
  clippedInAmplitude,
  clippedInNorm,
  fittedScale,
  inputsToFit,
  largestFitted,
  pairToFit,
  psgdPaper,
  psgdSearch,
  renewalsOf,
  smoothed,
  towardsSymmetric,
} from '../parts/psgd.ts'

type Options = { maximumSize: number; maximumPercent: number }

/** The sizes of the dimensions without those of one element, where there are too many the last ones as one, and which have a matrix. */
function sidesOf({ shape, size: count }: ParameterShape, { maximumSize, maximumPercent }: Options) {
  const long = shape.filter((size) => size !== 1)
  const rest = long.slice(mostModes - 1).reduce((product, size) => product * size, 1)
  const sizes = long.length === 0 ? [1] : long.length > mostModes ? [...long.slice(0, mostModes - 1), rest] : long
  const dense = (size: number) => size > 1 && size <= maximumSize && size ** 2 <= (maximumPercent / 100) * count
  return { sizes, matrices: sizes.map(dense) }
}

const factors = factorSlots(mostModes, sidesOf)
const smoothness = countedSlots(
  'smoothness',
  mostModes,
  scalar(0),
  ({ shape, options }) => sidesOf(shape, options as Options).sizes.length,
)

/**
 * PSGD with Kronecker-factored preconditioners: P = QᵀQ, with a factor Qᵢ for every dimension, is fitted so that P g has uncorrelated
 * elements of size 1, or so that P is the inverse of the Hessian's absolute value.
 *
 * ```text
 * a ← P (g + δ z)                                z: normal random numbers
 * Eᵢ ← AᵢAᵢᵀ - (n / nᵢ) I                        Aᵢ: a unfolded along dimension i; n elements, nᵢ along i
 * ℓᵢ ← ‖AᵢAᵢᵀ‖ + n / nᵢ;  Lᵢ ← max(β Lᵢ + (1 - β) ℓᵢ, ℓᵢ)
 * Qᵢ ← Qᵢ - μ / Lᵢ Eᵢ Qᵢ, then turned towards a symmetric matrix
 * m ← b m + (1 - b) g,  b = min((t - 1) / t, momentum)
 * u ← P m, scaled to a root mean square of at most 2, its elements cut at 10
 * θ ← θ - η u
 * ```
 *
 * `fits: 'curvature'` takes the inputs `probe`, v of N(0, 1), and `hessianVectorProduct`, H v, wanted whenever P moves: a is P (H v + δ z), and
 * VᵢVᵢᵀ, of v unfolded, stands in the place of (n / nᵢ) I, its norm bounded together with AᵢAᵢᵀ; u is scaled to a norm over all tensors of at
 * most `maximumNorm` and not cut otherwise. For it η 1e-2 is advised.
 *
 * Defaults of the official code: η 1e-3, μ 0.1 (`preconditionerRate`), β 0.9 (`smoothnessBeta`), δ 1e-9 (`damping`), no momentum, no
 * `maximumNorm` (0). State: for every dimension `factor`, its size squared, and one number L, with momentum also m. Dimensions of more than
 * `maximumSize` elements, or whose matrix would have more than `maximumPercent` per cent of the elements of the parameter, have the diagonal
 * alone; dimensions of one element do not count, and those from the eighth on are one where there are more than eight. Q starts at a
 * multiple of the identity, (max over tensors of mean(g⁴) + δ⁴)^(-1/8) at the first gradient, for curvature mean(v²)^(1/4) times that of
 * H v, or with `scalesByGradient: false` at `initialScale`. ‖·‖ is a lower bound by products with random vectors. `fits: 'momentum'` fits P
 * to m, for which a learning rate smaller by √((1 - b) / (1 + b)) is advised; `updatesFirst: false` takes P from before the step.
 *
 * `dQ` says how Q moves, E in the units of L: `'Q0.5EQ1.5'` as above; `'QEQ'` by Q E; `'QUAD'` to (I - E / 2) Q (I - E / 2), symmetric;
 * `'QUAD4P'` the same of P itself, with E in the place of E / 2; `'PRO4P'` P itself as Q above, turned to third order; `'QEP'` with E from Q a and QQᵀ (of curvature Q a and Q v), factors balanced
 * before; `'EQ'` with E from Q g and Q⁻ᵀz (of curvature Q H v and Q⁻ᵀv), the upper triangle of it, which takes triangular solves.
 *
 * Deviations: P moves at every `preconditionerPeriod`-th step, and factors are given the same largest element every
 * `balancePeriod` steps, where the official code draws whether to, the latter with a probability of 0.01. There sizes are not limited, and newer
 * versions add the precision of a number times |g| to δ, and for `'PRO4P'` repeat the turn, up to ten times, while P is asymmetric by more than
 * 0.001 of its largest number: here it is done once, which is what they come to in the trajectories, and goes on at the next step. How far a turn to
 * third order may go is ours, half of where it stops being a rotation; that of the official code could not be read.
 *
 * Pooladzandi, Li 2024, Curvature-Informed SGD via General Purpose Lie-Group Preconditioners, arXiv 2402.11858.
 */
export const psgdKron = defineOptimizer({
  name: 'psgdKron',
  title: 'PSGD Kron',
  family: 'matrix',
  paper: psgdPaper,
  hyper: {
    learningRate: nonNegative(1e-3),
    momentum: decayRate(0),
    preconditionerRate: nonNegative(0.1),
    smoothnessBeta: fraction(0.9),
    damping: nonNegative(1e-9),
    initialScale: positive(1),
    maximumAmplitude: positive(2),
    maximumElement: positive(10),
    maximumNorm: nonNegative(0),
    weightDecay: nonNegative(0),
    preconditionerPeriod: stepCount(1),
    balancePeriod: stepCount(100),
    seed: seed(),
  },
  options: {
    dQ: 'Q0.5EQ1.5' as 'Q0.5EQ1.5' | 'QEQ' | 'QEP' | 'QUAD' | 'EQ' | 'QUAD4P' | 'PRO4P',
    fits: 'gradient' as 'gradient' | 'momentum' | 'curvature',
    scalesByGradient: true,
    updatesFirst: true,
    maximumSize: 10_000,
    maximumPercent: 100,
  },
  choices: {
    dQ: ['Q0.5EQ1.5', 'QEQ', 'QEP', 'QUAD', 'EQ', 'QUAD4P', 'PRO4P'],
    fits: ['gradient', 'momentum', 'curvature'],
  },
  limits: { maximumSize: [0], maximumPercent: [0] },
  inputs: inputsToFit,
  state: {
    m: zeros({ when: ({ disabled }) => !disabled('momentum') }),
    ...smoothness.slots,
    ...factors.slots,
  },
  decay: 'decoupled',
  search: {
    learningRate: logUniform(1e-4, 1e-1),
    ...psgdSearch,
  },
  largestGradient: largestFitted,
  rule(context) {
    const { g, t, inputs, state, hyper, options, shape, disabled, every, random } = context
    // What has no elements has nothing to whiten.
    if (shape.size === 0) return { direction: g, state: {} }
    const { dQ } = options
    const sides = sidesOf(shape, options)
    const { sizes } = sides
    const fitsP = dQ === 'QUAD4P' || dQ === 'PRO4P'
    const one = hyper.learningRate.lifted(1)

    const preconditioned = (x: Value, Q: Factors) => {
      const once = applied(x, sizes, Q)
      return fitsP ? once : appliedTransposed(once, sizes, Q)
    }

    const momentum = () => averagedFromStart(state.m, g, hyper.momentum, t)
    const m = disabled('momentum') ? g : momentum()
    const pair = pairToFit(options.fits, inputs)
    const given = pair ? pair.h : options.fits === 'momentum' ? m : g

    const scale = () => {
      const chosen = options.scalesByGradient ? fittedScale(given, hyper.damping, pair?.v) : hyper.initialScale
      return chosen.power((fitsP ? 2 : 1) / sizes.length)
    }
    const old = factors.read(state, sides)
    const { first, renews } = renewalsOf(context, hyper.preconditionerPeriod)
    const started = () => {
      const size = scale()
      return old.map((Q) => Q.times(size))
    }
    const begun = first ? started() : old
    const Q = dQ === 'QEP' && renews ? balanced(begun) : begun

    const renewed = () => {
      const noise = random.normal({ seed: hyper.seed })
      const noisy = disabled('damping') ? given : given.plus(noise.times(hyper.damping))
      const L = smoothness.read(state)
      const Pg = dQ === 'EQ' ? applied(noisy, sizes, Q) : preconditioned(noisy, Q)
      const v = pair ? pair.v : noise
      const solved = () => appliedTransposed(v, sizes, inverses(Q))
      const whole = dQ === 'EQ' ? solved() : dQ !== 'QEP' && pair ? v : undefined
      const results = Q.map((q, mode) => {
        const matrix = isMatrix(q)
        const size = sizes[mode]!
        const a = dQ === 'QEP' ? appliedAlong(Pg, sizes, mode, q) : Pg
        const b = dQ === 'QEP' && pair ? appliedAlong(v, sizes, mode, q) : whole
        // Relative to the largest number, so that float32 holds the squares.
        const largest = a.abs().largest()
        const unit = (b ? largest.maximum(b.abs().largest()) : largest).maximum(1e-30)
        const square = unit.square()
        const term1 = gramFor(q, a.over(unit), sizes, mode)
        const share = shape.size / size
        // The second term relative to the first one's unit.
        const term2 = b
          ? gramFor(q, b.over(unit), sizes, mode)
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
        const l = smoothed(L[mode]!, ell, hyper.smoothnessBeta)
        const rate = hyper.preconditionerRate.over(l.maximum(1e-30))
        const E = term2
          ? term1.minus(term2).times(rate.times(square))
          : matrix
            ? term1.times(rate.times(square)).minus(identityLike(term1).times(rate.times(share)))
            : term1.times(rate.times(square)).minus(rate.times(share))
        return { l, q: moved(q, E, mode) }
      })
      return { factors: results.map(({ q }) => q), L: results.map(({ l }) => l) }
    }
    const moved = (q: Value, E: Value, mode: number) => {
      if (dQ === 'QUAD' || dQ === 'QUAD4P') {
        const step = dQ === 'QUAD' ? E.times(0.5) : E
        if (!isMatrix(q)) return q.times(one.minus(step).square())
        const left = q.minus(step.matmul(q))
        const both = left.minus(left.matmul(step))
        return both.plus(both.transposed()).times(0.5)
      }
      if (!isMatrix(q)) return q.minus(E.times(q))
      if (dQ === 'QEQ') return q.minus(q.matmul(E))
      if (dQ === 'QEP') return q.minus(E.matmul(q))
      if (dQ === 'EQ') return q.minus(upperTriangle(E).matmul(q))
      const drawn = random.normal({ seed: hyper.seed, draw: 2 + 2 * mode, dimensions: [1, boundVectors, q.rows] })
      return towardsSymmetric(q.minus(E.matmul(q)), drawn, fitsP ? 3 : 2)
    }
    const next = renews ? renewed() : { factors: Q, L: smoothness.read(state) }
    const u = preconditioned(m, options.updatesFirst ? next.factors : Q)
    // Of a multiple of the identity nothing is out of balance.
    const balances = dQ !== 'QEP' && !first && every(hyper.balancePeriod, () => true, false)

    const clips = pair && !disabled('maximumNorm')
    const short = clips ? clippedInNorm(u, hyper.maximumNorm) : u
    const direction = pair ? short : clippedInAmplitude(u, hyper.maximumAmplitude, hyper.maximumElement)
    return {
      direction,
      state: {
        ...(disabled('momentum') ? {} : { m }),
        ...smoothness.write(next.L),
        ...factors.write(balances ? balanced(next.factors) : next.factors),
      },
    }
  },
})
