import { adalite, adamG, defineTransform, type FloatArray, focus, shampoo, where, zeros } from 'fallline'
import { betas, decayOf, type Mapping, rate, wrong } from './mapping.ts'

/** Adds something to the direction of the first step, element by element. */
const firstDirection = defineTransform({
  name: 'firstDirection',
  title: 'Addition at the first step',
  hyper: {},
  state: { addition: zeros() },
  direction: ({ t, direction, state }) => ({
    direction: where(t.equals(1), direction.plus(state.addition), direction),
  }),
})

/** Methods of which the library pytorch_optimizer has the only trajectories. */
export const secondHand: Readonly<Record<string, Mapping>> = {
  adagc: wrong('the reference divides by the squared norm over all tensors while it warms up'),
  adalite: {
    optimizer(fields) {
      // The port takes both and does nothing with them.
      fields.boolean('weight_decouple')
      fields.boolean('fixed_decay')
      fields.expect('g_norm_min', 1e-10, 'it is a constant here')
      fields.expect('ratio_min', 1e-4, 'it is a constant here')
      fields.expect('eps2', 1e-10, 'it is a constant here')
      return adalite({
        ...rate(fields),
        ...betas(fields),
        epsilon: fields.number('eps1'),
        temperature: fields.number('tau'),
        weightDecay: fields.number('weight_decay'),
        maximize: fields.boolean('maximize', false),
      })
    },
  },
  adamg: {
    optimizer(fields) {
      const [beta1, beta2, beta3] = fields.numbers('betas', 3) as [number, number, number]
      return adamG({
        ...rate(fields),
        beta1,
        beta2,
        beta3,
        numerator: fields.number('p'),
        numeratorPower: fields.number('q'),
        epsilon: fields.number('eps'),
        ...decayOf(fields, false),
        maximize: fields.boolean('maximize', false),
      })
    },
  },
  bcos: wrong('the reference forms its estimate with the momentum after the step, where the code has the one before'),
  focus: {
    signs: true,
    // At the first step nothing attracts, but the port averages and corrects, and takes the sign of what rounding leaves.
    prepare(optimizer) {
      const { names, parameters, hyper } = optimizer
      const share = 1 - hyper.beta2!
      for (const name of names) {
        ;(optimizer.state(name).addition as FloatArray).forEach((_, i, addition) => {
          const p = parameters[name]![i]!
          addition[i] = hyper.gamma! * Math.sign(p - (p * share) / share)
        })
      }
    },
    optimizer(fields) {
      fields.expect('weight_decay', 0, 'the port decays before it looks where the parameter is')
      const optimizer = focus({
        ...rate(fields),
        ...betas(fields),
        gamma: fields.number('gamma'),
        maximize: fields.boolean('maximize', false),
      })
      return firstDirection(optimizer)
    },
  },
  racs: wrong('the reference takes means of the squares in the place of the fixed-point iteration'),
  ranger25: wrong('the reference divides the step of a tensor by the ratios of all tensors before it too'),
  scalableshampoo: {
    optimizer(fields) {
      fields.expect('moving_average_for_momentum', false, 'momentum is a sum here')
      fields.expect('decoupled_learning_rate', true, 'the learning rate comes last here')
      fields.expect('decoupled_weight_decay', false, 'decay is part of the momentum here')
      fields.expect('graft_type', 1, 'the port has simpler optimizers that are not here')
      fields.expect('pre_conditioner_type', 0, 'every dimension has a matrix here')
      fields.expect('use_svd', false, 'roots are iterated here')
      fields.expect('start_preconditioning_step', 25, 'counted with the period, which none of these runs reaches')
      fields.expect('preconditioning_compute_steps', 1000, 'none of these runs reaches it')
      // What only decides about matrices, of which none is used within a thousand steps.
      fields.number('skip_preconditioning_rank_lt')
      fields.number('no_preconditioning_for_layers_with_dim_gt')
      fields.number('diagonal_eps')
      if (fields.has('momentum')) fields.number('momentum')
      const { beta1, beta2 } = betas(fields)
      const weightDecay = fields.number('weight_decay')
      return shampoo({
        ...rate(fields),
        momentum: beta1,
        beta: beta2,
        epsilon: fields.number('matrix_eps'),
        exponent: fields.number('inverse_exponent_override'),
        graftedSteps: 24,
        preconditionerPeriod: 1000,
        statisticsPeriod: fields.number('statistics_compute_steps'),
        blockSize: fields.number('block_size'),
        mergesDimensions: fields.boolean('shape_interpretation'),
        roots: 'coupledNewton',
        nesterov: fields.boolean('nesterov'),
        weightDecay,
        maximize: fields.boolean('maximize', false),
      })
    },
  },
  spectralsphere: wrong(
    'the reference iterates in bfloat16, never goes back to the sphere, and does not scale its steps by the radius',
  ),
  scionlight: wrong(
    'the reference iterates in bfloat16, and gives a vector the norm 1 where the code gives it a root mean square of 1',
  ),
  kron: wrong('the reference draws normal numbers for its preconditioner from the generator of PyTorch'),
}
