import { wholeFrom } from '../../check.ts'
import type { Random } from '../../random.ts'
import type { Point } from '../../space/dimension.ts'
import type { Space } from '../../space/space.ts'
import { logNormalCumulative } from '../../statistics/normal.ts'
import { type SeenTrial, type View, violation } from '../../study/view.ts'
import { randomSearch } from '../random.ts'
import type { Sampler } from '../sampler.ts'
import { bestTrials } from './best-trials.ts'
import { fitHyperparameters, GaussianProcess } from './gaussian-process.ts'

/** What samplers with a Gaussian process have in common. */
export interface ProcessOptions {
  /** Complete trials before which points are drawn evenly. Default: 8. */
  readonly startup?: number
  /** Trials that the process is fitted to at most: half of them the best, half the newest. Default: 150. */
  readonly largest?: number
}

/** What Gaussian processes say of a view. */
export interface Learned {
  readonly space: Space
  /** Trials that the processes were fitted to, and what each counts with: losses of mean 0 and variance 1. */
  readonly trials: readonly SeenTrial[]
  readonly losses: readonly number[]
  /** The loss in its own unit that one of these stands for. */
  lossAt(loss: number): number
  /** Of the loss. */
  readonly model: GaussianProcess
  /** Of each constraint on the outcome, which is met at `bound` or below. */
  readonly constraints: readonly { readonly model: GaussianProcess; readonly bound: number }[]
  /** The smallest loss that meets all constraints, open trials with what is predicted for them; Infinity without one. */
  readonly best: number
  /** Points of the best trials. */
  readonly around: readonly Point[]
  /** The logarithm of the probability that a point meets all constraints. */
  logFeasible(point: Point): number
}

/**
 * A sampler that proposes the point with the most of something that Gaussian processes say. Points are drawn evenly until there are
 * complete trials enough. While nothing is feasible, the probability to be feasible alone counts; later it is added to the gain.
 *
 * @param gainOf gives the logarithm of what is to be largest
 * @param seenAs the view that processes are fitted to
 * @throws RangeError for options out of their range
 */
export function bayesian(
  name: string,
  options: ProcessOptions,
  gainOf: (learned: Learned, random: Random) => (point: Point) => number,
  seenAs = (view: View): View => view,
): Sampler<null> {
  const { startup, largest } = checkProcess(name, options)
  const first = randomSearch()
  // The study asks again with the same view when it cannot take a point.
  const known = new WeakMap<View, Learned>()
  return {
    name,
    propose(view, request) {
      const complete = view.ended.filter(({ state }) => state === 'complete')
      if (complete.length < startup) return first.propose(view, request)
      const learned = known.get(view) ?? learn(seenAs(view), largest)
      known.set(view, learned)
      const { best, around, logFeasible } = learned
      const gain = gainOf(learned, request.random)
      const score = (point: Point) => (best === Infinity ? 0 : gain(point)) + logFeasible(point)
      return { kind: 'trial', point: largestPoint(view, score, around, request.random) }
    },
  }
}

/** Fills in and checks options; throws RangeError as `wholeFrom` does. */
export function checkProcess(name: string, { startup = 8, largest = 150 }: ProcessOptions): Required<ProcessOptions> {
  for (const [option, value] of Object.entries({ startup, largest })) wholeFrom(name, option, value, 2)
  return { startup, largest }
}

/** Fits processes to the loss and to each constraint; there must be a complete trial. */
export function learn({ space, ended, open }: View, largest: number): Learned {
  const trials = worthFitting(ended, largest)
  const believed = pointsOf(open.slice(0, largest))
  const { values: losses, scale, mean } = standardized(lossesOf(trials))
  const { model, guesses } = modelOf(space, pointsOf(trials), losses, believed)
  const complete = trials.filter(({ state }) => state === 'complete')
  const names = Math.max(...complete.map(({ violations }) => violations.length))
  const constraints = Array.from({ length: names }, (_, index) => {
    const measured = complete.filter(({ violations }) => violations.length > index)
    const { values, bound } = scaledConstraint(measured.map(({ violations }) => violations[index]!))
    return { ...modelOf(space, pointsOf(measured), values, believed), bound }
  })
  const isFeasible = trials.map((trial) => trial.state === 'complete' && violation(trial) === 0)
  const hopes = guesses.filter((_, index) => constraints.every((each) => each.guesses[index]! <= each.bound))
  return {
    space,
    trials,
    losses,
    lossAt: (loss) => mean + scale * loss,
    model,
    constraints,
    best: Math.min(...losses.filter((_, index) => isFeasible[index]), ...hopes),
    around: pointsOf(bestTrials(trials, 5, 1)),
    logFeasible: (point) =>
      constraints.reduce((sum, { model, bound }) => {
        const { mean, variance } = model.predict(point)
        return sum + logNormalCumulative((bound - mean) / Math.sqrt(variance))
      }, 0),
  }
}

const pointsOf = (trials: readonly SeenTrial[]) => trials.map(({ point }) => point)

/** All trials that say something, or half the best and half the newest of them. */
export function worthFitting(ended: readonly SeenTrial[], largest: number): readonly SeenTrial[] {
  const told = ended.filter(
    ({ state, reports }) => state === 'complete' || state === 'failed' || (state === 'pruned' && reports.length > 0),
  )
  if (told.length <= largest) return told
  const kept = new Set([...bestTrials(told, largest >> 1, 1)])
  for (const trial of told.toReversed()) if (kept.size < largest) kept.add(trial)
  return told.filter((trial) => kept.has(trial))
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => (a === b ? 0 : a - b))
  return sorted[(sorted.length - 1) >> 1]!
}

/** The losses that trials count with: see `gaussianProcess`. */
export function lossesOf(trials: readonly SeenTrial[]): number[] {
  const middle = medianOf(trials.flatMap(({ state, losses }) => (state === 'complete' ? [losses![0]!] : [])))
  return trials.map(({ state, losses, reports }) => {
    if (state === 'complete') return losses![0]!
    const value = state === 'pruned' ? reports.at(-1)!.value : Infinity
    return Number.isNaN(value) ? Infinity : Math.max(value, middle)
  })
}

/** Losses with a mean of 0 and a variance of 1, in the same order. Infinite ones, and those far above the median, are cut. */
export function standardized(losses: readonly number[]): ReturnType<typeof scaledBy> {
  const finite = losses.filter(Number.isFinite)
  if (finite.length === 0) return { values: losses.map((loss) => (loss > 0 ? 1 : -1)), scale: 1, mean: 0 }
  const [least, middle] = [Math.min(...finite), medianOf(finite)]
  const cut = middle > least ? middle + 2 * (middle - least) : Math.max(...finite)
  const lowest = least - (cut - least)
  return scaledBy(losses.map((loss) => Math.min(cut, Math.max(lowest, loss))))
}

/** Values of a constraint in units of their deviation; `bound` is where 0 stands among them. */
function scaledConstraint(given: readonly number[]): { values: number[]; bound: number } {
  const finite = given.filter(Number.isFinite)
  const extent = Math.max(1, ...finite.map(Math.abs))
  const { values, scale, mean } = scaledBy(given.map((value) => Math.min(extent, Math.max(-extent, value))))
  return { values, bound: -mean / scale }
}

/** Values with a mean of 0 and a variance of 1: `(value - mean) / scale`. */
export function scaledBy(values: readonly number[]): { values: number[]; scale: number; mean: number } {
  // Divided first, so that numbers near the largest possible do not overflow.
  const size = Math.max(...values.map(Math.abs), Number.MIN_VALUE)
  const mean = size * (values.reduce((sum, value) => sum + value / size, 0) / values.length)
  const deviation =
    Math.sqrt(values.reduce((sum, value) => sum + ((value - mean) / size) ** 2, 0) / values.length) * size
  const scale = deviation > 0 ? deviation : size
  return { values: values.map((value) => (value - mean) / scale), scale, mean }
}

/** A process fitted to values, with what it predicts at points that are believed to turn out so. */
export function modelOf(
  space: Space,
  points: readonly Point[],
  targets: readonly number[],
  believed: readonly Point[],
): { model: GaussianProcess; guesses: readonly number[] } {
  const hyperparameters = fitHyperparameters(space, points, targets)
  const model = new GaussianProcess(space, points, targets, hyperparameters)
  if (believed.length === 0) return { model, guesses: [] }
  const guesses = believed.map((point) => model.predict(point).mean)
  const extended = new GaussianProcess(space, [...points, ...believed], [...targets, ...guesses], hyperparameters)
  return { model: extended, guesses }
}

/** Points drawn evenly. */
export function evenly(space: Space, count: number, random: Random): Point[] {
  return Array.from({ length: count }, () => space.fromCube(space.dimensions.map(() => random.uniform())))
}

const evenDraws = 500
const nearDraws = 50
const polished = 4
const polishing = 80

/** The best of many points that may be tried, the best few of which are first moved a little while that helps. */
export function largestPoint(
  view: View,
  acquisition: (point: Point) => number,
  around: readonly Point[],
  random: Random,
): Point {
  const { space } = view
  const rate = (point: Point) => ({ point, value: acquisition(point) })
  const even = evenly(space, evenDraws, random)
  const near = around.flatMap((point) =>
    Array.from({ length: nearDraws }, () => moved(space, point, 10 ** (-3 * random.uniform()), random)),
  )
  const rated = [...even, ...near].map(rate).sort((a, b) => (a.value === b.value ? 0 : b.value - a.value))
  const found = rated.slice(0, polished).map((start) => {
    let best = start
    let radius = 0.1
    for (let step = 0; step < polishing; step++) {
      const next = rate(moved(space, best.point, radius, random))
      const isBetter = next.value > best.value
      if (isBetter) best = next
      radius = Math.max(1e-5, radius * (isBetter ? 1.5 : 0.85))
    }
    return best
  })
  const order = [...found.sort((a, b) => (a.value === b.value ? 0 : b.value - a.value)), ...rated]
  const mayTry = untried(view)
  return (order.find(({ point }) => mayTry(point)) ?? order[0]!).point
}

/** Whether a point meets the constraints on parameters, and no open trial has it. */
export function untried({ space, open }: View): (point: Point) => boolean {
  const taken = new Set(open.map(({ point }) => point.join()))
  return (point) => !taken.has(point.join()) && space.violated(point) === null
}

/** A point nearby: numbers move by normal steps, one choice in as many as there are dimensions is drawn anew. */
export function moved(space: Space, point: Point, radius: number, random: Random): Point {
  const fresh = space.dimensions.map(({ domain }, index) => {
    if (domain.kind === 'choice') {
      const isKept = point[index] !== null && random.uniform() * space.dimensions.length > 1
      return isKept ? point[index]! : random.integer(0, domain.values.length - 1)
    }
    const coordinate = point[index] ?? null
    return coordinate === null ? random.uniform() : coordinate + radius * random.normal()
  })
  return space.settle(fresh)
}
