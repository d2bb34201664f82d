import { defineOptimizer } from '../language/definition.ts'
import { logUniform, nonNegative, positive } from '../language/hyperparameters.ts'
import { where } from '../language/value.ts'
import { ageOf } from '../parts/age.ts'
import { efcpPaper, singularOfWindow } from '../parts/gradient-window.ts'
import { keptInWindow, sparseWindowSlots } from '../parts/sparse-window.ts'

/**
 * Sparse GGT (EFCP): GGT whose window holds of each gradient only the largest elements; what is left out is added to the next gradient.
 *
 * ```text
 * g ← g + λ θ
 * s ← the largest of |e + g|, else 0;     e ← e + g - s
 * row (t - 1) mod r of S ← s                                   S: the last r of them, 0 at first
 * u ← ((SᵀS)^(1/2) + ε I)⁻¹ s = Sᵀ V diag(1 / (σ + ε)) Vᵀ e_s  with S Sᵀ = V diag(σ²) Vᵀ; e_s: 1 in the row of s
 * θ ← θ - η u
 * ```
 *
 * All parameters are one vector of n elements, of which ⌊n `keptPerThousand` / 1000⌋ are kept, at least one, and of equal ones the first;
 * n may be up to 2²⁴. Defaults: η 1e-3, ε (`damping`) 1e-4, λ 0 as those of `ggt`, keptPerThousand 10 as in `sparseMFac`; r (`window`)
 * 32. State: `places` and `values` of the rows of S, `products` (S Sᵀ), and `error` (e), shaped like the vector.
 *
 * As in the official code rows do not decay and there is no momentum. Only elements that the window holds move in a step. Each σ is at least 2⁻¹¹ of
 * the largest, which float32 needs, where the official code adds 1e-6 to S Sᵀ. Places are kept in float32.
 *
 * Modoranu, Kalinov, Kurtic, Frantar, Alistarh 2023, Error Feedback Can Accurately Compress Preconditioners, arXiv 2306.06098.
 */
export const sparseGGT = defineOptimizer({
  name: 'sparseGGT',
  title: 'Sparse GGT',
  family: 'matrix',
  paper: efcpPaper,
  joint: true,
  hyper: {
    learningRate: nonNegative(1e-3),
    damping: positive(1e-4),
    weightDecay: nonNegative(0),
  },
  options: { window: 32, keptPerThousand: 10 },
  limits: { keptPerThousand: [1, 1000] },
  state: sparseWindowSlots,
  decay: 'coupled',
  search: { learningRate: logUniform(1e-4, 1), damping: logUniform(1e-5, 1e-1) },
  // Inner products of such gradients stay in the range of float32.
  largestGradient: 2 ** 50,
  rule({ g, t, state, hyper, options, shape }) {
    const newest = ageOf(t, options.window).minus(1)
    const { state: kept, combined } = keptInWindow(state, g, newest, { shape, options })
    const { values, vectors } = singularOfWindow(kept.products)
    const ofNewest = where(vectors.rowIndex().equals(newest), vectors, 0).sum('rows')
    const damped = values.plus(hyper.damping).maximum(1e-30)
    const shares = vectors.matmul(ofNewest.over(damped).transposed())
    return { direction: combined(shares), state: kept }
  },
})
