import { acProp, cocob, optimisticGradient } from 'fallline'
import type { Mapping } from './mapping.ts'

/** What was recorded from optax. */
export const optax: Readonly<Record<string, Mapping>> = {
  acprop_optax: {
    optimizer(fields) {
      const epsilon = fields.number('eps')
      fields.expect('eps_root', epsilon, 'one setting here, as by default there')
      return acProp({
        learningRate: fields.number('learning_rate'),
        beta1: fields.number('b1'),
        beta2: fields.number('b2'),
        epsilon,
        weightDecay: fields.number('weight_decay'),
      })
    },
  },

  cocob_optax: {
    optimizer: (fields) =>
      cocob({
        alpha: fields.number('alpha'),
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
      }),
  },

  optimistic_gradient_descent_optax: {
    optimizer: (fields) =>
      optimisticGradient({
        learningRate: fields.number('learning_rate'),
        alpha: fields.number('alpha'),
        beta: fields.number('beta'),
      }),
  },
}
