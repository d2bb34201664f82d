import { defineOptimizer } from '../language/definition.ts'
import { eigen } from '../language/factorizations.ts'
import {
  decayRate,
  logUniform,
  nonNegative,
  oneOf,
  positive,
  seed,
  smallDivisor,
  stepCount,
} from '../language/hyperparameters.ts'
import { relativeRate } from '../language/relative-rate.ts'
import { scalar, shaped } from '../language/slots.ts'
import { ema, where } from '../language/value.ts'
import { beside } from '../parts/bases.ts'
import { emaOfSquare } from '../parts/ema-of-square.ts'
import { limitedGrowth } from '../parts/limited-growth.ts'
import { descending } from '../parts/ordered.ts'
import { basisSlot, projectedSlot, subspaceOf } from '../parts/subspace.ts'
import { adamW } from './adam-w.ts'

/**
 * Alice: Adam in a basis of few eigenvectors of the gradients' second moment, some of which are drawn, and beside it the gradient with its
 * columns scaled to even size.
 *
 * ```text
 * U ← Switch(β3 U Q Uᵀ + (1 - β3) g gᵀ)                   steps 1, 1 + T, 1 + 2 T, ...
 * σ ← Uᵀ g
 * Q ← β3 Q + (1 - β3) σ σᵀ
 * m ← β1 m + (1 - β1) σ
 * v ← β2 v + (1 - β2) σ²
 * p ← β1 p + (1 - β1) (sums of columns of g² - those of σ²)
 * C ← √(rows - r) (g - U σ) / √max(p, 1e-8)
 * C ← C min(1, γ φ / ‖C‖), φ ← ‖C‖                        no limit while φ is 0
 * θ ← (1 - η λ) θ - η α (U m / (√v + ε) + αc C)
 * ```
 *
 * Switch takes the `leading` eigenvectors of the largest eigenvalues and draws the rest of its r vectors from the other ones, so that
 * directions that the projection has hidden are seen again. Rows are the shorter side of a matrix, the inputs of a square one. A rank
 * (r) above its length counts as that. With β3 0 it is Alice-0, which keeps no Q.
 *
 * Defaults: η 0.02, β (0.9, 0.9, 0.999), ε 1e-8, λ 0, scale (α) 0.3, compensation (αc) 0.4, growth (γ) 1.01, period (T) 200, rank 256,
 * leading 40. State: `basis` (U), `covariance` (Q), `m` and `v`, which have r numbers for each of the longer side, `p`, one number for
 * each of it, and `length` (φ). What has other than two dimensions goes to `fallback`, by default AdamW with η 1e-3, which follows η,
 * and λ 0.
 *
 * Eigenvectors are those of the whole matrix where the paper takes one step of subspace iteration from the U before. As in
 * pytorch_optimizer the averages are not turned when the basis changes.
 *
 * Gong, Scetbon, Ma, Meeds 2025, Towards Efficient Optimizer Design for LLM via Structured Fisher Approximation with a Low-Rank
 * Extension, arXiv 2502.07752.
 */
export const alice = defineOptimizer({
  name: 'alice',
  title: 'Alice',
  family: 'matrix',
  paper: {
    title: 'Towards Efficient Optimizer Design for LLM via Structured Fisher Approximation with a Low-Rank Extension',
    authors: 'Gong, Scetbon, Ma, Meeds',
    year: 2025,
    arxiv: '2502.07752',
  },
  hyper: {
    learningRate: nonNegative(0.02),
    beta1: decayRate(0.9),
    beta2: decayRate(0.9),
    beta3: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    scale: positive(0.3),
    compensation: nonNegative(0.4),
    growth: positive(1.01),
    period: stepCount(200),
    seed: seed(),
    weightDecay: nonNegative(0),
  },
  options: { rank: 256, leading: 40 },
  state: {
    basis: basisSlot,
    covariance: shaped(
      (shape, { rank }) => {
        const { rank: r } = subspaceOf(shape, { rank: rank as number })
        return [1, r, r]
      },
      { when: ({ disabled }) => !disabled('beta3') },
    ),
    m: projectedSlot,
    v: projectedSlot,
    p: shaped((shape) => [1, 1, Math.max(shape.outputs, shape.inputs)]),
    length: scalar(0),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 1e-1), compensation: oneOf(0, 0.4, 1) },
  // The products of gradients are summed over a side.
  largestGradient: 2 ** 50,
  accepts: ({ rank }) => rank === 2,
  needs: 'a matrix',
  fallback: () => adamW({ learningRate: relativeRate(0.05), weightDecay: 0 }),
  rule({ g, state, hyper, options, shape, every, random, disabled }) {
    const { beta1, beta2, beta3 } = hyper
    const tracks = !disabled('beta3')
    const { rank, lay, restore } = subspaceOf(shape, { rank: options.rank })
    const x = lay(g)
    const found = () => {
      const now = x.matmul(x.transposed())
      const before = () => state.basis.matmul(state.covariance).matmul(state.basis.transposed())
      const { vectors, values } = eigen(tracks ? ema(before(), now, beta3) : now)
      const drawn = random.uniform({ seed: hyper.seed, dimensions: [1, 1, x.rows] })
      const place = values.columnIndex()
      const first = Math.max(0, x.rows - Math.min(options.leading, rank))
      return vectors.matmul(descending(where(place.isLessThan(first), drawn, place.plus(2))).firstColumns(rank))
    }
    const basis = every(hyper.period, found, state.basis, 'first')
    const projected = basis.transposed().matmul(x)
    const m = ema(state.m, projected, beta1)
    const v = emaOfSquare(state.v, projected, beta2)
    const rest = beside(x, basis, projected)
    const p = ema(state.p, rest.square().sum('rows'), beta1)
    const even = rest.over(p.maximum(1e-8).sqrt()).times(Math.sqrt(x.rows - rank))
    const { share, length } = limitedGrowth(even.norm(), state.length, hyper.growth, 0)
    const step = basis.matmul(m.over(v.sqrt().plus(hyper.epsilon))).plus(even.times(share).times(hyper.compensation))
    const covariance = tracks
      ? { covariance: ema(state.covariance, projected.matmul(projected.transposed()), beta3) }
      : {}
    return { direction: restore(step).times(hyper.scale), state: { basis, ...covariance, m, v, p, length } }
  },
})
