import {
  adamMini,
  adamW,
  apolloAdamW,
  type CompiledOptimizer,
  conda,
  countedSlots,
  defineOptimizer,
  defineTransform,
  dion,
  type FloatArray,
  fira,
  frugal,
  gaLore,
  groups,
  lion,
  microAdam,
  type OptimizerFactory,
  spam,
  stepCount,
  subsetNorm,
  subspaceMomentum,
  where,
  zeros,
} from 'fallline'
import { type Fields, Skip } from '../fields.ts'
import { betas, type Mapping, rate } from './mapping.ts'

/** The names that the trajectories of Adam-mini gave their tensors, by layout: the code chooses blocks by them. */
const names = {
  default: ['block.weight', 'block.bias', 'conv.weight', 'scale'],
  matrix: ['layers.0.q_proj.weight', 'layers.0.mlp.weight', 'embed.weight'],
  vector: ['norm.weight', 'scale', 'out.bias'],
}

/** What decides whether an element of a matrix takes part in SPAM, one mask after each reset. */
const masks = countedSlots('mask', 8, zeros())

/** What the sparsity of SPAM does, with the masks that a reference captured in the place of drawn ones. */
const masked = defineTransform({
  name: 'masked',
  title: 'Captured masks',
  hyper: { period: stepCount(500) },
  state: masks.slots,
  gradient({ g, step, state, hyper }) {
    const current = step.over(hyper.period).floor()
    const mask = masks.read(state).reduce((chosen, each, index) => where(current.equals(index), each, chosen))
    return { gradient: where(mask.equals(1), g, 0) }
  },
})

interface CapturedMasks {
  readonly masks: readonly { readonly tensor: number; readonly first_step: number; readonly mask: readonly number[] }[]
}

/** Methods whose state is smaller than the parameter's. */
export const littleMemory: Readonly<Record<string, Mapping>> = {
  adammini: {
    optimizer(fields, ranks) {
      fields.expect('model_sharding', null, 'one device')
      fields.expect('n_kv_heads', null, 'as many heads of keys as of queries')
      fields.expect('names', names, 'the names choose the blocks')
      // Heads of dim² / n_heads = 6 elements are two rows of the only query, which has three columns.
      fields.expect('dim', 6, 'the query of the layout matrix has heads of two rows')
      fields.expect('n_heads', 6, 'the query of the layout matrix has heads of two rows')
      const settings = { ...rate(fields), ...betas(fields), epsilon: fields.number('eps') }
      const weightDecay = fields.number('weight_decay')
      const layout = ranks.every((rank) => rank === 1)
        ? 'vector'
        : ranks.every((rank) => rank === 2)
          ? 'matrix'
          : 'default'
      const list = names[layout].map((name, k) => ({
        match: `tensor${k}`,
        optimizer: adamMini({
          ...settings,
          weightDecay: /bias|norm/.test(name) ? 0 : weightDecay,
          partition: /bias/.test(name)
            ? 'elements'
            : /q_proj/.test(name)
              ? 'heads'
              : /mlp|embed/.test(name)
                ? 'outputs'
                : 'tensor',
          headSize: 2,
        }),
      }))
      return groups(adamMini(settings), list)
    },
  },

  apollo: { captured: captureBases, optimizer: apolloOf },
  apollo_mini: { captured: captureBases, optimizer: apolloOf },

  conda: {
    optimizer(fields, ranks) {
      const another = fields.has('projection_type')
      if (another && ranks.includes(2)) throw new Skip('singular vectors in float32, which move steps by 1e-6')
      return conda({
        ...adamOf(fields),
        period: fields.number('update_proj_gap'),
        scale: fields.number('scale'),
        side: sideOf(fields),
      })
    },
  },

  dion: {
    tolerances: {
      wasm: 2e-3,
      reason:
        'the momentum of the problem is nearly of lower rank, and directions that it nearly lacks count as much as others',
    },
    captured(optimizer, captured, step) {
      if (step > 1) return
      for (const { tensor, matrix } of (captured as CapturedFactors).Q) {
        ;(optimizer.state(optimizer.names[tensor]!).basis as FloatArray).set(matrix)
      }
    },
    optimizer(fields) {
      const simple = fields.string('variant', ['simple', 'reference']) === 'simple'
      const [beta1, beta2] = fields.numbers('betas', 2) as [number, number]
      const weightDecay = fields.number('weight_decay')
      // Ways to make columns orthonormal.
      for (const name of ['qr_method', 'cqr_warmup_steps', 'rcqr_oversample']) if (fields.has(name)) fields.value(name)
      const others = fields.has('other') ? fields.string('other', ['adamw', 'lion']) : 'adamw'
      const learningRate = fields.number('other_lr', 0)
      const settings = { learningRate, beta1, beta2, weightDecay }
      return held(dion)({
        ...rate(fields),
        momentum: fields.number('mu'),
        epsilon: fields.number('epsilon'),
        weightDecay,
        ...(simple
          ? { side: 'inputs', rank: fields.number('rank') }
          : {
              rankDivisor: 1 / fields.number('rank_fraction'),
              rankMultiple: fields.number('rank_multiple_of'),
              powerIterations: fields.number('power_iters'),
            }),
        fallback: others === 'lion' ? lion(settings) : adamW(settings),
      })
    },
  },

  fira: {
    captured(optimizer, captured, step) {
      // One basis for the whole run has signs that do not matter.
      if ((captured as CapturedBases).projections.some(({ first_step }) => first_step > 1)) {
        captureBases(optimizer, captured, step)
      }
    },
    optimizer(fields, ranks) {
      if (!fields.has('rank') && ranks.includes(2)) throw new Skip('without a rank it is Adam')
      const period = fields.number('update_proj_gap', 200)
      const make = period < 100 ? held(fira) : fira
      return make({
        ...adamOf(fields),
        rank: fields.number('rank', 1),
        period,
        scale: fields.number('alpha', 1),
        side: sideOf(fields),
      })
    },
  },

  frugal: {
    captured(optimizer, captured, step) {
      for (const { step: first, indices } of (captured as CapturedIndices).log) {
        if (first !== step) continue
        indices.forEach((chosen, k) => {
          const basis = optimizer.state(optimizer.names[k]!).basis as FloatArray
          basis.fill(0)
          chosen.forEach((place, column) => {
            basis[place * chosen.length + column] = 1
          })
        })
      }
    },
    optimizer(fields, ranks) {
      if (!fields.has('density')) return frugal({ ...adamOf(fields), rankDivisor: 1, rest: 'none' })
      fields.expect('proj_params', null, 'all tensors')
      fields.expect('_example_state_init', false, 'state starts at 0')
      const singular = fields.has('proj_side')
      if (singular) {
        fields.expect('proj_side', 'std', 'the shorter side')
        fields.expect('proj_type', 'svd', 'singular vectors')
      }
      const whole = fields.number('proj_params_lr_scale')
      const order = fields.has('block_order') ? fields.string('block_order', Object.keys(orders) as Order[]) : undefined
      const make = singular || order ? frugal : held(frugal)
      const settings = {
        ...adamOf(fields),
        learningRate: fields.number('lr') * whole,
        // The scale of the rate does not scale decay.
        weightDecay: fields.number('weight_decay') / whole,
        scale: fields.number('inactive_lr_scale'),
        period: fields.number('update_gap'),
        subspace: order ? 'blocks' : singular ? 'singular' : fields.string('coord_choice', ['columns', 'rows']),
        rankDivisor: 1 / fields.number('density'),
        reset: fields.boolean('reset_statistics'),
        rest: ({ sign_sgd: 'sign', sgd: 'gradient', no: 'none' } as const)[
          fields.string('inactive_update_rule', ['sign_sgd', 'sgd', 'no'])
        ],
      } as const
      if (!order) return make(settings)
      // Tensors take turns in this order, so many at a time.
      const turns = orders[order](ranks.length)
      const together = Math.ceil(fields.number('density') * ranks.length)
      const activeIn = (k: number) => (t: number) => {
        const first = Math.floor((t - 1) / settings.period) * together
        return Array.from({ length: together }, (_, i) => turns[(first + i) % turns.length]).includes(k) ? 1 : 0
      }
      const list = ranks.map((_, k) => ({ match: `tensor${k}`, hyper: { active: activeIn(k) } }))
      return groups(make(settings), list)
    },
  },

  galore: {
    until: {
      step: 10,
      config: ['default', 'proj_right', 'weight_decay', 'betas', 'correct_bias_off'],
      reason: 'a later subspace has singular vectors of other signs, which the averages are sensitive to',
    },
    optimizer(fields) {
      return gaLore({
        ...adamOf(fields),
        rank: fields.number('rank'),
        period: fields.number('update_proj_gap'),
        scale: fields.number('scale'),
        side: sideOf(fields),
      })
    },
  },

  microadam: {
    optimizer(fields) {
      const share = fields.number('alpha')
      if (share < 0) throw new Skip('takes away what rounding loses without the learning rate, which diverges')
      return microAdam({
        ...rate(fields),
        ...betas(fields),
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        errorShare: share,
        window: fields.number('m'),
        keptPerThousand: 1000 * fields.number('k_init'),
        blockLength: fields.number('d_block_size'),
        errorBlockLength: fields.number('quant_block_size'),
      })
    },
  },

  spam_sparse: {
    captured(optimizer, captured, step) {
      if (step > 1) return
      const period = optimizer.hyper.period!
      optimizer.names.forEach((name) => {
        for (const slot of Object.keys(optimizer.state(name)).filter((slot) => /^mask\d$/.test(slot))) {
          ;(optimizer.state(name)[slot] as FloatArray).fill(1)
        }
      })
      for (const { tensor, first_step, mask } of (captured as CapturedMasks).masks) {
        const index = Math.floor(first_step / period)
        ;(optimizer.state(optimizer.names[tensor]!)[`mask${index + 1}`] as FloatArray).set(mask)
      }
    },
    optimizer(fields) {
      const period = fields.number('DeltaT')
      fields.number('density')
      const settings = {
        ...rate(fields),
        ...betas(fields),
        epsilon: fields.number('eps'),
        biasCorrection: fields.boolean('correct_bias'),
        warmupSteps: fields.number('warmup_steps'),
        threshold: fields.number('threshold'),
        resetPeriod: period,
        clippingDelay: fields.number('grad_accu_steps'),
      }
      // Decay does nothing to the tensors with a mask.
      const dense = spam({ ...settings, weightDecay: fields.number('weight_decay') })
      const optimizer = groups(dense, [{ match: ({ rank }) => rank === 2, optimizer: spam(settings) }])
      return masked(optimizer, { period })
    },
  },

  subsetnorm: {
    until: {
      step: 10,
      config: ['generic_sm_svd', 'generic_sm_svd_sn', 'generic_sm_topk'],
      reason: 'when the subspace changes the official code uses the momentum of the old one once more',
    },
    optimizer(fields) {
      const momentum = fields.has('momentum_type') ? fields.string('momentum_type', ['ema', 'none', 'sm']) : 'ema'
      if (momentum === 'sm') {
        const second = fields.string('second_moment_type', ['ema', 'sn', 'none'])
        const { subsets } = second === 'sn' ? subsetsOf(fields) : { subsets: second === 'ema' ? 'elements' : 'none' }
        return subspaceMomentum({
          ...adamOf(fields),
          rank: fields.number('rank'),
          period: fields.number('update_proj_gap'),
          // Lines of the longer side are chosen.
          ...(fields.string('proj_type', ['svd', 'topk']) === 'topk' ? { subspace: 'largest', side: 'longer' } : {}),
          subsets: subsets as 'elements' | 'lines' | 'blocks' | 'none',
        })
      }
      fields.expect('second_moment_type', 'sn', 'without subsets it is Adam')
      const [beta1, beta2] = fields.numbers('betas', 2) as [number, number]
      const learningRate = fields.number('lr')
      const corrected = fields.boolean('correct_bias')
      // Without momentum the code goes on correcting for it.
      const unmoved = momentum === 'none' && corrected
      return subsetNorm({
        learningRate: unmoved ? (t: number) => learningRate / (1 - beta1 ** t) : learningRate,
        beta1: momentum === 'none' ? 0 : beta1,
        beta2: beta2 === 1 ? 0 : beta2,
        accumulate: beta2 === 1,
        epsilon: fields.number('eps'),
        weightDecay: fields.number('weight_decay'),
        biasCorrection: corrected,
        ...subsetsOf(fields),
      })
    },
  },
}

/** What optimizers that are Adam in a subspace have of Adam. */
function adamOf(fields: Fields) {
  fields.expect('maximize', false, 'downhill')
  return {
    ...rate(fields),
    ...betas(fields),
    epsilon: fields.number('eps'),
    weightDecay: fields.number('weight_decay'),
    biasCorrection: fields.boolean('correct_bias', true),
  }
}

function apolloOf(fields: Fields, ranks: readonly number[]) {
  if (!fields.has('rank')) {
    fields.expect('weight_decouple', true, 'decay is decoupled')
    fields.expect('fixed_decay', false, 'decay grows with the rate')
    fields.expect('scale_type', 'tensor', 'what a tensor without a rank has no use for')
    if (ranks.includes(2)) throw new Skip('without a rank it is Adam')
    return apolloAdamW(adamOf(fields))
  }
  fields.expect('scale_front', false, 'the same, but for 1e-8 in the limit of growth')
  return held(apolloAdamW)({
    ...adamOf(fields),
    rank: fields.number('rank'),
    period: fields.number('update_proj_gap'),
    scale: fields.number('scale'),
    side: sideOf(fields),
    projection: fields.string('proj', ['random', 'svd']) === 'svd' ? 'singular' : 'random',
    scaling: fields.string('scale_type', ['channel', 'tensor']),
    limitGrowth: !fields.boolean('disable_nl'),
  })
}

/** What the names of projections in GaLore and what came after it mean here. */
function sideOf(fields: Fields) {
  const known = { std: 'shorter', reverse_std: 'longer', left: 'outputs', right: 'inputs' } as const
  const name = fields.has('projection_type') ? 'projection_type' : 'proj_type'
  return known[fields.string(name, Object.keys(known) as (keyof typeof known)[], 'std')]
}

/** An optimizer that leaves alone in its state what it would draw or find anew: a reference captured it. */
function held(factory: OptimizerFactory): OptimizerFactory {
  const { definition } = factory
  const hold = <T, U>(_: unknown, __: () => T, old: U): T | U => old
  // What is factored at every step is not what a reference captured.
  const every = <T, U>(period: unknown, refreshed: () => T, old: U): T | U => (period === 1 ? refreshed() : old)
  return defineOptimizer({
    ...definition,
    rule: (context) => definition.rule({ ...context, every, firstSteps: hold }),
  })
}

interface CapturedBases {
  readonly projections: readonly {
    readonly tensor: number
    readonly first_step: number
    readonly shape: readonly [number, number]
    readonly matrix: readonly number[]
  }[]
}

/** In which order tensors take turns. */
const orders = {
  ascending: (count: number) => Array.from({ length: count }, (_, k) => k),
  descending: (count: number) => Array.from({ length: count }, (_, k) => count - 1 - k),
  mirror: (count: number) => Array.from({ length: count }, (_, k) => (k % 2 === 0 ? k / 2 : count - (k + 1) / 2)),
}
type Order = keyof typeof orders

interface CapturedIndices {
  readonly log: readonly { readonly step: number; readonly indices: readonly (readonly number[])[] }[]
}

interface CapturedFactors {
  readonly Q: readonly { readonly tensor: number; readonly matrix: readonly number[] }[]
}

/** Writes the bases that a reference used from this step on. */
function captureBases(optimizer: CompiledOptimizer, captured: unknown, step: number): void {
  for (const { tensor, first_step, shape, matrix } of (captured as CapturedBases).projections) {
    if (first_step !== step) continue
    const [rows, columns] = shape
    const basis = optimizer.state(optimizer.names[tensor]!).basis as FloatArray
    // Vectors of the columns of a matrix are rows there, always fewer than they are long.
    matrix.forEach((value, index) => {
      const transposed = (index % columns) * rows + Math.floor(index / columns)
      basis[rows < columns ? transposed : index] = value
    })
  }
}

function subsetsOf(fields: Fields): { subsets: 'lines' | 'blocks'; subsetSize?: number } {
  if (!fields.has('subset_size')) return { subsets: 'lines' }
  const size = fields.value('subset_size')
  if (size === 'heuristics') return { subsets: 'lines' }
  if (size === -1) return { subsets: 'blocks' }
  if (typeof size !== 'number' || size <= 0) throw new Skip(`subset_size ${String(size)}`)
  return { subsets: 'blocks', subsetSize: size }
}
