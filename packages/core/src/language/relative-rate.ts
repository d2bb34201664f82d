import type { HyperValue, Schedule } from '../schedules/schedule.ts'

/** A learning rate that follows another; what it follows is known where it is compiled. */
export interface RelativeRate extends Schedule {
  readonly kind: 'relativeRate'
  readonly factor: number
}

/**
 * The learning rate of a fallback as a multiple of the learning rate of the optimizer that it stands in for:
 * at(t) = factor · (learning rate of that optimizer at t), also after `set`. It has a meaning as the `learningRate` of a
 * `fallback` only.
 *
 * ```ts
 * import { adamW, cosine, muon, relativeRate } from 'fallline'
 *
 * const learningRate = cosine({ from: 0.02, to: 0, steps: 1000 })
 * export const optimizer = muon({ learningRate, fallback: adamW({ learningRate: relativeRate(0.05) }) })
 * ```
 *
 * @param factor from 0 up.
 * @throws Error when `factor` is not a finite number from 0 up, and when it is evaluated elsewhere than in a fallback.
 */
export function relativeRate(factor: number): RelativeRate {
  if (!(Number.isFinite(factor) && factor >= 0)) {
    throw new Error(`relativeRate: the factor must be a finite number from 0 up, not ${String(factor)}`)
  }
  return {
    kind: 'relativeRate',
    factor,
    arguments: [factor],
    at() {
      throw new Error(
        'relativeRate is the learning rate of a fallback; there is no optimizer here that it could follow',
      )
    },
  }
}

/** @internal */
export function isRelativeRate(value: HyperValue): value is RelativeRate {
  return typeof value === 'object' && value.kind === 'relativeRate'
}

/** @internal what a relative rate is while the other one is `main` */
export function relativeTo(main: HyperValue, { factor }: RelativeRate): HyperValue {
  if (typeof main === 'number') return main * factor
  if (typeof main === 'function') return (step) => main(step) * factor
  const { kind, start } = main
  return { kind, at: (step) => main.at(step) * factor, ...(start === undefined ? {} : { start: start * factor }) }
}
