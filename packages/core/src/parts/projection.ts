import type { ParameterShape } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'

interface Projected {
  /** The update without its part along the parameter, where the projection acts. */
  readonly update: Value
  /** The share of the weight decay that is left: `decayRatio` where the projection acts, else 1. */
  readonly decayShare: Value | number
}

/**
 * The projection of AdamP and SGDP. A tensor of two or more dimensions whose gradient is nearly orthogonal to it, channel
 * by channel (output by output) or as a whole, is taken for one that a normalization follows: there the update loses its
 * part along the parameter, which would only let the norm grow. At most one of the two views acts, channels first.
 */
export function projected(
  update: Value,
  p: Value,
  g: Value,
  shape: ParameterShape,
  hyper: { readonly delta: Value; readonly decayRatio: Value; readonly epsilon: Value },
): Projected {
  if (shape.rank < 2 || shape.size === 0) return { update, decayShare: 1 }
  const { delta, decayRatio, epsilon } = hyper
  const [weights, gradients, updates] = [p, g, update].map((value) => value.as(shape.matrix)) as [Value, Value, Value]
  const dot = (a: Value, b: Value) => a.times(b).sum('inputs').limitedInSize()
  const [pg, pp, gg, pu] = [
    dot(weights, gradients),
    dot(weights, weights),
    dot(gradients, gradients),
    dot(weights, updates),
  ]
  const cosine = (a: Value, b: Value, ab: Value) =>
    ab.abs().over(a.sqrt().maximum(epsilon).times(b.sqrt().maximum(epsilon)))
  const along = (a: Value, ab: Value) => ab.over(a.sqrt().plus(epsilon).square())
  const byChannel = cosine(pp, gg, pg)
    .largest()
    .isLessThan(delta.over(Math.sqrt(shape.inputs)))
  const asWhole = cosine(pp.sum(), gg.sum(), pg.sum()).isLessThan(delta.over(Math.sqrt(shape.size)))
  const share = where(byChannel, along(pp, pu), where(asWhole, along(pp.sum(), pu.sum()), 0))
  return {
    update: updates.minus(weights.times(share)).as(update),
    decayShare: where(byChannel, decayRatio, where(asWhole, decayRatio, 1)),
  }
}
