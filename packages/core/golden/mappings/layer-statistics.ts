import { adaFisher, adaFisherW } from 'fallline'
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
}

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
