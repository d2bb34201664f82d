import { type Value, where } from '../language/value.ts'

/** `update` where `momentum` and gradient agree in sign and 0 elsewhere, scaled so that the mean step size stays. */
export function whereAgreeing(update: Value, momentum: Value, g: Value): Value {
  const agrees = momentum.times(g).isGreaterThan(0)
  return where(agrees, update, 0).over(where(agrees, 1, 0).mean().maximum(1e-3))
}
