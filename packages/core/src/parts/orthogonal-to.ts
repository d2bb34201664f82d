import type { ParameterShape } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'

/**
 * What of a gradient does not only lengthen or shorten the tensor, as long as the gradient. As it is where the tensor is 0 or one
 * element; 0 where no more than a millionth is left.
 */
export function orthogonalTo(p: Value, g: Value, shape: ParameterShape): Value {
  if (shape.size < 2) return g
  const length = p.square().sum()
  const u = g.minus(p.times(where(length.isGreaterThan(0), p.times(g).sum().over(length), 0)))
  const [norm, whole] = [u.norm(), g.norm()]
  // What rounding leaves of a gradient along the tensor is no direction.
  return u.times(where(norm.isGreaterThan(whole.times(1e-6)), whole.over(norm), 0))
}
