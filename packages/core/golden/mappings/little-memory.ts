import {
  adamMini,
  countedSlots,
  defineTransform,
  type FloatArray,
  groups,
  spam,
  stepCount,
  subsetNorm,
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

  spam_sparse: {
    captured(optimizer, captured) {
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
    optimizer(fields) {
      const momentum = fields.has('momentum_type') ? fields.string('momentum_type', ['ema', 'none', 'sm']) : 'ema'
      if (momentum === 'sm') throw new Skip('momentum_type sm: momentum in a subspace is not here')
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

function subsetsOf(fields: Fields): { subsets: 'lines' | 'blocks'; subsetSize?: number } {
  if (!fields.has('subset_size')) return { subsets: 'lines' }
  const size = fields.value('subset_size')
  if (size === 'heuristics') return { subsets: 'lines' }
  if (size === -1) return { subsets: 'blocks' }
  if (typeof size !== 'number' || size <= 0) throw new Skip(`subset_size ${String(size)}`)
  return { subsets: 'blocks', subsetSize: size }
}
