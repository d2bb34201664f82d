import type { CommonContext, OptionSpecification, Paper } from '../language/definition.ts'
import { oneOf } from '../language/hyperparameters.ts'
import { type Input, inputArray } from '../language/inputs.ts'
import { ema, type Value, where } from '../language/value.ts'
import { traceOf } from './diagonal.ts'
import { normBound } from './norm-bound.ts'

/** Where all preconditioners of PSGD come from. */
export const psgdPaper: Paper = {
  title: 'Curvature-Informed SGD via General Purpose Lie-Group Preconditioners',
  authors: 'Pooladzandi, Li',
  year: 2024,
  arxiv: '2402.11858',
}

/** Where a tuner looks for what all of them have, besides the learning rate. */
export const psgdSearch = {
  momentum: oneOf(0, 0.9, 0.95),
  preconditionerRate: oneOf(0.1, 0.3, 0.5),
}

/** What rules of PSGD are given at most, so that float32 holds their squares. */
export const largestFitted = 1e15

/** What a preconditioner is fitted to curvature with. */
export const curvatureInputs = {
  hessianVectorProduct: inputArray('H v, the product of the Hessian and the probe'),
  probe: inputArray('v, independent numbers of mean 0 and variance 1, the same as in hessianVectorProduct'),
} satisfies Readonly<Record<string, Input>>

/** The inputs of a rule that fits to curvature only where it is told to. */
export function inputsToFit({ fits }: { readonly fits: string }): Readonly<Record<string, Input>> {
  return fits === 'curvature' ? curvatureInputs : {}
}

/** What curvature is fitted with: a probe v, and h, the product of the Hessian with it. */
export interface CurvaturePair {
  readonly v: Value
  readonly h: Value
}

/** The pair among the inputs, within what float32 can square. */
export function curvaturePair(inputs: Readonly<Record<string, Value>>): CurvaturePair {
  return {
    v: inputs.probe!.limitedInSize(largestFitted),
    h: inputs.hessianVectorProduct!.limitedInSize(largestFitted),
  }
}

/** The pair, where a rule is told to fit to it. */
export function pairToFit(fits: string, inputs: Readonly<Record<string, Value>>): CurvaturePair | undefined {
  return fits === 'curvature' ? curvaturePair(inputs) : undefined
}

/** Whether this is the first step, and whether P moves in it: in the first, and from there on at every `period`-th. */
export function renewalsOf(
  { every, firstSteps }: Pick<CommonContext<string, OptionSpecification, string, string>, 'every' | 'firstSteps'>,
  period: Value,
): { readonly first: boolean; readonly renews: boolean } {
  const first = firstSteps(1, () => true, false)
  return { first, renews: first || every(period, () => true, false, 'first') }
}

/** Momentum that begins as the plain average of all gradients: its factor is (t - 1) / t, but at most `momentum`. */
export function averagedFromStart(old: Value, g: Value, momentum: Value, t: Value): Value {
  return ema(old, g, t.minus(1).over(t).minimum(momentum))
}

/** How smooth the criterion is, from what a step says of it: an average that never lies below the newest. */
export function smoothed(old: Value, bound: Value, beta: Value): Value {
  return ema(old, bound, beta).maximum(bound)
}

/**
 * (mean(h⁴) + δ⁴)^(-1/8), with the largest mean of all tensors: the size of a Q for which QᵀQ h has elements around 1. At most 1e15, and 1 where
 * there is nothing to go by.
 */
function whiteningScale(h: Value, damping: Value): Value {
  const largest = h.abs().largest().maximum(1e-30)
  const size = h.over(largest).square().square().mean().sqrt().sqrt().times(largest).largest('all')
  // Relative to the larger of the two, so that float32 holds the fourth powers.
  const larger = size.maximum(damping)
  const unit = larger.maximum(1e-30)
  const sum = size.over(unit).square().square().plus(damping.over(unit).square().square())
  return where(
    larger.isGreaterThan(0),
    sum
      .maximum(1)
      .power(-1 / 8)
      .over(unit.sqrt()),
    1,
  )
}

/** The size of a Q for which QᵀQ h has elements around 1, or as large as those of a probe v. */
export function fittedScale(h: Value, damping: Value, v?: Value): Value {
  const whitening = whiteningScale(h, damping)
  return v ? whitening.times(probeScale(v)) : whitening
}

/** The root of the root of mean(v²) over all tensors; 1 for no v. */
function probeScale(v: Value): Value {
  const square = v.square().mean('all')
  return where(square.isGreaterThan(0), square.sqrt().sqrt(), 1)
}

/** Scaled to a root mean square of at most `maximumAmplitude`, then every element cut at `maximumElement`. */
export function clippedInAmplitude(u: Value, maximumAmplitude: Value, maximumElement: Value): Value {
  const largest = u.abs().largest()
  const amplitude = u.over(largest.maximum(1e-30)).square().mean().sqrt().times(largest)
  const scaled = u.times(u.lifted(1).minimum(maximumAmplitude.over(amplitude.maximum(1e-30))))
  return scaled.minimum(maximumElement).maximum(maximumElement.negated())
}

/** Scaled to a norm over all tensors of at most `maximumNorm`. */
export function clippedInNorm(u: Value, maximumNorm: Value): Value {
  return u.over(u.norm('all').over(maximumNorm).maximum(1))
}

/**
 * A rotation of Q towards a symmetric matrix, with R = Qᵀ - Q of norm 1 and the a that gives the largest trace: (I + a R + a² R² / 2) Q with
 * a up to 1 / 8, to third order (I + a R + a² R² / 2 + a³ R³ / 8) Q with a up to 5 / 16. An eighth, where a series of exp has a sixth, leaves it a
 * rotation up to a⁶ / 64.
 *
 * @param drawn normal numbers for `normBound`.
 */
export function towardsSymmetric(Q: Value, drawn: Value, order: 2 | 3 = 2): Value {
  const difference = Q.transposed().minus(Q)
  const R = difference.over(normBound(difference, difference.abs().largest(), drawn).plus(2 ** -126))
  const RQ = R.matmul(Q)
  const RRQ = R.matmul(RQ)
  const slope = traceOf(RQ)
  const curvature = traceOf(RRQ)
  if (order === 3) {
    const RRRQ = R.matmul(RRQ)
    // The root of slope + curvature a + third a², of which third is never above 0.
    const third = traceOf(RRRQ)
      .times(3 / 8)
      .minimum(0)
    const root = curvature.square().minus(third.times(slope).times(4)).maximum(0).sqrt()
    const a = slope
      .times(2)
      .over(root.minus(curvature).maximum(1e-30))
      .minimum(5 / 16)
    return Q.plus(RQ.plus(RRQ.plus(RRRQ.times(a.over(4))).times(a.over(2))).times(a))
  }
  const best = slope
    .negated()
    .over(where(curvature.isLessThan(0), curvature, -1))
    .minimum(1 / 8)
  const a = where(curvature.isLessThan(0), best, 1 / 8)
  return Q.plus(RQ.plus(RRQ.times(a.times(0.5))).times(a))
}
