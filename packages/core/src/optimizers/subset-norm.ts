import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { shaped, zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'
import { decayedAfter } from '../parts/decayed-after.ts'
import { largestSquared } from '../parts/ema-of-square.ts'
import { type Subsets, scaledBySubsets, subsetDimensions } from '../parts/subsets.ts'

/**
 * Subset-Norm: Adam, or AdaGrad with momentum, that scales subsets of the weights by the norm of their gradients, so that the
 * second moment is about as large as the root of the parameter.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) sum over the subset of g²         v ← v + sum with `accumulate`
 * d ← √(1 - β2ᵗ) / (1 - β1ᵗ) m / (√v + ε)               no factor with `biasCorrection: false`
 * θ ← (1 - η λ) (θ - η d)
 * ```
 *
 * Subsets are `lines` (default): the outputs of a matrix that has as many outputs as inputs or more, else its inputs;
 * what is not a matrix has one number per element. Or `blocks` of `subsetSize` consecutive elements of any tensor as it
 * lies in memory, 0 (default) for the root of its size, in both cases the next smaller divisor of the size. Defaults of
 * the official code: η 1e-3, β (0.9, 0.999), ε 1e-6, λ 0. With β1 0 there is no momentum. Decay is the rule's own, after the step;
 * `decay: 'decoupled'` is before it. State: `m`, shaped like the parameter, none when β1 is 0, and `v`, one number per subset.
 *
 * The norms of larger subsets are larger, so the best η is too. The official code's β2 1 is `accumulate`.
 *
 * Nguyen, Nguyen 2024, Efficient Adaptive Optimization via Subset-Norm and Subspace-Momentum: Fast, Memory-Reduced Training with
 * Convergence Guarantees, arXiv 2411.07120.
 */
export const subsetNorm = defineOptimizer({
  name: 'subsetNorm',
  title: 'Subset-Norm',
  family: 'adaptive',
  paper: {
    title:
      'Efficient Adaptive Optimization via Subset-Norm and Subspace-Momentum: Fast, Memory-Reduced Training with Convergence Guarantees',
    authors: 'Nguyen, Nguyen',
    year: 2024,
    arxiv: '2411.07120',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-6),
    weightDecay: nonNegative(0),
  },
  options: { subsets: 'lines' as 'lines' | 'blocks', subsetSize: 0, accumulate: false, biasCorrection: true },
  choices: { subsets: ['lines', 'blocks'] },
  limits: { subsetSize: [0] },
  state: {
    m: zeros({ when: ({ disabled }) => !disabled('beta1') }),
    v: shaped((shape, { subsets, subsetSize }) => subsetDimensions(shape, subsets as Subsets, subsetSize as number)),
  },
  decay: 'own',
  search: { learningRate: logUniform(1e-4, 1e-1), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule(context) {
    const { g, t, state, hyper, options, disabled } = context
    const { beta1, beta2 } = hyper
    const m = disabled('beta1') ? g : ema(state.m, g, beta1)
    const { scaled, v } = scaledBySubsets(m, options.subsets, context)
    const correction = biasCorrection(beta2, t).sqrt().over(biasCorrection(beta1, t))
    const step = options.biasCorrection ? scaled.times(correction) : scaled
    return { direction: decayedAfter(step, context), state: disabled('beta1') ? { v } : { m, v } }
  },
})
