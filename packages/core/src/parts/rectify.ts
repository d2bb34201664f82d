import { biasCorrection, type Operand, type Value, where } from '../language/value.ts'

/**
 * The rectified step of RAdam: `r m̂ / root`, with `r` from the number of gradients that the average of squares stands for,
 * and `early` while those are fewer than 5. `root` is the uncorrected root: its correction is part of r.
 *
 * Liu, Jiang, He, Chen, Liu, Gao, Han 2019, arXiv 1908.03265.
 */
export function rectify(mHat: Value, root: Value, beta2: Value, t: Value, early: Operand): Value {
  const correction = biasCorrection(beta2, t)
  const limit = beta2.plus(1).over(beta2.negated().plus(1))
  const length = limit.minus(t.times(2).times(beta2.power(t)).over(correction))
  const variance = length.minus(4).over(limit.minus(4)).times(length.minus(2)).over(length)
  const factor = correction.times(variance).times(limit).over(limit.minus(2)).sqrt()
  return where(length.isAtLeast(5), mHat.times(factor).over(root), early)
}
