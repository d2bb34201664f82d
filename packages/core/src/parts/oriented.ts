import type { ParameterShape } from '../language/slots.ts'
import type { Value } from '../language/value.ts'

/** A matrix with its outputs as rows, whichever way the parameter is kept; applied twice it is as it was. */
export function outputsAsRows(matrix: Value, { layout }: ParameterShape): Value {
  return layout === 'outputFirst' ? matrix : matrix.transposed()
}
