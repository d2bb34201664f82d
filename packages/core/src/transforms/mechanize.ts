import { countedSlots } from '../language/counted-slots.ts'
import { defineTransform } from '../language/definition.ts'
import { nonNegative, positive, smallDivisor } from '../language/hyperparameters.ts'
import { copyOfParameter, sharedScalar, zeros } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'

const discounts = [0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999]
const scales = countedSlots('s', discounts.length, sharedScalar(0))
const largest = countedSlots('m', discounts.length, sharedScalar(0))
const squares = countedSlots('v', discounts.length, sharedScalar(0))
const rewards = countedSlots('r', discounts.length, sharedScalar(0))

const sum = (values: readonly Value[]) => values.reduce((total, value) => total.plus(value))

/**
 * Mechanic: finds the scale of an optimizer's path away from the initial parameters, as several bettors with different memories
 * would bet on it, so that its learning rate only says how the rate goes and not how large it is.
 *
 * ```text
 * u ← what the wrapped optimizer takes off θ
 * d ← (θ₀ - θ) / (S + ε),   S = Σⱼ sⱼ of the step before
 * h ← ⟨g + λ S ‖g‖ / (‖θ‖ + ε) θ, d⟩                 over all tensors, as the norms
 * for each discount βⱼ:
 *   rⱼ ← βⱼ rⱼ + min(max(h, -mⱼ), mⱼ) sⱼ
 *   mⱼ ← max(βⱼ mⱼ, |h| + ε);   vⱼ ← βⱼ² vⱼ + h²
 *   sⱼ ← (initialScale / 6 mⱼ + max(rⱼ, 0)) / (√vⱼ + ε)
 * θ ← θ₀ - Σⱼ sⱼ (d + u)
 * ```
 *
 * Follows optax's `mechanize`, the authors' own, which limits h by the m before (the paper does not). Defaults as there: six
 * discounts 0.9, 0.99, ... 0.999999, `initialScale` (sⱼ at first) 1e-6, λ (`weightDecay`) 0.01, ε 1e-8. λ is not the decay
 * of the optimizer inside, which works as ever. Give that one a learning rate of 1, with a schedule if you like; not one that
 * normalizes its steps by itself (LARS, LAMB). State: `initial` (θ₀) and `delta` (d + u), shaped like the parameter, and 24
 * numbers for all tensors.
 *
 * d is S / (S + ε) times the `delta` of the step before, which is the same and can be computed in float32.
 *
 * Cutkosky, Defazio, Mehta 2023, Mechanic: A Learning Rate Tuner, arXiv 2306.00144.
 */
export const mechanize = defineTransform({
  name: 'mechanize',
  title: 'Mechanic',
  paper: {
    title: 'Mechanic: A Learning Rate Tuner',
    authors: 'Cutkosky, Defazio, Mehta',
    year: 2023,
    arxiv: '2306.00144',
  },
  hyper: { initialScale: positive(1e-6), weightDecay: nonNegative(0.01), epsilon: smallDivisor(1e-8) },
  state: {
    initial: copyOfParameter(),
    delta: zeros({ exact: true }),
    ...scales.slots,
    ...largest.slots,
    ...squares.slots,
    ...rewards.slots,
  },
  parameter({ p, g, next, step, state, hyper, disabled }) {
    const { initialScale, weightDecay, epsilon } = hyper
    const s = scales.read(state).map((scale) => where(step.equals(1), initialScale, scale))
    const total = sum(s)
    const before = state.delta.times(total.over(total.plus(epsilon)))
    const decay = disabled('weightDecay')
      ? undefined
      : g.norm('all').times(total).times(weightDecay).over(p.norm('all').plus(epsilon))
    const h = (decay ? g.plus(p.times(decay)) : g).times(before).sum('all')
    const m = largest.read(state)
    const reward = rewards.read(state).map((r, j) => {
      const limited = h.maximum(m[j]!.negated()).minimum(m[j]!)
      return r.times(discounts[j]!).plus(limited.times(s[j]!))
    })
    const newLargest = m.map((value, j) => value.times(discounts[j]!).maximum(h.abs().plus(epsilon)))
    const square = squares.read(state).map((v, j) => v.times(discounts[j]! ** 2).plus(h.square()))
    const scale = newLargest.map((value, j) => {
      const wealth = value.times(initialScale.over(discounts.length)).plus(reward[j]!.maximum(0))
      return wealth.over(square[j]!.sqrt().plus(epsilon))
    })
    const delta = before.plus(p.minus(next))
    return {
      parameter: state.initial.minus(delta.times(sum(scale))),
      state: {
        delta,
        ...scales.write(scale),
        ...largest.write(newLargest),
        ...squares.write(square),
        ...rewards.write(reward),
      },
    }
  },
})
