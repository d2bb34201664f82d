import {
  adaptiveBraking,
  adaptiveGradientClipping,
  addNoise,
  clipByRootMeanSquare,
  compile,
  normalizeGradients,
  orthoGrad,
  sgd,
  zClip,
} from 'fallline'
import { expect, it } from 'vitest'
import { norm, restate, type Step, sum, type Tensor } from '../support/restate.ts'

/** SGD, with momentum or without, on what `change` makes of the gradients of all tensors. */
function descend(rate: number, momentum: number, change: (tensors: readonly Tensor[], t: number) => number[][]): Step {
  return (tensors, t) => {
    const gradients = change(tensors, t)
    tensors.forEach(({ p, s }, k) => {
      for (let i = 0; i < p.length; i++) {
        s.m![i] = momentum * s.m![i]! + gradients[k]![i]!
        p[i]! -= rate * s.m![i]!
      }
    })
  }
}

const dot = (a: readonly number[], b: readonly number[]) => sum(a.map((value, i) => value * b[i]!))
const scaled = (values: readonly number[], factor: number) => values.map((value) => value * factor)

const orthogonal = (tensors: readonly Tensor[]) =>
  tensors.map(({ p, g }) => {
    if (p.length === 1) return g
    const share = dot(p, g) / dot(p, p)
    const u = g.map((value, i) => value - share * p[i]!)
    return scaled(u, norm(g) / norm(u))
  })

restate(orthoGrad, {
  'around SGD': {
    optimizer: orthoGrad(sgd({ learningRate: 0.02, momentum: 0 })),
    salt: 0.9,
    paper: () => descend(0.02, 0, orthogonal),
  },
  'around momentum': {
    optimizer: orthoGrad(sgd({ learningRate: 0.01, momentum: 0.8 })),
    salt: 2.5,
    layout: 'matrices',
    paper: () => descend(0.01, 0.8, orthogonal),
  },
})

/** Units are slices along the first dimension, as in the authors' `unitwise_norm` for weights stored output first. */
const clippedByUnit = (clipping: number, epsilon: number) => (tensors: readonly Tensor[]) =>
  tensors.map(({ p, g, shape }) => {
    const size = shape.length < 2 ? p.length : p.length / shape[0]!
    const result: number[] = []
    for (let from = 0; from < p.length; from += size) {
      const unit = g.slice(from, from + size)
      const bound = clipping * Math.max(norm(p.slice(from, from + size)), epsilon)
      result.push(...(norm(unit) > bound ? scaled(unit, bound / norm(unit)) : unit))
    }
    return result
  })

restate(adaptiveGradientClipping, {
  'a bound that always acts': {
    optimizer: adaptiveGradientClipping(sgd({ learningRate: 0.5, momentum: 0.5 })),
    salt: 1.3,
    paper: () => descend(0.5, 0.5, clippedByUnit(0.01, 1e-3)),
  },
  'a bound that acts on some units': {
    optimizer: adaptiveGradientClipping(sgd({ learningRate: 0.02, momentum: 0 }), { clipping: 0.8, epsilon: 0.9 }),
    salt: 0.2,
    paper: () => descend(0.02, 0, clippedByUnit(0.8, 0.9)),
  },
})

/** The momentum v here is the one of SGD itself, which the paper has only once. */
const braked =
  (braking: number, per: 'filter' | 'tensor' = 'filter') =>
  (tensors: readonly Tensor[]) =>
    tensors.map(({ g, s, shape }) => {
      const size = per === 'filter' && shape.length > 1 ? g.length / shape[0]! : g.length
      const result: number[] = []
      for (let from = 0; from < g.length; from += size) {
        const [filter, v] = [g.slice(from, from + size), s.m!.slice(from, from + size)]
        const lengths = norm(filter) * norm(v)
        result.push(...scaled(filter, 1 - (lengths > 0 ? (braking * dot(filter, v)) / lengths : 0)))
      }
      return result
    })

restate(adaptiveBraking, {
  'around SGD with the same momentum': {
    optimizer: adaptiveBraking(sgd({ learningRate: 0.02, momentum: 0.9 })),
    salt: 1.6,
    paper: () => descend(0.02, 0.9, braked(0.2)),
  },
  'stronger, with less momentum': {
    optimizer: adaptiveBraking(sgd({ learningRate: 0.05, momentum: 0.6 }), { braking: 1.5, momentum: 0.6 }),
    salt: 2.7,
    layout: 'matrices',
    paper: () => descend(0.05, 0.6, braked(1.5)),
  },
  'with one cosine for each tensor': {
    optimizer: adaptiveBraking(sgd({ learningRate: 0.05, momentum: 0.8 }), { momentum: 0.8, per: 'tensor' }),
    salt: 0.7,
    paper: () => descend(0.05, 0.8, braked(0.2, 'tensor')),
  },
})

const byRootMeanSquare = (maximum: number) => (tensors: readonly Tensor[]) =>
  tensors.map(({ g }) => {
    const size = norm(g) / Math.sqrt(g.length)
    return size > maximum ? scaled(g, maximum / size) : g
  })

restate(clipByRootMeanSquare, {
  'a bound that always acts': {
    optimizer: clipByRootMeanSquare(sgd({ learningRate: 0.1, momentum: 0.5 }), { maximum: 0.05 }),
    salt: 0.3,
    paper: () => descend(0.1, 0.5, byRootMeanSquare(0.05)),
  },
  'a bound that acts at times': {
    optimizer: clipByRootMeanSquare(sgd({ learningRate: 0.05, momentum: 0 }), { maximum: 0.6 }),
    salt: 1.9,
    paper: () => descend(0.05, 0, byRootMeanSquare(0.6)),
  },
})

/** The official ZClip: mode zscore with adaptive_scaling, norms gathered in a list during warm-up. */
function zClipped(alpha: number, threshold: number, warmupSteps: number, epsilon: number) {
  const buffer: number[] = []
  let [mean, variance] = [0, 0]
  return (tensors: readonly Tensor[]) => {
    const size = norm(tensors.flatMap(({ g }) => g))
    if (buffer.length < warmupSteps) {
      buffer.push(size)
      mean = sum(buffer) / buffer.length
      variance = sum(buffer.map((value) => (value - mean) ** 2)) / buffer.length
      return tensors.map(({ g }) => g)
    }
    const deviation = Math.sqrt(variance)
    const z = (size - mean) / (deviation + epsilon)
    const clipped = z > threshold ? mean + (threshold ** 2 * deviation) / z : size
    mean = alpha * mean + (1 - alpha) * clipped
    variance = alpha * variance + (1 - alpha) * (clipped - mean) ** 2
    return tensors.map(({ g }) => scaled(g, clipped / size))
  }
}

restate(zClip, {
  'a low threshold': {
    optimizer: zClip(sgd({ learningRate: 0.02, momentum: 0.5 }), { warmupSteps: 5, threshold: 0.4, alpha: 0.9 }),
    salt: 0.6,
    paper: () => descend(0.02, 0.5, zClipped(0.9, 0.4, 5, 1e-6)),
  },
  'norms that grow': {
    optimizer: zClip(sgd({ learningRate: 0.02, momentum: 0, maximize: true }), {
      warmupSteps: 10,
      threshold: 1,
      alpha: 0.7,
      epsilon: 0.01,
    }),
    salt: 1.1,
    layout: 'matrices',
    paper: () => descend(-0.02, 0, zClipped(0.7, 1, 10, 0.01)),
  },
})

const normalized = (tensors: readonly Tensor[]) => {
  const length = norm(tensors.map(({ g }) => norm(g)))
  return tensors.map(({ g }) => scaled(g, 1 / length))
}

restate(normalizeGradients, {
  'around SGD': {
    optimizer: normalizeGradients(sgd({ learningRate: 0.05, momentum: 0 })),
    salt: 0.7,
    paper: () => descend(0.05, 0, normalized),
  },
  'around momentum': {
    optimizer: normalizeGradients(sgd({ learningRate: 0.02, momentum: 0.9 })),
    salt: 1.6,
    layout: 'matrices',
    paper: () => descend(0.02, 0.9, normalized),
  },
})

it('addNoise: the noise is normal, fades as its paper says, and follows the seed', async () => {
  const drawn = async (seed: number) => {
    const rule = addNoise(sgd({ learningRate: 1 }), { variance: 0.25, fading: 0.5, seed })
    const optimizer = await compile(rule, { w: [20000] })
    const steps: Float32Array[] = []
    for (let step = 1; step <= 16; step++) {
      const before = optimizer.parameters.w.slice()
      optimizer.gradients.w.fill(3)
      optimizer.step()
      steps.push(Float32Array.from(before, (value, i) => value - optimizer.parameters.w[i]! - 3))
    }
    return steps
  }
  const steps = await drawn(1)
  for (const step of [1, 4, 16]) {
    const noise = [...steps[step - 1]!]
    const variance = 0.25 / Math.sqrt(step)
    // Ten standard errors of 20,000 draws.
    expect(Math.abs(sum(noise) / noise.length)).toBeLessThan(10 * Math.sqrt(variance / noise.length))
    const found = sum(noise.map((value) => value ** 2)) / noise.length
    expect(Math.abs(found / variance - 1)).toBeLessThan(10 * Math.sqrt(2 / noise.length))
    const fourth = sum(noise.map((value) => value ** 4)) / noise.length
    expect(fourth / found ** 2).toBeCloseTo(3, 0)
  }
  expect(await drawn(1)).toEqual(steps)
  expect(await drawn(2)).not.toEqual(steps)
})
