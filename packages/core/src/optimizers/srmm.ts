import { defineOptimizer } from '../language/definition.ts'
import { fraction, logUniform, nonNegative, oneOf } from '../language/hyperparameters.ts'
import { copyOfParameter, scalar, zeros } from '../language/slots.ts'
import { ema, where } from '../language/value.ts'

/**
 * SRMM: stochastic regularized majorization-minimization in its double-averaged form: a gradient step with averaged
 * gradients from the average of where it has been.
 *
 * ```text
 * w ← k^-β                                   k = 1, 2, ... since the memory was last refreshed
 * ḡ ← (1 - w) ḡ + w g
 * θ̄ ← (1 - w) θ̄ + w θ
 * θ ← (1 - η ρ) θ̄ + η ρ θ - η ḡ              ρ is the proximal regularization
 * ```
 *
 * Defaults of the official code: β 0.5, memory 100 (0 never refreshes), ρ 0, η 0.01 (1 / (L + ρ) in the paper). State:
 * `meanGradient` (ḡ) and `mean` (θ̄), shaped like the parameter, and `age` (k), one number per tensor.
 *
 * In the paper w is 1 at first. The official code takes (k + 1)^-β of averages that start at 0, which shrinks the
 * parameters at the first step, and misses the refresh by an operator's precedence. pytorch_optimizer takes the averages in
 * place as well, so that its θ̄ is θ itself.
 *
 * Lyu 2022, Stochastic regularized majorization-minimization with weakly convex and multi-convex surrogates,
 * arXiv 2201.01652.
 */
export const srmm = defineOptimizer({
  name: 'srmm',
  title: 'SRMM',
  family: 'averaging',
  paper: {
    title: 'Stochastic regularized majorization-minimization with weakly convex and multi-convex surrogates',
    authors: 'Lyu',
    year: 2022,
    arxiv: '2201.01652',
  },
  hyper: {
    learningRate: nonNegative(0.01),
    beta: fraction(0.5),
    memory: nonNegative(100),
    proximalRegularization: nonNegative(0),
  },
  state: { meanGradient: zeros(), mean: copyOfParameter(), age: scalar(0) },
  decay: 'own',
  search: { learningRate: logUniform(1e-3, 1), beta: oneOf(0.25, 0.5, 0.75) },
  rule({ p, g, state, hyper, disabled }) {
    const { learningRate, beta, memory, proximalRegularization } = hyper
    const older = state.age.plus(1)
    const age = disabled('memory') ? older : where(state.age.isAtLeast(memory), 1, older)
    const kept = age.power(beta.negated()).negated().plus(1)
    const meanGradient = ema(state.meanGradient, g, kept)
    const mean = ema(state.mean, p, kept)
    return {
      direction: meanGradient,
      state: { meanGradient, mean, age },
      apply: (direction, project) => {
        const pull = learningRate.times(proximalRegularization)
        return { parameter: project(mean.plus(p.minus(mean).times(pull)).minus(direction.times(learningRate))) }
      },
    }
  },
})
