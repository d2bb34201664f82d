import { type Value, where } from '../language/value.ts'

/** How far the loss is above its smallest possible value; never negative. */
export function lossGap(loss: Value, minimum: Value): Value {
  return loss.minus(minimum).maximum(0)
}

/** The Polyak step size `gap / squared norm`; 0 where there is no gradient. */
export function polyakStep(gap: Value, squaredNorm: Value): Value {
  return where(squaredNorm.isGreaterThan(0), gap.over(squaredNorm), 0)
}
