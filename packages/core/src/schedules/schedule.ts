/**
 * A value that changes with the step, such as a learning rate that warms up and then decays.
 *
 * Steps count from 1: the first update uses `at(1)`. Changing a scheduled value never recompiles a kernel.
 *
 * All ramps in this folder (linear, polynomial, cosine, warm-up, exponential, one-cycle, warm-up-stable-decay) share one
 * convention: after `step` of `steps` steps the progress is `step / steps`. So `from` is the value just before the first
 * update, `at(1)` has already moved by one step, and `at(steps)` is `to` exactly.
 */
export type Schedule = {
  /** What it is, such as `'cosine'`; error messages name it. */
  readonly kind: string
  /** The value for update `step`; the first update is step 1. Must be a finite number. */
  at(step: number): number
  /**
   * The value just before the first update, to which a warm-up in front of this schedule climbs.
   * Default: `at(1)`, which suits schedules of your own.
   */
  readonly start?: number
  /** What its factory was called with, so that a saved run can make it again. Schedules of your own need none. */
  readonly arguments?: readonly unknown[]
}

/** A schedule of your own: gets the step, counted from 1, and returns a finite number. */
export type ScheduleFunction = (step: number) => number

/** What a hyperparameter accepts: a fixed number, a {@link Schedule}, or a function of the step. */
export type HyperValue = number | Schedule | ScheduleFunction

/** Whether `value` is a {@link Schedule} object: it has a `kind` and a method `at`. */
export function isSchedule(value: unknown): value is Schedule {
  if (typeof value !== 'object' || value === null) return false
  const { kind, at } = value as Partial<Schedule>
  return typeof kind === 'string' && typeof at === 'function'
}

/**
 * The number that `value` stands for at update `step`, counted from 1.
 *
 * @throws Error that names the schedule and the step when the result is not a finite number, and a TypeError when `value`
 * is neither a number nor a schedule nor a function.
 */
export function evaluateSchedule(value: HyperValue, step: number): number {
  let result: number
  if (typeof value === 'number') result = value
  else if (typeof value === 'function') result = value(step)
  else if (isSchedule(value)) result = value.at(step)
  else throw new TypeError(`Expected a number, a schedule or a function of the step, got ${show(value)}.`)
  if (!Number.isFinite(result)) {
    throw new Error(`${nameOf(value)} gave ${show(result)} at step ${step}; it must give a finite number.`)
  }
  return result
}

/** @internal the number 0, given as such or as a constant schedule */
export function isZero(value: HyperValue): boolean {
  return value === 0 || (typeof value === 'object' && value.kind === 'constant' && value.at(1) === 0)
}

/** The value just before the first update: where a ramp in front of `value` has to arrive. */
export function startOf(value: HyperValue): number {
  if (!isSchedule(value) || value.start === undefined) return evaluateSchedule(value, 1)
  if (!Number.isFinite(value.start)) {
    throw new Error(`${nameOf(value)} has start ${show(value.start)}; it must be a finite number.`)
  }
  return value.start
}

/** `value` as an error message shows it: short, and unambiguous about its type. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
  if (typeof value === 'function') return 'a function'
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === 'object' && value !== null) return 'an object'
  return String(value)
}

function nameOf(value: HyperValue): string {
  if (typeof value === 'number') return 'The value'
  if (typeof value === 'function') return `Schedule function ${value.name ? `"${value.name}"` : 'without a name'}`
  return `Schedule "${value.kind}"`
}

/** A hyperparameter's value times a factor, at every step; `kind` says what scaled it. */
export function scaledValue(value: HyperValue, factor: number, kind: string): HyperValue {
  if (typeof value === 'number') return value * factor
  return { kind, start: startOf(value) * factor, at: (step) => evaluateSchedule(value, step) * factor }
}
