import type { Problem } from './problem.ts'
import { dot, plus } from './vector.ts'

/** Where a line search begins. */
export interface Line {
  readonly x: Float64Array
  readonly value: number
  readonly gradient: Float64Array
  readonly direction: Float64Array
  /** The value one iteration before, from which the first step is guessed. */
  readonly previous: number
  /** Share of the decrease that the slope promises. Default 1e-4. */
  readonly decrease?: number
  /** Share of the slope that may be left. Default 0.9. */
  readonly curvature?: number
  /** No step is longer. */
  readonly longest?: number
  /** The first step, where a method knows better than to guess it from the last decrease. */
  readonly first?: number
}

/** A point that satisfies the conditions. */
export interface Found {
  readonly point: Float64Array
  readonly value: number
  readonly gradient: Float64Array
  readonly step: number
  /** The value went on going down however far the search went. */
  readonly endless?: boolean
}

interface Trial extends Found {
  readonly slope: number
}

const mostTrials = 40
/** How many trials may differ by rounding only from the lowest. */
const mostAlike = 4

/**
 * A step of the strong Wolfe conditions, as in J. Nocedal and S. Wright, Numerical Optimization (2006), algorithms 3.5 and 3.6, with
 * trial steps from the cubic through two values and slopes (3.59). Comes back from where the value is not finite.
 *
 * @returns undefined where no lower point is found.
 */
export function wolfe(problem: Problem, line: Line): Found | undefined {
  const { x, value, gradient, direction, previous, decrease = 1e-4, curvature = 0.9, longest = Infinity, first } = line
  const slope = dot(gradient, direction)
  if (!(slope < 0)) return undefined
  // Near a minimum values differ by rounding only; slopes still tell.
  const noise = Number.isFinite(value) ? 2 * Number.EPSILON * Math.abs(value) : 0
  let trials = 0
  const at = (step: number): Trial => {
    trials++
    const point = problem.within(plus(x, step, direction))
    const there = problem.value(point)
    // The slope of what is too high is asked for only where it is used, which it is not.
    if (!(there <= value + decrease * step * slope + noise)) {
      return { point, value: there, gradient, step, slope: Number.NaN }
    }
    const new_ = problem.gradient(point, there)
    return { point, value: there, gradient: new_, step, slope: dot(new_, direction) }
  }
  const low0: Trial = { point: x, value, gradient, step: 0, slope }

  /** Between a point that decreases enough and one that does not, or where the slope has turned. */
  const zoom = (lowest: Trial, other: Trial): Trial | undefined => {
    let [low, high] = [lowest, other]
    let alike = 0
    while (trials < mostTrials) {
      const step = between(low, high)
      if (step === low.step || step === high.step) break
      const trial = at(step)
      if (Math.abs(trial.value - low.value) <= noise && ++alike === mostAlike) break
      if (Number.isNaN(trial.slope) || trial.value > low.value + noise) high = trial
      else {
        if (Math.abs(trial.slope) <= -curvature * slope) return trial
        if (trial.slope * (high.step - low.step) >= 0) high = low
        low = trial
      }
    }
    return low.step > 0 ? low : undefined
  }

  let before = low0
  let step = Math.min(longest, first ?? firstStep(value, previous, slope))
  while (trials < mostTrials) {
    const trial = at(step)
    if (Number.isNaN(trial.slope) || (before.step > 0 && trial.value > before.value + noise)) return zoom(before, trial)
    if (Math.abs(trial.slope) <= -curvature * slope) return trial
    if (trial.slope >= 0) return zoom(trial, before)
    if (step >= longest || trial.value === -Infinity) return trial
    const next = extrapolated(before, trial)
    before = trial
    step = Math.min(longest, next)
  }
  return before.step > 0 ? { ...before, endless: true } : undefined
}

/** The step that would repeat the last decrease, at most 1: a quasi-Newton direction is as long as it should be. */
function firstStep(value: number, previous: number, slope: number): number {
  const guess = (1.01 * 2 * (value - previous)) / slope
  return guess > 0 ? Math.min(1, guess) : 1
}

/** The minimum of the cubic through values and slopes, or of a parabola where one slope is not known, kept off the ends. */
function between(low: Trial, high: Trial): number {
  const width = high.step - low.step
  let step = Number.NaN
  if (Number.isFinite(high.value)) {
    if (Number.isNaN(high.slope)) {
      step = low.step - (low.slope * width * width) / (2 * (high.value - low.value - low.slope * width))
    } else step = cubic(low, high)
  }
  const least = low.step + 0.1 * width
  const most = high.step - 0.1 * width
  const inside = Math.min(least, most) <= step && step <= Math.max(least, most)
  if (inside) return step
  if (Number.isNaN(step)) return low.step + 0.1 * width
  return Math.abs(step - least) < Math.abs(step - most) ? least : most
}

/** The next step outwards: where the cubic through two trials has its minimum, between 1.1 and 4 times as far again. */
function extrapolated(before: Trial, trial: Trial): number {
  const [near, far] = [trial.step + 1.1 * (trial.step - before.step), trial.step + 4 * (trial.step - before.step)]
  const step = cubic(before, trial)
  return step > near && step < far ? step : step >= far || Number.isNaN(step) ? far : near
}

function cubic(a: Trial, b: Trial): number {
  const d1 = a.slope + b.slope - (3 * (a.value - b.value)) / (a.step - b.step)
  const square = d1 * d1 - a.slope * b.slope
  if (square < 0) return Number.NaN
  const d2 = Math.sign(b.step - a.step) * Math.sqrt(square)
  return b.step - ((b.step - a.step) * (b.slope + d2 - d1)) / (b.slope - a.slope + 2 * d2)
}
