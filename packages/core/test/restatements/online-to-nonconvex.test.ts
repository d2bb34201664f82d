import { onlineToNonconvex } from 'fallline'
import { gradientAt } from '../../golden/problem.ts'
import { hashName, randomNumber } from '../../src/graph/philox.ts'
import { norm, restate, type Step, sum, type Tensor } from '../support/restate.ts'

type Learner = 'descent' | 'optimistic' | 'adaGrad' | 'followTheLeader'

interface Settings {
  readonly learner?: Learner
  readonly rate: number
  readonly beta: number
  readonly mu: number
  readonly radius: number
  readonly decay: number
  readonly seed: number
}

const uniform = (seed: number, step: number) =>
  randomNumber('uniform', { seed, step, draw: 0, tensor: hashName('onlineToNonconvex') }, 0)

/** An online learner over displacements that are not longer than the radius: gives the next one for a gradient. */
function learnerOf({ rate, beta, mu, radius, learner = 'descent' }: Settings) {
  let previous: readonly number[] | undefined
  let squares: number[] = []
  let leader: number[] = []
  return (delta: number[], g: readonly number[]): void => {
    squares = g.map((x, i) => (squares[i] ?? 0) + x ** 2)
    leader = g.map((x, i) => beta * (leader[i] ?? 0) + x)
    const hint = g.map((x, i) => 2 * x - (previous ?? g)[i]!)
    previous = [...g]
    for (let i = 0; i < delta.length; i++) {
      const step = { descent: g[i]!, optimistic: hint[i]!, adaGrad: g[i]! / (Math.sqrt(squares[i]!) + 1e-10) }
      delta[i] =
        learner === 'followTheLeader'
          ? (-rate * leader[i]!) / (1 + rate * mu)
          : ((delta[i]! - rate * step[learner]) * beta) / (1 + rate * mu)
    }
    const length = norm(delta)
    if (radius > 0 && length > radius) for (let i = 0; i < delta.length; i++) delta[i]! *= radius / length
  }
}

/** x is one vector; gradients at w = x₋ + (1 - s) Δ, between the last two points. */
function uniformSteps(salt: number, settings: Settings, visited: number[][] = []): Step {
  let delta: number[] | undefined
  const learn = learnerOf(settings)
  return (tensors, t) => {
    const x = tensors.flatMap(({ p }) => p)
    delta ??= x.map(() => 0)
    const s = 1 - uniform(settings.seed, t)
    const w = x.map((value, i) => value - delta![i]! + s * delta![i]!)
    visited.push(w)
    let offset = 0
    const g = tensors.flatMap(({ p }, k) => p.map((_, i) => gradientAt({ p: w[offset++]!, i, k, t, salt })))
    learn(delta, g)
    offset = 0
    for (const { p } of tensors) {
      for (let i = 0; i < p.length; i++) p[i] = p[i]! * (1 - settings.rate * settings.decay) + delta[offset++]!
    }
  }
}

function exponentialSteps(settings: Settings): Step {
  let delta: number[] | undefined
  const learn = learnerOf(settings)
  return (tensors, t) => {
    const g = tensors.flatMap((tensor) => tensor.g)
    delta ??= g.map(() => 0)
    learn(delta, g)
    const s = -Math.log(uniform(settings.seed, t))
    let offset = 0
    for (const { p } of tensors) {
      for (let i = 0; i < p.length; i++) p[i] = p[i]! * (1 - settings.rate * settings.decay) + s * delta[offset++]!
    }
  }
}

/** The conversion of the first paper with what it answers: the mean of the points of the last whole epoch, of all in the first. */
function answered(salt: number, epoch: number) {
  const visited: number[][] = []
  const settings = { learner: 'optimistic', rate: 0.02, beta: 1, mu: 0, radius: 0.2, decay: 0, seed: 0 } as const
  const offsets = new Map<unknown, number>()
  return {
    optimizer: onlineToNonconvex({
      scaling: 'uniform',
      learner: 'optimistic',
      learningRate: 0.02,
      beta: 1,
      radius: 0.2,
      averageSteps: epoch,
    }),
    salt,
    paper: () => {
      const step = uniformSteps(salt, settings, visited)
      return ((tensors, t) => {
        let offset = 0
        for (const tensor of tensors) {
          offsets.set(tensor, offset)
          offset += tensor.p.length
        }
        step(tensors, t)
      }) as Step
    },
    evaluation: (tensor: Tensor) => {
      const whole = Math.floor(visited.length / epoch) * epoch
      const points = whole === 0 ? visited : visited.slice(whole - epoch, whole)
      const offset = offsets.get(tensor)!
      return tensor.p.map((_, i) => sum(points.map((point) => point[offset + i]!)) / points.length)
    },
  }
}

restate(onlineToNonconvex, {
  defaults: {
    optimizer: onlineToNonconvex(),
    salt: 0,
    paper: () => exponentialSteps({ rate: 0.01, beta: 0.9, mu: 0, radius: 0, decay: 0, seed: 0 }),
  },
  'exponential scaling, all settings': {
    optimizer: onlineToNonconvex({ learningRate: 0.05, beta: 0.99, mu: 3, radius: 0.3, weightDecay: 0.1, seed: 8 }),
    salt: 0.4,
    paper: () => exponentialSteps({ rate: 0.05, beta: 0.99, mu: 3, radius: 0.3, decay: 0.1, seed: 8 }),
  },
  'the conversion of the first paper': {
    optimizer: onlineToNonconvex({ scaling: 'uniform', learningRate: 0.02, beta: 1, radius: 0.2 }),
    salt: 1.1,
    paper: () => uniformSteps(1.1, { rate: 0.02, beta: 1, mu: 0, radius: 0.2, decay: 0, seed: 0 }),
  },
  'uniform scaling, all settings': {
    optimizer: onlineToNonconvex({
      scaling: 'uniform',
      learningRate: 0.05,
      beta: 0.95,
      mu: 1,
      radius: 0.5,
      weightDecay: 0.2,
      seed: 21,
    }),
    salt: 2.3,
    layout: 'matrices',
    paper: () => uniformSteps(2.3, { rate: 0.05, beta: 0.95, mu: 1, radius: 0.5, decay: 0.2, seed: 21 }),
  },
  'the optimistic learner': {
    optimizer: onlineToNonconvex({ learner: 'optimistic', learningRate: 0.03, beta: 0.95, radius: 0.4 }),
    salt: 0.8,
    paper: () =>
      exponentialSteps({ learner: 'optimistic', rate: 0.03, beta: 0.95, mu: 0, radius: 0.4, decay: 0, seed: 0 }),
  },
  'AdaGrad as learner, between the points': {
    optimizer: onlineToNonconvex({ learner: 'adaGrad', scaling: 'uniform', learningRate: 0.05, beta: 1, radius: 0.2 }),
    salt: 1.5,
    paper: () => uniformSteps(1.5, { learner: 'adaGrad', rate: 0.05, beta: 1, mu: 0, radius: 0.2, decay: 0, seed: 0 }),
  },
  'following the leader': {
    optimizer: onlineToNonconvex({ learner: 'followTheLeader', learningRate: 0.01, mu: 2 }),
    salt: 2.6,
    paper: () =>
      exponentialSteps({ learner: 'followTheLeader', rate: 0.01, beta: 0.9, mu: 2, radius: 0, decay: 0, seed: 0 }),
  },
  'the answer: the average over the last epoch': answered(0.6, 7),
})
