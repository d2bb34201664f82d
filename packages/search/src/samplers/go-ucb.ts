import { wholeFrom } from '../check.ts'
import type { Random } from '../random.ts'
import type { Point } from '../space/dimension.ts'
import type { Space } from '../space/space.ts'
import { violation } from '../study/view.ts'
import {
  checkProcess,
  evenly,
  largestPoint,
  lossesOf,
  type ProcessOptions,
  standardized,
  worthFitting,
} from './parts/bayesian.ts'
import { bestTrials } from './parts/best-trials.ts'
import { minimize, type Slope } from './parts/minimize.ts'
import { factor, inner, solveLower, solveUpper } from './parts/triangular.ts'
import type { Sampler } from './sampler.ts'

/** A function of features with parameters, differentiable in the parameters. */
export interface ParametricFunction {
  /** How many parameters it has, by how many features. */
  parameters(features: number): number
  /** Its value and the gradient in the parameters, `[parameters]`. */
  slopeAt(parameters: ArrayLike<number>, features: ArrayLike<number>): Slope
}

/** How GO-UCB works. */
export interface GoUcbOptions extends ProcessOptions {
  /**
   * What is taken for the loss, in units of its deviation from its mean, as a function of the coordinates; choices are one-hot, and what
   * does not exist is 0. Default: a network with one hidden layer of 6 units.
   */
  readonly surrogate?: ParametricFunction
  /** By how many deviations of the residuals parameters may be off. Default: 2. */
  readonly confidence?: number
}

type State = { readonly method: string; readonly trials: number; readonly parameters: readonly number[] }

/**
 * GO-UCB: global optimization with a parametric function in place of a Gaussian process (Liu and Wang 2023, Global Optimization with
 * Parametric Function Approximation, arXiv 2211.09100). Parameters w0 are fitted to a first set of points drawn evenly, by least squares.
 * From then on, with g = grad f(x, w0), `Sigma = lambda I + sum g g'`, `w = Sigma^-1 (sum g (g' w0 + y - f(x, w0)) + lambda w0)`, and the
 * ball of parameters `(v - w)' Sigma (v - w) <= beta`, it proposes the point whose loss is smallest for the best parameters in the ball:
 * those at the end of the ball that the gradient points to, `v = w - sqrt(beta / g' Sigma^-1 g) Sigma^-1 g` with g = grad f(x, w).
 *
 * Here beta is the square of the confidence times the variance of the residuals, and w0 is fitted anew whenever the trials have doubled: the
 * first points of a network say little about it. Trials that violate constraints on the outcome count
 * with the largest loss. Open trials are taken to turn out as predicted.
 *
 * @throws RangeError for options out of their range
 */
export function goUcb({ surrogate = network(6), confidence = 2, ...options }: GoUcbOptions = {}): Sampler<State> {
  const method = 'goUcb'
  const { startup, largest } = checkProcess(method, options)
  if (!(confidence >= 0 && confidence < Infinity)) {
    throw new RangeError(`${method}: confidence must be a number from 0, not ${confidence}`)
  }
  return {
    name: method,
    propose(view, { random, state }) {
      const { space, ended, open } = view
      const complete = ended.filter(({ state }) => state === 'complete')
      if (complete.length < startup) return { kind: 'trial', point: evenly(space, 1, random)[0]! }
      const trials = worthFitting(ended, largest)
      const losses = lossesOf(trials).map((loss, index) => (violation(trials[index]!) > 0 ? Infinity : loss))
      const targets = standardized(losses).values
      const places = trials.map(({ point }) => featuresOf(space, point))
      const size = surrogate.parameters(places[0]!.length)
      const fits = state?.method === method && state.parameters.length === size && 2 * state.trials > complete.length
      const start = fits ? state.parameters : fitted(surrogate, places, targets, random)
      const learned = ballOf(
        surrogate,
        start,
        places,
        targets,
        open.map(({ point }) => featuresOf(space, point)),
      )
      const score = (point: Point) => -smallestIn(surrogate, learned, featuresOf(space, point), confidence)
      const around = bestTrials(trials, 5, 1).map(({ point }) => point)
      const point = largestPoint(view, score, around, random)
      return { kind: 'trial', point, ...(!fits && { state: { method, trials: complete.length, parameters: start } }) }
    },
  }
}

/** Weight of the squares of parameters against those of the residuals. */
const decay = 1e-3
/** Lambda, and the least variance that residuals are taken to have. */
const [ridge, leastVariance] = [1, 1e-4]
const starts = 3

/** Parameters of least squares, the best of several descents. */
export function fitted(
  surrogate: ParametricFunction,
  places: readonly Float64Array[],
  targets: readonly number[],
  random: Random,
): number[] {
  const size = surrogate.parameters(places[0]!.length)
  const slopeAt = (parameters: readonly number[]): Slope => {
    const gradient = parameters.map((value) => 2 * decay * value)
    let value = decay * parameters.reduce((sum, each) => sum + each * each, 0)
    for (const [index, features] of places.entries()) {
      const slope = surrogate.slopeAt(parameters, features)
      const residual = slope.value - targets[index]!
      value += residual * residual
      for (const [place, part] of slope.gradient.entries()) gradient[place]! += 2 * residual * part
    }
    return { value, gradient }
  }
  const found = Array.from({ length: starts }, () => {
    const start = Array.from({ length: size }, () => random.normal())
    const parameters = minimize(slopeAt, start, 60)
    return { parameters, value: slopeAt(parameters).value }
  })
  return found.reduce((a, b) => (b.value < a.value ? b : a)).parameters
}

/** The parameters of a confidence ball's middle, its shape and the variance of the residuals. */
export interface Ball {
  readonly middle: Float64Array
  /** The lower factor of Sigma. */
  readonly lower: readonly Float64Array[]
  readonly variance: number
}

/** The ball of parameters that fit what was observed, around those that were fitted first. */
export function ballOf(
  surrogate: ParametricFunction,
  start: readonly number[],
  places: readonly Float64Array[],
  targets: readonly number[],
  believed: readonly Float64Array[] = [],
): Ball {
  const size = start.length
  const sigma = start.map((_, row) => Float64Array.from(start, (_, column) => (row === column ? ridge : 0)))
  const right = Float64Array.from(start, (value) => ridge * value)
  const add = (features: Float64Array, target: number | null) => {
    const { value, gradient } = surrogate.slopeAt(start, features)
    const along = gradient.reduce((sum, part, index) => sum + part * start[index]!, 0)
    const residual = target === null ? 0 : target - value
    for (let row = 0; row < size; row++) {
      const part = gradient[row]!
      right[row]! += part * (along + residual)
      for (let column = 0; column < size; column++) sigma[row]![column]! += part * gradient[column]!
    }
  }
  for (const [index, features] of places.entries()) add(features, targets[index]!)
  for (const features of believed) add(features, null)
  const lower = factor(sigma)!
  const middle = solveUpper(lower, solveLower(lower, right))
  const squares = places.map((features, index) => (surrogate.slopeAt(middle, features).value - targets[index]!) ** 2)
  const variance = Math.max(leastVariance, squares.reduce((sum, value) => sum + value, 0) / squares.length)
  return { middle, lower, variance }
}

/** The loss at a point for the parameters of a ball that the gradient says are best for it. */
export function smallestIn(
  surrogate: ParametricFunction,
  { middle, lower, variance }: Ball,
  features: Float64Array,
  confidence: number,
): number {
  const { value, gradient } = surrogate.slopeAt(middle, features)
  const whitened = solveLower(lower, gradient)
  const length = Math.sqrt(inner(whitened, whitened))
  if (!(length > 0)) return value
  const step = (confidence * Math.sqrt(variance)) / length
  const direction = solveUpper(lower, whitened)
  return surrogate.slopeAt(
    middle.map((part, index) => part - step * direction[index]!),
    features,
  ).value
}

/** Coordinates of numbers, and choices one-hot; 0 where a dimension does not exist. */
function featuresOf(space: Space, point: Point): Float64Array {
  return Float64Array.from(
    space.dimensions.flatMap(({ domain }, index) => {
      const coordinate = point[index] ?? null
      if (domain.kind !== 'choice') return [coordinate === null ? 0 : 2 * coordinate - 1]
      return domain.values.map((_, value) => (coordinate === value ? 1 : 0))
    }),
  )
}

/**
 * A network with one hidden layer: `b + sum_j a_j tanh(c_j + sum_i w_ji x_i)`. Its parameters are, unit by unit, a, c and w, and b last.
 *
 * @throws RangeError for units that are no whole number from 1
 */
export function network(units: number): ParametricFunction {
  wholeFrom('network', 'units', units, 1)
  return {
    parameters: (features) => units * (features + 2) + 1,
    slopeAt(parameters, features) {
      const width = features.length + 2
      const gradient = new Array<number>(units * width + 1)
      let value = parameters[units * width]!
      gradient[units * width] = 1
      for (let unit = 0; unit < units; unit++) {
        const first = unit * width
        let sum = parameters[first + 1]!
        for (let index = 0; index < features.length; index++) sum += parameters[first + 2 + index]! * features[index]!
        const output = Math.tanh(sum)
        const back = parameters[first]! * (1 - output * output)
        value += parameters[first]! * output
        gradient[first] = output
        gradient[first + 1] = back
        for (let index = 0; index < features.length; index++) gradient[first + 2 + index] = back * features[index]!
      }
      return { value, gradient }
    },
  }
}
