import { grass } from 'fallline'
import { restate, type Tensor } from '../support/restate.ts'

interface Settings {
  readonly rank: number
  readonly period: number
  readonly beta1?: number
  readonly decay?: number
}

/** Adam on the chosen lines of each matrix, element by element; Grass calls them rows. */
function paper({ rank, period, beta1 = 0.9, decay = 0 }: Settings) {
  const chosen = new Map<Tensor, boolean[]>()
  return () => (tensors: readonly Tensor[], t: number) => {
    for (const tensor of tensors) {
      const { p, g, s, shape } = tensor
      const isMatrix = shape.length === 2
      const [outputs = 1, inputs = 1] = shape
      // The shorter side, the inputs of a square matrix.
      const lineOf = (i: number) => (outputs >= inputs ? i % inputs : Math.floor(i / inputs))
      const start = isMatrix && (t - 1) % period === 0
      if (start) {
        const squares = new Array<number>(Math.min(outputs, inputs)).fill(0)
        g.forEach((value, i) => {
          squares[lineOf(i)]! += value ** 2
        })
        const order = [...squares.keys()].sort((a, b) => squares[b]! - squares[a]!)
        chosen.set(
          tensor,
          squares.map((_, line) => order.indexOf(line) < rank),
        )
        for (const slot of [s.m!, s.v!]) slot.fill(0)
      }
      const k = isMatrix ? ((t - 1) % period) + 1 : t
      const scale = (isMatrix ? 0.25 : 1) * (Math.sqrt(1 - 0.999 ** k) / (1 - beta1 ** k))
      for (let i = 0; i < p.length; i++) {
        if (!isMatrix || chosen.get(tensor)![lineOf(i)]) {
          s.m![i] = beta1 * s.m![i]! + (1 - beta1) * g[i]!
          s.v![i] = 0.999 * s.v![i]! + 0.001 * g[i]! ** 2
          p[i]! -= (0.02 * scale * s.m![i]!) / (Math.sqrt(s.v![i]!) + 1e-6)
        }
        p[i]! *= 1 - 0.02 * decay
      }
    }
  }
}

restate(grass, {
  'two rows': {
    optimizer: grass({ learningRate: 0.02, rank: 2, period: 7 }),
    salt: 0.3,
    layout: 'matrices',
    paper: paper({ rank: 2, period: 7 }),
  },
  'one row, with decay, and what is no matrix': {
    optimizer: grass({ learningRate: 0.02, rank: 1, period: 10, beta1: 0.5, weightDecay: 0.1 }),
    salt: 1.2,
    paper: paper({ rank: 1, period: 10, beta1: 0.5, decay: 0.1 }),
  },
})
