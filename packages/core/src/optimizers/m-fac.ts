import { defineOptimizer } from '../language/definition.ts'
import { fraction, logUniform, nonNegative, positive } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { ema } from '../language/value.ts'
import { ageOf } from '../parts/age.ts'
import { gradientWindowSlots, inverseFisherShares, withNewest } from '../parts/gradient-window.ts'

/**
 * M-FAC: natural gradient with the empirical Fisher matrix of the last gradients of the whole model, never formed.
 *
 * ```text
 * g ← g + λ θ
 * row (t - 1) mod m of G ← g                                    G: the last m gradients, 0 at first
 * u ← (δ I + GᵀG / m)⁻¹ g = m Gᵀ (m δ I + G Gᵀ)⁻¹ e            e: 1 in the row of g
 * M ← μ M + (1 - μ) u
 * θ ← θ - η M
 * ```
 *
 * All parameters are one vector. Defaults of the official code: η 1e-3, μ 0, λ 0, δ (`damping`) 1e-5; m (`window`) is 1024 there, and 32
 * here, because G takes the memory of so many models. m divides also while fewer gradients have come. State: `gradients` (G), `products`
 * (G Gᵀ), of which a step computes one row anew, and with momentum `M`. A step costs 4 m n operations and m³ / 3.
 *
 * The official code solves by a recursion over the rows, here the system of m gradients is factored; and because g is one of them, nothing
 * cancels. Each gradient's δ is at least 2⁻²² of its squared norm, which float32 needs.
 *
 * Frantar, Kurtic, Alistarh 2021, M-FAC: Efficient Matrix-Free Approximations of Second-Order Information, arXiv 2107.03356.
 */
export const mFac = defineOptimizer({
  name: 'mFac',
  title: 'M-FAC',
  family: 'curvature',
  paper: {
    title: 'M-FAC: Efficient Matrix-Free Approximations of Second-Order Information',
    authors: 'Frantar, Kurtic, Alistarh',
    year: 2021,
    arxiv: '2107.03356',
  },
  joint: true,
  hyper: {
    learningRate: nonNegative(1e-3),
    momentum: fraction(0),
    damping: positive(1e-5),
    weightDecay: nonNegative(0),
  },
  options: { window: 32 },
  state: {
    ...gradientWindowSlots,
    M: zeros({ when: ({ disabled }) => !disabled('momentum') }),
  },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-5, 1e-2), damping: logUniform(1e-6, 1e-2) },
  // Inner products of such gradients stay in the range of float32.
  largestGradient: 2 ** 50,
  rule({ g, t, state, hyper, options, disabled }) {
    const newest = ageOf(t, options.window).minus(1)
    const { gradients, products } = withNewest(state, g, newest)
    const shares = inverseFisherShares(products, newest, hyper.damping)
    const u = shares.transposed().matmul(gradients).as(g)
    const kept = { gradients, products }
    if (disabled('momentum')) return { direction: u, state: kept }
    const M = ema(state.M, u, hyper.momentum)
    return { direction: M, state: { ...kept, M } }
  },
})
