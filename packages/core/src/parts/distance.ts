import { type Value, where } from '../language/value.ts'

/** The distance before the step: shared state starts at 0, which stands for d0, since slots do not know hyperparameters. */
export function currentDistance(d: Value, d0: Value): Value {
  return where(d.isGreaterThan(0), d, d0)
}

/**
 * The distance after the step: it never shrinks, and grows to the estimate `numerator / denominator`, by at most
 * `growthRate` (`undefined` for no limit). A denominator of 0 means that every gradient so far was zero: it stays.
 */
export function grownDistance(d: Value, numerator: Value, denominator: Value, growthRate: Value | undefined): Value {
  const estimate = numerator.over(denominator)
  const limited = growthRate ? estimate.minimum(d.times(growthRate)) : estimate
  return where(denominator.isGreaterThan(0), d.maximum(limited), d)
}

/** A sum that was taken with `rate` inside, seen from outside the rate; nothing moves while the rate is 0. */
export function withoutRate(sum: Value, rate: Value): Value {
  return where(rate.isGreaterThan(0), sum.over(rate), 0)
}
