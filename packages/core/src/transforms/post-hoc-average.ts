import { defineTransform } from '../language/definition.ts'
import { nonNegative } from '../language/hyperparameters.ts'
import { copyOfParameter } from '../language/slots.ts'
import { ema, type Value } from '../language/value.ts'

/**
 * Post-hoc averaging: keeps two averages of the parameters in which later ones weigh more, as two powers of the step, from which
 * after training the average of any length can be made ({@link reconstructAverage}).
 *
 * ```text
 * φᵢ ← β φᵢ + (1 - β) θ,   β = (1 - 1 / t)^(γᵢ + 1)          i = 1, 2
 * ```
 *
 * φᵢ weighs the parameters of step τ in proportion to τ^γᵢ: the average covers a share of the run, whatever its length. Defaults: γ1
 * (`gamma1`) 16.97 and γ2 (`gamma2`) 6.94, whose weights have standard deviations of 5 % and 10 % of the run. `evaluationParameters()`
 * gives the first; training is not changed. State: two copies of the parameter, `narrow` and `wide`.
 *
 * Karras, Aittala, Lehtinen, Hellsten, Aila, Laine 2023, Analyzing and Improving the Training Dynamics of Diffusion Models,
 * arXiv 2312.02696.
 */
export const postHocAverage = defineTransform({
  name: 'postHocAverage',
  title: 'Post-hoc averaging',
  paper: {
    title: 'Analyzing and Improving the Training Dynamics of Diffusion Models',
    authors: 'Karras, Aittala, Lehtinen, Hellsten, Aila, Laine',
    year: 2023,
    arxiv: '2312.02696',
  },
  hyper: { gamma1: nonNegative(16.97), gamma2: nonNegative(6.94) },
  state: { narrow: copyOfParameter(), wide: copyOfParameter() },
  parameter({ next, t, state, hyper }) {
    const kept = (gamma: Value) => t.minus(1).over(t).power(gamma.plus(1))
    return {
      parameter: next,
      state: { narrow: ema(state.narrow, next, kept(hyper.gamma1)), wide: ema(state.wide, next, kept(hyper.gamma2)) },
    }
  },
  average: ({ state }) => state.narrow,
})
