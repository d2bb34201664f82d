import { countedSlots } from '../language/counted-slots.ts'
import { defineTransform } from '../language/definition.ts'
import { positive, smallDivisor } from '../language/hyperparameters.ts'
import { copyOfParameter, sharedScalar, zeros } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'

const discounts = [0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999]
const sigmas = countedSlots('sigma', discounts.length, sharedScalar(1e-8))
const variances = countedSlots('variance', discounts.length, sharedScalar(0))

/**
 * The imaginary error function 2/√π ∫₀ˣ exp(t²) dt of scalars, beyond ±9 as at ±9. It is 2/√π exp(x²) D(x), with Dawson's
 * integral D as Rybicki's sum over odd n of exp(-(x - n h)²) / n, taken around the even multiple of h next to x; with
 * h = 0.3 ten terms on either side are right to 1e-12.
 */
function erfi(value: Value): Value {
  const h = 0.3
  const x = value.abs().minimum(9)
  const near = x
    .over(2 * h)
    .plus(0.5)
    .floor()
    .times(2)
  const rest = x.minus(near.times(h))
  const growth = rest.times(2 * h).exp()
  let [power, sum] = [growth, x.lifted(0)]
  for (let n = 1; n <= 19; n += 2) {
    const pair = power.over(near.plus(n)).plus(near.minus(n).times(power).power(-1))
    sum = sum.plus(pair.times(Math.exp(-((n * h) ** 2))))
    power = power.times(growth.square())
  }
  return sum.times(x.square().minus(rest.square()).exp()).times(value.sign().times(2 / Math.PI))
}

/**
 * TRAC: lets an optimizer's path away from the initial parameters count for as much as the gradients say that it has
 * helped, which leaves no scale to tune and keeps a network plastic when tasks change.
 *
 * ```text
 * u ← what the wrapped optimizer adds to θ
 * d ← (θ - θ₀) / (S + ε)                             S of the step before; 0 where that is not above 0
 * h ← ⟨g, d⟩                                         over all tensors
 * for each discount βⱼ:   vⱼ ← βⱼ² vⱼ + h²,   σⱼ ← βⱼ σⱼ - h        vⱼ starts at 0, σⱼ at 1e-8
 * S ← initialScale Σⱼ erfi(σⱼ / (√(2 vⱼ) + ε)) / erfi(1 / √2)
 * θ ← θ₀ + max(S, 0) (d + u)
 * ```
 *
 * erfi is the imaginary error function. Defaults of the official code: six discounts 0.9, 0.99, ... 0.999999,
 * `initialScale` 1e-8, ε 1e-8. State: `initial` (θ₀) and `delta` (d + u), shaped like the parameter, and 13 numbers for all
 * tensors. One more read of gradient and `delta`. The learning rate stays that of the optimizer inside.
 *
 * d is S / (S + ε) times the `delta` of the step before, which is the same and can be computed in float32: at first S is
 * 1e-7, and θ - θ₀ then is nothing but rounding. Arguments of erfi beyond ±9 count as ±9, where the official code overflows
 * later; S is 1e26 then.
 *
 * Muppidi, Zhang, Yang 2024, Fast TRAC: A Parameter-Free Optimizer for Lifelong Reinforcement Learning, arXiv 2405.16642.
 */
export const trac = defineTransform({
  name: 'trac',
  title: 'TRAC',
  paper: {
    title: 'Fast TRAC: A Parameter-Free Optimizer for Lifelong Reinforcement Learning',
    authors: 'Muppidi, Zhang, Yang',
    year: 2024,
    arxiv: '2405.16642',
  },
  hyper: { initialScale: positive(1e-8), epsilon: smallDivisor(1e-8) },
  state: {
    initial: copyOfParameter(),
    delta: zeros({ exact: true }),
    scale: sharedScalar(0),
    ...sigmas.slots,
    ...variances.slots,
  },
  parameter({ p, g, next, state, hyper }) {
    const { initialScale, epsilon } = hyper
    const carried = where(state.scale.isGreaterThan(0), state.scale.over(state.scale.plus(epsilon)), 0)
    const before = state.delta.times(carried)
    const h = g.times(before).sum('all')
    const sigma = sigmas.read(state).map((value, j) => value.times(discounts[j]!).minus(h))
    const variance = variances.read(state).map((value, j) => value.times(discounts[j]! ** 2).plus(h.square()))
    const total = sigma
      .map((value, j) => erfi(value.over(variance[j]!.times(2).sqrt().plus(epsilon))))
      .reduce((sum, term) => sum.plus(term), h.lifted(0))
    const scale = total.times(initialScale).over(erfi(h.lifted(Math.SQRT1_2)))
    const delta = before.plus(next.minus(p))
    return {
      parameter: state.initial.plus(delta.times(scale.maximum(0))),
      state: { delta, scale, ...sigmas.write(sigma), ...variances.write(variance) },
    }
  },
})
