import type { Evaluated, Probe } from './joined-parameters.ts'
import { dot, largest, moved } from './linear-algebra.ts'

/** A point along a direction: how far it is, and what the model says there. */
export interface Trial extends Evaluated {
  readonly step: number
  /** The derivative of the loss along the direction. */
  readonly slope: number
}

/** How the loss must fall: c₁ of Nocedal and Wright. */
const decrease = 1e-4
/** What may be left of the slope: c₂. */
const curvature = 0.9
const maximumTrials = 25

/** The line through a point, along a direction. */
export class Line {
  readonly start: Trial
  private readonly model: Probe
  private readonly origin: Float64Array
  private readonly direction: Float64Array

  constructor(model: Probe, origin: Float64Array, direction: Float64Array, found: Evaluated) {
    this.model = model
    this.origin = origin
    this.direction = direction
    this.start = { ...found, step: 0, slope: dot(found.gradient, direction) }
  }

  /** The largest change of a parameter in a step of length 1. */
  get extent(): number {
    return largest(this.direction)
  }

  point(step: number): Float64Array {
    return moved(this.origin, step, this.direction)
  }

  /** What the model says at a step; numbers that are not finite count as a loss that is too large. */
  async at(step: number): Promise<Trial> {
    const found = await this.model.at(this.point(step))
    const slope = dot(found.gradient, this.direction)
    const fine = Number.isFinite(found.loss) && Number.isFinite(slope)
    return fine ? { ...found, step, slope } : { ...found, loss: Number.POSITIVE_INFINITY, step, slope: Number.NaN }
  }

  /** Armijo's condition: L(x + t d) ≤ L(x) + c₁ t ⟨g, d⟩. */
  fallsEnough({ loss, step }: Trial): boolean {
    return loss <= this.start.loss + decrease * step * this.start.slope
  }

  /** |⟨∇L(x + t d), d⟩| ≤ c₂ |⟨g, d⟩|. */
  isFlatEnough({ slope }: Trial): boolean {
    return Math.abs(slope) <= -curvature * this.start.slope
  }
}

/**
 * Halves the step until Armijo's condition holds (Nocedal and Wright 2006, algorithm 3.1); after 25 trials it stays.
 */
export async function backtracking(line: Line, firstStep: number): Promise<Trial> {
  let step = firstStep
  for (let trials = 0; trials < maximumTrials; trials++) {
    const trial = await line.at(step)
    if (line.fallsEnough(trial)) return trial
    step /= 2
  }
  return line.start
}

/**
 * A step for which Armijo's condition and the strong curvature condition hold: an interval is sought that has one, and made
 * smaller by cubic interpolation (Nocedal and Wright 2006, algorithms 3.5 and 3.6, with the safeguards of PyTorch).
 *
 * @param tolerance the interval in which parameters move by less is small enough.
 */
export async function strongWolfe(line: Line, firstStep: number, tolerance: number): Promise<Trial> {
  let [before, trial] = [line.start, await line.at(firstStep)]
  let count = 0
  let bracket: [Trial, Trial] | undefined
  while (!bracket && count < maximumTrials) {
    if (!line.fallsEnough(trial) || (count > 1 && trial.loss >= before.loss)) bracket = [before, trial]
    else if (line.isFlatEnough(trial)) return trial
    else if (trial.slope >= 0) bracket = [before, trial]
    else {
      const least = trial.step + 0.01 * (trial.step - before.step)
      const next = cubicMinimum(before, trial, least, 10 * trial.step)
      ;[before, trial] = [trial, await line.at(next)]
      count++
    }
  }
  bracket ??= [line.start, trial]
  let low: 0 | 1 = lower(bracket)
  let slow = false
  while (count < maximumTrials) {
    const [least, most] = [bracket[0].step, bracket[1].step].sort((a, b) => a - b) as [number, number]
    if ((most - least) * line.extent < tolerance) break
    let step = cubicMinimum(...bracket, least, most)
    const margin = 0.1 * (most - least)
    // Twice in a row so near to an end is no progress.
    const near = Math.min(most - step, step - least) < margin
    if (near && (slow || step >= most || step <= least)) {
      step = Math.abs(step - most) < Math.abs(step - least) ? most - margin : least + margin
      slow = false
    } else slow = near
    trial = await line.at(step)
    count++
    const high = low === 0 ? 1 : 0
    if (!line.fallsEnough(trial) || trial.loss >= bracket[low].loss) {
      bracket[high] = trial
      low = lower(bracket)
      continue
    }
    if (line.isFlatEnough(trial)) return trial
    if (trial.slope * (bracket[high].step - bracket[low].step) >= 0) bracket[high] = bracket[low]
    bracket[low] = trial
  }
  return bracket[low]
}

function lower([a, b]: readonly [Trial, Trial]): 0 | 1 {
  return a.loss <= b.loss ? 0 : 1
}

/** The minimum of the cubic through losses and slopes of two trials, between two bounds, or the middle if there is none. */
function cubicMinimum(first: Trial, second: Trial, least: number, most: number): number {
  const [a, b] = first.step <= second.step ? [first, second] : [second, first]
  const d1 = a.slope + b.slope - (3 * (a.loss - b.loss)) / (a.step - b.step)
  const d2 = Math.sqrt(d1 ** 2 - a.slope * b.slope)
  const minimum = b.step - (b.step - a.step) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
  return Number.isNaN(minimum) ? (least + most) / 2 : Math.min(Math.max(minimum, least), most)
}
