import { defineOptimizer } from '../language/definition.ts'
import {
  decayRate,
  fraction,
  logUniform,
  nonNegative,
  oneOf,
  positive,
  smallDivisor,
  stepCount,
} from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema, type Value, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { nthLargest } from '../parts/nth-largest.ts'

/**
 * CoRe: Adam whose step size is each element's own, grown while its momentum keeps its sign and shrunk when it turns, as in
 * Rprop.
 *
 * ```text
 * β1 ← β1final + (β1initial - β1final) exp(-((t - 1) / β1steps)²)
 * m₋ ← m;   m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * s ← s η₊ where m m₋ > 0, s η₋ where m m₋ < 0, then min(max(s, sMinimum), sMaximum)      s = s₀ at first
 * u ← s (m / (1 - β1ᵗ)) / (√(v / (1 - β2ᵗ)) + ε)      signs: u ← s sign(m)
 * θ ← θ - η (u + min(λ |u|, 1) θ)
 *
 * with `frozen` above 0, for t > scoreHistory and n = ⌊frozen size⌋ at least 1:
 *   u ← 0 and s stays where S ≥ 0.999999 (the n-th largest S of the tensor)
 *   S ← (1 - 1 / scoreHistory) S
 * and in all steps, with the new u,  S ← S + m u / scoreHistory
 * ```
 *
 * Defaults of the official code: s₀ (`initialStepSize`, its `lr`) 1e-3, from `minimumStepSize` 1e-6 to `maximumStepSize`
 * 1e-2, η₋ 0.7375, η₊ 1.2, β1 from 0.7375 to 0.8125 in 250 steps, β2 0.99, ε 1e-8, λ 0.1. `learningRate` 1 multiplies all
 * step sizes, so that schedules act; the official code has none. State: `m`, `v` and `s`, shaped like the parameter; no `v`
 * with `signs`, the official β2 below 0; with `frozen` the scores S too.
 *
 * `frozen` (0, off) holds the elements that have done most for the loss so far, so that a model does not forget them. Scores
 * are collected for `scoreHistory` steps first: 250 here, 0 in the official code, which is off too. Finding the n-th largest
 * score reads the scores another 25 times in a step.
 *
 * Decay is the rule's own, in proportion to the step of each element. The limit of 1 is ours.
 *
 * Eckhoff, Reiher 2023, CoRe Optimizer: An All-in-One Solution for Machine Learning, arXiv 2307.15663.
 */
export const coRe = defineOptimizer({
  name: 'coRe',
  title: 'CoRe',
  family: 'adaptive',
  paper: {
    title: 'CoRe Optimizer: An All-in-One Solution for Machine Learning',
    authors: 'Eckhoff, Reiher',
    year: 2023,
    arxiv: '2307.15663',
  },
  hyper: {
    learningRate: nonNegative(1),
    initialStepSize: positive(1e-3),
    minimumStepSize: positive(1e-6),
    maximumStepSize: positive(1e-2),
    shrinking: fraction(0.7375),
    growth: positive(1.2),
    beta1Initial: decayRate(0.7375),
    beta1Final: decayRate(0.8125),
    beta1Steps: positive(250),
    beta2: decayRate(0.99),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0.1),
    frozen: fraction(0),
    scoreHistory: stepCount(250),
  },
  ordered: [['minimumStepSize', 'maximumStepSize']],
  options: { signs: false },
  state: {
    m: zeros(),
    v: zeros({ when: ({ options }) => options.signs !== true }),
    s: zeros(),
    scores: zeros({ when: ({ disabled }) => !disabled('frozen') }),
  },
  decay: 'own',
  search: { learningRate: logUniform(0.1, 10), maximumStepSize: oneOf(1e-3, 1e-2, 1e-1) },
  largestGradient: largestSquared,
  rule({ p, g, t, state, hyper, options, disabled, firstSteps, ownWeightDecay }) {
    const { beta1Initial, beta1Final, beta2, epsilon, scoreHistory } = hyper
    const age = t.minus(1).over(hyper.beta1Steps)
    const beta1 = beta1Final.plus(beta1Initial.minus(beta1Final).times(age.square().negated().exp()))
    const m = ema(state.m, g, beta1)
    const v = options.signs ? undefined : emaOfSquare(state.v, g, beta2)
    const root = v?.sqrt().over(biasCorrection(beta2, t).sqrt())
    const sized = root ? m.over(biasCorrection(beta1, t)).over(root.plus(epsilon)) : m.sign()

    const freezes = !disabled('frozen') && firstSteps(scoreHistory, () => false, true)
    const count = hyper.frozen.times(p.count()).floor()
    const limit = freezes ? nthLargest(state.scores, count).times(0.999999) : undefined
    const still = limit && where(count.isAtLeast(1), where(state.scores.isAtLeast(limit), 1, 0), 0)
    const plastic = (x: Value, otherwise: number) => (still ? where(still.equals(1), otherwise, x) : x)

    const turn = m.sign().times(state.m.sign())
    const factor = where(turn.isGreaterThan(0), hyper.growth, where(turn.isLessThan(0), hyper.shrinking, 1))
    const before = where(t.equals(1), hyper.initialStepSize, state.s)
    const s = before.times(plastic(factor, 1)).maximum(hyper.minimumStepSize).minimum(hyper.maximumStepSize)
    const u = plastic(sized.times(s), 0)
    const direction = u.plus(u.abs().times(ownWeightDecay).minimum(1).times(p))
    const share = scoreHistory.power(-1)
    const kept = freezes ? state.scores.times(share.negated().plus(1)) : state.scores
    const scores = disabled('frozen') ? {} : { scores: kept.plus(m.times(u).times(share)) }
    return { direction, state: { m, s, ...(v ? { v } : {}), ...scores } }
  },
})
