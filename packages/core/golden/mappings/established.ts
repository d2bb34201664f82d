import {
  adaBelief,
  adafactor,
  adam,
  adamW,
  adan,
  adEMAMix,
  lamb,
  lion,
  lookahead,
  muon,
  type Optimizer,
  prodigy,
  scheduleFreeAdamW,
  sgd,
} from 'fallline'
import { type Fields, Skip } from '../fields.ts'
import { auxiliaryAdam, betas, type Mapping, newtonSchulz, rate, uncorrected } from './mapping.ts'

/** The first of them: Adam and what came of it, Muon, Prodigy, schedule-free. */
export const established: Readonly<Record<string, Mapping>> = {
  torch_sgd: { optimizer: (fields) => torchSGD(fields) },
  torch_adam: { optimizer: (fields) => torchAdam(fields, false) },
  torch_adamw: { optimizer: (fields) => torchAdam(fields, true) },

  adan: {
    optimizer(fields) {
      const [beta1, beta2, beta3] = fields.numbers('betas', 3) as [number, number, number]
      return adan({
        ...rate(fields),
        beta1,
        beta2,
        beta3,
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        maximumGradientNorm: fields.number('max_grad_norm', 0),
        decay: fields.boolean('no_prox', false) ? 'decoupled' : 'proximal',
      })
    },
  },

  adabelief: {
    optimizer(fields) {
      const decoupled = fields.boolean('weight_decouple', true)
      const fixed = fields.boolean('fixed_decay', false)
      return adaBelief({
        ...rate(fields),
        ...betas(fields),
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        decay: decoupled ? (fixed ? 'independent' : 'decoupled') : 'coupled',
        rectify: fields.boolean('rectify', true),
        degenerateToSGD: fields.boolean('degenerated_to_sgd', true),
        amsgrad: fields.boolean('amsgrad', false),
      })
    },
  },

  lion: {
    signs: true,
    optimizer: (fields) => lion({ ...rate(fields), ...betas(fields), weightDecay: fields.number('weight_decay') }),
  },

  ademamix: {
    optimizer(fields) {
      const [beta1, beta2, beta3] = fields.numbers('betas', 3) as [number, number, number]
      return adEMAMix({
        ...rate(fields),
        beta1,
        beta2,
        beta3,
        alpha: fields.number('alpha'),
        alphaWarmup: fields.optional('alpha_warmup') ?? 0,
        betaWarmup: fields.optional('beta3_warmup') ?? 0,
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
      })
    },
  },

  lamb: {
    optimizer: (fields) =>
      lamb({
        form: 'paper',
        ...rate(fields),
        ...betas(fields),
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        adam: fields.boolean('adam', false),
      }),
  },

  lamb_timm: {
    optimizer(fields) {
      const maximumGradientNorm = fields.optional('max_grad_norm')
      if (maximumGradientNorm === 0) throw new Skip('max_grad_norm 0 divides by zero in the reference')
      const decoupled = fields.boolean('decoupled_decay', false)
      // Corrected decay is decoupled decay as long as the learning rate is constant, which it is in trajectories.
      fields.boolean('corrected_weight_decay', false)
      return lamb({
        form: 'nvidia',
        ...rate(fields),
        ...betas(fields),
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        maximumGradientNorm: maximumGradientNorm ?? 0,
        biasCorrection: fields.boolean('bias_correction', true),
        gradientAveraging: fields.boolean('grad_averaging', true),
        trustClip: fields.boolean('trust_clip', false),
        alwaysAdapt: fields.boolean('always_adapt', false),
        cautious: fields.boolean('caution', false),
        ...(decoupled ? { decay: 'decoupled' as const } : {}),
      })
    },
  },

  adafactor: {
    optimizer(fields) {
      const learningRate = fields.optional('lr')
      const relativeStep = fields.boolean('relative_step', true)
      const warmupInitialization = fields.boolean('warmup_init', false)
      const decayRate = fields.number('decay_rate')
      const clippingThreshold = fields.number('clip_threshold')
      const [epsilon1, epsilon2] = fields.numbers('eps', 2) as [number, number]
      if (relativeStep === (learningRate !== undefined))
        throw new Skip('the reference takes either lr or relative_step')
      if (warmupInitialization && !relativeStep)
        throw new Skip('the reference refuses warmup_init without relative_step')
      if (decayRate >= 0) throw new Skip(`decay_rate ${decayRate}: only powers below 0 make an average`)
      if (clippingThreshold === 0) throw new Skip('clip_threshold 0 divides by zero in the reference')
      return adafactor({
        form: 'transformers',
        learningRate: learningRate ?? 1,
        relativeStep,
        warmupInitialization,
        scaleParameter: fields.boolean('scale_parameter', true),
        decayExponent: -decayRate,
        clippingThreshold,
        epsilon1,
        epsilon2,
        beta1: fields.optional('beta1') ?? 0,
        weightDecay: fields.number('weight_decay', 0),
      })
    },
  },

  adafactor_t2t: {
    optimizer(fields) {
      const learningRate = fields.optional('learning_rate')
      const clippingThreshold = fields.optional('clipping_threshold')
      if (clippingThreshold === 0) throw new Skip('clipping_threshold 0 divides by zero in the reference')
      const adamDecay = fields.string('decay_type', ['pow', 'Adam'], 'pow') === 'Adam'
      return adafactor({
        form: 'original',
        learningRate: learningRate ?? 1,
        relativeStep: learningRate === undefined,
        scaleParameter: fields.boolean('multiply_by_parameter_scale', true),
        secondMomentDecay: adamDecay ? 'adam' : 'power',
        decayExponent: fields.number('memory_exponent', 0.8),
        beta2: fields.number('beta2', 0.999),
        beta1: fields.number('beta1', 0),
        clippingThreshold: clippingThreshold ?? 0,
        factored: fields.boolean('factored', true),
      })
    },
  },

  prodigy: {
    quantities: { d: (optimizer) => optimizer.state(optimizer.names[0]!).d as number },
    optimizer(fields) {
      const growthRate = fields.number('growth_rate', Number.POSITIVE_INFINITY)
      return prodigy({
        ...rate(fields),
        ...betas(fields),
        beta3: fields.optional('beta3') ?? 0,
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        decay: fields.boolean('decouple', true) ? 'decoupled' : 'coupled',
        biasCorrection: fields.boolean('use_bias_correction', false),
        safeguardWarmup: fields.boolean('safeguard_warmup', false),
        d0: fields.number('d0'),
        dCoefficient: fields.number('d_coef', 1),
        growthRate: growthRate === Number.POSITIVE_INFINITY ? 0 : growthRate,
        slice: fields.number('slice_p', 1),
      })
    },
  },

  muon: { tolerances: newtonSchulz, optimizer: muonWithAdam },
  muon_moonlight: {
    tolerances: newtonSchulz,
    optimizer(fields) {
      fields.expect('muon_params', null, 'the tensors of two dimensions are the Muon parameters')
      fields.expect('adamw_params', null, 'all other tensors are the AdamW parameters')
      const learningRate = fields.number('lr')
      const weightDecay = fields.number('wd')
      const [beta1, beta2] = fields.numbers('adamw_betas', 2) as [number, number]
      return muon({
        form: 'moonlight',
        learningRate,
        weightDecay,
        momentum: fields.number('momentum'),
        nesterov: fields.boolean('nesterov', true),
        newtonSchulzSteps: fields.number('ns_steps', 5),
        fallback: adamW({
          learningRate,
          weightDecay,
          beta1,
          beta2,
          epsilon: uncorrected(fields.number('adamw_eps'), beta2),
        }),
      })
    },
  },

  schedulefree_adamw: {
    optimizer(fields) {
      fields.expect('decay_at_z', false, 'decay is at y here')
      return scheduleFreeAdamW({
        ...rate(fields),
        ...betas(fields),
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        warmupSteps: fields.number('warmup_steps', 0),
        weightStepPower: fields.number('r', 0),
        weightLearningRatePower: fields.number('weight_lr_power', 2),
        innerMomentum: fields.number('inner_momentum', 0),
      })
    },
  },

  lookahead: {
    until: {
      step: 10,
      config: ['pullback'],
      reason: 'from its second time on the reference pulls the momentum back to itself',
    },
    optimizer(fields) {
      const period = fields.number('la_steps')
      const alpha = fields.number('la_alpha')
      const base = fields.string('base_optimizer', ['SGD', 'Adam', 'AdamW'])
      const pullback = fields.string('pullback_momentum', ['none', 'reset', 'pullback'], 'none')
      const momentum = pullback === 'none' ? 'keep' : pullback
      const inner = base === 'SGD' ? torchSGD(fields) : torchAdam(fields, base === 'AdamW')
      return lookahead(inner, { period, alpha, momentum })
    },
  },
}

function torchSGD(fields: Fields): Optimizer {
  return sgd({
    ...rate(fields),
    momentum: fields.number('momentum', 0),
    dampening: fields.number('dampening', 0),
    weightDecay: fields.number('weight_decay', 0),
    nesterov: fields.boolean('nesterov', false),
    maximize: fields.boolean('maximize', false),
  })
}

function torchAdam(fields: Fields, decoupled: boolean): Optimizer {
  const factory = fields.boolean('decoupled_weight_decay', decoupled) ? adamW : adam
  return factory({
    ...rate(fields),
    ...betas(fields, [0.9, 0.999]),
    epsilon: fields.number('eps', 1e-8),
    weightDecay: fields.number('weight_decay', decoupled ? 0.01 : 0),
    amsgrad: fields.boolean('amsgrad', false),
    maximize: fields.boolean('maximize', false),
  })
}

function muonWithAdam(fields: Fields, ranks: readonly number[]): Optimizer {
  const settings = {
    ...rate(fields),
    momentum: fields.number('momentum'),
    weightDecay: fields.number('weight_decay'),
    nesterov: fields.boolean('nesterov', true),
    newtonSchulzSteps: fields.number('ns_steps', 5),
  }
  if (!fields.has('aux_lr')) {
    if (ranks.some((rank) => rank < 2)) throw new Skip('tensors of fewer than two dimensions without aux_ settings')
    return muon(settings)
  }
  return muon({ ...settings, fallback: auxiliaryAdam(fields) })
}
