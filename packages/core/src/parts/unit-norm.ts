import type { ParameterShape } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'

/** The norm over the inputs of each output; over the whole of a vector. */
export function unitNorm(x: Value, shape: ParameterShape): Value {
  return x.as(shape.matrix).square().limited().sum('inputs').limited().sqrt()
}

/** Adaptive gradient clipping, unit by unit (Brock, De, Smith, Simonyan 2021, arXiv 2102.06171). */
export function clippedByUnit(g: Value, maximum: Value, shape: ParameterShape): Value {
  const norm = unitNorm(g, shape)
  const factor = where(norm.isGreaterThan(maximum), maximum.over(norm.maximum(1e-6)), 1)
  return g.as(shape.matrix).times(factor).as(g)
}
