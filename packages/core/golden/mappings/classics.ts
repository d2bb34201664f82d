import {
  accSGD,
  adadelta,
  adafactor,
  adagrad,
  adaMuon,
  adamax,
  adamW,
  aggMo,
  averagedSGD,
  cautious,
  clipByValue,
  ftrl,
  muon,
  nAdamW,
  norMuon,
  type Optimizer,
  pid,
  qhm,
  rAdam,
  rmsProp,
  rprop,
  scion,
  sgd,
  signum,
  sm3,
  yogi,
} from 'fallline'
import { type Fields, Skip } from '../fields.ts'
import { auxiliaryAdam, betas, decayOf, type Mapping, newtonSchulz, rate, uncorrected } from './mapping.ts'

/** Gradient descent, momentum and the adaptive methods that came before and right after Adam. */
export const classics: Readonly<Record<string, Mapping>> = {
  torch_asgd: {
    optimizer: (fields) =>
      averagedSGD({
        ...rate(fields),
        regularization: fields.number('lambd'),
        power: fields.number('alpha'),
        averagingStart: fields.number('t0'),
        weightDecay: fields.number('weight_decay', 0),
        maximize: fields.boolean('maximize', false),
      }),
  },

  torch_adagrad: {
    optimizer: (fields) =>
      adagrad({
        ...rate(fields),
        learningRateDecay: fields.number('lr_decay', 0),
        initialSum: fields.number('initial_accumulator_value', 0),
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay', 0),
        maximize: fields.boolean('maximize', false),
      }),
  },

  torch_adadelta: {
    optimizer: (fields) =>
      adadelta({
        ...rate(fields),
        rho: fields.number('rho'),
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay', 0),
        maximize: fields.boolean('maximize', false),
      }),
  },

  torch_rmsprop: {
    optimizer: (fields) =>
      rmsProp({
        ...rate(fields),
        beta: fields.number('alpha'),
        epsilon: fields.number('eps'),
        momentum: fields.number('momentum', 0),
        centered: fields.boolean('centered', false),
        weightDecay: fields.number('weight_decay', 0),
        maximize: fields.boolean('maximize', false),
      }),
  },

  rmsprop_tf_timm: {
    optimizer(fields) {
      const momentum = fields.number('momentum', 0)
      fields.boolean('corrected_weight_decay', false)
      const optimizer = rmsProp({
        ...rate(fields),
        beta: fields.number('alpha'),
        epsilon: fields.number('eps'),
        epsilonInsideRoot: true,
        initialAverage: 1,
        momentum,
        learningRateInMomentum: fields.boolean('lr_in_momentum', true),
        centered: fields.boolean('centered', false),
        weightDecay: fields.number('weight_decay', 0),
        decay: fields.boolean('decoupled_decay', false) ? 'decoupled' : 'coupled',
      })
      // Without momentum the reference does not get to its masking.
      return fields.boolean('caution', false) && momentum > 0 ? cautious(optimizer) : optimizer
    },
  },

  torch_rprop: {
    signs: true,
    optimizer(fields) {
      const learningRate = fields.number('lr')
      const [shrinkage, growth] = fields.numbers('etas', 2, [0.5, 1.2]) as [number, number]
      const [minimum, maximum] = fields.numbers('step_sizes', 2, [1e-6, 50]) as [number, number]
      return rprop({
        learningRate,
        shrinkage,
        growth,
        minimumScale: minimum / learningRate,
        maximumScale: maximum / learningRate,
        maximize: fields.boolean('maximize', false),
      })
    },
  },

  torch_adamax: { optimizer: (fields) => adamax(adamLike(fields)) },

  torch_nadam: {
    optimizer: () => {
      throw new Skip('PyTorch 1.13 multiplies one μ too many into its product; later versions do not')
    },
  },

  nadamw_timm: {
    optimizer(fields) {
      const optimizer = nAdamW(adamLike(fields))
      fields.boolean('corrected_weight_decay', false)
      return fields.boolean('caution', false) ? cautious(optimizer) : optimizer
    },
  },

  torch_radam: {
    optimizer: (fields) =>
      rAdam({
        ...adamLike(fields),
        decay: fields.boolean('decoupled_weight_decay', false) ? 'decoupled' : 'coupled',
      }),
  },

  sgdw_timm: {
    optimizer(fields) {
      const momentum = fields.number('momentum', 0)
      const maximize = fields.boolean('maximize', false)
      fields.boolean('corrected_weight_decay', false)
      const optimizer = sgd({
        ...rate(fields),
        momentum,
        dampening: fields.number('dampening', 0),
        nesterov: fields.boolean('nesterov', false),
        weightDecay: fields.number('weight_decay', 0),
        decay: 'decoupled',
        maximize,
      })
      // Without momentum the reference does not get to its masking.
      return fields.boolean('caution', false) && momentum > 0 ? cautious(optimizer) : optimizer
    },
  },

  cadamw: {
    optimizer(fields) {
      const learningRate = fields.number('lr')
      const { beta1, beta2 } = betas(fields)
      const weightDecay = fields.number('weight_decay', 0)
      const corrects = fields.boolean('correct_bias', true)
      const scale = (t: number) => (corrects ? 1 : (1 - beta1 ** t) / Math.sqrt(1 - beta2 ** t))
      return cautious(
        adamW({
          learningRate: (t) => learningRate * scale(t),
          weightDecay: (t) => weightDecay / scale(t),
          beta1,
          beta2,
          epsilon: uncorrected(fields.number('eps'), beta2),
        }),
      )
    },
  },

  cmuon: {
    tolerances: newtonSchulz,
    optimizer(fields, ranks) {
      if (ranks.some((rank) => rank < 2)) throw new Skip('tensors of fewer than two dimensions')
      return muon({
        ...rate(fields),
        momentum: fields.number('momentum'),
        weightDecay: fields.number('weight_decay'),
        cautious: true,
      })
    },
  },

  adamuon: {
    tolerances: newtonSchulz,
    optimizer: (fields) => adaMuon(adaMuonSettings(fields)),
  },
  adamuon_v1: {
    tolerances: newtonSchulz,
    optimizer: (fields) => adaMuon({ ...adaMuonSettings(fields), form: 'first', beta2: fields.number('beta2') }),
  },
  normuon: {
    tolerances: newtonSchulz,
    optimizer: (fields) =>
      norMuon({
        ...rate(fields),
        momentum: fields.number('momentum'),
        beta2: fields.number('beta2'),
        weightDecay: fields.number('weight_decay'),
        fallback: auxiliaryAdam(fields),
      }),
  },

  scion: {
    tolerances: newtonSchulz,
    optimizer(fields) {
      const norms = { Auto: 'auto', Sign: 'sign', ColNorm: 'columns', RowNorm: 'rows' } as const
      const norm = norms[fields.string('norm', Object.keys(norms)) as keyof typeof norms]
      fields.expect('norm_kwargs', {}, 'norms take no settings here')
      return scion({
        ...rate(fields),
        norm,
        light: fields.string('variant', ['Scion', 'ScionLight']) === 'ScionLight',
        alpha: fields.number('momentum'),
        radius: fields.number('scale'),
        weightDecay: fields.boolean('unconstrained') ? 0 : 1,
      })
    },
  },

  lomo: {
    optimizer: (fields) =>
      clippedAsLomo(fields, sgd({ ...rate(fields), weightDecay: fields.number('weight_decay'), decay: 'decoupled' })),
  },
  adalomo: {
    optimizer(fields) {
      fields.number('loss_scale')
      const [epsilon1, epsilon2] = fields.numbers('eps', 2) as [number, number]
      const own = adafactor({
        ...rate(fields),
        relativeStep: false,
        epsilon1,
        epsilon2,
        clippingThreshold: fields.number('clip_threshold'),
        decayExponent: -fields.number('decay_rate'),
        weightDecay: fields.number('weight_decay'),
      })
      return clippedAsLomo(fields, own)
    },
  },

  accsgd: {
    optimizer: (fields) =>
      accSGD({
        ...rate(fields),
        longStepRatio: fields.number('kappa'),
        statisticalAdvantage: fields.number('xi'),
        smallConstant: fields.number('constant'),
        weightDecay: fields.number('weight_decay'),
        maximize: fields.boolean('maximize', false),
      }),
  },

  aggmo: {
    optimizer(fields) {
      const [beta1 = 0, beta2, beta3, beta4, beta5, ...more] = fields.list('betas')
      if (more.length > 0) throw new Skip(`${5 + more.length} velocities; here are at most five`)
      const given = Object.entries({ beta1, beta2, beta3, beta4, beta5 }).filter(([, beta]) => beta !== undefined)
      return aggMo({
        ...rate(fields),
        ...Object.fromEntries(given),
        velocities: given.length,
        ...decayOf(fields, false),
        maximize: fields.boolean('maximize', false),
      })
    },
  },

  qhm: {
    optimizer: (fields) =>
      qhm({
        ...rate(fields),
        momentum: fields.number('momentum'),
        nu: fields.number('nu'),
        ...decayOf(fields, false),
        maximize: fields.boolean('maximize', false),
      }),
  },

  pid: {
    optimizer(fields) {
      const momentum = fields.number('momentum')
      if (momentum > 0)
        throw new Skip('with momentum the reference forgets the first gradient: its second difference is g - 0')
      return pid({
        ...rate(fields),
        momentum,
        dampening: fields.number('dampening'),
        integral: fields.number('integral'),
        derivative: fields.number('derivative'),
        ...decayOf(fields, false),
        maximize: fields.boolean('maximize', false),
      })
    },
  },

  yogi: {
    optimizer(fields) {
      const { beta1, beta2 } = betas(fields)
      const initial = fields.number('initial_accumulator')
      // The reference adds ε to the corrected root.
      const epsilon = fields.number('eps')
      return yogi({
        ...rate(fields),
        beta1,
        beta2,
        epsilon: (t) => epsilon * Math.sqrt(1 - beta2 ** t),
        initialAccumulator: initial,
        initialMomentum: initial,
        ...decayOf(fields, true),
        maximize: fields.boolean('maximize', false),
      })
    },
  },

  ftrl: {
    optimizer(fields) {
      fields.expect('lr_power', -0.5, 'the reference takes this power in one place and the square root in the other')
      return ftrl({
        ...rate(fields),
        beta: fields.number('beta'),
        lasso: fields.number('lambda_1'),
        ridge: fields.number('lambda_2'),
        maximize: fields.boolean('maximize', false),
      })
    },
  },

  sm3: {
    optimizer(fields) {
      fields.expect('beta', 0, 'the paper adds squares up, it does not average them')
      return sm3({
        ...rate(fields),
        momentum: fields.number('momentum'),
        epsilon: fields.number('eps'),
        maximize: fields.boolean('maximize', false),
      })
    },
  },

  a2grad: {
    optimizer: () => {
      throw new Skip('its mean of gradients moves by t + 1 times the difference, and it sums the noise over the tensor')
    },
  },

  msvag: {
    optimizer: () => {
      throw new Skip('it divides by βᵗ, where the paper and its code have 1 - βᵗ')
    },
  },

  signsgd: {
    // The version that made the files takes the sign of the gradient, whatever momentum and decay are.
    optimizer(fields) {
      fields.number('momentum')
      fields.expect('maximize', false, 'the problem is to be minimized')
      decayOf(fields, true)
      return signum({ ...rate(fields), momentum: 0 })
    },
    signs: true,
  },

  adamc: {
    optimizer(fields) {
      const { beta1, beta2 } = betas(fields)
      const { weightDecay, decay } = decayOf(fields, true)
      return adamW({
        ...rate(fields),
        beta1,
        beta2,
        epsilon: uncorrected(fields.number('eps'), beta2),
        amsgrad: fields.boolean('ams_bound', false),
        weightDecay,
        // The learning rate of a trajectory is constant, where corrected and decoupled decay are the same.
        decay: decay === 'decoupled' ? 'corrected' : decay,
        maximize: fields.boolean('maximize', false),
      })
    },
  },
}

/** The settings that all relatives of Adam have. */
function adamLike(fields: Fields) {
  return {
    ...rate(fields),
    ...betas(fields),
    epsilon: fields.number('eps'),
    weightDecay: fields.number('weight_decay', 0),
    maximize: fields.boolean('maximize', false),
  }
}

function adaMuonSettings(fields: Fields) {
  return {
    ...rate(fields),
    momentum: fields.number('momentum'),
    weightDecay: fields.number('weight_decay'),
    nesterov: fields.boolean('nesterov'),
    newtonSchulzSteps: fields.number('ns_steps'),
    epsilon: fields.number('eps'),
  }
}

function clippedAsLomo(fields: Fields, optimizer: Optimizer): Optimizer {
  fields.expect('clip_grad_norm', null, 'the reference adds 1e-6 to the norm')
  const maximum = fields.optional('clip_grad_value')
  return maximum === undefined ? optimizer : clipByValue(optimizer, { maximum })
}
