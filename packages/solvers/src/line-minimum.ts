/** An interval of steps and a function of the step. */
export interface Along {
  readonly value: (step: number) => number
  /** The value at step zero, which lies within the interval. */
  readonly origin: number
  readonly lower: number
  readonly upper: number
  /** Relative accuracy of the step. */
  readonly accuracy: number
}

export interface Step {
  readonly step: number
  readonly value: number
  /** The value still went down where the search was given up. */
  readonly endless?: boolean
}

const golden = (1 + Math.sqrt(5)) / 2
const mostExpansions = 100
const mostSections = 100

/**
 * A minimum along a line without slopes: an interval is widened by the golden ratio, or by a parabola, until it holds a minimum, which
 * R. Brent, Algorithms for Minimization without Derivatives (1973), chapter 5, then closes in on by parabolas and golden sections.
 */
export function lineMinimum({ value, origin, lower, upper, accuracy }: Along): Step {
  const at = (step: number): Step => ({ step, value: value(step) })
  const zero: Step = { step: 0, value: origin }
  const clipped = (step: number) => Math.min(upper, Math.max(lower, step))
  let near = zero
  let middle = at(clipped(1))
  if (middle.step === 0 || middle.value > near.value) {
    const behind = middle.step === 0 ? at(clipped(-1)) : zero
    ;[near, middle] = [middle, behind]
  }
  if (near.step === middle.step) return zero
  let far = at(clipped(middle.step + golden * (middle.step - near.step)))
  for (let expansions = 0; far.value < middle.value && expansions < mostExpansions; expansions++) {
    const width = far.step - middle.step
    const guess = parabola(near, middle, far)
    if ((guess - middle.step) * width > 0 && (far.step - guess) * width > 0) {
      const inside = at(guess)
      if (inside.value < far.value) return sections(at, middle, inside, far, accuracy)
      if (inside.value > middle.value) return sections(at, near, middle, inside, accuracy)
    }
    const ahead = (guess - far.step) / width
    const next = clipped(far.step + (ahead > 1 && ahead < 10 ? ahead : golden) * width)
    if (next === far.step) return far
    if (far.value === -Infinity || expansions === mostExpansions - 1) return { ...far, endless: true }
    ;[near, middle, far] = [middle, far, at(next)]
  }
  // Where values differ by rounding only there is nothing to find.
  const noise = 4 * Number.EPSILON * Math.abs(middle.value)
  if (Math.max(near.value, far.value) - middle.value <= noise) return middle.value < origin ? middle : zero
  return sections(at, near, middle, far, accuracy)
}

/** Where the parabola through three points is stationary. */
function parabola(a: Step, b: Step, c: Step): number {
  const left = (b.step - a.step) * (b.value - c.value)
  const right = (b.step - c.step) * (b.value - a.value)
  return b.step - ((b.step - a.step) * left - (b.step - c.step) * right) / (2 * (left - right))
}

/** Brent's loop: x is the best step, w the second, v the third. */
function sections(at: (step: number) => Step, near: Step, middle: Step, far: Step, accuracy: number): Step {
  let a = Math.min(near.step, far.step)
  let b = Math.max(near.step, far.step)
  let [x, w, v] = [middle, middle, middle]
  let [moved, before] = [0, 0]
  for (let count = 0; count < mostSections; count++) {
    const half = (a + b) / 2
    const least = accuracy * Math.abs(x.step) + 1e-11
    if (Math.abs(x.step - half) <= 2 * least - (b - a) / 2) break
    let by = Number.NaN
    if (Math.abs(before) > least) {
      const to = parabola(v, x, w)
      if (to > a && to < b && Math.abs(to - x.step) < Math.abs(before / 2)) {
        by = to - x.step
        if (to - a < 2 * least || b - to < 2 * least) by = x.step < half ? least : -least
        before = moved
      }
    }
    if (Number.isNaN(by)) {
      before = x.step < half ? b - x.step : a - x.step
      by = before / golden ** 2
    }
    moved = by
    const trial = at(x.step + (Math.abs(by) >= least ? by : by > 0 ? least : -least))
    if (trial.value <= x.value) {
      if (trial.step < x.step) b = x.step
      else a = x.step
      ;[v, w, x] = [w, x, trial]
    } else {
      if (trial.step < x.step) a = trial.step
      else b = trial.step
      if (trial.value <= w.value || w === x) [v, w] = [w, trial]
      else if (trial.value <= v.value || v === x || v === w) v = trial
    }
  }
  return x
}
