import { defineOptimizer } from '../language/definition.ts'
import { qr, solveLower, solveUpper } from '../language/factorizations.ts'
import { decayRate, fraction, logUniform, nonNegative, positive, seed, stepCount } from '../language/hyperparameters.ts'
import { type ParameterShape, type SlotFacts, scalar, shaped, zeros } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'
import { identityLike, traceOf } from '../parts/diagonal.ts'
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
} from '../parts/psgd.ts'

type Options = { rank: number }

/** Columns of U and V: fewer than there are parameters. */
const columnsOf = ({ size }: ParameterShape, { rank }: Options) => Math.max(0, Math.min(rank, size - 1))

const hasColumns = ({ shape, options }: SlotFacts) => columnsOf(shape, options as Options) > 0

const tall = shaped((shape, options) => [1, shape.size, columnsOf(shape, options as Options)])

/**
 * PSGD with a preconditioner of low rank beside a diagonal: all parameters are one vector, P = QᵀQ with Q = (I + U Vᵀ) diag(d), and it is fitted so
 * that P g has uncorrelated elements of size 1, or so that P is the inverse of the Hessian's absolute value.
 *
 * ```text
 * h ← g + δ z;  v ← z                            z: normal random numbers; for curvature h is H v + δ z
 * U, V scaled to the same norm, then turned towards UᵀU = VᵀV
 * a ← Q h;  b ← Q⁻ᵀ v
 * d ← d - μ / L (h ⊙ P h - v ⊙ P⁻¹v) ⊙ d,        ℓ = max|h ⊙ P h| + max|v ⊙ P⁻¹v|
 * U ← U - μ / L (a aᵀ - b bᵀ) V (I + VᵀU),       ℓ = ‖a‖ ‖V Vᵀa‖ + ‖b‖ ‖V Vᵀb‖;  in half of the steps, drawn, else
 * V ← V - μ / L (I + V Uᵀ)(a aᵀ - b bᵀ) U,       ℓ = ‖a‖ ‖U Uᵀa‖ + ‖b‖ ‖U Uᵀb‖
 * m ← c m + (1 - c) g,  c = min((t - 1) / t, momentum)
 * u ← P m, scaled to a root mean square of at most 2, its elements cut at 10
 * θ ← θ - η u
 * ```
 *
 * Each of the three L is max(β L + (1 - β) ℓ, ℓ). `fits: 'curvature'` takes the inputs `probe`, v of N(0, 1), and `hessianVectorProduct`, H v,
 * wanted whenever P moves; u is then scaled to a norm of at most `maximumNorm` and not cut otherwise, and η 1e-2 is advised.
 * `fits: 'momentum'` fits P to m, for which a learning rate smaller by √((1 - c) / (1 + c)) is advised; `updatesFirst: false` takes P from
 * before the step.
 *
 * Defaults of the official code: `rank` 10 (columns of U and V, fewer than there are parameters), η 1e-3, μ 0.1 (`preconditionerRate`), β 0.9
 * (`smoothnessBeta`), δ 1e-9 (`damping`), no momentum, no `maximumNorm` (0). State: d, U and V, 1 + 2 · rank numbers a parameter, three numbers L, with
 * momentum also m. U and V start at normal random numbers of norm √0.1; d starts at (mean(g⁴) + δ⁴)^(-1/8) of the first gradient, for
 * curvature at mean(v²)^(1/4) times that of H v, or with `scalesByGradient: false` at `initialScale`.
 *
 * Deviations: P moves at every `preconditionerPeriod`-th step, where the official code draws whether to. It adds the precision of a number times
 * |h| to δ.
 *
 * Pooladzandi, Li 2024, Curvature-Informed SGD via General Purpose Lie-Group Preconditioners, arXiv 2402.11858.
 */
export const psgdLowRank = defineOptimizer({
  name: 'psgdLowRank',
  title: 'PSGD LRA',
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
    seed: seed(),
  },
  options: {
    rank: 10,
    fits: 'gradient' as 'gradient' | 'momentum' | 'curvature',
    scalesByGradient: true,
    updatesFirst: true,
  },
  choices: { fits: ['gradient', 'momentum', 'curvature'] },
  limits: { rank: [0] },
  inputs: inputsToFit,
  state: {
    m: zeros({ when: ({ disabled }) => !disabled('momentum') }),
    d: zeros({ start: 1 }),
    U: { ...tall, when: hasColumns },
    V: { ...tall, when: hasColumns },
    smoothnessD: scalar(0),
    smoothnessU: scalar(0, { when: hasColumns }),
    smoothnessV: scalar(0, { when: hasColumns }),
  },
  decay: 'decoupled',
  search: {
    learningRate: logUniform(1e-4, 1e-1),
    ...psgdSearch,
  },
  largestGradient: largestFitted,
  joint: true,
  rule(context) {
    const { g, t, inputs, state, hyper, options, shape, disabled, random } = context
    // What has no elements has nothing to whiten.
    if (shape.size === 0) return { direction: g, state: {} }
    const rank = columnsOf(shape, options)
    const column = (x: Value) => x.as([1, shape.size, 1])

    const m = disabled('momentum') ? g : averagedFromStart(state.m, g, hyper.momentum, t)
    const pair = pairToFit(options.fits, inputs)
    const given = pair ? pair.h : options.fits === 'momentum' ? m : g

    const scale = () => (options.scalesByGradient ? fittedScale(given, hyper.damping, pair?.v) : hyper.initialScale)
    const begin = (draw: number) => {
      const drawn = random.normal({ seed: hyper.seed, draw, dimensions: [1, shape.size, rank] })
      return drawn.times(drawn.norm().lifted(Math.sqrt(0.1)).over(drawn.norm()))
    }
    const { first, renews } = renewalsOf(context, hyper.preconditionerPeriod)
    const started = (): Preconditioner => ({
      d: column(state.d).times(scale()),
      ...(rank > 0 ? { low: { U: begin(1), V: begin(2) } } : {}),
    })
    const old: Preconditioner = first
      ? started()
      : { d: column(state.d), ...(rank > 0 ? { low: { U: state.U, V: state.V } } : {}) }

    const renewed = () => {
      const { d } = old
      const low = old.low ? alike(old.low) : undefined
      const noise = column(random.normal({ seed: hyper.seed }))
      const h = disabled('damping') ? column(given) : column(given).plus(noise.times(hyper.damping))
      const v = pair ? column(pair.v) : noise
      const a = times(low, d.times(h))
      const Ph = d.times(timesTransposed(low, a))
      const solve = low ? inverse(low) : undefined
      const scaled = v.over(d)
      const b = solve ? solve.transposed(scaled) : scaled
      const inversePv = (solve ? solve.plain(b) : b).over(d)

      const [left, right] = [Ph.times(h), v.times(inversePv)]
      const smoothnessD = smoothed(
        state.smoothnessD,
        left.abs().largest().plus(right.abs().largest()),
        hyper.smoothnessBeta,
      )
      const rate = (smoothness: Value) => hyper.preconditionerRate.over(smoothness.maximum(1e-30))
      const newD = d.minus(left.minus(right).times(rate(smoothnessD)).times(d))
      if (!low) return { d: newD, state: { smoothnessD } }

      const { U, V } = low
      const movesU = random
        .uniform({ seed: hyper.seed, draw: 3, dimensions: [1, 1, 1] })
        .sum()
        .isLessThan(0.5)
      const along = (X: Value) => {
        const [aX, bX] = [a, b].map((x) => x.transposed().matmul(X)) as [Value, Value]
        const [longA, longB] = [aX, bX].map((xX) => X.matmul(xX.transposed()).norm()) as [Value, Value]
        return { aX, bX, ell: a.norm().times(longA).plus(b.norm().times(longB)) }
      }
      const [alongV, alongU] = [along(V), along(U)]
      const smoothnessU = where(
        movesU,
        smoothed(state.smoothnessU, alongV.ell, hyper.smoothnessBeta),
        state.smoothnessU,
      )
      const smoothnessV = where(
        movesU,
        state.smoothnessV,
        smoothed(state.smoothnessV, alongU.ell, hyper.smoothnessBeta),
      )
      const inner = smallGram(low)
      const stepU = a.matmul(alongV.aX.matmul(inner)).minus(b.matmul(alongV.bX.matmul(inner)))
      const turned = (x: Value, xU: Value) => x.plus(V.matmul(xU.transposed())).matmul(xU)
      const stepV = turned(a, alongU.aX).minus(turned(b, alongU.bX))
      return {
        d: newD,
        low: {
          U: U.minus(stepU.times(where(movesU, rate(smoothnessU), 0))),
          V: V.minus(stepV.times(where(movesU, 0, rate(smoothnessV)))),
        },
        state: { smoothnessD, smoothnessU, smoothnessV },
      }
    }
    const next = renews ? renewed() : { ...old, state: {} }
    const { d, low } = options.updatesFirst ? next : old
    const u = d.times(timesTransposed(low, times(low, d.times(column(m))))).as(g)
    const clipped = () => (disabled('maximumNorm') ? u : clippedInNorm(u, hyper.maximumNorm))
    return {
      direction: pair ? clipped() : clippedInAmplitude(u, hyper.maximumAmplitude, hyper.maximumElement),
      state: {
        ...(disabled('momentum') ? {} : { m }),
        d: next.d.as(g),
        ...next.low,
        ...next.state,
      },
    }
  },
})

/** The factors of low rank; absent where there are none. */
interface LowRank {
  readonly U: Value
  readonly V: Value
}

interface Preconditioner {
  readonly d: Value
  readonly low?: LowRank
}

/** (I + U Vᵀ) x. */
const times = (low: LowRank | undefined, x: Value): Value =>
  low ? x.plus(low.U.matmul(low.V.transposed().matmul(x))) : x

/** (I + V Uᵀ) x. */
const timesTransposed = (low: LowRank | undefined, x: Value): Value => times(low && { U: low.V, V: low.U }, x)

/** I + VᵀU. */
function smallGram({ U, V }: LowRank): Value {
  const product = V.transposed().matmul(U)
  return product.plus(identityLike(product))
}

/** What multiplies with (I + U Vᵀ)⁻¹ and with its transpose, by the matrix inversion lemma. */
function inverse(low: LowRank): { plain(x: Value): Value; transposed(x: Value): Value } {
  const { U, V } = low
  const { q, r } = qr(smallGram(low))
  return {
    plain: (x) => x.minus(U.matmul(solveUpper(r, q.transposed().matmul(V.transposed().matmul(x))))),
    transposed: (x) => x.minus(V.matmul(q.matmul(solveLower(r.transposed(), U.transposed().matmul(x))))),
  }
}

/** The same product U Vᵀ, about, from factors of one norm and closer to UᵀU = VᵀV. */
function alike({ U, V }: LowRank): LowRank {
  const [UU, VV] = [U, V].map((X) => X.transposed().matmul(X)) as [Value, Value]
  const [traceU, traceV] = [UU, VV].map((XX) => traceOf(XX).maximum(1e-30)) as [Value, Value]
  const square = traceU.over(traceV).sqrt()
  const rho = square.sqrt()
  const apart = UU.over(square).minus(VV.times(square))
  const E = apart.times(square.lifted(0.1).over(traceU.over(square).plus(traceV.times(square))))
  const half = E.matmul(E).times(0.5)
  const [scaledU, scaledV] = [U.over(rho), V.times(rho)]
  return {
    U: scaledU.minus(scaledU.matmul(E.minus(half))),
    V: scaledV.plus(scaledV.matmul(E.plus(half))),
  }
}
