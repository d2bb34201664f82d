import { type Input, inputArray, lossInput } from '../language/inputs.ts'
import { biasCorrection, ema, type Value, where } from '../language/value.ts'
import { emaOfSquare } from './ema-of-square.ts'
import { sumOfSquares } from './sum-of-squares.ts'

export type DiagonalPreconditioner = 'adam' | 'adaGrad' | 'hutchinson'

const hessianDiagonal = inputArray("an estimate of the Hessian's diagonal, such as z ⊙ Hz for a random sign vector z")

/** The loss, and the Hessian's diagonal where it is the preconditioner. */
export function diagonalInputs(preconditioner: string): Readonly<Record<'loss' | 'hessianDiagonal', Input>> {
  const inputs = preconditioner === 'hutchinson' ? { loss: lossInput, hessianDiagonal } : { loss: lossInput }
  return inputs as Readonly<Record<'loss' | 'hessianDiagonal', Input>>
}

interface Ingredients {
  readonly g: Value
  readonly t: Value
  readonly v: Value
  readonly beta2: Value
  readonly hessianDiagonal: Value
}

/**
 * The new state v and the metric before roots and bounds: the corrected average of squares (`adam`), their sum (`adaGrad`)
 * or the size of the averaged diagonal of the Hessian (`hutchinson`).
 */
export function diagonalPreconditioner(preconditioner: DiagonalPreconditioner, from: Ingredients) {
  const { g, t, beta2 } = from
  if (preconditioner === 'adaGrad') {
    const v = sumOfSquares(from.v, g)
    return { v, metric: v }
  }
  if (preconditioner === 'adam') {
    const v = emaOfSquare(from.v, g, beta2)
    return { v, metric: v.over(biasCorrection(beta2, t)).limited() }
  }
  const v = where(t.equals(1), from.hessianDiagonal, ema(from.v, from.hessianDiagonal, beta2))
  return { v, metric: v.abs() }
}
