import {
  adamW,
  cosmos,
  distributedShampoo,
  fourBitShampoo,
  groups,
  mFac,
  type Optimizer,
  shampoo,
  soap,
  sPlus,
  sparseMFac,
} from 'fallline'
import { Fields, Skip } from '../fields.ts'
import { betas, type Mapping, newtonSchulz, rate } from './mapping.ts'

/** Shampoo and what came of it. */
export const preconditioners: Readonly<Record<string, Mapping>> = {
  mfac: {
    // Gradients that follow each other are nearly dependent, and little damping makes what rounding tells of them count most.
    signs: true,
    tolerances: {
      step: 1e-3,
      reason: 'inner products of nearly dependent gradients, rounded to float32, over a damping of 3e-5 of them',
    },
    optimizer(fields) {
      // Where it is computed.
      for (const name of ['moddev', 'optdev', 'gpus']) fields.value(name)
      fields.expect('sparse', false, 'all weights take part')
      return mFac({
        ...rate(fields),
        momentum: fields.number('momentum'),
        weightDecay: fields.number('weight_decay'),
        window: fields.number('ngrads'),
        damping: fields.number('damp'),
      })
    },
  },
  sparse_mfac: {
    // The places that were chosen, which are found here too.
    captured: () => {},
    optimizer(fields) {
      fields.expect('sparse', false, 'all weights take part')
      const share = fields.number('k_init')
      const decay = fields.number('weight_decay')
      const type = fields.string('wd_type', ['wd', 'reg', 'both'])
      return sparseMFac({
        ...rate(fields),
        momentum: fields.number('momentum'),
        weightDecay: type === 'reg' ? 0 : decay,
        regularization: type === 'wd' ? 0 : decay,
        window: fields.number('ngrads'),
        // A number above 1 is a count, of the 13 elements of that run.
        keptPerThousand: share > 1 ? Math.ceil((1000 * share) / 13) : 1000 * share,
        damping: fields.number('damp'),
        scalesErrorByRate: !fields.boolean('topk_lr_on_update'),
        direction: fields.boolean('precondition_sparse_grad') ? 'kept' : 'gradient',
      })
    },
  },
  soap: {
    tolerances: { step: 2e-5, reason: 'a new basis comes from products of the old one in float32' },
    captured: (optimizer, captured) => {
      const { Q_after_step1: matrices } = captured as { Q_after_step1: readonly unknown[] }
      if (matrices.length === 0) throw new Error('no basis was captured')
      const arbitrary = optimizer.names.some((name) => {
        const grams = Object.entries(optimizer.state(name)).filter(([slot]) => slot.startsWith('gram'))
        const sides = grams.map(([, gram]) => Math.sqrt((gram as Float32Array).length))
        const size = optimizer.parameters[name]!.length
        return sides.some((side) => side > size / side + 1)
      })
      if (arbitrary) throw new Skip('the basis of the first step is not determined: LAPACK chose it')
    },
    optimizer(fields) {
      const { beta1, beta2 } = betas(fields)
      const shampooBeta = fields.number('shampoo_beta', -1)
      fields.expect('data_format', 'channels_first', 'dimensions are merged in their order here')
      return soap({
        ...rate(fields),
        beta1,
        beta2,
        shampooBeta: shampooBeta < 0 ? beta2 : shampooBeta,
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        basisPeriod: fields.number('precondition_frequency'),
        maximumSize: fields.number('max_precond_dim'),
        mergesDimensions: fields.boolean('merge_dims'),
        preconditionsVectors: fields.boolean('precondition_1d'),
        normalizesGradients: fields.boolean('normalize_grads'),
        correctsBias: fields.boolean('correct_bias'),
      })
    },
  },
  shampoo: {
    tolerances: { reference: 1e-5, reason: 'the official inverse roots are iterated to 1e-6' },
    float64Only: ({ config, layout }) =>
      config === 'exponent' || (config !== 'default' && layout === 'matrix')
        ? 'rounding decides where the official iteration gives up on a matrix of low rank'
        : undefined,
    optimizer: googleShampoo,
  },
  distributed_shampoo: {
    tolerances: {
      reference: 2e-7,
      reason: 'where a gradient has no component rounding is divided by itself and 1e-8, and LAPACK rounds otherwise',
    },
    until: {
      config: ['default'],
      step: 5,
      reason: 'eigenvalues come near to an epsilon of 1e-12, where float64 holds three digits of them: 5e-6 at step 10',
    },
    float64Only: ({ config }) => float64Shampoo[config],
    optimizer: metaShampoo,
  },
  shampoo_4bit: {
    // Rounding turns codes.
    signs: true,
    tolerances: { step: 3e-5, reason: 'products with a matrix of 66 x 66 in float32' },
    float64Only: ({ config }) =>
      config === 'sgd_default' || config === 'sgd_4bit_two_blocks'
        ? undefined
        : 'gradients of low rank: rounding decides eigenvectors of eigenvalues near 0, and their codes',
    // The codes of one step, which are found here too.
    captured: () => {},
    optimizer: lowBitShampoo,
  },
  splus: {
    captured: (optimizer) => {
      const arbitrary = optimizer.names.some((name) => {
        const { L, R } = optimizer.state(name)
        if (!L || !R) return false
        const [rows, columns] = [L, R].map((side) => Math.sqrt((side as Float32Array).length)) as [number, number]
        return Math.abs(rows - columns) > 1
      })
      if (arbitrary) throw new Skip('the bases of the first step are not determined: LAPACK chose them')
    },
    optimizer: (fields) =>
      sPlus({
        ...rate(fields),
        beta1: fields.number('b1'),
        beta2: fields.number('b2'),
        averaging: fields.number('ema_rate'),
        basisPeriod: fields.number('inverse_every'),
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        maximumSize: fields.number('max_dim'),
        plainRate: fields.number('nonstandard_constant'),
      }),
  },
  cosmos: {
    tolerances: {
      ...newtonSchulz,
      wasm: 3e-3,
      reason: 'what is left for Newton-Schulz is small beside the gradient, and so less precise in float32',
    },
    optimizer(fields, ranks) {
      const { beta1, beta2 } = betas(fields)
      if (beta1 !== 0.9 && ranks.some((rank) => rank !== 2)) {
        throw new Skip('the reference corrects the bias of what is no matrix as if β1 were 0.9')
      }
      fields.expect('amsgrad', false, 'there is no maximum here')
      fields.expect('nestrov', true, 'momentum always looks ahead here')
      const weightDecay = fields.number('weight_decay')
      const settings = { ...rate(fields), beta1, beta2, epsilon: fields.number('eps'), weightDecay }
      return cosmos({
        ...settings,
        ratio: fields.number('lr_ratio'),
        rank: fields.number('rank'),
        muonShare: fields.number('gamma'),
        fallback: adamW(settings),
      })
    },
  },
}

function googleShampoo(fields: Fields, ranks: readonly number[]): Optimizer {
  const blockSize = fields.number('block_size')
  const mergesDimensions = fields.boolean('best_effort_shape_interpretation')
  const exponent = fields.number('inverse_exponent_override')
  // The official iteration gives up on some matrices, which eigenvalues do not tell.
  const iterates = exponent > 0 || ((!mergesDimensions || blockSize < 128) && ranks.every((rank) => rank > 1))
  const graft = fields.number('graft_type')
  const weightDecay = fields.number('weight_decay')
  const settings = {
    ...rate(fields),
    momentum: fields.number('momentum'),
    beta: fields.number('beta2'),
    delta: fields.number('diagonal_eps'),
    epsilon: fields.number('matrix_eps'),
    exponent,
    graftedSteps: fields.number('start_preconditioning_step') - 1,
    preconditionerPeriod: fields.number('preconditioning_compute_steps'),
    statisticsPeriod: fields.number('statistics_compute_steps'),
    mergesDimensions,
    blockSize,
    ...(iterates ? ({ roots: 'coupledNewton', rootSteps: 45, largestResidual: 1e30 } as const) : {}),
    graft: graft === 2 ? 'adagrad' : 'sgd',
    nesterov: fields.boolean('nesterov'),
    weightDecay,
  } as const
  const own = shampoo(settings)
  // There the gradient of what has no preconditioner is also that of the simpler optimizer, and decays as both.
  if (weightDecay === 0 || graft === 2 || ranks.every((rank) => rank > 1)) return own
  return groups(own, [{ name: 'vectors', match: ({ rank }) => rank < 2, hyper: { weightDecay: 2 * weightDecay } }])
}

/** Why float32 cannot take some runs, with how far it ends from them. */
const float64Shampoo: Readonly<Record<string, string>> = {
  default: 'eigenvalues below 1e-7 of the largest count: 7e-4 off at step 5',
  unmerged_ema: 'eigenvalues below 1e-7 of the largest count: 2e-3 off at step 30',
  graft_sgd_momentum: 'eigenvalues below 1e-7 of the largest count: 7e-2 off at step 30',
  exponent: 'eigenvalues below 1e-7 of the largest count: 4e-3 off at step 100',
  soap_eigh: 'the rounding of a gradient of low rank, divided by 1e-5 of the largest: 1e-2 off at step 5',
  soap_qr: 'rounding decides the order of equal eigenvalues: 5e-2 off at step 10',
}

function metaShampoo(fields: Fields): Optimizer {
  fields.expect('beta3', -1, 'momentum has one rate here')
  const [beta1, beta2] = fields.numbers('betas', 2) as [number, number]
  const preconditionerPeriod = fields.number('precondition_frequency')
  const start = fields.number('start_preconditioning_step')
  const dimensions = fields.number('target_parameter_dimensionality')
  const preconditioner = new Fields(fields.value('preconditioner') as Record<string, unknown>)
  const form = preconditioner.string('kind', ['root_inv', 'eigenvalue_corrected'])
  const exponents = preconditioner.has('inverse_exponent_override')
    ? new Fields(preconditioner.value('inverse_exponent_override') as Record<string, unknown>)
    : undefined
  const amortized = preconditioner.has('amortized')
    ? new Fields(preconditioner.value('amortized') as Record<string, unknown>)
    : undefined
  amortized?.expect('kind', 'qr', 'there is no other iteration')
  const graft = fields.value('grafting') as Record<string, unknown> | null
  const grafting = graft ? new Fields(graft) : undefined
  const kinds = { sgd: 'sgd', adagrad: 'adagrad', rmsprop: 'rmsProp', adam: 'adam' } as const
  const kind = grafting?.string('kind', Object.keys(kinds) as (keyof typeof kinds)[])
  const momentum = fields.value('momentum_config') as Record<string, unknown> | null
  const moving = momentum ? new Fields(momentum) : undefined
  const style = fields.string('weight_decay_type', ['DECOUPLED', 'L2'])
  const optimizer = distributedShampoo({
    ...rate(fields),
    beta1,
    beta2,
    preconditionerPeriod,
    // There the simpler optimizer acts alone up to the first preconditioner.
    graftedSteps: grafting ? (start < 0 ? preconditionerPeriod : start) - 1 : 0,
    epsilon: fields.number('epsilon'),
    weightDecay: fields.number('weight_decay'),
    ...(style === 'L2' ? { decay: 'coupled' } : {}),
    blockSize: fields.number('max_preconditioner_dim'),
    dimensions: Number.isFinite(dimensions) ? dimensions : 0,
    correctsBias: fields.boolean('use_bias_correction'),
    form: form === 'root_inv' ? 'inverseRoot' : 'eigenvalueCorrected',
    inverseExponent: exponents?.number('2') ?? 0,
    qrSteps: amortized?.number('max_iterations') ?? 0,
    qrTolerance: amortized?.number('tolerance') ?? 0.01,
    graft: kind ? kinds[kind] : 'none',
    ...(grafting?.has('beta2') ? { graftBeta2: grafting.number('beta2') } : {}),
    ...(grafting?.has('epsilon') ? { graftEpsilon: grafting.number('epsilon') } : {}),
    momentum: moving?.number('momentum') ?? 0,
    nesterov: moving?.boolean('use_nesterov') ?? false,
  })
  for (const each of [preconditioner, exponents, amortized, grafting, moving]) each?.finish()
  return optimizer
}

function lowBitShampoo(fields: Fields): Optimizer {
  fields.expect('inv_root_mode', 0, 'roots are of eigenvalues here')
  const bits = fields.number('prec_bits')
  const storage = bits === 4 ? 'fourBit' : bits === 8 ? 'eightBit' : 'float32'
  const shared = {
    ...rate(fields),
    weightDecay: fields.number('weight_decay'),
    plainSteps: fields.number('start_prec_step') - 1,
    statisticsPeriod: fields.number('stat_compute_steps'),
    rootPeriod: fields.number('prec_compute_steps'),
    statisticsBeta: fields.number('stat_decay'),
    ridge: fields.number('matrix_eps'),
    blockSize: fields.number('prec_maxorder'),
    storage,
    leastSize: fields.number('min_lowbit_size'),
    codeBlock: fields.number('quan_blocksize'),
    basisRectifications: fields.number('rect_t1'),
    rootRectifications: fields.number('rect_t2'),
  } as const
  if (fields.has('betas')) {
    return fourBitShampoo({ ...shared, base: 'adamW', ...betas(fields), epsilon: fields.number('eps') })
  }
  return fourBitShampoo({ ...shared, momentum: fields.number('momentum'), nesterov: fields.boolean('nesterov') })
}
