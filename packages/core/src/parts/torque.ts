import { ema, type Value, where } from '../language/value.ts'

/**
 * The factor of TAM's gradients: half of one plus the smoothed cosine between gradient and momentum, plus ε; and the
 * smoothed cosine. One number per tensor.
 */
export function torque(
  momentum: Value,
  g: Value,
  smoothed: Value,
  hyper: { readonly gamma: Value; readonly epsilon: Value },
): { readonly factor: Value; readonly correlation: Value } {
  const lengths = momentum.norm().times(g.norm())
  const cosine = where(lengths.isGreaterThan(0), momentum.times(g).sum().over(lengths), 0)
  const correlation = ema(smoothed, cosine, hyper.gamma)
  return { factor: correlation.plus(1).times(0.5).plus(hyper.epsilon), correlation }
}
