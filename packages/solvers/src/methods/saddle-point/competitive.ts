import type { Field } from '../../field.ts'
import { solveLinear } from './linear.ts'

/**
 * The move of the competitive methods: (I + α M) d = -F, where M is the part of DF that couples the players, [0, ∂xy f; -∂yx f, 0].
 * M is skew, so that the system always has a solution. Its products are differences of F.
 */
export function competitiveMove(field: Field, z: Float64Array, here: Float64Array, alpha: number): Float64Array {
  const { sizeX } = field
  const times = (d: Float64Array): Float64Array => {
    const ofX = field.along(
      z,
      d.map((element, i) => (i < sizeX ? element : 0)),
      here,
    )
    const ofY = field.along(
      z,
      d.map((element, i) => (i < sizeX ? 0 : element)),
      here,
    )
    return d.map((element, i) => element + alpha * (i < sizeX ? ofY[i]! : ofX[i]!))
  }
  const move = solveLinear(
    times,
    here.map((element) => -element),
  )
  // Only elements that are not finite bring this about.
  return move ?? here.map(() => Number.NaN)
}
