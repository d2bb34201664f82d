import { adaHessian, adam, adamW, oasis, sgd, sharpnessAware, sophiaG, sophiaH } from 'fallline'
import { betas, decayOf, type Mapping, rate } from './mapping.ts'

/** The official code for every network, and that for transformers, which has blocks. */
const blockwise: Mapping = {
  optimizer(fields) {
    fields.expect('single_gpu', true, 'sums over devices')
    return adaHessian({
      ...rate(fields),
      ...betas(fields),
      epsilon: fields.number('eps'),
      weightDecay: fields.number('weight_decay'),
      hessianPower: fields.number('hessian_power'),
      blockLength: fields.number('block_length', 1),
    })
  },
}

/** What needs more than the gradient where the parameters stand: second derivatives, or evaluations at other points. */
export const curvatureAndEvaluations: Readonly<Record<string, Mapping>> = {
  sam: {
    optimizer(fields) {
      const base = fields.string('base_optimizer', ['SGD', 'Adam', 'AdamW'])
      const common = { ...rate(fields), weightDecay: fields.number('weight_decay', 0) }
      const inner =
        base === 'SGD'
          ? sgd({ ...common, momentum: fields.number('momentum') })
          : base === 'Adam'
            ? adam(common)
            : adamW(common)
      return sharpnessAware(inner, { rho: fields.number('rho'), adaptive: fields.boolean('adaptive') })
    },
  },

  adahessian: blockwise,
  adahessian_block: blockwise,

  oasis: {
    // Where its steps have become small beside the parameters, float32 rounds the distance that the next one is made of.
    signs: true,
    optimizer(fields) {
      const initial = fields.number('eta0')
      const common = { beta2: fields.number('beta2'), alpha: fields.number('alpha') }
      if (!fields.boolean('adaptive')) {
        return oasis({
          ...common,
          stepSize: 'fixed',
          learningRate: initial,
          beta1: fields.number('beta1'),
          weightDecay: fields.number('weight_decay'),
        })
      }
      const difference = fields.string('difference', ['same_batch', 'consecutive'])
      return oasis({
        ...common,
        initialStepSize: initial,
        difference: difference === 'consecutive' ? 'consecutive' : 'sameBatch',
      })
    },
  },

  sophiag: {
    inputs: { sampledGradient: ({ i, k, t, salt }) => Math.cos(0.9 * (i + 1) + 0.5 * t + k + salt) },
    optimizer: (fields) =>
      sophiaG({
        ...rate(fields),
        ...betas(fields),
        rho: fields.number('rho'),
        batchSize: fields.number('bs'),
        hessianPeriod: fields.number('k'),
        weightDecay: fields.number('weight_decay'),
      }),
  },

  sophiah: {
    until: {
      step: 10,
      reason: 'its first Gaussian probe, which is not recorded, is drawn at step 11 and used from step 20 on',
    },
    optimizer(fields) {
      fields.expect('maximize', false, 'the problem is to be minimized')
      fields.expect('num_samples', 1, 'the estimate is an input')
      fields.string('hessian_distribution', ['gaussian', 'rademacher'])
      const clip = fields.number('p')
      const { weightDecay, decay } = decayOf(fields, true)
      // clip(m / max(h, ε), ±p) is p clip(m / max(p h, p ε), ±1).
      return sophiaH({
        learningRate: fields.number('lr') * clip,
        ...betas(fields),
        gamma: clip,
        epsilon: fields.number('eps') * clip,
        hessianPeriod: fields.number('update_period'),
        weightDecay: decay === 'decoupled' ? weightDecay / clip : weightDecay,
        decay,
      })
    },
  },
}
