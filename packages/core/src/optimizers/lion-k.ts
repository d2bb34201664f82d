import { defineOptimizer } from '../language/definition.ts'
import { decayRate, fraction, logUniform, nonNegative, oneOf, positive } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { ema, type Value, where } from '../language/value.ts'
import { nthLargest } from '../parts/nth-largest.ts'

/**
 * Lion-K: Lion with the gradient of any convex function K in the place of the sign, which is that of ‖x‖₁.
 *
 * ```text
 * u ← β1 m + (1 - β1) g
 * θ ← (1 - η λ) θ - η ∇K(u)
 * m ← β2 m + (1 - β2) g
 *
 * convexFunction   K(x)                   ∇K(x)
 * l1               ‖x‖₁                   sign(x), Lion
 * l2               ‖x‖₂, over a tensor    x / ‖x‖₂, 0 where x is 0
 * rows             Σ ‖xᵢ‖₂, over outputs i   each xᵢ over its norm; outputs by the layout, a vector is one
 * huber            Σ huber(xᵢ, e)         min(max(x, -e), e) / e
 * threshold        Σ max(|xᵢ| - e, 0)     sign(x) where |x| > e, else 0
 * largest          Σ of the k largest |xᵢ|  sign(x) where |x| ≥ the k-th largest |x|, else 0
 * lp               ‖x‖_p, over a tensor   sign(x) (|x| / ‖x‖_p)^(p - 1), 0 where x is 0
 * square           ‖x‖₂² / 2              x
 * ```
 *
 * With decay λ the method minimizes the loss plus K*(λ θ) / λ, K* the conjugate of K: l1 bounds every |θᵢ| by 1 / λ, l2 the
 * norm of the tensor.
 *
 * Defaults: those of {@link lion}, η 1e-4, β (0.9, 0.99), λ 0; e (`width`) 1e-3; p (`exponent`, from 1 up) 1.5; k the `share`
 * 0.1 of a tensor's elements, one at least. State: `m`, shaped like the parameter. `largest` reads the arrays another 25
 * times to find its k-th element.
 *
 * Chen, Liu, Liang, Liu 2023, Lion Secretly Solves Constrained Optimization: As Lyapunov Predicts, arXiv 2310.05898.
 */
export const lionK = defineOptimizer({
  name: 'lionK',
  title: 'Lion-K',
  family: 'sign',
  paper: {
    title: 'Lion Secretly Solves Constrained Optimization: As Lyapunov Predicts',
    authors: 'Chen, Liu, Liang, Liu',
    year: 2023,
    arxiv: '2310.05898',
  },
  hyper: {
    learningRate: nonNegative(1e-4),
    beta1: decayRate(0.9),
    beta2: decayRate(0.99),
    weightDecay: nonNegative(0),
    width: positive(1e-3),
    exponent: { ...nonNegative(1.5), minimum: 1 },
    share: fraction(0.1),
  },
  options: { convexFunction: 'l1' as 'l1' | 'l2' | 'rows' | 'huber' | 'threshold' | 'square' | 'largest' | 'lp' },
  choices: { convexFunction: ['l1', 'l2', 'rows', 'huber', 'threshold', 'square', 'largest', 'lp'] },
  state: { m: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(2e-5, 6e-3), weightDecay: oneOf(0, 0.1, 1) },
  rule({ g, state, hyper, options, shape }) {
    const { width, exponent } = hyper
    const over = (x: Value, norm: Value) => where(norm.isGreaterThan(0), x.over(norm), 0)
    const gradients = {
      l1: (x: Value) => x.sign(),
      l2: (x: Value) => over(x, x.norm()),
      rows: (x: Value) => over(x.as(shape.matrix), x.as(shape.matrix).norm('inputs')),
      huber: (x: Value) => x.minimum(width).maximum(width.negated()).over(width),
      threshold: (x: Value) => where(x.abs().isGreaterThan(width), x.sign(), 0),
      square: (x: Value) => x,
      largest: (x: Value) => {
        const limit = nthLargest(x.abs(), hyper.share.times(x.count()).floor().maximum(1))
        return where(x.abs().isAtLeast(limit), x.sign(), 0)
      },
      lp: (x: Value) => {
        const size = x.abs().over(x.abs().largest().maximum(Number.MIN_VALUE))
        const norm = size.power(exponent).sum().maximum(1).power(exponent.power(-1))
        return x.sign().times(size.over(norm).power(exponent.minus(1)))
      },
    }
    const direction = gradients[options.convexFunction](ema(state.m, g, hyper.beta1)).as(g)
    const m = ema(state.m, g, hyper.beta2)
    return { direction, state: { m } }
  },
})
