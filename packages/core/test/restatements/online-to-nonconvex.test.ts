import { onlineToNonconvex } from 'fallline'
import { gradientAt } from '../../golden/problem.ts'
import { hashName, randomNumber } from '../../src/graph/philox.ts'
import { norm, restate, type Step } from '../support/restate.ts'

interface Settings {
  readonly rate: number
  readonly beta: number
  readonly mu: number
  readonly radius: number
  readonly decay: number
  readonly seed: number
}

const uniform = (seed: number, step: number) =>
  randomNumber('uniform', { seed, step, draw: 0, tensor: hashName('onlineToNonconvex') }, 0)

/** Projected gradient descent over displacements. */
function learn(delta: number[], g: readonly number[], { rate, beta, mu, radius }: Settings): void {
  for (let i = 0; i < delta.length; i++) delta[i] = ((delta[i]! - rate * g[i]!) * beta) / (1 + rate * mu)
  const length = norm(delta)
  if (radius > 0 && length > radius) for (let i = 0; i < delta.length; i++) delta[i]! *= radius / length
}

/** x is one vector; gradients at w = x₋ + (1 - s) Δ, between the last two points. */
function uniformSteps(salt: number, settings: Settings): Step {
  let delta: number[] | undefined
  return (tensors, t) => {
    const x = tensors.flatMap(({ p }) => p)
    delta ??= x.map(() => 0)
    const s = 1 - uniform(settings.seed, t)
    const w = x.map((value, i) => value - delta![i]! + s * delta![i]!)
    let offset = 0
    const g = tensors.flatMap(({ p }, k) => p.map((_, i) => gradientAt({ p: w[offset++]!, i, k, t, salt })))
    learn(delta, g, settings)
    offset = 0
    for (const { p } of tensors) {
      for (let i = 0; i < p.length; i++) p[i] = p[i]! * (1 - settings.rate * settings.decay) + delta[offset++]!
    }
  }
}

function exponentialSteps(settings: Settings): Step {
  let delta: number[] | undefined
  return (tensors, t) => {
    const g = tensors.flatMap((tensor) => tensor.g)
    delta ??= g.map(() => 0)
    learn(delta, g, settings)
    const s = -Math.log(uniform(settings.seed, t))
    let offset = 0
    for (const { p } of tensors) {
      for (let i = 0; i < p.length; i++) p[i] = p[i]! * (1 - settings.rate * settings.decay) + s * delta[offset++]!
    }
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
})
