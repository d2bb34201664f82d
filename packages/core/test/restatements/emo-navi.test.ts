import { emoFact, emoLynx, emoNavi } from 'fallline'
import { expect } from 'vitest'
import { lossAt, total } from '../../golden/problem.ts'
import { restate, sum, type Tensor } from '../support/restate.ts'

/**
 * The factor c of version 3.1, from the losses of the problem; call it once a step, before all else. With shadow parameters
 * it moves parameters and shadow.
 */
function response(salt: number, sensitivity: number, shadow = false) {
  let sudden = 0
  let averages: { short: number; long: number } | undefined
  return (tensors: readonly Tensor[], t: number) => {
    const parameters = tensors.map(({ p }) => p)
    const loss = total(lossAt, parameters, t, salt)
    averages ??= { short: loss, long: loss }
    averages.short = 0.7 * averages.short + 0.3 * loss
    averages.long = 0.99 * averages.long + 0.01 * loss
    const { short, long } = averages
    const x = Math.tanh((sensitivity * (long - short)) / Math.max(long, 1e-5))
    const size = Math.abs(x)
    const c = size > 0.625 ? 1 - size : size > 0.125 ? 1 + x : 1
    if (!shadow) return c
    if (size > 0.75) sudden++
    for (const { p, s } of tensors) {
      for (let i = 0; i < p.length; i++) {
        if (t === 1) s.shadow![i] = p[i]!
        if (size > 0.75) p[i] = 0.25 * p[i]! + c * s.shadow![i]!
        else s.shadow![i]! += (size > 0.25 ? 0.1 : 0.1 * c) * (p[i]! - s.shadow![i]!)
      }
    }
    // Otherwise the trajectory says nothing about the shadow.
    if (t === 60) expect(sudden).toBeGreaterThan(2)
    return c
  }
}

const navi =
  (salt: number, sensitivity: number, rate: number, beta1: number, beta2: number, decay: number, shadow = false) =>
  () => {
    const factor = response(salt, sensitivity, shadow)
    return (tensors: readonly Tensor[], t: number) => {
      const c = factor(tensors, t)
      for (const { p, g, s } of tensors) {
        for (let i = 0; i < p.length; i++) {
          s.m![i] = beta1 * s.m![i]! + (1 - beta1) * g[i]!
          s.v![i] = beta2 * s.v![i]! + (1 - beta2) * g[i]! ** 2
          p[i] = (1 - rate * decay) * p[i]! - (rate * c * s.m![i]!) / (Math.sqrt(s.v![i]!) + 1e-8)
        }
      }
    }
  }

restate(emoNavi, {
  'the defaults of the authors': {
    optimizer: emoNavi({ learningRate: 0.01 }),
    salt: 0.4,
    paper: navi(0.4, 1, 0.01, 0.9, 0.999, 0.01),
  },
  'more sensitive': {
    optimizer: emoNavi({ learningRate: 0.005, sensitivity: 3, beta1: 0.8, beta2: 0.95, weightDecay: 0.1 }),
    salt: 2.1,
    layout: 'matrices',
    paper: navi(2.1, 3, 0.005, 0.8, 0.95, 0.1),
  },
  'shadow parameters': {
    optimizer: emoNavi({ learningRate: 0.02, sensitivity: 8, weightDecay: 0.3, shadow: true }),
    salt: 1.2,
    paper: navi(1.2, 8, 0.02, 0.9, 0.999, 0.3, true),
  },
})

const lynx =
  (salt: number, sensitivity: number, rate: number, beta1: number, beta2: number, decay: number, shadow = false) =>
  () => {
    const factor = response(salt, sensitivity, shadow)
    return (tensors: readonly Tensor[], t: number) => {
      const c = factor(tensors, t)
      for (const { p, g, s } of tensors) {
        for (let i = 0; i < p.length; i++) {
          const u = Math.sign(beta1 * s.m![i]! + (1 - beta1) * g[i]!)
          s.m![i] = beta2 * s.m![i]! + (1 - beta2) * g[i]!
          p[i] = (1 - rate * decay) * p[i]! - rate * c * u
        }
      }
    }
  }

restate(emoLynx, {
  'the defaults of the authors': {
    optimizer: emoLynx({ learningRate: 0.01 }),
    salt: 0.9,
    signs: true,
    paper: lynx(0.9, 1, 0.01, 0.9, 0.999, 0.01),
  },
  'more sensitive': {
    optimizer: emoLynx({ learningRate: 0.01, sensitivity: 2, beta1: 0.8, beta2: 0.95, weightDecay: 0.1 }),
    salt: 1.7,
    layout: 'matrices',
    signs: true,
    paper: lynx(1.7, 2, 0.01, 0.8, 0.95, 0.1),
  },
  'shadow parameters': {
    optimizer: emoLynx({ learningRate: 0.02, sensitivity: 8, weightDecay: 0.3, shadow: true }),
    salt: 1.2,
    signs: true,
    paper: lynx(1.2, 8, 0.02, 0.9, 0.999, 0.3, true),
  },
})

const fact =
  (salt: number, rate: number, beta1: number, beta2: number, epsilon: number, signs: boolean, sensitivity = 1) =>
  () => {
    const factor = response(salt, sensitivity, sensitivity > 1)
    return (tensors: readonly Tensor[], t: number) => {
      const c = factor(tensors, t)
      for (const { p, g, s, shape } of tensors) {
        const rows = shape.length < 2 ? 0 : shape[0]!
        const columns = rows === 0 ? 0 : p.length / rows
        const root = (squares: readonly number[]) => Math.sqrt(sum(squares) / squares.length + epsilon)
        for (let i = 0; i < rows; i++) {
          const squares = g.slice(i * columns, (i + 1) * columns).map((value) => value ** 2)
          s.r![i] = beta1 * s.r![i]! + (1 - beta1) * root(squares)
        }
        for (let j = 0; j < columns; j++) {
          const squares = g.filter((_, i) => i % columns === j).map((value) => value ** 2)
          s.k![j] = beta1 * s.k![j]! + (1 - beta1) * root(squares)
        }
        for (let i = 0; i < p.length; i++) {
          s.m![i] = beta1 * s.m![i]! + (1 - beta1) * g[i]!
          s.v![i] = beta1 * s.v![i]! + (1 - beta2) * g[i]! ** 2
          const size = rows > 0 ? Math.sqrt(s.r![Math.floor(i / columns)]! * s.k![i % columns]!) : Math.sqrt(s.v![i]!)
          const u = signs ? Math.sign(rows > 0 ? g[i]! : s.m![i]!) : g[i]! / (size + epsilon)
          p[i] = (1 - rate * 0.01) * p[i]! - rate * c * u
        }
      }
    }
  }

restate(emoFact, {
  'the defaults of the authors': {
    optimizer: emoFact({ learningRate: 0.002 }),
    salt: 0.2,
    paper: fact(0.2, 0.002, 0.9, 0.999, 1e-8, false),
  },
  'other rates': {
    optimizer: emoFact({ learningRate: 0.003, beta1: 0.7, beta2: 0.9, epsilon: 1e-4 }),
    salt: 1.9,
    paper: fact(1.9, 0.003, 0.7, 0.9, 1e-4, false),
  },
  signs: {
    optimizer: emoFact({ learningRate: 0.01, beta1: 0.8, signs: true }),
    salt: 2.6,
    signs: true,
    paper: fact(2.6, 0.01, 0.8, 0.999, 1e-8, true),
  },
  'shadow parameters': {
    optimizer: emoFact({ learningRate: 0.003, sensitivity: 8, shadow: true }),
    salt: 1.2,
    paper: fact(1.2, 0.003, 0.9, 0.999, 1e-8, false, 8),
  },
})
