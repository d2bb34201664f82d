import { defineTransform } from '../language/definition.ts'
import { fraction, stepCount } from '../language/hyperparameters.ts'
import { layerStatistics } from '../language/layer-statistics.ts'
import { type SlotFacts, shaped } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'
import { identityLike } from '../parts/diagonal.ts'
import { outputsAsRows } from '../parts/oriented.ts'

const when = ({ shape }: SlotFacts) => shape.rank === 2

/**
 * MKOR: the gradient of a dense layer's weights between the inverses of two Kronecker factors, which are renewed by rank one, and as
 * long as it was before; for any optimizer: `mkor(sgd({ momentum: 0.9 }))`.
 *
 * ```text
 * M = ζ F + (1 - ζ) I                      of both factors F, from I on, with v the mean of a or of s; every k-th step
 * F ← M - M v vᵀ M / (1 + vᵀ M v)
 * u = F_s g F_a
 * g ← u ‖g‖ / ‖u‖
 * ```
 *
 * a are the inputs of the layer and s the gradients of an example's own loss with respect to its outputs: see
 * {@link layerStatistics}, of which the inputs `activationMean` and `outputGradientMean` are asked for, at the steps 1 + k, 1 + 2 k and so on.
 * Defaults of the official code: k (`renewalPeriod`) 10, ζ 0.95, and no `warmupSteps`, in which every step but the first renews. State:
 * `A` (F_a) and `S` (F_s), inputs² and outputs² numbers. With `lastIsBias` the last weight of each output is its bias, and each norm is the
 * sum of that of the weights and that of the biases, as there. A parameter that is no matrix keeps its gradient.
 *
 * As in the official code ζ is a number of its own: its settings name a decay of statistics and a factor of stabilization that never
 * act, and the factors of the first step are the identity. It puts factors with a number above 2 back to that, which only rounding in half precision can bring
 * about, since no eigenvalue of F is ever above 1. There a and s are limited to ±100 for every example before the mean, which whoever supplies the
 * means may do.
 *
 * MKOR-H is `hybrid`: after `secondOrderSteps` (default 1000) gradients stay as they are, and neither statistics are asked for nor products made;
 * state of the wrapped optimizer, such as momentum, goes on. `secondOrderSteps: untilLossFlattens()` ends them when the loss falls slowly.
 *
 * Mozaffari, Li, Zhang, Mehri Dehnavi 2023, MKOR: Momentum-Enabled Kronecker-Factor-Based Optimizer Using Rank-1 Updates,
 * arXiv 2306.01685.
 */
export const mkor = defineTransform({
  name: 'mkor',
  title: 'MKOR',
  paper: {
    title: 'MKOR: Momentum-Enabled Kronecker-Factor-Based Optimizer Using Rank-1 Updates',
    authors: 'Mozaffari, Li, Zhang, Mehri Dehnavi',
    year: 2023,
    arxiv: '2306.01685',
  },
  hyper: { renewalPeriod: stepCount(10), zeta: fraction(0.95), secondOrderSteps: stepCount(1000) },
  options: { lastIsBias: false, warmupSteps: 0, hybrid: false },
  limits: { warmupSteps: [0] },
  inputs: {
    activationMean: layerStatistics.activationMean,
    outputGradientMean: layerStatistics.outputGradientMean,
  },
  state: {
    A: shaped(({ inputs }) => [1, inputs, inputs], { start: 'identity', when }),
    S: shaped(({ outputs }) => [1, outputs, outputs], { start: 'identity', when }),
  },
  gradient({ g, state, hyper, options, inputs, shape, every, firstSteps }) {
    if (shape.rank !== 2) return { gradient: g }
    const { A, S } = state
    const renewal = () => ({
      A: byRankOne(A, inputs.activationMean, hyper.zeta),
      S: byRankOne(S, inputs.outputGradientMean, hyper.zeta),
    })
    const length = (x: Value) => {
      if (!options.lastIsBias) return x.norm()
      const last = x.columnIndex().equals(x.columns - 1)
      return where(last, 0, x)
        .norm()
        .plus(where(last, x, 0).norm())
    }
    const preconditioned = () => {
      const regular = every(hyper.renewalPeriod, renewal, { A, S }, 'first')
      const warm = options.warmupSteps > 0 ? firstSteps(options.warmupSteps, renewal, regular) : regular
      const next = firstSteps(1, () => ({ A, S }), warm)
      const G = outputsAsRows(g, shape)
      const u = next.S.matmul(G).matmul(next.A)
      const longer = length(u)
      const rescaled = u.times(where(longer.isGreaterThan(0), length(G).over(longer), 1))
      return { gradient: outputsAsRows(rescaled, shape).as(g), state: next }
    }
    if (!options.hybrid) return preconditioned()
    return firstSteps(hyper.secondOrderSteps, preconditioned, { gradient: g, state: { A, S } })
  },
})

/** The inverse of the inverse of M = ζ F + (1 - ζ) I and v vᵀ added, by Sherman and Morrison. */
function byRankOne(factor: Value, mean: Value, zeta: Value): Value {
  const v = mean.as([1, factor.rows, 1])
  const M = factor.times(zeta).plus(identityLike(factor).times(zeta.negated().plus(1)))
  const Mv = M.matmul(v)
  const w = Mv.over(v.times(Mv).sum().plus(1).sqrt())
  return M.minus(w.times(w.transposed()))
}
