import { defineOptimizer } from '../language/definition.ts'
import { fraction, logUniform, nonNegative, positive } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { ageOf } from '../parts/age.ts'
import { efcpPaper, inverseFisherShares } from '../parts/gradient-window.ts'
import { keptInWindow, sparseWindowSlots } from '../parts/sparse-window.ts'

/**
 * Sparse M-FAC (EFCP): M-FAC whose window holds of each gradient only the largest elements; what is left out is added to the next
 * gradient.
 *
 * ```text
 * a ← e + g                                                  e + η g with `scalesErrorByRate`
 * s ← the largest |a|, else 0;     e ← a - s
 * row (t - 1) mod m of S ← s                                 S: the last m of them, 0 at first
 * u ← (δ I + SᵀS / m)⁻¹ s = m Sᵀ (m δ I + S Sᵀ)⁻¹ e_s        e_s: 1 in the row of s
 * u ← u + (g - s) / δ                                        only with `direction: 'gradient'`
 * u ← u + γ θ / δ
 * M ← μ M + u
 * θ ← (1 - λ) θ - η M
 * ```
 *
 * All parameters are one vector of n elements, of which ⌊n `keptPerThousand` / 1000⌋ are kept, at least one, and of equal ones the first;
 * n may be up to 2²⁴. Defaults of the official code: η 1e-3, μ 0, λ 0, γ (`regularization`) 0, δ (`damping`) 1e-5,
 * keptPerThousand 10; m (`window`) is 1024 there and 32 here, as in `mFac`. State: `places` and `values` of the rows of S, `products` (S Sᵀ),
 * `error` (e), shaped like the vector, and with momentum `M`: with the defaults 2.6 numbers less than 1 for each parameter and e, where
 * M-FAC has 32.
 *
 * As in the official code decay does not depend on the learning rate, and what is not in s, as regularization and with
 * `direction: 'gradient'` the rest of g, is only divided by δ. In the system of m rows each δ is at least 2⁻²² of the
 * squared norm of its row, which float32 needs. Places are kept in float32, in the official code in 32-bit integers.
 *
 * Modoranu, Kalinov, Kurtic, Frantar, Alistarh 2023, Error Feedback Can Accurately Compress Preconditioners, arXiv 2306.06098.
 */
export const sparseMFac = defineOptimizer({
  name: 'sparseMFac',
  title: 'Sparse M-FAC',
  family: 'curvature',
  paper: efcpPaper,
  joint: true,
  hyper: {
    learningRate: nonNegative(1e-3),
    momentum: fraction(0),
    damping: positive(1e-5),
    regularization: nonNegative(0),
    weightDecay: nonNegative(0),
  },
  options: {
    window: 32,
    keptPerThousand: 10,
    direction: 'kept' as 'kept' | 'gradient',
    scalesErrorByRate: false,
  },
  choices: { direction: ['kept', 'gradient'] },
  limits: { keptPerThousand: [1, 1000] },
  state: {
    ...sparseWindowSlots,
    M: zeros({ when: ({ disabled }) => !disabled('momentum') }),
  },
  decay: 'independent',
  search: { learningRate: logUniform(1e-5, 1e-2), damping: logUniform(1e-6, 1e-2) },
  // Inner products of such gradients stay in the range of float32.
  largestGradient: 2 ** 50,
  rule({ p, g, t, state, hyper, options, shape, disabled }) {
    const { damping } = hyper
    const newest = ageOf(t, options.window).minus(1)
    const scaled = options.scalesErrorByRate ? g.times(hyper.learningRate) : g
    const { state: kept, newestRow, combined } = keptInWindow(state, scaled, newest, { shape, options })
    const preconditioned = combined(inverseFisherShares(kept.products, newest, damping))
    const whole = options.direction === 'kept' ? preconditioned : preconditioned.plus(g.minus(newestRow).over(damping))
    const u = disabled('regularization') ? whole : whole.plus(p.times(hyper.regularization.over(damping)))
    if (disabled('momentum')) return { direction: u, state: kept }
    const M = state.M.times(hyper.momentum).plus(u)
    return { direction: M, state: { ...kept, M } }
  },
})
