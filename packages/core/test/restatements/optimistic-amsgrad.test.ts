import { optimisticAMSGrad } from 'fallline'
import { elementwise, restate, type Step, sum } from '../support/restate.ts'

/** The paper's two sequences kept apart: w½ by gradients, w by guesses. */
const paper = (rate: number, beta1: number, beta2: number, epsilon: number, decay: number, coupled: boolean) => () =>
  elementwise(({ p, g, s }, i, t) => {
    if (t === 1) s.half![i] = p[i]!
    const gradient = coupled ? g[i]! + decay * p[i]! : g[i]!
    if (!coupled) s.half![i]! -= rate * decay * p[i]!
    const guess = s.guess![i]!
    const before = s.m![i]!
    s.m![i] = beta1 * before + (1 - beta1) * gradient
    s.v![i] = beta2 * s.v![i]! + (1 - beta2) * (gradient - guess) ** 2
    s.largest![i] = Math.max(s.largest![i]!, s.v![i]!)
    const root = Math.sqrt(s.largest![i]!) + epsilon
    s.half![i]! -= (rate * s.m![i]!) / root
    s.guess![i] = gradient
    p[i] = s.half![i]! - (rate * (beta1 * before + (1 - beta1) * s.guess![i]!)) / root
  })

/** The weights of the regularized extrapolation: they solve (UᵀU + λ I) z = 1, by Gauss and Jordan. */
function weightsOf(gradients: readonly (readonly number[])[], ridge: number): number[] {
  const columns = gradients.slice(1).map((gradient, i) => gradient.map((value, k) => value - gradients[i]![k]!))
  const rows = columns.map((a, i) => [
    ...columns.map((b, j) => sum(a.map((value, k) => value * b[k]!)) + (i === j ? ridge : 0)),
    1,
  ])
  rows.forEach((row, i) => {
    const pivot = row[i]!
    rows[i] = row.map((value) => value / pivot)
    rows.forEach((other, j) => {
      if (j !== i) rows[j] = other.map((value, k) => value - other[i]! * rows[i]![k]!)
    })
  })
  const z = rows.map((row) => row.at(-1)!)
  return z.map((value) => value / sum(z))
}

/** With the gradient extrapolated from the last r + 1, over one long vector. */
function extrapolating(rate: number, r: number, ridge: number): Step {
  const past: number[][] = []
  let [w, m, v, largest, guess] = [[], [], [], [], []] as number[][]
  return (tensors, t) => {
    const g = tensors.flatMap((tensor) => tensor.g)
    if (t === 1) {
      w = tensors.flatMap(({ p }) => p)
      m = g.map(() => 0)
      v = [...m]
      largest = [...m]
      guess = [...m]
    }
    past.push(g)
    const before = m!
    m = g.map((value, i) => 0.9 * before[i]! + 0.1 * value)
    v = g.map((value, i) => 0.99 * v![i]! + 0.01 * (value - guess![i]!) ** 2)
    largest = v.map((value, i) => Math.max(value, largest![i]!))
    const last = past.slice(-r - 1)
    const weights = t > r ? weightsOf(last, ridge) : []
    guess = t > r ? g.map((_, i) => sum(weights.map((weight, s) => weight * last[s]![i]!))) : g
    w = w!.map((value, i) => value - (rate * m![i]!) / (Math.sqrt(largest![i]!) + 1e-3))
    let offset = 0
    for (const { p } of tensors) {
      for (let i = 0; i < p.length; i++, offset++) {
        const ahead = 0.9 * before[offset]! + 0.1 * guess[offset]!
        p[i] = w[offset]! - (rate * ahead) / (Math.sqrt(largest[offset]!) + 1e-3)
      }
    }
  }
}

restate(optimisticAMSGrad, {
  'without decay': {
    optimizer: optimisticAMSGrad({ learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-3 }),
    salt: 0.4,
    paper: paper(0.01, 0.9, 0.99, 1e-3, 0, false),
  },
  'coupled decay': {
    optimizer: optimisticAMSGrad({
      learningRate: 0.005,
      beta1: 0.7,
      beta2: 0.9,
      epsilon: 1e-2,
      weightDecay: 0.2,
      decay: 'coupled',
    }),
    salt: 1.3,
    paper: paper(0.005, 0.7, 0.9, 1e-2, 0.2, true),
  },
  'decoupled decay': {
    optimizer: optimisticAMSGrad({ learningRate: 0.01, beta1: 0.8, beta2: 0.95, epsilon: 1e-2, weightDecay: 0.1 }),
    salt: 2.2,
    paper: paper(0.01, 0.8, 0.95, 1e-2, 0.1, false),
  },
  'extrapolated from five gradients': {
    optimizer: optimisticAMSGrad({
      learningRate: 0.01,
      beta2: 0.99,
      epsilon: 1e-3,
      prediction: 'extrapolated',
      ridge: 1e-2,
    }),
    salt: 0.8,
    paper: () => extrapolating(0.01, 5, 1e-2),
  },
  'extrapolated from two gradients': {
    optimizer: optimisticAMSGrad({
      learningRate: 0.02,
      beta2: 0.99,
      epsilon: 1e-3,
      prediction: 'extrapolated',
      pastGradients: 2,
      ridge: 1e-3,
    }),
    salt: 2.9,
    paper: () => extrapolating(0.02, 2, 1e-3),
  },
})
