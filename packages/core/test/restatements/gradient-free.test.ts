import {
  evolutionStrategies,
  linear,
  mezo,
  randomizedSmoothing,
  sgd,
  similarTriangles,
  zoAdaMU,
  zoFrankWolfe,
  zoRankSGD,
} from 'fallline'
import { lossAt, total } from '../../golden/problem.ts'
import { hashName, randomNumber } from '../../src/graph/philox.ts'
import { norm, restate, type Step, type Tensor } from '../support/restate.ts'

/** All parameters as one vector of every tensor. */
type Vector = readonly (readonly number[])[]

const map = (vector: Vector, change: (value: number, k: number, i: number) => number): number[][] =>
  vector.map((values, k) => values.map((value, i) => change(value, k, i)))
const plus = (a: Vector, b: Vector, factor = 1) => map(a, (value, k, i) => value + factor * b[k]![i]!)
const parametersOf = (tensors: readonly Tensor[]): number[][] => tensors.map(({ p }) => [...p])
const write = (tensors: readonly Tensor[], vector: Vector) => {
  tensors.forEach(({ p }, k) => {
    for (let i = 0; i < p.length; i++) p[i] = vector[k]![i]!
  })
}

/** N(0, 1) for every parameter. */
function normal(name: string, like: Vector, seed: number, step: number, draw = 0): number[][] {
  const streams = like.map((_, k) => ({ seed, step, draw, tensor: hashName(`tensor${k}/${name}`) }))
  return map(like, (_, k, i) => randomNumber('normal', streams[k]!, i))
}

function mezoAsWritten(salt: number, rate: number, epsilon: number, decay: number, seed: number): Step {
  return (tensors, t) => {
    const theta = parametersOf(tensors)
    const z = normal('mezo', theta, seed, t)
    const above = total(lossAt, plus(theta, z, epsilon), t, salt)
    const below = total(lossAt, plus(theta, z, -epsilon), t, salt)
    const projected = (above - below) / (2 * epsilon)
    write(
      tensors,
      map(theta, (value, k, i) => value - rate * (projected * z[k]![i]! + decay * value)),
    )
  }
}

restate(mezo, {
  'a small rate': {
    optimizer: mezo({ learningRate: 0.003, epsilon: 0.05 }),
    salt: 0,
    paper: () => mezoAsWritten(0, 0.003, 0.05, 0, 0),
  },
  'decay and another seed': {
    optimizer: mezo({ learningRate: 0.002, epsilon: 0.1, weightDecay: 0.3, decay: 'coupled', seed: 41 }),
    salt: 1.3,
    paper: () => mezoAsWritten(1.3, 0.002, 0.1, 0.3, 41),
  },
  'one wide matrix': {
    optimizer: mezo({ learningRate: 0.0005, epsilon: 0.1, seed: 4294967295 }),
    salt: 0.5,
    layout: 'large',
    paper: () => mezoAsWritten(0.5, 0.0005, 0.1, 0, 4294967295),
  },
})

function zoAdaMUAsWritten(salt: number, rate: number, epsilon: number, explore: number, steps: number, decay: number) {
  const anneal = (t: number, phase: number) => {
    if (t <= explore) return 1
    const progress = Math.min((t - explore) / (steps - explore), 0.8)
    return 0.5 + 0.5 * Math.cos(Math.PI * phase * progress)
  }
  let history: number[][] | undefined
  const step: Step = (tensors, t) => {
    const theta = parametersOf(tensors)
    history ??= map(theta, () => 0)
    const [alpha, beta1, beta2] = [anneal(t, 1), anneal(t, 0.1), anneal(t, 1.5)]
    const first = normal('zoAdaMU', theta, 7, t, 0)
    const second = normal('zoAdaMU', theta, 7, t, 1)
    const fresh = map(first, (value) => Math.sqrt(alpha) * value)
    const remembered = map(history, (mean, k, i) => mean + Math.sqrt(1 - alpha) * second[k]![i]!)
    const z = map(fresh, (value, k, i) => beta1 * value + (1 - beta1) * remembered[k]![i]!)
    const above = total(lossAt, plus(theta, z, epsilon), t, salt)
    const below = total(lossAt, plus(theta, z, -epsilon), t, salt)
    const projected = (above - below) / (2 * epsilon)
    const next = map(theta, (value, k, i) => {
      const v = beta2 * fresh[k]![i]! ** 2 + (1 - beta2) * remembered[k]![i]! ** 2
      return value - rate * ((projected * z[k]![i]!) / Math.sqrt(v + 1e-8) + decay * value)
    })
    write(tensors, next)
    history = map(z, (value) => Math.sign(projected) * value)
  }
  return step
}

restate(zoAdaMU, {
  'all three phases': {
    optimizer: zoAdaMU({ learningRate: 0.002, epsilon: 0.1, exploration: 5, steps: 50, seed: 7 }),
    salt: 0,
    paper: () => zoAdaMUAsWritten(0, 0.002, 0.1, 5, 50, 0),
  },
  'decay, annealing to the end': {
    optimizer: zoAdaMU({ learningRate: 0.001, epsilon: 0.05, exploration: 20, steps: 70, weightDecay: 0.2, seed: 7 }),
    salt: 2.1,
    paper: () => zoAdaMUAsWritten(2.1, 0.001, 0.05, 20, 70, 0.2),
  },
  'exploration only': {
    optimizer: zoAdaMU({ learningRate: 0.002, epsilon: 0.1, seed: 7 }),
    salt: 0.4,
    paper: () => zoAdaMUAsWritten(0.4, 0.002, 0.1, 1024, 20000, 0),
  },
})

function rankSGD(salt: number, rate: number, epsilon: number, points: number, best: number): Step {
  return (tensors, t) => {
    const theta = parametersOf(tensors)
    const z = Array.from({ length: points }, (_, point) => normal('zoRankSGD', theta, 3, t, point))
    const losses = z.map((direction) => total(lossAt, plus(theta, direction, epsilon), t, salt))
    const order = losses.map((_, point) => point).sort((a, b) => losses[a]! - losses[b]! || a - b)
    const edges: [better: number, worse: number][] = []
    for (let place = 0; place < Math.min(best, points); place++) {
      for (const worse of order.slice(place + 1)) edges.push([order[place]!, worse])
    }
    let next = theta
    for (const [better, worse] of edges) {
      const towards = plus(z[worse]!, z[better]!, -1)
      next = plus(next, towards, -rate / edges.length)
    }
    write(tensors, next)
  }
}

restate(zoRankSGD, {
  defaults: {
    optimizer: zoRankSGD({ learningRate: 0.02, seed: 3 }),
    salt: 0,
    paper: () => rankSGD(0, 0.02, 0.1, 8, 4),
  },
  'the best of two': {
    optimizer: zoRankSGD({ learningRate: 0.01, epsilon: 0.5, points: 2, best: 1, seed: 3 }),
    salt: 0.9,
    paper: () => rankSGD(0.9, 0.01, 0.5, 2, 1),
  },
  'all ranks known': {
    optimizer: zoRankSGD({ learningRate: 0.05, epsilon: 0.3, points: 5, best: 5, seed: 3 }),
    salt: 1.7,
    layout: 'matrices',
    paper: () => rankSGD(1.7, 0.05, 0.3, 5, 5),
  },
})

type Ball = 'infinity' | 'euclidean' | 'one'

function frankWolfe(salt: number, ball: Ball, radius: number, smoothing: number, rate: number): Step {
  let average: number[][] | undefined
  return (tensors, t) => {
    const x = parametersOf(tensors)
    average ??= map(x, () => 0)
    const count = x.flat().length
    const width = smoothing / (t + 8) ** (1 / 3)
    const z = normal('zoFrankWolfe', x, 11, t)
    const slope = (total(lossAt, plus(x, z, width), t, salt) - total(lossAt, x, t, salt)) / width
    const rho = Math.min(1, 4 / ((1 + count) ** (1 / 3) * (t + 8) ** (2 / 3)))
    average = map(average, (value, k, i) => (1 - rho) * value + rho * slope * z[k]![i]!)
    const flat = average.flat()
    const length = norm(flat)
    const largest = Math.max(...flat.map(Math.abs))
    const corner = map(average, (value) => {
      if (ball === 'infinity') return -radius * Math.sign(value)
      if (ball === 'euclidean') return (-radius * value) / length
      return Math.abs(value) === largest ? -radius * Math.sign(value) : 0
    })
    const gamma = (rate * 2) / (t + 8)
    write(
      tensors,
      map(x, (value, k, i) => (1 - gamma) * value + gamma * corner[k]![i]!),
    )
  }
}

restate(zoFrankWolfe, {
  infinity: {
    optimizer: zoFrankWolfe({ seed: 11 }),
    salt: 0,
    signs: true,
    paper: () => frankWolfe(0, 'infinity', 1, 1, 1),
  },
  euclidean: {
    optimizer: zoFrankWolfe({ ball: 'euclidean', radius: 4, smoothing: 0.2, seed: 11 }),
    salt: 0.8,
    paper: () => frankWolfe(0.8, 'euclidean', 4, 0.2, 1),
  },
  one: {
    optimizer: zoFrankWolfe({ ball: 'one', radius: 20, smoothing: 0.5, learningRate: 0.7, seed: 11 }),
    salt: 1.2,
    signs: true,
    paper: () => frankWolfe(1.2, 'one', 20, 0.5, 0.7),
  },
})

/** The estimate that a transform makes, in front of SGD with momentum 0.5. */
function descend(estimate: (theta: Vector, t: number) => Vector, rate: number): Step {
  return (tensors, t) => {
    const g = estimate(parametersOf(tensors), t)
    tensors.forEach(({ p, s }, k) => {
      for (let i = 0; i < p.length; i++) {
        s.b![i] = 0.5 * s.b![i]! + g[k]![i]!
        p[i]! -= rate * s.b![i]!
      }
    })
  }
}

function strategies(
  salt: number,
  sigma: number,
  pairs: number,
  form: 'fresh' | 'persistent' | 'single',
  episode: number,
) {
  const draw = (theta: Vector, step: number, pair: number) => normal('evolutionStrategies/sgd', theta, 5, step, pair)
  return (theta: Vector, t: number): Vector => {
    const episodeNumber = Math.floor((t - 1) / episode)
    let g = map(theta, () => 0)
    for (let pair = 0; pair < pairs; pair++) {
      const z = draw(theta, form === 'single' ? episodeNumber : t, pair)
      const slope = total(lossAt, plus(theta, z, sigma), t, salt) - total(lossAt, plus(theta, z, -sigma), t, salt)
      let zeta = z
      if (form === 'persistent') {
        zeta = map(theta, () => 0)
        for (let step = episodeNumber * episode + 1; step <= t; step++) zeta = plus(zeta, draw(theta, step, pair))
      }
      g = plus(g, zeta, slope / (2 * sigma * pairs))
    }
    return g
  }
}

const inner = (learningRate: number) => sgd({ learningRate, momentum: 0.5 })

restate(evolutionStrategies, {
  fresh: {
    optimizer: evolutionStrategies(inner(0.005), { seed: 5 }),
    salt: 0,
    paper: () => descend(strategies(0, 0.1, 8, 'fresh', 1), 0.005),
  },
  persistent: {
    optimizer: evolutionStrategies(inner(0.001), {
      sigma: 0.3,
      pairs: 3,
      perturbation: 'persistent',
      episode: 4,
      seed: 5,
    }),
    salt: 0.7,
    paper: () => descend(strategies(0.7, 0.3, 3, 'persistent', 4), 0.001),
  },
  single: {
    optimizer: evolutionStrategies(inner(0.002), { sigma: 0.2, pairs: 4, perturbation: 'single', episode: 7, seed: 5 }),
    salt: 1.1,
    paper: () => descend(strategies(1.1, 0.2, 4, 'single', 7), 0.002),
  },
})

function smoothed(salt: number, radius: number, pairs: number) {
  return (theta: Vector, t: number): Vector => {
    let g = map(theta, () => 0)
    for (let pair = 0; pair < pairs; pair++) {
      const z = normal('randomizedSmoothing/sgd', theta, 9, t, pair)
      const e = map(z, (value) => value / norm(z.flat()))
      const slope = total(lossAt, plus(theta, e, radius), t, salt) - total(lossAt, plus(theta, e, -radius), t, salt)
      g = plus(g, e, (theta.flat().length * slope) / (2 * radius * pairs))
    }
    return g
  }
}

restate(randomizedSmoothing, {
  'four pairs': {
    optimizer: randomizedSmoothing(inner(0.005), { radius: 0.5, seed: 9 }),
    salt: 0,
    paper: () => descend(smoothed(0, 0.5, 4), 0.005),
  },
  'one pair': {
    optimizer: randomizedSmoothing(inner(0.002), { radius: 0.2, pairs: 1, seed: 9 }),
    salt: 1.4,
    layout: 'matrices',
    paper: () => descend(smoothed(1.4, 0.2, 1), 0.002),
  },
})

/** Three sequences: gradients at y, steps of u, the answer x; α and y are chosen together. */
function triangles(rateAt: (t: number) => number, decay: number): Step {
  let points: { u: number[]; x: number[] }[] | undefined
  let [weight, alpha] = [0, rateAt(1)]
  return (tensors, t) => {
    points ??= tensors.map(({ p }) => ({ u: [...p], x: [...p] }))
    const total = weight + alpha
    const following = rateAt(t) / 2 + Math.sqrt(rateAt(t) ** 2 / 4 + rateAt(t) * total)
    tensors.forEach(({ p, g, s }, k) => {
      const { u, x } = points![k]!
      for (let i = 0; i < p.length; i++) {
        u[i]! -= alpha * (g[i]! + decay * p[i]!)
        x[i] = (alpha * u[i]! + weight * x[i]!) / total
        p[i] = (following * u[i]! + total * x[i]!) / (total + following)
        s.x![i] = x[i]!
      }
    })
    weight = total
    alpha = following
  }
}

restate(similarTriangles, {
  'a constant rate': {
    optimizer: similarTriangles({ learningRate: 0.1 }),
    salt: 0,
    paper: () => triangles(() => 0.1, 0),
    evaluation: ({ s }) => s.x!,
  },
  'a falling rate and decay': {
    optimizer: similarTriangles({ learningRate: linear({ from: 0.2, to: 0.02, steps: 50 }), weightDecay: 0.2 }),
    salt: 1.6,
    paper: () => triangles((t) => linear({ from: 0.2, to: 0.02, steps: 50 }).at(t), 0.2),
    evaluation: ({ s }) => s.x!,
  },
})
