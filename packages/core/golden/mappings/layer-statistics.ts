import { adaFisher, adaFisherW, adam, mkor, sgd, singd } from 'fallline'
import type { Fields } from '../fields.ts'
import { type Mapping, rate } from './mapping.ts'

/** Optimizers that read statistics of layers, on the network of their trajectories. */
export const layerStatistics: Readonly<Record<string, Mapping>> = {
  adafisher: {
    network: () => meanLoss,
    captured: () => {},
    optimizer: (fields) => adaFisher(fisherSettings(fields)),
  },
  adafisherw: {
    network: () => meanLoss,
    captured: () => {},
    optimizer: (fields) => adaFisherW(fisherSettings(fields)),
  },
  mkor: {
    network({ clipping_value, grad_scale }) {
      const limit = clipping_value as number
      const clamped = (x: number) => Math.min(Math.max(x, -limit), limit)
      return { activation: clamped, outputGradient: (s) => clamped(s / (grad_scale as number)) }
    },
    captured: () => {},
    optimizer(fields, ranks) {
      fields.expect('half_precision', false, 'factors are in float32 here')
      fields.expect('grad_accum_steps', 1, 'every step has one batch')
      // Neither acts in the official code, and the network takes these two.
      for (const name of ['stat_decay', 'stabilization_factor', 'clipping_value', 'grad_scale']) fields.value(name)
      const common = { ...rate(fields), weightDecay: fields.number('weight_decay', 0) }
      const inner =
        fields.string('optimizer', ['sgd', 'adam']) === 'adam'
          ? adam(common)
          : sgd({ ...common, momentum: fields.number('momentum') })
      return mkor(inner, {
        renewalPeriod: fields.number('inv_freq'),
        warmupSteps: fields.number('warmup_steps'),
        lastIsBias: ranks.includes(1),
      })
    },
  },
  singd: {
    // Without an average the official code takes gradients of the mean loss for those of examples, and sums over these.
    network: ({ loss_average }) => (loss_average === 'batch' ? {} : { outputGradient: (s) => s / Math.sqrt(6) }),
    captured: () => {},
    optimizer(fields) {
      fields.expect('kfac_approx', 'expand', 'the layers have no dimension that is shared')
      fields.value('loss_average')
      const names = fields.value('structures') as [string, string]
      const [inputStructure, outputStructure] = names.map((name) => toeplitz[name] ?? name) as [Structure, Structure]
      return singd({
        ...rate(fields),
        momentum: fields.number('momentum'),
        damping: fields.number('damping'),
        factorMomentum: fields.number('alpha1'),
        weightDecay: fields.number('weight_decay'),
        factorPeriod: fields.number('T'),
        factorRate: fields.number('lr_cov'),
        inputStructure,
        outputStructure,
        form: fields.boolean('kfac_like') ? 'ikfac' : 'ingd',
        normalizesRate: fields.boolean('normalize_lr_cov'),
      })
    },
  },
}

type Structure = NonNullable<NonNullable<Parameters<typeof singd>[0]>['inputStructure']>

/** Ours of what the official code calls otherwise. */
const toeplitz: Readonly<Record<string, Structure>> = { triltoeplitz: 'lowerToeplitz', triutoeplitz: 'upperToeplitz' }

/** The official code takes gradients of the mean over the six examples. */
const meanLoss = { outputGradient: (s: number) => s / 6 }

function fisherSettings(fields: Fields) {
  return {
    ...rate(fields),
    beta: fields.number('beta'),
    gamma: fields.number('gamma'),
    damping: fields.number('Lambda'),
    weightDecay: fields.number('weight_decay'),
    statisticsPeriod: fields.number('TCov'),
  }
}
