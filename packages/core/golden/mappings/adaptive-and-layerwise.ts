import {
  adamW,
  adopt,
  came,
  cautious,
  coRe,
  coupledWeightDecay,
  defineTransform,
  diffGrad,
  emoFact,
  emoLynx,
  emoNavi,
  exAdam,
  fromage,
  grams,
  gravity,
  grokfast,
  kate,
  laProp,
  lars,
  lion,
  madgrad,
  mars,
  nero,
  novoGrad,
  padam,
  spam,
  stableSpam,
  where,
  zeros,
} from 'fallline'
import { type Fields, Skip } from '../fields.ts'
import { betas, captureInto, type Mapping, rate } from './mapping.ts'

/** What the sparsity of SPAM does, with the mask that a reference captured in the place of a drawn one. */
const masked = defineTransform({
  name: 'masked',
  title: 'Captured mask',
  hyper: {},
  state: { mask: zeros() },
  gradient: ({ g, state }) => ({ gradient: where(state.mask.equals(1), g, 0) }),
})

/** Adam-like optimizers of later years and those with one step size per layer. */
export const adaptiveAndLayerwise: Readonly<Record<string, Mapping>> = {
  adopt: {
    optimizer(fields) {
      const clipLambda = fields.optionalString('clip_lambda')
      if (clipLambda !== undefined && !clipLambda.startsWith('step**0.25')) throw new Skip(`clip_lambda ${clipLambda}`)
      return adopt({
        ...rate(fields),
        ...betas(fields),
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        decay: fields.boolean('decouple') ? 'decoupled' : 'coupled',
        clip: clipLambda !== undefined,
      })
    },
  },

  adopt_timm: {
    optimizer(fields) {
      const exponent = fields.optional('clip_exp')
      const weightDecay = fields.number('weight_decay')
      const decoupled = fields.boolean('decoupled')
      // Corrected decay is decoupled decay as long as the learning rate is constant, which it is in trajectories.
      fields.boolean('corrected_weight_decay', false)
      const optimizer = adopt({
        ...rate(fields),
        ...betas(fields),
        epsilon: fields.number('eps'),
        weightDecay: decoupled ? weightDecay : 0,
        decay: 'decoupled',
        clip: exponent !== undefined,
        clipExponent: exponent ?? 0,
      })
      const masked = fields.boolean('caution') ? cautious(optimizer) : optimizer
      return decoupled ? masked : coupledWeightDecay(masked, { weightDecay })
    },
  },

  came: {
    optimizer(fields) {
      const [beta1, beta2, beta3] = fields.numbers('betas', 3) as [number, number, number]
      const [epsilon1, epsilon2] = fields.numbers('eps', 2) as [number, number]
      return came({
        ...rate(fields),
        beta1,
        beta2,
        beta3,
        epsilon1,
        epsilon2,
        clippingThreshold: fields.number('clip_threshold'),
        weightDecay: fields.number('weight_decay'),
      })
    },
  },

  clion: {
    signs: true,
    optimizer(fields) {
      const inner = lion({ ...rate(fields), ...betas(fields), weightDecay: fields.number('weight_decay') })
      return cautious(inner, { pseudocount: 1, floor: Number.MIN_VALUE })
    },
  },

  core: {
    optimizer(fields) {
      const [beta1Initial, beta1Final, beta1Steps, beta2] = fields.numbers('betas', 4) as [
        number,
        number,
        number,
        number,
      ]
      const [minimumStepSize, maximumStepSize] = fields.numbers('step_sizes', 2) as [number, number]
      const [shrinking, growth] = fields.numbers('etas', 2) as [number, number]
      const scoreHistory = fields.number('score_history', 0)
      const frozen = fields.number('frozen', 0)
      return coRe({
        initialStepSize: fields.number('lr'),
        minimumStepSize,
        maximumStepSize,
        shrinking,
        growth,
        beta1Initial,
        beta1Final,
        beta1Steps,
        beta2: Math.max(beta2, 0),
        signs: beta2 < 0,
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        frozen: scoreHistory > 0 ? frozen : 0,
        scoreHistory: Math.max(scoreHistory, 1),
      })
    },
  },

  diffgrad: {
    optimizer: (fields) =>
      diffGrad({
        ...rate(fields),
        ...betas(fields),
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
      }),
  },

  emofact: {
    signs: true,
    optimizer: (fields) => emoFact({ ...emo(fields), epsilon: fields.number('eps'), signs: true }),
  },

  emolynx: {
    signs: true,
    optimizer(fields) {
      // The port takes ε and does nothing with it.
      fields.number('eps')
      return emoLynx(emo(fields))
    },
  },

  emonavi: {
    optimizer: (fields) => emoNavi({ ...emo(fields), epsilon: fields.number('eps') }),
  },

  // The code of today.
  exadam: { optimizer: (fields) => exAdam(exAdamSettings(fields)) },
  // The first commit.
  exadam_growing: { optimizer: (fields) => exAdam({ ...exAdamSettings(fields), growingStep: true }) },

  fromage: {
    optimizer: (fields) =>
      fromage({
        ...rate(fields),
        parameterBound: fields.optional('p_bound') ?? 0,
        maximize: fields.boolean('maximize', false),
      }),
  },

  grams: {
    signs: true,
    optimizer: (fields) =>
      grams({
        ...rate(fields),
        ...betas(fields),
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        biasCorrection: fields.boolean('correct_bias', true),
      }),
  },

  gravity: {
    captured: captureInto('v', 'V0'),
    optimizer(fields) {
      // The random start that the reference captured is written into v.
      fields.number('alpha')
      return gravity({ ...rate(fields), beta: fields.number('beta') })
    },
  },

  grokfastadamw: {
    optimizer(fields) {
      const amplification = fields.number('grokfast_lamb')
      const amplifies = fields.boolean('grokfast') && amplification > 0
      const learningRate = fields.number('lr') / (fields.boolean('normalize_lr') ? 1 + amplification : 1)
      const { weightDecay, decay } = decayOf(fields)
      if (decay === 'coupled' && weightDecay > 0) {
        throw new Skip('weight_decouple false: the port starts its average without the decay that it then averages')
      }
      const optimizer = adamW({
        learningRate,
        ...betas(fields),
        epsilon: fields.number('eps'),
        weightDecay,
        decay,
        maximize: fields.boolean('maximize', false),
      })
      const settings = { alpha: fields.number('grokfast_alpha'), after: fields.number('grokfast_after_step') }
      return amplifies ? grokfast(optimizer, { ...settings, amplification }) : optimizer
    },
    tolerances: { reference: 5e-7, reason: 'the port has max(√v, ε) where AdamW has √v + ε' },
  },

  kate: {
    optimizer: (fields) =>
      kate({
        ...rate(fields),
        delta: fields.number('delta'),
        epsilon: fields.number('eps'),
        ...decayOf(fields),
        maximize: fields.boolean('maximize', false),
      }),
  },

  laprop: {
    optimizer: (fields) =>
      laProp({
        ...rate(fields),
        ...betas(fields),
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        amsgrad: fields.boolean('amsgrad'),
        centered: fields.boolean('centered'),
      }),
  },

  lars: {
    optimizer: (fields) =>
      lars({
        ...rate(fields),
        momentum: fields.number('momentum'),
        dampening: fields.number('dampening'),
        nesterov: fields.boolean('nesterov'),
        trustCoefficient: fields.number('trust_coeff'),
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        trustClip: fields.boolean('trust_clip'),
        alwaysAdapt: fields.boolean('always_adapt'),
      }),
  },

  madgrad_timm: {
    optimizer: (fields) =>
      madgrad({
        ...rate(fields),
        momentum: fields.number('momentum'),
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        decay: fields.boolean('decoupled_decay') ? 'decoupled' : 'coupled',
      }),
  },

  mars: {
    signs: true,
    optimizer(fields) {
      const [beta1, beta2] = fields.numbers('betas_1d', 2) as [number, number]
      const type = fields.string('mars_type', ['mars-adamw', 'mars-lion', 'mars-shampoo'])
      const amsgrad = fields.boolean('amsgrad')
      const epsilon = fields.number('eps')
      return mars({
        ...rate(fields),
        ...betas(fields),
        gamma: fields.number('gamma'),
        epsilon,
        weightDecay: fields.number('weight_decay'),
        amsgrad,
        exact: !fields.boolean('is_approx'),
        form: ({ 'mars-adamw': 'adamW', 'mars-lion': 'lion', 'mars-shampoo': 'shampoo' } as const)[type],
        matricesOnly: !fields.boolean('optimize_1d'),
        fallback: adamW({
          learningRate: fields.number('lr_1d'),
          beta1,
          beta2,
          epsilon,
          weightDecay: fields.number('weight_decay_1d'),
          amsgrad,
        }),
      })
    },
  },

  nero: {
    optimizer: (fields) =>
      nero({
        ...rate(fields),
        beta: fields.number('beta'),
        epsilon: fields.number('eps'),
        constraints: fields.boolean('constraints'),
        maximize: fields.boolean('maximize', false),
      }),
  },

  novograd: {
    optimizer: (fields) =>
      novoGrad({
        ...rate(fields),
        ...betas(fields),
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        gradientAveraging: fields.boolean('grad_averaging'),
        amsgrad: fields.boolean('amsgrad'),
      }),
  },

  padam: {
    optimizer(fields) {
      // The port takes maximize and does nothing with it.
      fields.boolean('maximize', false)
      return padam({
        ...rate(fields),
        ...betas(fields),
        partial: fields.number('partial'),
        epsilon: fields.number('eps'),
        ...decayOf(fields),
        amsgrad: false,
      })
    },
  },

  spam: {
    captured: captureInto('mask', 'masks'),
    optimizer(fields) {
      const optimizer = spam({
        ...rate(fields),
        ...betas(fields),
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        biasCorrection: fields.boolean('correct_bias'),
        warmupSteps: fields.number('warmup_steps'),
        threshold: fields.number('threshold'),
        resetPeriod: fields.number('DeltaT'),
        clippingDelay: fields.number('grad_accu_steps'),
      })
      return fields.number('density', 1) < 1 ? masked(optimizer) : optimizer
    },
  },

  stablespam: {
    optimizer(fields) {
      const { beta1, beta2 } = betas(fields)
      const normDecay = fields.number('gamma1')
      return stableSpam({
        ...rate(fields),
        beta1,
        beta2,
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        amsgrad: fields.boolean('amsgrad'),
        normDecay: normDecay === -1 ? beta1 : normDecay,
        squaredNormDecay: fields.number('gamma2'),
        maximumDecay: fields.number('gamma3'),
        totalSteps: fields.optional('total_T') ?? 0,
        finalScale: fields.number('eta_min'),
        resetPeriod: fields.number('update_proj_gap'),
      })
    },
  },
}

function exAdamSettings(fields: Fields) {
  return {
    ...rate(fields),
    ...betas(fields),
    epsilon: fields.number('eps'),
    weightDecay: fields.number('weight_decay'),
  }
}

/** The EmoNavi family in pytorch_optimizer, which has the loss change nothing but the shadow parameters. */
function emo(fields: Fields) {
  fields.expect('use_shadow', false, 'the shadow parameters here are those of version 3.1 of the official code')
  fields.number('shadow_weight')
  return {
    ...rate(fields),
    ...betas(fields),
    ...decayOf(fields),
    sensitivity: 0,
    maximize: fields.boolean('maximize', false),
  }
}

/** Weight decay as pytorch_optimizer says it. */
function decayOf(fields: Fields) {
  const weightDecay = fields.number('weight_decay')
  const decoupled = fields.boolean('weight_decouple', true)
  const fixed = fields.boolean('fixed_decay', false)
  return { weightDecay, decay: decoupled ? (fixed ? 'independent' : 'decoupled') : 'coupled' } as const
}
