import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, positive, seed, stepCount } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { ema, type Value, where } from '../language/value.ts'
import {
  clippedInNorm,
  fittedScale,
  inputsToFit,
  largestFitted,
  pairToFit,
  psgdPaper,
  psgdSearch,
  renewalsOf,
} from '../parts/psgd.ts'

/**
 * PSGD with a preconditioner in the shape of an X: all parameters are one vector, P = QᵀQ with Q = diag(a) + antidiag(b), which pairs the first
 * parameter with the last, and it is fitted so that P g has uncorrelated elements of size 1, or so that P is the inverse of the Hessian's absolute
 * value.
 *
 * ```text
 * x̄: x in the opposite order
 * h ← g + δ mean|g| v                            v: normal random numbers; for curvature h is H v
 * q ← a h + b h̄;  w ← (ā v - b̄ v̄) / (a ā - b b̄)  Q h and Q⁻ᵀ v
 * A ← q² - w²;  B ← q q̄ - w w̄                    without the middle of B, where there is one
 * μ ← rate / max(q² + w²)
 * a, b ← a - μ (A a + B b̄), b - μ (A b + B ā)
 * m ← c m + (1 - c) g
 * u ← P m = (a² + b̄²) m + (a b + ā b̄) m̄, scaled to a norm of at most `maximumNorm`
 * θ ← θ - η u
 * ```
 *
 * `fits: 'curvature'` takes the inputs `probe`, v of N(0, 1), and `hessianVectorProduct`, H v, wanted whenever P moves.
 * `normalizer: 'difference'` divides by the largest of |A| and |B|, for which a rate of 0.01 is advised.
 *
 * Defaults of the official code: η 1e-2, rate 0.1 (`preconditionerRate`), δ 2⁻¹³ (`relativeDamping`), no momentum, no `maximumNorm` (0), but
 * `fits: 'gradient'`, where it has curvature. State: a and b, with momentum also m. a starts at mean(g⁴)^(-1/8) of the first
 * gradient, for curvature at mean(v²)^(1/4) mean((H v)⁴)^(-1/8), or with `scalesByGradient: false` at `initialScale`; b at 0.
 *
 * Deviations: P moves at every `preconditionerPeriod`-th step, where the official code draws whether to. A first gradient of zeros gives a scale
 * of 1. Where gradients stay zero P grows from step to step, there and here; float32 holds a and b below 1e18.
 *
 * Pooladzandi, Li 2024, Curvature-Informed SGD via General Purpose Lie-Group Preconditioners, arXiv 2402.11858.
 */
export const psgdXMat = defineOptimizer({
  name: 'psgdXMat',
  title: 'PSGD XMat',
  family: 'matrix',
  paper: psgdPaper,
  hyper: {
    learningRate: nonNegative(1e-2),
    momentum: decayRate(0),
    preconditionerRate: nonNegative(0.1),
    relativeDamping: nonNegative(2 ** -13),
    initialScale: positive(1),
    maximumNorm: nonNegative(0),
    weightDecay: nonNegative(0),
    preconditionerPeriod: stepCount(1),
    seed: seed(),
  },
  options: {
    fits: 'gradient' as 'gradient' | 'curvature',
    normalizer: 'sum' as 'sum' | 'difference',
    scalesByGradient: true,
  },
  choices: { fits: ['gradient', 'curvature'], normalizer: ['sum', 'difference'] },
  inputs: inputsToFit,
  state: { m: zeros({ when: ({ disabled }) => !disabled('momentum') }), a: zeros({ start: 1 }), b: zeros() },
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
    const column = (x: Value) => x.as([1, shape.size, 1])
    const both = (x: Value): Both => ({ x, back: x.reversedRows() })

    const m = disabled('momentum') ? g : ema(state.m, g, hyper.momentum)
    const pair = pairToFit(options.fits, inputs)

    const { first, renews } = renewalsOf(context, hyper.preconditionerPeriod)
    const started = () =>
      options.scalesByGradient ? fittedScale(pair ? pair.h : g, t.lifted(0), pair?.v) : hyper.initialScale
    const a = both(column(first ? state.a.times(started()) : state.a))
    const b = both(column(state.b))

    const renewed = () => {
      const v = both(column(pair ? pair.v : random.normal({ seed: hyper.seed })))
      const noisy = () => column(g).plus(v.x.times(g.abs().mean().times(hyper.relativeDamping)))
      const h = both(pair ? column(pair.h) : noisy())
      const Qh = mirrored((a, b, h) => a.x.times(h.x).plus(b.x.times(h.back)), a, b, h)
      const determinant = a.x.times(a.back).minus(b.x.times(b.back))
      const solved = mirrored((a, b, v) => a.back.times(v.x).minus(b.back.times(v.back)).over(determinant), a, b, v)
      // Relative to the largest number, so that float32 holds the squares.
      const unit = Qh.x.abs().largest().maximum(solved.x.abs().largest()).maximum(1e-30)
      const [q, w] = [Qh, solved].map(({ x, back }) => ({ x: x.over(unit), back: back.over(unit) })) as [Both, Both]
      const A = mirrored((q, w) => q.x.square().minus(w.x.square()), q, w)
      const products = q.x.times(q.back).minus(w.x.times(w.back))
      const middle = (shape.size - 1) / 2
      const B = where(products.rowIndex().equals(middle), 0, products)
      const bound =
        options.normalizer === 'sum'
          ? q.x.square().plus(w.x.square()).largest()
          : A.x.abs().largest().maximum(B.abs().largest())
      const rate = hyper.preconditionerRate.over(bound.maximum(1e-36))
      const moved = (from: Both, other: Both) =>
        mirrored(
          (from, other, A) => {
            const step = A.x.times(rate).times(from.x).plus(B.times(rate).times(other.back))
            return from.x.minus(step).limitedInSize(1e18)
          },
          from,
          other,
          A,
        )
      return { a: moved(a, b), b: moved(b, a) }
    }
    const next = renews ? renewed() : { a, b }
    const given = both(column(m))
    const diagonal = next.a.x.square().plus(next.b.back.square())
    const across = next.a.x.times(next.b.x).plus(next.a.back.times(next.b.back))
    const u = diagonal.times(given.x).plus(across.times(given.back)).as(g)
    return {
      direction: disabled('maximumNorm') ? u : clippedInNorm(u, hyper.maximumNorm),
      state: { ...(disabled('momentum') ? {} : { m }), a: next.a.x.as(g), b: next.b.x.as(g) },
    }
  },
})

/** A column, and the same in the opposite order. */
interface Both {
  readonly x: Value
  readonly back: Value
}

/** What elementwise arithmetic makes of columns, and the same in the opposite order: of the same columns the other way round. */
function mirrored<Columns extends readonly Both[]>(rule: (...columns: Columns) => Value, ...columns: Columns): Both {
  const turned = columns.map(({ x, back }) => ({ x: back, back: x }))
  return { x: rule(...columns), back: rule(...(turned as unknown as Columns)) }
}
