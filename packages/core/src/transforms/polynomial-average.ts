import { defineTransform } from '../language/definition.ts'
import { nonNegative } from '../language/hyperparameters.ts'
import { copyOfParameter } from '../language/slots.ts'

/**
 * Keeps an average of the parameters in which later ones weigh more, as a power γ of the step, so that the start is
 * forgotten without a horizon to choose: `average ← (1 - c) average + c θ` with `c = (γ + 1) / (γ + t)`. Ask for it with
 * `evaluationParameters()`; training is not changed. `gamma` defaults to 8; 0 is the plain average. State: one copy of the
 * parameter. DoG's results are those of this average.
 *
 * Shamir, Zhang 2013, Stochastic Gradient Descent for Non-smooth Optimization: Convergence Results and Optimal Averaging
 * Schemes, arXiv 1212.1824.
 */
export const polynomialAverage = defineTransform({
  name: 'polynomialAverage',
  title: 'Polynomial averaging',
  paper: {
    title: 'Stochastic Gradient Descent for Non-smooth Optimization: Convergence Results and Optimal Averaging Schemes',
    authors: 'Shamir, Zhang',
    year: 2013,
    arxiv: '1212.1824',
  },
  hyper: { gamma: nonNegative(8) },
  state: { average: copyOfParameter() },
  parameter({ next, t, state, hyper }) {
    const share = hyper.gamma.plus(1).over(hyper.gamma.plus(t))
    return { parameter: next, state: { average: state.average.plus(next.minus(state.average).times(share)) } }
  },
  average: ({ state }) => state.average,
})
