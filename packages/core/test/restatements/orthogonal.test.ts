import { adaGo, muon } from 'fallline'
import { norm, restate, sum, type Tensor } from '../support/restate.ts'

type Matrix = readonly (readonly number[])[]

const transposed = (a: Matrix) => a[0]!.map((_, j) => a.map((row) => row[j]!))
const product = (a: Matrix, b: Matrix) =>
  a.map((row) => b[0]!.map((_, j) => sum(row.map((value, k) => value * b[k]![j]!))))
const mixed = (a: Matrix, factor: number, b: Matrix, other: number) =>
  a.map((row, i) => row.map((value, j) => factor * value + other * b[i]![j]!))

/** Five steps of Jordan's quintic iteration, on whichever side is shorter. */
function orthogonalized(values: readonly number[], rows: number, columns: number): number[] {
  const matrix = Array.from({ length: rows }, (_, i) => values.slice(i * columns, (i + 1) * columns))
  const size = norm(values) + 1e-7
  let x: Matrix = (rows > columns ? transposed(matrix) : matrix).map((row) => row.map((value) => value / size))
  for (let step = 0; step < 5; step++) {
    const gram = product(x, transposed(x))
    x = mixed(x, 3.4445, product(mixed(gram, -4.775, product(gram, gram), 2.0315), x), 1)
  }
  return (rows > columns ? transposed(x) : x).flat()
}

/** Momentum, what is made orthogonal of it, and a step of that in a size of its own. */
function orthogonalSteps(
  { momentum, nesterov = false, decay = 0 }: { momentum: number; nesterov?: boolean; decay?: number },
  rateOf: (tensor: Tensor, kept: { v: number }) => readonly [rate: number, scale: number],
) {
  return () => {
    const kept = new Map<Tensor, { v: number }>()
    return (tensors: readonly Tensor[]) => {
      for (const tensor of tensors) {
        const own = kept.get(tensor) ?? { v: 1e-6 }
        kept.set(tensor, own)
        const [rows = 1, columns = 1] = tensor.shape
        const b = tensor.s.b!
        tensor.g.forEach((g, i) => {
          b[i] = momentum * b[i]! + (1 - momentum) * g
        })
        const chosen = nesterov ? tensor.g.map((g, i) => (1 - momentum) * g + momentum * b[i]!) : b
        const step = orthogonalized(chosen, rows, columns)
        const [rate, scale] = rateOf(tensor, own)
        for (let i = 0; i < step.length; i++) {
          tensor.p[i] = (1 - rate * decay) * tensor.p[i]! - rate * scale * step[i]!
        }
      }
    }
  }
}

/** v² grows by min(‖g‖², γ²), and the step has the size max(ε, η min(‖g‖, γ) / v). */
const stepsOfAdaGO = (rate: number, maximum: number, minimum: number) => (tensor: Tensor, kept: { v: number }) => {
  const squared = Math.min(sum(tensor.g.map((g) => g * g)), maximum ** 2)
  kept.v = Math.sqrt(kept.v ** 2 + squared)
  return [Math.max(minimum, (rate * Math.sqrt(squared)) / kept.v), 1] as const
}

restate(adaGo, {
  'norms below and above the largest': {
    optimizer: adaGo({ learningRate: 0.3, maximumNorm: 1.5 }),
    salt: 0.3,
    layout: 'matrices',
    paper: orthogonalSteps({ momentum: 0.95 }, stepsOfAdaGO(0.3, 1.5, 5e-4)),
  },
  'steps that come down to the smallest': {
    optimizer: adaGo({ learningRate: 0.05, minimumRate: 0.02, momentum: 0.8, nesterov: true, weightDecay: 0.1 }),
    salt: 1.9,
    layout: 'matrices',
    paper: orthogonalSteps({ momentum: 0.8, nesterov: true, decay: 0.1 }, stepsOfAdaGO(0.05, 10, 0.02)),
  },
})

const rmsToRms = (rate: number) => (tensor: Tensor) => [rate, Math.sqrt(tensor.shape[0]! / tensor.shape[1]!)] as const

restate(muon, {
  'from root mean square to root mean square': {
    optimizer: muon({ form: 'rmsToRms' }),
    salt: 0.9,
    layout: 'matrices',
    paper: orthogonalSteps({ momentum: 0.95, nesterov: true }, rmsToRms(0.02)),
  },
  'the same without Nesterov momentum': {
    optimizer: muon({ form: 'rmsToRms', nesterov: false, momentum: 0.8, weightDecay: 0.1 }),
    salt: 2.2,
    layout: 'matrices',
    paper: orthogonalSteps({ momentum: 0.8, decay: 0.1 }, rmsToRms(0.02)),
  },
})
