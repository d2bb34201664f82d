import type { RuleContext } from '../language/definition.ts'
import { ema, type Value } from '../language/value.ts'

/** Two averages of gradients: one takes the odd steps, the other the even ones. */
type Slots = 'odd' | 'even'
type Context = Pick<RuleContext<'beta0' | 'beta1', Record<never, never>, Slots>, 'g' | 'hyper' | 'state' | 'every'>

/**
 * Positive-negative momentum: the average that is current on this step, strengthened by its difference to the one of the
 * step before, and scaled so that the noise is that of β0 = 0. Only the current average is written.
 */
export function positiveNegative({ g, hyper, state, every }: Context): {
  readonly momentum: Value
  readonly state: Partial<Record<Slots, Value>>
} {
  const { beta0, beta1 } = hyper
  const [current, other] = every<readonly Slots[], readonly Slots[]>(2, () => ['even', 'odd'], ['odd', 'even']) as [
    Slots,
    Slots,
  ]
  const m = ema(state[current], g, beta1.square())
  const ahead = beta0.plus(1)
  const noise = ahead.square().plus(beta0.square()).sqrt()
  const momentum = m.times(ahead.over(noise)).minus(state[other].times(beta0.over(noise)))
  return { momentum, state: { [current]: m } }
}
