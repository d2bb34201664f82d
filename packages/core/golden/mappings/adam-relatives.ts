import {
  adaBound,
  adai,
  adaMod,
  adamP,
  adaPNM,
  aida,
  amos,
  apollo,
  avaGrad,
  groups,
  pnm,
  ranger21,
  sgdP,
  stableAdamW,
  swats,
  tiger,
  vsgd,
} from 'fallline'
import type { Fields } from '../fields.ts'
import { betas, type Mapping, rate, uncorrected, wrong } from './mapping.ts'

/** pytorch_optimizer adds 1e-15 to the average of squares before it takes the root. */
const insideRoot = {
  reference: 1e-7,
  reason: '1e-15 is added inside the root by the reference, which shows where gradients are small',
}

/** Adam's relatives and what is built of the same parts: bounded, projected, stabilized, switched, averaged. */
export const adamRelatives: Readonly<Record<string, Mapping>> = {
  adabound: { optimizer: (fields) => bound(fields, 'coupled') },
  adaboundw: { optimizer: (fields) => bound(fields, 'independent') },

  adamod: {
    optimizer(fields) {
      const [beta1, beta2, beta3] = fields.numbers('betas', 3) as [number, number, number]
      return adaMod({ ...rate(fields), beta1, beta2, beta3, epsilon: fields.number('eps'), ...decay(fields) })
    },
  },

  adamp: {
    optimizer: (fields) =>
      adamP({ ...rate(fields), ...betas(fields), ...projection(fields), nesterov: fields.boolean('nesterov', false) }),
  },

  sgdp: {
    optimizer: (fields) =>
      sgdP({
        ...rate(fields),
        momentum: fields.number('momentum', 0),
        dampening: fields.number('dampening', 0),
        ...projection(fields),
        nesterov: fields.boolean('nesterov', false),
      }),
  },

  adapnm: {
    tolerances: insideRoot,
    optimizer(fields) {
      const [beta1, beta2, beta0] = fields.numbers('betas', 3) as [number, number, number]
      return adaPNM({
        ...rate(fields),
        beta0,
        beta1,
        beta2,
        epsilon: uncorrected(fields.number('eps'), beta2),
        amsgrad: fields.boolean('ams_bound', true),
        ...decay(fields),
      })
    },
  },

  pnm: {
    optimizer(fields) {
      fields.number('eps')
      const [beta1, beta0] = fields.numbers('betas', 2) as [number, number]
      return pnm({ ...rate(fields), beta0, beta1, ...decay(fields) })
    },
  },

  adai: {
    optimizer(fields) {
      const [beta0, beta2] = fields.numbers('betas', 2) as [number, number]
      fields.expect('dampening', 1, 'the paper has no dampening')
      fields.expect('stable_weight_decay', false, 'stable decay is that of AdamS here')
      return adai({ ...rate(fields), beta0, beta2, epsilon: fields.number('eps'), ...decay(fields) })
    },
  },

  aida: {
    optimizer(fields) {
      const { beta1, beta2 } = betas(fields)
      const epsilon = fields.number('eps')
      const rectify = fields.boolean('rectify', false)
      fields.expect('n_sma_threshold', 5, 'the rectification begins at 5 here')
      fields.expect('degenerated_to_sgd', true, 'the rectification begins with plain momentum here')
      return aida({
        ...rate(fields),
        beta1,
        beta2,
        epsilon,
        rootEpsilon: rectify ? epsilon : uncorrected(epsilon, beta2),
        xi: fields.number('xi', 1e-20),
        projections: fields.number('k', 2),
        rectify,
        amsgrad: fields.boolean('ams_bound', false),
        ...decay(fields),
      })
    },
  },

  amos: {
    optimizer(fields) {
      const zeta = fields.number('c_coef')
      fields.number('eps')
      fields.expect('d_coef', zeta, 'the official code has one coefficient for both decays')
      fields.expect('extra_l2', 0, 'the official code has no extra decay')
      return amos({
        ...rate(fields),
        zeta,
        beta: fields.number('beta'),
        momentum: fields.number('momentum'),
        maximize: fields.boolean('maximize', false),
      })
    },
  },

  apollodqn: {
    optimizer(fields, ranks) {
      const learningRate = fields.number('lr')
      const initial = fields.number('init_lr')
      const steps = fields.number('warmup_steps')
      fields.expect('rebound', 'constant', 'the official code has dropped the other')
      fields.expect('weight_decay_type', 'l2', 'the parameter decays by the styles of the framework here')
      const epsilon = fields.number('eps') / 0.01
      const optimizer = apollo({
        learningRate: (t) => (t >= steps ? learningRate : initial + ((learningRate - initial) * t) / steps),
        beta: fields.number('beta'),
        minimumCurvature: 0.01,
        epsilon,
        weightDecay: fields.number('weight_decay'),
        maximize: fields.boolean('maximize', false),
      })
      // The reference divides its ε by 0.01 once more for every tensor.
      const others = ranks.map((_, k) => ({ match: `tensor${k}`, hyper: { epsilon: epsilon * 100 ** k } }))
      return groups(optimizer, others.slice(1))
    },
  },

  avagrad: {
    optimizer(fields) {
      const settings = { ...rate(fields), ...betas(fields), epsilon: fields.number('eps') }
      const { weightDecay, ...rest } = decay(fields)
      // The reference decays at the first step too, which the official code does not; independent decay does.
      const decoupled = rest.decay === 'decoupled'
      return avaGrad({
        ...settings,
        ...rest,
        ...(decoupled
          ? { weightDecay: weightDecay * settings.learningRate, decay: 'independent' as const }
          : { weightDecay }),
      })
    },
  },

  stableadamw: {
    optimizer(fields) {
      fields.boolean('kahan_sum', true)
      const weightDecay = fields.number('weight_decay')
      // The reference adds coupled decay to the gradient after it was used.
      const acts = fields.boolean('weight_decouple', true)
      return stableAdamW({
        ...rate(fields),
        ...betas(fields),
        epsilon: fields.number('eps'),
        weightDecay: acts ? weightDecay : 0,
        maximize: fields.boolean('maximize', false),
      })
    },
  },

  swats: {
    optimizer(fields) {
      // Nesterov momentum is part of the second phase, which no trajectory reaches: the tolerance 0 keeps ours from it.
      fields.boolean('nesterov', false)
      fields.number('momentum', 0)
      return swats({
        ...rate(fields),
        ...betas(fields),
        epsilon: fields.number('eps'),
        tolerance: 0,
        amsgrad: fields.boolean('ams_bound', false),
        ...decay(fields),
      })
    },
  },

  tiger: {
    signs: true,
    optimizer: (fields) =>
      tiger({ ...rate(fields), beta: fields.number('beta'), parameterScale: false, ...decay(fields) }),
  },

  vsgd: {
    optimizer(fields) {
      const decoupled = fields.boolean('weight_decouple', true)
      return vsgd({
        ...rate(fields),
        varianceRatio: fields.number('ghattg'),
        priorStrength: fields.number('ps'),
        tau1: fields.number('tau1'),
        tau2: fields.number('tau2'),
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        decay: decoupled ? 'decoupled' : 'coupled',
        maximize: fields.boolean('maximize', false),
      })
    },
  },

  adams: wrong('the reference divides the stored average of squares by its bias correction at every step'),
  adanorm: wrong('the reference computes the average norm without keeping it: its correction never acts'),
  adasmooth: wrong('the reference sums the effective ratio over the tensor and counts the first parameter as a move'),
  ano: wrong('the reference compares the square with the average after its decay'),
  adatam: wrong("the reference's correlation is one number per element, not a cosine"),
  ranger21: {
    tolerances: {
      reference: 1e-4,
      reason:
        'the reference normalizes the gradients of its momentum twice, by 1e-8 over their deviation too much; the test of ' +
        'the restatement takes that into account and finds nothing else',
    },
    optimizer(fields, ranks) {
      const learningRate = fields.number('lr')
      const { beta1, beta2 } = betas(fields)
      const total = fields.number('num_batches_per_epoch') * fields.number('num_epochs')
      const untuned = Math.ceil(2 / (1 - beta2))
      const share = fields.number('warmup_pct_default')
      const automatic = untuned / total > 0.45 ? Math.trunc(share * total) : untuned
      const warmup = fields.optional('num_warmup_iterations') ?? automatic
      const warmsUp = fields.boolean('use_warmup')
      const down = Math.trunc(fields.number('warmdown_start_pct') * total)
      const lowest = fields.number('warmdown_min_lr')
      const warmsDown = fields.boolean('warmdown_active')
      // With both on the optimizer's own, which knows the length of the run.
      const own = warmsUp && warmsDown && share === 0.22
      const schedule = (t: number) => {
        if (warmsDown && t >= down) {
          return learningRate - (learningRate - lowest) * Math.min(1, (t + 1 - down) / (total - down + 1))
        }
        return warmsUp ? learningRate * Math.min(1, t / warmup) : learningRate
      }
      fields.expect('use_adabelief', false, 'nothing reads its variance, and every second step goes uphill')
      fields.expect('use_cheb', false, 'a schedule')
      fields.expect('gc_conv_only', false, 'all tensors of two or more dimensions are centralized here')
      fields.expect('momentum_type', 'pnm', 'the reference breaks with another')
      fields.expect('decay_type', 'stable', 'the reference has no other')
      fields.expect('warmup_type', 'linear', 'the reference has no other')
      fields.expect('lookahead_load_at_validation', false, 'not a part of the steps')
      fields.number('pnm_momentum_factor')
      fields.boolean('logging_active', false)
      const lookahead = fields.boolean('lookahead_active')
      const period = fields.number('lookahead_mergetime')
      const alpha = fields.number('lookahead_blending_alpha')
      const sharpness = fields.number('beta_softplus')
      const normLoss = fields.number('normloss_factor')
      const clipping = fields.number('agc_clipping_value')
      const optimizer = ranger21({
        ...(own
          ? { learningRate, totalSteps: total, warmdownStart: fields.number('warmdown_start_pct'), finalRate: lowest }
          : { learningRate: schedule }),
        beta1,
        beta2,
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        clipping: fields.boolean('use_adaptive_gradient_clipping') ? clipping : 0,
        clippingEpsilon: fields.number('agc_eps'),
        softplus: fields.boolean('softplus') ? sharpness : 0,
        normLoss: fields.boolean('normloss_active') ? normLoss : 0,
        lookaheadPeriod: lookahead ? period : 1e9,
        lookaheadAlpha: alpha,
        centralize: fields.boolean('using_gc'),
        normalize: fields.boolean('using_normgc'),
        amsgrad: false,
        momentum: fields.number('momentum'),
        core: fields.boolean('use_madgrad') ? 'madgrad' : 'pnm',
      })
      // The reference decays and applies the norm loss to the last tensor only.
      const others = ranks.map((_, k) => ({ match: `tensor${k}`, hyper: { weightDecay: 0, normLoss: 0 } }))
      return ranks.length > 1 ? groups(optimizer, others.slice(0, -1)) : optimizer
    },
  },

  ranger: wrong('the reference goes uphill while the rectification is undefined'),
  simplifiedademamix: wrong('the reference averages the momentum and divides by the correction twice'),
  srmm: wrong('the reference averages in place: its mean parameter is the parameter, shrunk at the first step'),
  tam: wrong("the reference's correlation is one number per element, not a cosine"),
}

function bound(fields: Fields, style: 'coupled' | 'independent') {
  return adaBound({
    ...rate(fields),
    ...betas(fields),
    finalLearningRate: fields.number('final_lr'),
    gamma: fields.number('gamma'),
    epsilon: fields.number('eps'),
    weightDecay: fields.number('weight_decay'),
    amsbound: fields.boolean('amsbound', false),
    decay: style,
  })
}

function projection(fields: Fields) {
  return {
    epsilon: fields.number('eps'),
    weightDecay: fields.number('weight_decay'),
    delta: fields.number('delta'),
    decayRatio: fields.number('wd_ratio'),
  }
}

/** The styles of pytorch_optimizer. */
function decay(fields: Fields) {
  const decoupled = fields.boolean('weight_decouple', true)
  const fixed = fields.boolean('fixed_decay', false)
  return {
    weightDecay: fields.number('weight_decay'),
    decay: decoupled ? (fixed ? ('independent' as const) : ('decoupled' as const)) : ('coupled' as const),
    maximize: fields.boolean('maximize', false),
  }
}
