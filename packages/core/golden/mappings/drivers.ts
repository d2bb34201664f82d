import { type Evaluate, type FloatArray, lBfgs } from 'fallline'
import { gradientAt, lossAt, total, writeEach, writeInitial } from '../problem.ts'
import type { DriverMapping, DriverSettings } from '../replay-driver.ts'

/** Arrays by name, in the order of the trajectory. */
function named(arrays: readonly FloatArray[]): Record<string, FloatArray> {
  return Object.fromEntries(arrays.map((array, k) => [`tensor${k}`, array]))
}

/** The closed-form problem at step `t`. */
function closedForm(t: number, { salt, disturb }: DriverSettings): Evaluate {
  return ({ parameters, gradients }) => {
    const arrays = Object.values(parameters)
    Object.values(gradients).forEach((gradient, k) => {
      writeEach(gradient, gradientAt, arrays[k]!, k, t, salt)
    })
    disturb(Object.values(gradients))
    return total(lossAt, arrays, t, salt)
  }
}

/** Methods that are drivers of their own, by the reference's name. */
export const drivers: Readonly<Record<string, DriverMapping>> = {
  torch_lbfgs: {
    amplifies:
      'differences of gradients of other steps decide the direction, a comparison of losses the step, and both become as small as rounding',
    start(fields, _run, settings) {
      const { salt, zeros } = settings
      zeros.forEach((array, k) => {
        writeInitial(array, k, salt)
      })
      const maximumEvaluations = fields.optional('max_eval')
      const optimizer = lBfgs(named(zeros), {
        learningRate: fields.number('lr'),
        maximumIterations: fields.number('max_iter'),
        ...(maximumEvaluations === undefined ? {} : { maximumEvaluations }),
        toleranceGradient: fields.number('tolerance_grad'),
        toleranceChange: fields.number('tolerance_change'),
        history: fields.number('history_size'),
        lineSearch: fields.optionalString('line_search_fn') === undefined ? 'none' : 'strongWolfe',
      })
      return { parameters: zeros, step: (t) => optimizer.minimize(closedForm(t, settings)) }
    },
  },
}
