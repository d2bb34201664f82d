import type { Dimensions } from '../graph/node.ts'
import { outputSide } from '../language/layout.ts'
import { type ParameterShape, shaped } from '../language/slots.ts'
import type { Value } from '../language/value.ts'

/** Which side of a matrix is projected: the shorter or the longer, or one of both; of a square one the inputs are shorter. */
export const sides = ['shorter', 'longer', 'outputs', 'inputs'] as const

/** How a rule that projects one side of its matrices sees a parameter. */
export interface Subspace {
  /** What is not a matrix is not projected. */
  readonly isMatrix: boolean
  /** How many dimensions the subspace has: those asked for, but not more than the shorter side has. */
  readonly rank: number
  /** Of a basis: the length of the projected side, and the rank. */
  readonly basis: Dimensions
  /** Of what is projected: the rank, and the length of the other side; the parameter as a matrix where nothing is. */
  readonly projected: Dimensions
  /** A value of the parameter as a matrix whose rows are the projected side. */
  readonly lay: (value: Value) => Value
  /** Such a matrix as the parameter lies. */
  readonly restore: (value: Value) => Value
}

interface Options {
  readonly side?: (typeof sides)[number]
  readonly rank?: number
}

/** How a parameter is seen whose `side`, default the shorter, is projected to `rank` dimensions, default as many as that has. */
export function subspaceOf(
  shape: ParameterShape,
  { side = 'shorter', rank: wanted = Number.POSITIVE_INFINITY }: Options,
): Subspace {
  const { outputs, inputs, matrix, rank: dimensions } = shape
  const ofInputs = side === 'inputs' || (side !== 'outputs' && outputs >= inputs === (side === 'shorter'))
  const [long, other] = ofInputs ? [inputs, outputs] : [outputs, inputs]
  const isMatrix = dimensions === 2
  const turned = isMatrix && ofInputs === (outputSide(shape) === 'rows')
  const turn = (value: Value) => (turned ? value.transposed() : value)
  const rank = Math.min(wanted, outputs, inputs)
  return {
    isMatrix,
    rank,
    basis: [1, long, rank],
    projected: isMatrix ? [1, rank, other] : matrix,
    lay: (value) => turn(value.as(matrix)),
    restore: turn,
  }
}

const seen = (shape: ParameterShape, options: unknown) => subspaceOf(shape, options as Options)

/** State for a basis of the subspace, which only matrices have. */
export const basisSlot = shaped((shape, options) => seen(shape, options).basis, {
  when: ({ shape }) => shape.rank === 2,
})

/** State shaped like what is projected. */
export const projectedSlot = shaped((shape, options) => seen(shape, options).projected)
