import {
  adamW,
  cosmos,
  defineOptimizer,
  groups,
  inputArray,
  type Optimizer,
  psgdKron,
  shampoo,
  soap,
  sPlus,
} from 'fallline'
import { type Fields, Skip } from '../fields.ts'
import { betas, type Mapping, newtonSchulz, rate } from './mapping.ts'

/** Shampoo and what came of it. */
export const preconditioners: Readonly<Record<string, Mapping>> = {
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
  psgd_kron: {
    // Rounding decides on which side of the longest row a vector of a bound starts, and which row is the longest.
    signs: true,
    inputs: { noise: ({ i, k, t }) => Math.cos(0.9 * (i + 1) + 0.5 * t + k) },
    optimizer(fields) {
      fields.expect('preconditioner_update_probability', 1, 'the preconditioner is updated at every step')
      if (fields.value('dQ') === 'PRO4P')
        throw new Skip('dQ PRO4P: a P that is only about symmetric is not fitted here')
      const size = fields.value('preconditioner_max_size')
      const scale = fields.optional('preconditioner_init_scale')
      const [maximumAmplitude, maximumElement] = fields.numbers('grad_clip_max_amps', 2) as [number, number]
      return drawnPsgdKron({
        learningRate: fields.number('lr_params'),
        preconditionerRate: fields.number('lr_preconditioner'),
        smoothnessBeta: fields.number('betaL'),
        damping: fields.number('damping'),
        momentum: fields.number('momentum'),
        maximumAmplitude,
        maximumElement,
        updatesFirst: fields.boolean('update_preconditioner_first'),
        whitens: fields.boolean('whiten_grad') ? 'gradient' : 'momentum',
        dQ: fields.string('dQ', ['Q0.5EQ1.5', 'QEQ', 'QEP', 'QUAD', 'EQ', 'QUAD4P']),
        maximumSize: size === 'inf' ? 10_000 : Number(size),
        maximumPercent: 100 * fields.number('preconditioner_max_skew'),
        ...(scale === undefined ? {} : { scalesByGradient: false, initialScale: scale }),
        // Balanced at random there, and never in these trajectories.
        balancePeriod: 1_000_000,
      })
    },
  },
}

/** PSGD with the closed forms that these trajectories have in the place of random numbers. */
const drawnPsgdKron = (() => {
  const { definition } = psgdKron
  return defineOptimizer({
    ...definition,
    inputs: { noise: inputArray('what disturbs the gradient') },
    rule: (context) => {
      const normal: typeof context.random.normal = (settings) => {
        if (settings.dimensions === undefined) return context.inputs.noise
        const place = context.random.normal(settings)
        return place.rowIndex().times(1.7).plus(place.columnIndex().times(0.9)).plus(0.3).cos()
      }
      return definition.rule({ ...context, random: { ...context.random, normal } })
    },
  })
})()

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
