import { defineOptimizer } from '../language/definition.ts'
import { decayRate, fraction, logUniform, nonNegative, positive } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'
import { ageOf } from '../parts/age.ts'
import { gradientWindowSlots, singularOfWindow, withNewest } from '../parts/gradient-window.ts'

/**
 * GGT: full-matrix AdaGrad with the last gradients of the whole model; the matrix of all parameters is never formed.
 *
 * ```text
 * g ← g + λ θ
 * row (t - 1) mod r of G ← g; every other row is β2 times what it was       G: the last r gradients, 0 at first
 * m ← β1 m + (1 - β1) g
 * u ← ((GᵀG)^(1/2) + ε I)⁻¹ m
 *   = (m - Gᵀ V diag(1 / (σ (σ + ε))) Vᵀ G m) / ε                           with G Gᵀ = V diag(σ²) Vᵀ
 * θ ← θ - η u
 * ```
 *
 * All parameters are one vector. Defaults: η 1e-3, β1 0.9 and β2 1 as in the authors' code, ε (`damping`) 1e-4, λ 0; r (`window`) is
 * 100 there and 32 here, because G takes the memory of so many models. State: `gradients` (the rows without their decay), `products`
 * of these, of which a step computes one row anew, and with β1 `older`, what of m is older than the window. A step costs 6 r n operations and those of an eigendecomposition of
 * r × r.
 *
 * What of m the window holds is known as shares of its rows, and of these (GᵀG)^(1/2) + ε I has an inverse in which nothing cancels:
 * only what is older than the window is divided by ε. Each σ is at least 2⁻¹¹ of the largest, which float32 needs. The authors' PyTorch
 * code knows no ε: it leaves directions out whose σ² is small, and with them what is older than the window; that of TensorFlow keeps
 * averages in the window. The code of EFCP (Modoranu et al. 2023) follows the paper, as here, but takes G without its decay in the place of one of
 * the two, which for β2 = 1 is the same.
 *
 * Agarwal, Bullins, Chen, Hazan, Singh, Zhang, Zhang 2018, Efficient Full-Matrix Adaptive Regularization, arXiv 1806.02958.
 */
export const ggt = defineOptimizer({
  name: 'ggt',
  title: 'GGT',
  family: 'matrix',
  paper: {
    title: 'Efficient Full-Matrix Adaptive Regularization',
    authors: 'Agarwal, Bullins, Chen, Hazan, Singh, Zhang, Zhang',
    year: 2018,
    arxiv: '1806.02958',
  },
  joint: true,
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: fraction(1),
    damping: positive(1e-4),
    weightDecay: nonNegative(0),
  },
  options: { window: 32 },
  state: {
    ...gradientWindowSlots,
    older: zeros({ when: ({ disabled }) => !disabled('beta1') }),
  },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-4, 1), damping: logUniform(1e-5, 1e-1) },
  // Inner products of such gradients stay in the range of float32.
  largestGradient: 2 ** 50,
  rule({ g, t, state, hyper, options, shape, disabled }) {
    const { beta1, beta2, damping } = hyper
    const newest = ageOf(t, options.window).minus(1)
    const { gradients, products } = withNewest(state, g, newest)
    // How long ago each row came.
    const behind = newest.minus(products.rowIndex())
    const age = where(behind.isLessThan(0), behind.plus(options.window), behind)
    const decay = beta2.maximum(1e-30).power(age)
    const { values, vectors } = singularOfWindow(products.times(decay).times(decay.transposed()))
    /** V f(σ) Vᵀ x, for a column x. */
    const along = (factors: typeof values, x: typeof values) =>
      vectors.times(factors).matmul(vectors.transposed().matmul(x))
    const damped = values.plus(damping)
    const whole = values.lifted(1).over(damped.maximum(1e-30))
    const combined = (shares: typeof values) => shares.times(decay).transposed().matmul(gradients).as(g)
    if (disabled('beta1')) {
      const unit = where(age.equals(0), 1, 0)
      return { direction: combined(along(whole, unit)), state: { gradients, products } }
    }
    // m is the sum of shares of rows, times their decay, and of what is older than the window: of a row when another takes its place.
    const share = beta1.maximum(1e-30).power(age).times(beta1.negated().plus(1))
    const leaves = where(age.equals(0), state.gradients, 0).sum('rows')
    const leaving = beta1.power(options.window).times(beta1.negated().plus(1))
    const older = state.older.times(beta1).plus(leaves.times(leaving).as(g))
    const seen = gradients.matmul(older.as([1, shape.size, 1])).times(decay)
    const inverse = values.lifted(1).over(values.times(damped).maximum(1e-30))
    const beside = older.minus(combined(along(inverse, seen))).over(damping)
    return { direction: combined(along(whole, share.over(decay))).plus(beside), state: { gradients, products, older } }
  },
})
