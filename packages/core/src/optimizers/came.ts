import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive, smallDivisor } from '../language/hyperparameters.ts'
import { columns, rows, type SlotFacts, zeros } from '../language/slots.ts'
import { ema, type Value } from '../language/value.ts'

const isMatrix = ({ shape }: SlotFacts) => shape.rank >= 2

/**
 * CAME: Adafactor with momentum, divided once more by how far the updates stray from that momentum, also factored.
 *
 * ```text
 * r ← β2 r + (1 - β2) mean of g² + ε1 over columns
 * k ← β2 k + (1 - β2) mean of g² + ε1 over rows
 * u ← g / √(r kᵀ / mean(r))                          vectors: v ← β2 v + (1 - β2) (g² + ε1),  u ← g / √v
 * u ← u / max(1, RMS(u) / clippingThreshold)
 * m ← β1 m + (1 - β1) u
 * R, K ← the same averages, with β3, of (u - m)² + ε2
 * θ ← (1 - η λ) θ - η m / √(R Kᵀ / mean(R))          vectors: θ - η m
 * ```
 *
 * Defaults of the official code: β (0.9, 0.999, 0.9999), ε (1e-30, 1e-16), clippingThreshold 1, λ 0, decoupled decay; it has
 * no default for η, the paper pre-trains with 2e-4 to 3e-4, the default here. State: `m`, shaped like the parameter, and for
 * two or more dimensions one number per row and column twice (`r`, `k`, `rowInstability`, `columnInstability`), else `v`.
 *
 * As in the official code nothing is bias-corrected; the clipping evens the first steps out.
 *
 * Luo, Ren, Zheng, Jiang, Jiang, You 2023, CAME: Confidence-guided Adaptive Memory Efficient Optimization,
 * arXiv 2307.02047.
 */
export const came = defineOptimizer({
  name: 'came',
  title: 'CAME',
  family: 'adaptive',
  paper: {
    title: 'CAME: Confidence-guided Adaptive Memory Efficient Optimization',
    authors: 'Luo, Ren, Zheng, Jiang, Jiang, You',
    year: 2023,
    arxiv: '2307.02047',
  },
  hyper: {
    learningRate: nonNegative(2e-4),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    beta3: decayRate(0.9999),
    epsilon1: smallDivisor(1e-30),
    epsilon2: smallDivisor(1e-16),
    clippingThreshold: positive(1),
    weightDecay: nonNegative(0),
  },
  state: {
    m: zeros(),
    r: rows({ when: isMatrix }),
    k: columns({ when: isMatrix }),
    rowInstability: rows({ when: isMatrix }),
    columnInstability: columns({ when: isMatrix }),
    v: zeros({ when: (facts) => !isMatrix(facts) }),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-5, 1e-2), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: 1e15,
  rule({ g, state, hyper, shape }) {
    const { beta1, beta2, beta3, epsilon1, epsilon2, clippingThreshold } = hyper
    const square = g.square().plus(epsilon1)
    const clipped = (u: Value) => u.over(u.square().mean().sqrt().over(clippingThreshold).maximum(1))
    if (shape.rank < 2) {
      const v = ema(state.v, square, beta2)
      const m = ema(state.m, clipped(g.over(v.sqrt())), beta1)
      return { direction: m, state: { m, v } }
    }
    const [r, k] = [ema(state.r, square.mean('columns'), beta2), ema(state.k, square.mean('rows'), beta2)]
    const u = clipped(divided(g, r, k))
    const m = ema(state.m, u, beta1)
    const instability = u.minus(m).square().plus(epsilon2)
    const rowInstability = ema(state.rowInstability, instability.mean('columns'), beta3)
    const columnInstability = ema(state.columnInstability, instability.mean('rows'), beta3)
    const direction = divided(m, rowInstability, columnInstability)
    return { direction, state: { m, r, k, rowInstability, columnInstability } }
  },
})

/** x over the root of the matrix that has these means of rows and columns. */
function divided(x: Value, r: Value, k: Value): Value {
  return x.times(r.over(r.mean('rows')).reciprocalSqrt()).times(k.reciprocalSqrt())
}
