import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, smallDivisor } from '../language/hyperparameters.ts'
import { mostLosses, numbers, slotsPerLoss } from '../language/loss-gradients.ts'
import { type Slot, zeros } from '../language/slots.ts'
import { biasCorrection, ema, type Value, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { withoutConflict } from '../parts/without-conflict.ts'

/**
 * M-ConFIG: ConFIG of momenta, which needs the gradient of one loss per step only, of each in turn; made a step per element
 * as in Adam.
 *
 * ```text
 * i ← the loss whose turn it is:  mᵢ ← β1 mᵢ + (1 - β1) gᵢ
 * ĝ ← ConFIG(m₁ / (1 - β1^t₁), ..., mₙ / (1 - β1^tₙ))         tᵢ: how often it was the turn of i
 * f ← (1 - β1ᵀ) ĝ;  h ← (f - β1 f₋) / (1 - β1)                the gradient whose momentum ĝ would be
 * v ← β2 v + (1 - β2) h²
 * θ ← (1 - η λ) θ - η ĝ / (√(v / (1 - β2ᵀ)) + ε)              from step n on, T = t - n + 1
 * ```
 *
 * In step t the gradient is that of loss 1 + (t - 1) mod n alone, n = `losses`, 2 by default and at most 8. Nothing moves
 * before every loss has had a turn. Defaults: β (0.9, 0.999) and ε 1e-8 of the official code, η 1e-3, λ 0. State: an m for
 * every loss, f and v. The products within ConFIG run over all tensors.
 *
 * Liu, Chu, Thuerey 2024, ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks, arXiv 2408.11104.
 */
export const momentumConflictFree = defineOptimizer({
  name: 'momentumConflictFree',
  title: 'M-ConFIG',
  family: 'adaptive',
  paper: {
    title: 'ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks',
    authors: 'Liu, Chu, Thuerey',
    year: 2024,
    arxiv: '2408.11104',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  options: { losses: 2 },
  limits: { losses: [1, mostLosses] },
  state: { ...slotsPerLoss('m'), f: zeros(), v: zeros() } as Readonly<Record<string, Slot>>,
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 1e-1) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options }) {
    const { beta1, beta2, epsilon } = hyper
    const { losses } = options
    const rounds = (steps: Value) => steps.over(losses).floor()
    const turn = t.minus(1).minus(rounds(t.minus(1)).times(losses))
    const momenta = numbers(losses).map((loss) => {
      const m = state[`m${loss}`]!
      return where(turn.equals(loss - 1), ema(m, g, beta1), m)
    })
    const corrected = momenta.map((m, i) => {
      const turns = rounds(t.minus(i + 1)).plus(1)
      return m.over(biasCorrection(beta1, turns.maximum(1)))
    })
    const combined = withoutConflict(corrected)
    const ready = t.isAtLeast(losses)
    const age = t.minus(losses - 1).maximum(1)
    const f = where(ready, combined.times(biasCorrection(beta1, age)), 0)
    const h = f.minus(state.f!.times(beta1)).over(beta1.negated().plus(1))
    const v = emaOfSquare(state.v!, h, beta2)
    const root = v.sqrt().over(biasCorrection(beta2, age).sqrt())
    return {
      direction: where(ready, combined.over(root.plus(epsilon)), 0),
      learningRate: where(ready, hyper.learningRate, 0),
      state: { ...Object.fromEntries(momenta.map((m, i) => [`m${i + 1}`, m])), f, v },
    }
  },
})
