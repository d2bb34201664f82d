import { earliest, type StudyPlan, type StudyRun, seedsOfStudy } from '../../src/protocol/study.ts'
import { shiftedSobol } from '../../src/search/sequence.ts'
import type { SearchSpace, Setting } from '../../src/search/space.ts'
import { levelOfLook } from '../../src/statistics/comparison.ts'
import { compareField } from '../../src/statistics/field.ts'
import type { FieldEntry } from '../../src/statistics/pairs.ts'
import { type Arrival, miss } from '../../src/statistics/ratios.ts'
import { nextRun } from './next-run.ts'

/** A small problem that trains in microseconds. */
export interface Problem {
  name: string
  /** Learning rate in the middle of what works. */
  rate: number
  targets: readonly number[]
  steps: number
  size: number
  start(x: Float64Array, seed: number): void
  gradient(x: Float64Array, g: Float64Array, seed: number, step: number): void
  metric(x: Float64Array): number
}

/** A number in (0, 1) from integers (the finalizer of MurmurHash3). */
function uniform(...key: number[]): number {
  let bits = 0x9e3779b9
  for (const value of key) {
    bits = Math.imul(bits ^ (value | 0), 0x85ebca6b)
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
    bits ^= bits >>> 16
  }
  return ((bits >>> 0) + 0.5) / 2 ** 32
}

const normal = (...key: number[]) =>
  Math.sqrt(-2 * Math.log(uniform(1, ...key))) * Math.cos(2 * Math.PI * uniform(2, ...key))

/** Draws of the standard normal distribution that all problems share; a seed begins somewhere in them. */
const draws = Float64Array.from({ length: 1 << 16 }, (_, index) => normal(index))
const drawAt = (index: number) => draws[index & 0xffff]!

const curvatures = Float64Array.from({ length: 8 }, (_, index) => 30 ** (index / 7))

/** Half the sum of h x², curvatures h from 1 to 30, with noise in the gradient. */
export const quadratic: Problem = {
  name: 'noisy quadratic',
  rate: 0.02,
  targets: [6, 4, 2.5, 1.6, 1, 0.7],
  steps: 60,
  size: 8,
  start(x, seed) {
    const from = Math.imul(seed, 7919)
    for (let i = 0; i < 8; i++) x[i] = 1.5 + 0.3 * drawAt(from + i)
  },
  gradient(x, g, seed, step) {
    const from = Math.imul(seed, 104729) + 8 * step
    for (let i = 0; i < 8; i++) g[i] = curvatures[i]! * x[i]! + Math.sqrt(curvatures[i]!) * 0.3 * drawAt(from + i)
  },
  metric(x) {
    let sum = 0
    for (let i = 0; i < 8; i++) sum += (curvatures[i]! * x[i]! * x[i]!) / 2
    return sum
  },
}

const rows = 96
const trained = 64
// Columns of falling scale, so that the fastest rate that is stable still takes a while.
const inputs = Float64Array.from({ length: 4 * rows }, (_, index) => normal(9, index) * 0.45 ** (index % 4))
const labels = Float64Array.from({ length: rows }, (_, row) =>
  inputs[4 * row]! - 2 * inputs[4 * row + 1]! + 5 * inputs[4 * row + 2]! + 0.5 * normal(8, row) > 0 ? 1 : 0,
)
const lossAt = (z: number, label: number) => Math.max(z, 0) - z * label + Math.log1p(Math.exp(-Math.abs(z)))
const drawnRows = Uint8Array.from(draws, (draw) => Math.floor(trained * ((draw * 1000 + 8000) % 1)))
const rowOf = (seed: number, step: number, b: number) =>
  drawnRows[(Math.imul(seed, 15485863) + 32 * step + b) & 0xffff]!

/** Logistic regression in 4 dimensions, batches of 32, from a wrong start. */
export const logistic: Problem = {
  name: 'logistic regression',
  rate: 6,
  targets: [0.38, 0.35, 0.33, 0.31, 0.3, 0.29],
  steps: 120,
  size: 4,
  start(x, seed) {
    for (let i = 0; i < 4; i++) x[i] = 0.1 * drawAt(Math.imul(seed, 7919) + i) - (i === 0 ? 1.5 : 0)
  },
  gradient(x, g, seed, step) {
    // Most of the time of the simulations goes here: numbers instead of loops over four.
    const [x0, x1, x2, x3] = x as unknown as [number, number, number, number]
    let [g0, g1, g2, g3] = [0, 0, 0, 0]
    for (let b = 0; b < 32; b++) {
      const row = rowOf(seed, step, b)
      const at = 4 * row
      const z = inputs[at]! * x0 + inputs[at + 1]! * x1 + inputs[at + 2]! * x2 + inputs[at + 3]! * x3
      const error = (1 / (1 + Math.exp(-z)) - labels[row]!) / 32
      g0 += error * inputs[at]!
      g1 += error * inputs[at + 1]!
      g2 += error * inputs[at + 2]!
      g3 += error * inputs[at + 3]!
    }
    g[0] = g0
    g[1] = g1
    g[2] = g2
    g[3] = g3
  },
  metric(x) {
    let sum = 0
    for (let row = trained; row < rows; row++) {
      let z = 0
      for (let i = 0; i < 4; i++) z += inputs[4 * row + i]! * x[i]!
      sum += lossAt(z, labels[row]!)
    }
    return sum / (rows - trained)
  },
}

const hidden = 3

/** A network of three tanh units that learns which points lie inside a ring: not convex. */
export const ring: Problem = {
  name: 'small network',
  rate: 1.2,
  targets: [0.66, 0.63, 0.6, 0.57, 0.54, 0.51],
  steps: 60,
  size: 4 * hidden + 1,
  start(x, seed) {
    for (let i = 0; i < x.length; i++) x[i] = 0.8 * drawAt(Math.imul(seed, 7919) + i)
  },
  gradient(x, g, seed, step) {
    g.fill(0)
    for (let b = 0; b < 4; b++) networkAt(x, rowOf(seed, step, b), g, 1 / 4)
  },
  metric(x) {
    let total = 0
    for (let row = trained; row < rows; row++) total += networkAt(x, row)
    return total / (rows - trained)
  },
}

const units = new Float64Array(hidden)

function networkAt(x: Float64Array, row: number, g?: Float64Array, weight = 1): number {
  const a = inputs[4 * row]!
  const b = inputs[4 * row + 1]!
  const label = a * a + b * b < 1.4 ? 1 : 0
  let z = x[4 * hidden]!
  for (let u = 0; u < hidden; u++) {
    units[u] = Math.tanh(x[4 * u]! * a + x[4 * u + 1]! * b + x[4 * u + 2]!)
    z += x[4 * u + 3]! * units[u]!
  }
  if (g) {
    const error = weight * (1 / (1 + Math.exp(-z)) - label)
    g[4 * hidden]! += error
    for (let u = 0; u < hidden; u++) {
      g[4 * u + 3]! += error * units[u]!
      const inner = error * x[4 * u + 3]! * (1 - units[u]! * units[u]!)
      g[4 * u]! += inner * a
      g[4 * u + 1]! += inner * b
      g[4 * u + 2]! += inner
    }
  }
  return lossAt(z, label)
}

/** A contender that is SGD with momentum; what sets it apart is known. */
export interface Known {
  name: string
  /** Its range lies that many times higher. */
  shift?: number
  /** Gradients that it pays for a step: its true ratio, exactly. */
  cost?: number
}

/**
 * Trains once: warm-up, cosine, momentum; when each target was reached, and the last metric. Targets fall, so that the
 * metric is of no interest between the last of them and the end; a run that has left the numbers does not come back.
 */
export function train(problem: Problem, setting: Setting, seed: number, cost = 1) {
  const x = new Float64Array(problem.size)
  const g = new Float64Array(problem.size)
  const m = new Float64Array(problem.size)
  problem.start(x, seed)
  const { steps, targets } = problem
  const reachedAt: number[] = []
  let last = Number.POSITIVE_INFINITY
  const warm = 3
  for (let step = 1; step <= steps; step++) {
    problem.gradient(x, g, seed, step)
    const share = step <= warm ? step / warm : 0.5 * (1 + Math.cos((Math.PI * (step - warm)) / (steps - warm)))
    for (let i = 0; i < x.length; i++) {
      m[i] = setting.momentum! * m[i]! + g[i]!
      x[i]! -= setting.learningRate! * share * m[i]!
    }
    if (reachedAt.length === targets.length && step < steps) continue
    last = problem.metric(x)
    while (reachedAt.length < targets.length && last <= targets[reachedAt.length]!) reachedAt.push(step)
  }
  const finished = Number.isFinite(last)
  const arrivals = targets.map((_, index): Arrival => {
    const by = finished ? reachedAt[index] : undefined
    return by === undefined ? miss : { after: cost * (by - 1), by: cost * by }
  })
  return { arrivals, validation: finished ? last : null }
}

export interface Protocol {
  claim: 'optimizers' | 'settings'
  studies: number
  trials: number
  finalists: number
  finalSeeds: number
  seeds: number
}

/** What a simulated contender found: the selected setting of every study, and its fresh runs. */
export interface Outcome {
  known: Known
  settings: Setting[]
  entry: FieldEntry
}

/** Runs the protocol of a race, as `race` does, on a problem that needs no compiling. */
export function simulate(problem: Problem, contenders: readonly Known[], protocol: Protocol, seed: number): Outcome[] {
  return contenders.map((known) => {
    const { name, shift = 1, cost = 1 } = known
    const space: SearchSpace = {
      learningRate: { scale: 'log', minimum: (problem.rate / 4) * shift, maximum: problem.rate * 4 * shift },
      momentum: { scale: 'choice', values: [0, 0.5] },
    }
    const settings: Setting[] = []
    const perStudy = Array.from({ length: protocol.studies }, (_, study) => {
      const drawn = seedsOfStudy(seed, study, protocol.finalSeeds, protocol.seeds)
      const plan: StudyPlan = {
        space,
        limits: {},
        sequence: shiftedSobol(Object.keys(space), seed, `study ${study} of ${name}`),
        trials: protocol.trials,
        finalists: protocol.finalists,
        finalSeeds: drawn.finals,
        tuningSeed: drawn.tuning,
        reportSeeds: drawn.reports,
        horizons: [1],
        direction: 'minimize',
      }
      const runs: StudyRun[] = []
      for (let next = nextRun(plan, runs); next !== null; next = nextRun(plan, runs)) {
        const result = train(problem, next.setting, next.seed, cost)
        runs.push({ ...next, ...result, outcome: result.validation === null ? 'diverged' : 'finished' })
      }
      const reports = runs.filter(({ phase }) => phase === 'report')
      settings.push(reports[0]?.setting ?? {})
      const fresh = drawn.reports.map((_, index) => reports[index]?.arrivals ?? problem.targets.map(() => miss))
      return fresh.map((arrivals) => earliest([arrivals], problem.targets.length))
    })
    const replicates = protocol.claim === 'settings' ? perStudy[0]!.map((run) => [run]) : perStudy
    const entry = { name, title: name, gradients: replicates, steps: replicates, code: name, ran: true, edge: false }
    return { known, settings, entry: { ...entry, costs: Array.from({ length: 9 }, () => 1) } }
  })
}

/** The two analyses of a simulated race at the first look. */
export function judge(outcomes: readonly Outcome[], { claim, trials }: Protocol) {
  return compareField(
    outcomes.map(({ entry }) => entry),
    { claim, level: levelOfLook(1), trials },
  )
}

/** Exact binomial interval (Clopper and Pearson 1934) at 95 %, by bisection of the tails. */
export function binomialInterval(successes: number, trials: number): [number, number] {
  const logFactorial = [0]
  for (let n = 1; n <= trials; n++) logFactorial.push(logFactorial[n - 1]! + Math.log(n))
  const atMost = (p: number, k: number) => {
    let sum = 0
    for (let i = 0; i <= k; i++) {
      const ways = logFactorial[trials]! - logFactorial[i]! - logFactorial[trials - i]!
      sum += Math.exp(ways + i * Math.log(p) + (trials - i) * Math.log1p(-p))
    }
    return sum
  }
  const solve = (holds: (p: number) => boolean) => {
    let [low, high] = [0, 1]
    for (let turn = 0; turn < 50; turn++) {
      const middle = (low + high) / 2
      if (holds(middle)) low = middle
      else high = middle
    }
    return low
  }
  return [
    successes === 0 ? 0 : solve((p) => 1 - atMost(p, successes - 1) < 0.025),
    successes === trials ? 1 : solve((p) => atMost(p, successes) > 0.025),
  ]
}
