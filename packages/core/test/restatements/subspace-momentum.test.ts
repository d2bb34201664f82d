import { subspaceMomentum } from 'fallline'
import { restate, sum, type Tensor } from '../support/restate.ts'

interface Settings {
  readonly subsets: 'elements' | 'lines' | 'none'
  readonly accumulate?: boolean
  readonly decay?: number
}

/** Momentum on the two outputs of the largest gradients, which start anew every seven steps, plain gradients elsewhere. */
function paper({ subsets, accumulate = false, decay = 0 }: Settings) {
  const [rate, beta1, beta2] = [0.02, 0.8, accumulate ? 1 : 0.99]
  const chosen = new Map<Tensor, Set<number>>()
  return () => (tensors: readonly Tensor[], t: number) => {
    for (const tensor of tensors) {
      const { p, g, s, shape } = tensor
      const isMatrix = shape.length === 2
      const [outputs = 1, inputs = 1] = shape
      const row = (i: number) => Math.floor(i / inputs)
      if (isMatrix && (t - 1) % 7 === 0) {
        const squares = Array.from({ length: outputs }, (_, output) =>
          sum(g.map((value, i) => (row(i) === output ? value ** 2 : 0))),
        )
        const order = [...squares.keys()].sort((a, b) => squares[b]! - squares[a]!)
        chosen.set(tensor, new Set(order.slice(0, Math.min(2, inputs))))
        s.m!.fill(0)
      }
      // Lines are outputs where there are as many as inputs or more.
      const line = (i: number) => (outputs >= inputs ? row(i) : outputs + (i % inputs))
      const shared = (i: number) =>
        subsets === 'lines' && isMatrix ? sum(g.map((value, j) => (line(i) === line(j) ? value ** 2 : 0))) : g[i]! ** 2
      const squares = p.map((_, i) => shared(i))
      for (let i = 0; i < p.length; i++) {
        s.m![i] = beta1 * s.m![i]! + (1 - beta1) * g[i]!
        s.v![i] = (accumulate ? 1 : beta2) * s.v![i]! + (accumulate ? 1 : 1 - beta2) * squares[i]!
        const whole = !isMatrix || chosen.get(tensor)!.has(row(i)) ? s.m![i]! : g[i]!
        const first = accumulate ? 1 : 1 - beta1 ** t
        const second = accumulate ? 1 : Math.sqrt(1 - beta2 ** t)
        const step = subsets === 'none' ? whole / first : (second * whole) / first / (Math.sqrt(s.v![i]!) + 1e-6)
        p[i] = (1 - rate * decay) * (p[i]! - rate * step)
      }
    }
  }
}

const settings = { learningRate: 0.02, beta1: 0.8, beta2: 0.99, rank: 2, period: 7 } as const
const largest = { ...settings, subspace: 'largest', side: 'outputs' } as const

restate(subspaceMomentum, {
  'no second moment': {
    optimizer: subspaceMomentum({ ...largest, subsets: 'none' }),
    salt: 0.4,
    paper: paper({ subsets: 'none' }),
  },
  'one for each element, with decay': {
    optimizer: subspaceMomentum({ ...largest, subsets: 'elements', weightDecay: 0.1 }),
    salt: 1.3,
    layout: 'matrices',
    paper: paper({ subsets: 'elements', decay: 0.1 }),
  },
  'one for each line': {
    optimizer: subspaceMomentum({ ...largest, subsets: 'lines' }),
    salt: 0.9,
    layout: 'matrices',
    paper: paper({ subsets: 'lines' }),
  },
  accumulated: {
    optimizer: subspaceMomentum({ ...largest, subsets: 'lines', accumulate: true, biasCorrection: false }),
    salt: 2.2,
    paper: paper({ subsets: 'lines', accumulate: true }),
  },
})
