import { checkArguments, checkObject, finite, hyperValue, stepsOrNone, wrongArgument } from './arguments.ts'
import { cosine } from './cosine.ts'
import { linearRamp, progressAt } from './ramp.ts'
import { evaluateSchedule, type HyperValue, type Schedule, startOf } from './schedule.ts'

/** Arguments of {@link warmup}. */
export interface WarmupArguments {
  /** Length of the warm-up in steps; 0 means none. */
  steps: number
  /** Value just before the first step. Default: 0, which is never used itself: step 1 is already at 1/steps of the way. */
  from?: number
}

/**
 * Linear warm-up, then any schedule or number.
 *
 * With W steps and the peak P = the start of `then`: at(t) = from + (P − from)·t/W for t ≤ W, and then.at(t − W)
 * afterwards, so `then` counts its own steps from 1. Step W is at the peak exactly, and with `from` 0 step 1 is at P/W,
 * never at 0. The peak is the value that a built-in schedule starts from (the `from` of a cosine), the number itself, and
 * at(1) of a function of your own.
 *
 * @param options length and first value of the warm-up.
 * @param then what follows.
 * @throws Error that names the argument when `steps` is not a whole number from 0, `from` is not finite, or `then` is not
 * a number, schedule or function.
 * @example
 * ```ts
 * import { cosine, warmup } from 'fallline'
 *
 * const learningRate = warmup({ steps: 100 }, cosine({ from: 0.1, to: 0, steps: 900 }))
 * learningRate.at(1) // 0.001
 * learningRate.at(100) // 0.1
 * learningRate.at(550) // 0.05
 * learningRate.at(1000) // 0
 *
 * const epsilon = warmup({ steps: 10, from: 1 }, 0.5)
 * epsilon.at(5) // 0.75
 * epsilon.at(11) // 0.5
 * ```
 */
export function warmup(options: WarmupArguments, then: HyperValue): Schedule {
  const given = { from: 0, ...checkObject('warmup', options) }
  checkArguments('warmup', given, { steps: stepsOrNone, from: finite })
  if (!hyperValue.accepts(then)) throw wrongArgument('warmup', 'then', then, hyperValue.expected)
  const { steps, from } = given
  const peak = startOf(then)
  const at = (step: number) =>
    step > steps ? evaluateSchedule(then, step - steps) : linearRamp(from, peak, progressAt(step, steps))
  return { kind: 'warmup', arguments: [options, then], start: steps > 0 ? from : peak, at }
}

/** Arguments of {@link warmupCosine}. */
export interface WarmupCosineArguments {
  /** Highest value, reached at step `warmup`. */
  peak: number
  /** Length of the linear warm-up in steps; 0 means none. */
  warmup: number
  /** Length of the whole in steps, warm-up included; more than `warmup`. */
  steps: number
  /** Value at step `steps` and ever after. Default: 0. */
  final?: number
}

/**
 * The most common learning rate: linear warm-up from 0, then cosine decay. Short for
 * `warmup({ steps: warmup }, cosine({ from: peak, to: final, steps: steps - warmup }))`.
 *
 * at(t) = peak·t/warmup for t ≤ warmup, then final + (peak − final)·(1 + cos(π·(t − warmup)/(steps − warmup)))/2 up to
 * t = steps, then `final`.
 *
 * @throws Error that names the argument when `peak` or `final` is not finite, `warmup` is not a whole number from 0, or
 * `steps` is not a whole number above `warmup`.
 * @example
 * ```ts
 * import { warmupCosine } from 'fallline'
 *
 * const learningRate = warmupCosine({ peak: 0.01, warmup: 100, steps: 5100 })
 * learningRate.at(1) // 0.0001
 * learningRate.at(100) // 0.01
 * learningRate.at(2600) // 0.005
 * learningRate.at(5100) // 0
 * ```
 */
export function warmupCosine(options: WarmupCosineArguments): Schedule {
  const given = { final: 0, ...checkObject('warmupCosine', options) }
  const aboveWarmup = {
    expected: `a whole number of steps above warmup (${given.warmup})`,
    accepts: (value: unknown) => Number.isSafeInteger(value) && (value as number) > given.warmup,
  }
  checkArguments('warmupCosine', given, { peak: finite, warmup: stepsOrNone, steps: aboveWarmup, final: finite })
  const { peak, steps, final } = given
  const decay = cosine({ from: peak, to: final, steps: steps - given.warmup })
  return { ...warmup({ steps: given.warmup }, decay), kind: 'warmupCosine', arguments: [options] }
}
