import type { ParameterShape } from '../language/slots.ts'
import type { Value } from '../language/value.ts'

/** A gradient less its mean over all dimensions but the first; as it is for fewer than two dimensions. */
export function centralized(g: Value, shape: ParameterShape): Value {
  if (shape.rank < 2) return g
  const outputs = shape.shape[0]!
  const byOutput = g.as([1, outputs, outputs === 0 ? 0 : shape.size / outputs])
  return byOutput.minus(byOutput.mean('columns')).as(g)
}
