import { defineOptimizer } from '../language/definition.ts'
import {
  decayRate,
  fraction,
  logUniform,
  nonNegative,
  oneOf,
  seed,
  smallDivisor,
  stepCount,
} from '../language/hyperparameters.ts'
import { scalar, zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { cosineDecay } from '../parts/cosine-decay.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * SPAM: Adam that clips gradients far above their usual size and forgets its moments at regular intervals.
 *
 * ```text
 * r ← t mod resetPeriod;   m, v ← 0 where r = 0
 * g ← 0 where u < sparsity,  u ~ U(0, 1) drawn anew where r = 0
 * g ← min(max(g, -c), c),  c = √(threshold v)                   where r ≥ clippingDelay
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * κ ← 0.99 (1 + cos(π r / (warmupSteps + 1))) / 2         for r < warmupSteps after the first reset, else 0
 * θ ← (1 - η λ) (θ - η (1 - κ) (m / (1 - β1ᵗ)) √(1 - β2ᵗ) / (√v + ε))
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.9, 0.999), ε 1e-6, λ 0, threshold 5000 (0 is off), resetPeriod 500,
 * warmupSteps 150, clippingDelay 20, sparsity 0. Decay is the rule's own, after the step; `decay: 'decoupled'` is before it.
 * State: `m` and `v`, shaped like the parameter, and `r`, one number per tensor; with sparsity the number of `resets` too.
 *
 * `sparsity` is 1 - `density` of the official code: momentum for a random part of each tensor, the rest stands still until
 * the next reset. The mask is drawn from `seed` where it is used, every element for itself, and not stored. The official
 * code draws its first mask with an exact number of elements, takes matrices only, keeps m and v for these elements alone,
 * which saves memory, and does not decay then; here m and v keep their size, and decay acts on all elements.
 *
 * As in the official code t in the bias corrections goes on counting when m and v are reset; the warm-up hides what that
 * leaves out. Elements whose v is 0 are not clipped; there they stand still until the next reset.
 *
 * Huang, Zhu, Jin, Liu, Wang, Liu 2025, SPAM: Spike-Aware Adam with Momentum Reset for Stable LLM Training,
 * arXiv 2501.06842.
 */
export const spam = defineOptimizer({
  name: 'spam',
  title: 'SPAM',
  family: 'adaptive',
  paper: {
    title: 'SPAM: Spike-Aware Adam with Momentum Reset for Stable LLM Training',
    authors: 'Huang, Zhu, Jin, Liu, Wang, Liu',
    year: 2025,
    arxiv: '2501.06842',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-6),
    weightDecay: nonNegative(0),
    threshold: nonNegative(5000),
    resetPeriod: stepCount(500),
    warmupSteps: nonNegative(150),
    clippingDelay: nonNegative(20),
    sparsity: fraction(0),
    seed: seed(),
  },
  options: { biasCorrection: true },
  state: {
    m: zeros(),
    v: zeros(),
    r: scalar(0),
    resets: scalar(0, { when: ({ disabled }) => !disabled('sparsity') }),
  },
  decay: 'own',
  search: { learningRate: logUniform(1e-4, 3e-2), threshold: oneOf(1000, 5000, 10000) },
  largestGradient: largestSquared,
  rule({ p, g: given, t, state, hyper, options, random, disabled, ownWeightDecay }) {
    const { beta1, beta2, epsilon, warmupSteps } = hyper
    const next = state.r.plus(1)
    const r = where(next.isAtLeast(hyper.resetPeriod), 0, next)
    const kept = where(r.equals(0), 0, 1)
    const resets = disabled('sparsity') ? undefined : state.resets.plus(1).minus(kept)
    const gradient = resets
      ? where(random.uniform({ seed: hyper.seed, step: resets }).isLessThan(hyper.sparsity), 0, given)
      : given
    const clipped = () => {
      const limit = state.v.times(kept).times(hyper.threshold).sqrt()
      const clips = limit.isGreaterThan(0).and(r.isAtLeast(hyper.clippingDelay))
      return where(clips, gradient.minimum(limit).maximum(limit.negated()), gradient)
    }
    const g = disabled('threshold') ? gradient : clipped()
    const m = ema(state.m.times(kept), g, beta1)
    const v = emaOfSquare(state.v.times(kept), g, beta2)
    const decaying = r.isLessThan(warmupSteps).and(t.isAtLeast(hyper.resetPeriod))
    const held = where(decaying, cosineDecay(0.99, r.lifted(0), r.over(warmupSteps.plus(1))), 0)
    const correction = biasCorrection(beta2, t).sqrt().over(biasCorrection(beta1, t))
    const scale = options.biasCorrection ? correction.times(held.negated().plus(1)) : held.negated().plus(1)
    const step = m.over(v.sqrt().plus(epsilon)).times(scale)
    const shrunk = step.times(hyper.learningRate.times(ownWeightDecay).negated().plus(1))
    return { direction: shrunk.plus(p.times(ownWeightDecay)), state: { m, v, r, ...(resets ? { resets } : {}) } }
  },
})
