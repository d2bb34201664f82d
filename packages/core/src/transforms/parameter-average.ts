import { defineTransform } from '../language/definition.ts'
import { decayRate } from '../language/hyperparameters.ts'
import { copyOfParameter } from '../language/slots.ts'
import { ema } from '../language/value.ts'

/**
 * Keeps an exponential moving average of the parameters: `average ← beta average + (1 - beta) θ`, started at the initial
 * parameters. Ask for it with `evaluationParameters()`; training is not changed. `beta` defaults to 0.999. State: one
 * copy of the parameter.
 *
 * Polyak, Juditsky 1992, Acceleration of Stochastic Approximation by Averaging.
 */
export const parameterAverage = defineTransform({
  name: 'parameterAverage',
  title: 'Parameter averaging',
  hyper: { beta: decayRate(0.999) },
  state: { average: copyOfParameter() },
  parameter: ({ next, state, hyper }) => ({
    parameter: next,
    state: { average: ema(state.average, next, hyper.beta) },
  }),
  average: ({ state }) => state.average,
})
