import type { Dimensions } from '../graph/node.ts'
import { defineOptimizer, type RandomArrays } from '../language/definition.ts'
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
import { type ParameterShape, type SlotFacts, scalar, shaped, zeros } from '../language/slots.ts'
import { biasCorrection, ema, type Value, where } from '../language/value.ts'
import { cosineDecay } from '../parts/cosine-decay.ts'
import { decayedAfter } from '../parts/decayed-after.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { largestDivisor } from '../parts/largest-divisor.ts'

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
 * State: `m` and `v`, shaped like the parameter, and `r`, one number per tensor; with sparsity or keepOneIn the number of `resets`
 * too.
 *
 * `sparsity` is 1 - `density` of the official code: momentum for a random part of each tensor, the rest stands still until
 * the next reset. The mask is drawn from `seed` where it is used, every element for itself, and not stored. The official
 * code draws its first mask with an exact number of elements, takes matrices only, keeps m and v for these elements alone,
 * which saves memory, and does not decay then; here m and v keep their size, and decay acts on all elements.
 *
 * `keepOneIn` n above 1 saves the memory: of every n consecutive elements of a matrix, as it lies in memory, one that is drawn anew at
 * every reset has momentum, and `mOfKept` and `vOfKept` have one number for each of them. The density is 1 / n, as with sparsity
 * 1 - 1 / n, but evenly spread. A matrix whose size n does not divide takes the next smaller divisor; other tensors are dense.
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
  options: { biasCorrection: true, keepOneIn: 1 },
  state: {
    m: zeros({ when: (facts) => !isCompact(facts) }),
    v: zeros({ when: (facts) => !isCompact(facts) }),
    mOfKept: shaped(kept, { when: isCompact }),
    vOfKept: shaped(kept, { when: isCompact }),
    r: scalar(0),
    resets: scalar(0, { when: (facts) => !facts.disabled('sparsity') || isCompact(facts) }),
  },
  decay: 'own',
  search: { learningRate: logUniform(1e-4, 3e-2), threshold: oneOf(1000, 5000, 10000) },
  largestGradient: largestSquared,
  rule(context) {
    const { g: given, t, state, hyper, options, shape, random, disabled } = context
    const { beta1, beta2, epsilon, warmupSteps } = hyper
    const compact = isCompact({ options, shape })
    const [oldM, oldV] = compact ? [state.mOfKept, state.vOfKept] : [state.m, state.v]
    const next = state.r.plus(1)
    const r = where(next.isAtLeast(hyper.resetPeriod), 0, next)
    const remains = where(r.equals(0), 0, 1)
    const resets = disabled('sparsity') && !compact ? undefined : state.resets.plus(1).minus(remains)
    const masked =
      resets && !disabled('sparsity')
        ? where(random.uniform({ seed: hyper.seed, step: resets }).isLessThan(hyper.sparsity), 0, given)
        : given
    const choice = compact && resets ? chooser(masked, shape, options.keepOneIn, random, hyper.seed, resets) : undefined
    const gradient = choice ? choice.gather(masked) : masked
    const clipped = () => {
      const limit = oldV.times(remains).times(hyper.threshold).sqrt()
      const clips = limit.isGreaterThan(0).and(r.isAtLeast(hyper.clippingDelay))
      return where(clips, gradient.minimum(limit).maximum(limit.negated()), gradient)
    }
    const g = disabled('threshold') ? gradient : clipped()
    const m = ema(oldM.times(remains), g, beta1)
    const v = emaOfSquare(oldV.times(remains), g, beta2)
    const decaying = r.isLessThan(warmupSteps).and(t.isAtLeast(hyper.resetPeriod))
    const held = where(decaying, cosineDecay(0.99, r.lifted(0), r.over(warmupSteps.plus(1))), 0)
    const correction = biasCorrection(beta2, t).sqrt().over(biasCorrection(beta1, t))
    const scale = options.biasCorrection ? correction.times(held.negated().plus(1)) : held.negated().plus(1)
    const kept = m.over(v.sqrt().plus(epsilon)).times(scale)
    const step = choice ? choice.scatter(kept) : kept
    return {
      direction: decayedAfter(step, context),
      state: { ...(compact ? { mOfKept: m, vOfKept: v } : { m, v }), r, ...(resets ? { resets } : {}) },
    }
  },
})

function isCompact({ options, shape }: Pick<SlotFacts, 'options' | 'shape'>): boolean {
  return (options.keepOneIn as number) > 1 && shape.rank === 2
}

/** One number for each element that has momentum. */
function kept({ size }: ParameterShape, { keepOneIn }: SlotFacts['options']): Dimensions {
  return [1, size / largestDivisor(size, keepOneIn as number), 1]
}

/** Which element of each group has momentum: takes the gradients of these, and gives them back their steps. */
function chooser(
  like: Value,
  { size }: ParameterShape,
  limit: number,
  random: RandomArrays,
  seed: Value,
  resets: Value,
) {
  const length = largestDivisor(size, limit)
  const groups: Dimensions = [1, size / length, length]
  const place = random
    .uniform({ seed, step: resets, dimensions: [1, size / length, 1] })
    .times(length)
    .floor()
  const chosen = like.as(groups).columnIndex().equals(place)
  return {
    gather: (gradient: Value) => where(chosen, gradient.as(groups), 0).sum('columns'),
    scatter: (step: Value) => where(chosen, step, 0).as(like),
  }
}
