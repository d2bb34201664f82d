import type { DecayStyle, Paper } from '../language/definition.ts'
import { copyOfParameter, sharedScalar } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'

export const emoNaviPaper: Paper = {
  title: 'An emotion-driven optimizer that feels loss and navigates accordingly',
  authors: 'muooon',
  year: 2025,
  url: 'https://github.com/muooon/EmoNavi',
}

/** What the family keeps besides its averages of gradients. */
export const lossState = {
  shadow: copyOfParameter({ when: ({ options }) => options.shadow === true }),
  short: sharedScalar(0),
  long: sharedScalar(0),
  updates: sharedScalar(0),
}

/**
 * How the EmoNavi family answers to the loss: faster while its average over few steps lies below the one over many, slower
 * while it lies above, and slower after a sudden change of either kind.
 *
 * ```text
 * s ← 0.7 s + 0.3 L,   l ← 0.99 l + 0.01 L     both start at the first loss
 * x ← tanh(sensitivity (l - s) / max(l, 1e-5))
 * c ← 1 where |x| ≤ 0.125,   1 + x up to 0.625,   1 - |x| above
 * ```
 */
export function lossResponse(
  loss: Value,
  state: { readonly short: Value; readonly long: Value; readonly updates: Value },
  sensitivity: Value,
) {
  const first = state.updates.equals(0)
  const short = where(first, loss, state.short.times(0.7).plus(loss.times(0.3)))
  const long = where(first, loss, state.long.times(0.99).plus(loss.times(0.01)))
  const x = long.minus(short).over(long.maximum(1e-5)).times(sensitivity).tanh()
  const size = x.abs()
  const factor = where(
    size.isGreaterThan(0.625),
    size.negated().plus(1),
    where(size.isGreaterThan(0.125), x.plus(1), 1),
  )
  return { factor, size, averages: { short, long, updates: state.updates.plus(1) } }
}

/**
 * The shadow parameters of the family, a slow copy φ that takes over where the loss changes suddenly. Returns the rest of a
 * direction, with the step of the shadow before decay and step of the rule, and the new shadow.
 *
 * ```text
 * |x| > 0.75:  θ ← 0.25 θ + c φ
 * else         φ ← φ + 0.1 (θ - φ) where |x| > 0.25,   φ + 0.1 c (θ - φ) elsewhere
 * ```
 */
export function withShadow(
  direction: Value,
  { factor, size }: { readonly factor: Value; readonly size: Value },
  context: {
    readonly p: Value
    readonly hyper: { readonly learningRate: Value; readonly weightDecay: Value }
    readonly decay: DecayStyle
  },
  shadow: Value,
) {
  const { p, hyper, decay } = context
  const { learningRate, weightDecay } = hyper
  const sudden = size.isGreaterThan(0.75)
  const pull = where(sudden, p.times(0.75).minus(shadow.times(factor)), 0)
  const decayed = { decoupled: weightDecay.times(learningRate), independent: weightDecay } as Partial<
    Record<string, Value>
  >
  const kept = decayed[decay]?.negated().plus(1) ?? 1
  const share = where(learningRate.isGreaterThan(0), learningRate.power(-1), 0)
  const follows = where(sudden, 0, where(size.isGreaterThan(0.25), 0.1, factor.times(0.1)))
  return {
    direction: direction.plus(pull.times(share.times(kept))),
    shadow: shadow.plus(p.minus(shadow).times(follows)),
  }
}
