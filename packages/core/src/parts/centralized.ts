import type { ParameterShape } from '../language/slots.ts'
import type { Value } from '../language/value.ts'

/** A gradient less its mean over the inputs of each output; as it is for fewer than two dimensions. */
export function centralized(g: Value, shape: ParameterShape): Value {
  if (shape.rank < 2) return g
  const matrix = g.as(shape.matrix)
  return matrix.minus(matrix.mean('inputs')).as(g)
}
