import { defineOptimizer } from '../language/definition.ts'
import { solveLower } from '../language/factorizations.ts'
import { decayRate, fraction, logUniform, nonNegative, positive, seed, stepCount } from '../language/hyperparameters.ts'
import { type SlotFacts, scalar, shaped, zeros } from '../language/slots.ts'
import type { Value } from '../language/value.ts'
import { upperTriangle } from '../parts/kronecker.ts'
import { boundVectors } from '../parts/norm-bound.ts'
import {
  averagedFromStart,
  clippedInNorm,
  curvatureInputs,
  curvaturePair,
  fittedScale,
  largestFitted,
  psgdPaper,
  psgdSearch,
  renewalsOf,
  smoothed,
  towardsSymmetric,
} from '../parts/psgd.ts'

const isDense = ({ shape: { size }, options }: SlotFacts) => size > 1 && size <= Number(options.maximumSize)

/**
 * PSGD with a full matrix: all parameters are one vector, and P = QᵀQ, as many rows and columns as there are parameters, is fitted so that P is
 * the inverse of the Hessian's absolute value. A quasi-Newton method without line search, for small models.
 *
 * ```text
 * a ← P (H v + δ z);  b ← v                      v, z: normal random numbers
 * ℓ ← ‖a‖² + ‖b‖²;  L ← max(β L + (1 - β) ℓ, ℓ)
 * Q ← Q - μ / L (a aᵀ - b bᵀ) Q, then turned towards a symmetric matrix
 * m ← c m + (1 - c) g,  c = min((t - 1) / t, momentum)
 * u ← P m, scaled to a norm of at most `maximumNorm`
 * θ ← θ - η u
 * ```
 *
 * Takes the inputs `probe`, v of N(0, 1), and `hessianVectorProduct`, H v, wanted whenever P moves.
 *
 * Defaults of the official code: η 1e-2, μ 0.1 (`preconditionerRate`), β 0.9 (`smoothnessBeta`), δ 1e-9 (`damping`), no momentum, no
 * `maximumNorm` (0). State: `factor`, the number of parameters squared, and the number L, with momentum also m. Q starts at a multiple of the
 * identity, mean(v²)^(1/4) (mean((H v)⁴) + δ⁴)^(-1/8) at the first step, or with `scalesByGradient: false` at `initialScale`.
 *
 * `dQ` says how Q moves, with E for μ / L (a aᵀ - b bᵀ): `'Q0.5EQ1.5'` as above; `'QEQ'` by Q E; `'QUAD'` to (I - E / 2) Q (I - E / 2), symmetric;
 * `'QUAD4P'` the same of P itself, with E in the place of E / 2; `'PRO4P'` P itself as Q above, turned to third order; `'QEP'` with Q P H v for a and Q v for b; `'EQ'` with Q H v for a and Q⁻ᵀv for
 * b, the upper triangle of E, which takes a triangular solve.
 *
 * Deviations: P moves at every `preconditionerPeriod`-th step, where the official code draws whether to. It adds the precision of a number times
 * |H v| to δ, and knows no limit of size: here more than `maximumSize` (512) parameters have the diagonal of Q alone, as a factor of PSGD Kron
 * that has no matrix, with max(a² + b²) for ℓ. With `'PRO4P'` it repeats the turn, see `psgdKron`.
 *
 * Pooladzandi, Li 2024, Curvature-Informed SGD via General Purpose Lie-Group Preconditioners, arXiv 2402.11858.
 */
export const psgdDense = defineOptimizer({
  name: 'psgdDense',
  title: 'PSGD Dense',
  family: 'curvature',
  paper: psgdPaper,
  hyper: {
    learningRate: nonNegative(1e-2),
    momentum: decayRate(0),
    preconditionerRate: nonNegative(0.1),
    smoothnessBeta: fraction(0.9),
    damping: nonNegative(1e-9),
    initialScale: positive(1),
    maximumNorm: nonNegative(0),
    weightDecay: nonNegative(0),
    preconditionerPeriod: stepCount(1),
    seed: seed(),
  },
  options: {
    dQ: 'Q0.5EQ1.5' as 'Q0.5EQ1.5' | 'QEQ' | 'QEP' | 'QUAD' | 'EQ' | 'QUAD4P' | 'PRO4P',
    scalesByGradient: true,
    maximumSize: 512,
  },
  choices: { dQ: ['Q0.5EQ1.5', 'QEQ', 'QEP', 'QUAD', 'EQ', 'QUAD4P', 'PRO4P'] },
  limits: { maximumSize: [0] },
  inputs: curvatureInputs,
  state: {
    m: zeros({ when: ({ disabled }) => !disabled('momentum') }),
    factor: shaped(({ size }) => [1, size, size], { start: 'identity', when: isDense }),
    diagonal: zeros({ start: 1, when: (facts) => !isDense(facts) }),
    smoothness: scalar(0),
  },
  decay: 'decoupled',
  search: {
    learningRate: logUniform(1e-3, 1),
    ...psgdSearch,
  },
  largestGradient: largestFitted,
  joint: true,
  rule(context) {
    const { g, t, inputs, state, hyper, options, shape, disabled, random } = context
    // What has no elements has nothing to fit.
    if (shape.size === 0) return { direction: g, state: {} }
    const { dQ } = options
    const dense = isDense({ shape, options, disabled: (name) => disabled(name as 'damping') })
    const fitsP = dQ === 'QUAD4P' || dQ === 'PRO4P'
    const column = (x: Value) => x.as([1, shape.size, 1])
    const times = (Q: Value, x: Value) => (dense ? Q.matmul(x) : Q.times(x))
    const timesTransposed = (Q: Value, x: Value) => (dense ? Q.transposed().matmul(x) : Q.times(x))
    const preconditioned = (Q: Value, x: Value) => (fitsP ? times(Q, x) : timesTransposed(Q, times(Q, x)))
    /** x xᵀ Q and Q x xᵀ. */
    const before = (Q: Value, x: Value) => (dense ? x.matmul(x.transposed().matmul(Q)) : x.square().times(Q))
    const after = (Q: Value, x: Value) => (dense ? Q.matmul(x).matmul(x.transposed()) : x.square().times(Q))

    const m = disabled('momentum') ? g : averagedFromStart(state.m, g, hyper.momentum, t)
    const pair = curvaturePair(inputs)
    const scale = () => {
      const chosen = options.scalesByGradient ? fittedScale(pair.h, hyper.damping, pair.v) : hyper.initialScale
      return fitsP ? chosen.square() : chosen
    }
    const { first, renews } = renewalsOf(context, hyper.preconditionerPeriod)
    const old = dense ? state.factor : column(state.diagonal)
    const Q = first ? old.times(scale()) : old

    const renewed = () => {
      const v = column(pair.v)
      const noise = () => column(random.normal({ seed: hyper.seed })).times(hyper.damping)
      const h = disabled('damping') ? column(pair.h) : column(pair.h).plus(noise())
      const solved = () => (dense ? solveLower(Q.transposed(), v) : v.over(Q))
      const a = dQ === 'EQ' ? times(Q, h) : dQ === 'QEP' ? times(Q, preconditioned(Q, h)) : preconditioned(Q, h)
      const b = dQ === 'EQ' ? solved() : dQ === 'QEP' ? times(Q, v) : v
      // Relative to the largest number, so that float32 holds the squares.
      const unit = a.abs().largest().maximum(b.abs().largest()).maximum(1e-30)
      const [x, y] = [a.over(unit), b.over(unit)]
      const squares = x.square().plus(y.square())
      const ell = (dense ? squares.sum() : squares.largest()).times(unit.square())
      const smoothness = smoothed(state.smoothness, ell, hyper.smoothnessBeta)
      const rate = hyper.preconditionerRate.over(smoothness.maximum(1e-30)).times(unit.square())
      const moved = (step: Value) => Q.minus(before(Q, x).minus(before(Q, y)).times(step))
      const movedAfter = (from: Value, step: Value) => from.minus(after(from, x).minus(after(from, y)).times(step))
      const factor = () => {
        if (dQ === 'QUAD' || dQ === 'QUAD4P') {
          const step = fitsP ? rate : rate.times(0.5)
          const both = movedAfter(moved(step), step)
          return dense ? both.plus(both.transposed()).times(0.5) : both
        }
        if (dQ === 'QEQ') return movedAfter(Q, rate)
        if (dQ === 'EQ' && dense) {
          const E = x.matmul(x.transposed()).minus(y.matmul(y.transposed()))
          return Q.minus(upperTriangle(E).matmul(Q).times(rate))
        }
        const turns = dQ === 'Q0.5EQ1.5' || dQ === 'PRO4P'
        if (!turns || !dense) return moved(rate)
        const drawn = random.normal({ seed: hyper.seed, draw: 1, dimensions: [1, boundVectors, shape.size] })
        return towardsSymmetric(moved(rate), drawn, fitsP ? 3 : 2)
      }
      return { factor: factor(), smoothness }
    }
    const next = renews ? renewed() : { factor: Q, smoothness: state.smoothness }
    const u = preconditioned(next.factor, column(m)).as(g)
    return {
      direction: disabled('maximumNorm') ? u : clippedInNorm(u, hyper.maximumNorm),
      state: {
        ...(disabled('momentum') ? {} : { m }),
        ...(dense ? { factor: next.factor } : { diagonal: next.factor.as(g) }),
        smoothness: next.smoothness,
      },
    }
  },
})
