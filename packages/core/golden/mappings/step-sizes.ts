import {
  aDoG,
  type CompiledOptimizer,
  dAdaptAdaGrad,
  dAdaptAdam,
  dAdaptAdan,
  dAdaptLion,
  dAdaptSGD,
  dog,
  momo,
  momoAdam,
  type Optimizer,
  polynomialAverage,
  scheduleFree,
  scheduleFreeRAdam,
  scheduleFreeSGD,
  sgd,
  sgdSaI,
} from 'fallline'
import type { Fields } from '../fields.ts'
import { betas, type Mapping, rate } from './mapping.ts'

const quantities = { d: (optimizer: CompiledOptimizer) => optimizer.state(optimizer.names[0]!).d as number }

/** What finds its own step size, and Schedule-Free. */
export const stepSizes: Readonly<Record<string, Mapping>> = {
  dadaptsgd: {
    quantities,
    optimizer: (fields) => dAdaptSGD({ ...distance(fields), momentum: fields.number('momentum') }),
  },
  dadaptadam: {
    quantities,
    optimizer: (fields) =>
      dAdaptAdam({
        ...distance(fields),
        ...betas(fields),
        epsilon: fields.number('eps'),
        decay: fields.boolean('decouple') ? 'decoupled' : 'coupled',
        biasCorrection: fields.boolean('use_bias_correction'),
      }),
  },
  dadaptadan: {
    quantities,
    optimizer(fields) {
      const [beta1, beta2, beta3] = fields.numbers('betas', 3) as [number, number, number]
      return dAdaptAdan({
        ...distance(fields),
        beta1,
        beta2,
        beta3,
        epsilon: fields.number('eps'),
        decay: fields.boolean('no_prox') ? 'decoupled' : 'proximal',
      })
    },
  },
  dadaptlion: {
    quantities,
    signs: true,
    optimizer: (fields) => dAdaptLion({ ...betas(fields), ...common(fields), d0: initialDistance(fields) }),
  },
  dadaptadagrad: {
    quantities,
    optimizer: (fields) =>
      dAdaptAdaGrad({ ...distance(fields), momentum: fields.number('momentum'), epsilon: fields.number('eps') }),
  },

  acceledog: {
    optimizer(fields) {
      fields.expect('granularity', 'all', 'all tensors together')
      for (const version of ['opt_ver', 'alpha_ver', 'step_size_ver'])
        fields.expect(version, 1, 'only version 1 is here')
      fields.expect('init_eta', null, 'the first step size follows from the distance')
      return aDoG({
        ...common(fields),
        relativeDistance: fields.number('reps_rel'),
        alphaConstant: fields.number('alpha_const'),
        momentum: fields.number('momentum'),
        epsilon: fields.number('eps'),
      })
    },
  },
  dog: { optimizer: (fields) => averagedDoG(fields, false) },
  ldog: { optimizer: (fields) => averagedDoG(fields, true) },
  sgdsai: {
    optimizer: (fields) =>
      sgdSaI({ ...common(fields), momentum: fields.number('momentum'), epsilon: fields.number('eps') }),
  },

  schedulefree_sgd: {
    optimizer: (fields) =>
      scheduleFreeSGD({
        ...common(fields),
        ...averaging(fields),
        momentum: fields.number('momentum'),
        warmupSteps: fields.number('warmup_steps'),
      }),
  },
  schedulefree_radam: {
    optimizer: (fields) =>
      scheduleFreeRAdam({
        ...common(fields),
        ...averaging(fields),
        ...betas(fields),
        epsilon: fields.number('eps'),
        silentStart: fields.boolean('silent_sgd_phase'),
      }),
  },
  momo: {
    optimizer: (fields) =>
      momo({
        ...common(fields),
        ...lowerBound(fields),
        beta: fields.number('beta'),
        biasCorrection: fields.boolean('bias_correction'),
      }),
  },
  momoadam: {
    optimizer: (fields) =>
      momoAdam({
        ...common(fields),
        ...lowerBound(fields),
        ...betas(fields),
        epsilon: fields.number('eps'),
        decay: fields.boolean('divide') ? 'proximal' : 'decoupled',
      }),
  },

  schedulefree_wrapper: {
    optimizer(fields) {
      fields.expect('base_optimizer', 'SGD', 'the wrapper around SGD')
      return scheduleFree(sgd({ ...rate(fields), momentum: fields.number('base_momentum', 0) }), {
        ...averaging(fields),
        momentum: fields.number('momentum'),
        weightDecay: fields.number('weight_decay_at_y'),
      })
    },
  },
}

function common(fields: Fields) {
  return { ...rate(fields), weightDecay: fields.number('weight_decay') }
}

function lowerBound(fields: Fields) {
  return { lossMinimum: fields.number('lb'), estimateMinimum: fields.boolean('use_fstar') }
}

function averaging(fields: Fields) {
  return { weightStepPower: fields.number('r'), weightLearningRatePower: fields.number('weight_lr_power') }
}

/** The official code's `fsdp_in_use` says how its sums are gathered. */
function initialDistance(fields: Fields): number {
  fields.expect('fsdp_in_use', false, 'sums over devices')
  return fields.number('d0')
}

function distance(fields: Fields) {
  const growthRate = fields.number('growth_rate')
  return {
    ...common(fields),
    d0: initialDistance(fields),
    growthRate: growthRate === Number.POSITIVE_INFINITY ? 0 : growthRate,
  }
}

function averagedDoG(fields: Fields, layerwise: boolean): Optimizer {
  const inner = dog({
    ...common(fields),
    relativeDistance: fields.number('reps_rel'),
    initialStepSize: fields.optional('init_eta') ?? 0,
    epsilon: fields.number('eps'),
    layerwise,
  })
  return polynomialAverage(inner, { gamma: fields.number('averager_gamma', 8) })
}
