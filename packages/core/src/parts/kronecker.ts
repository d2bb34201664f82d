import { countedSlots } from '../language/counted-slots.ts'
import { solveUpper } from '../language/factorizations.ts'
import { type ParameterShape, type Slot, type SlotFacts, shaped } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'
import { identityLike } from './diagonal.ts'
import { modeGram, modeProduct, modeScaled, modeSquares, type Sizes } from './modes.ts'

/** The modes of a tensor, and which of them have a matrix as factor of a preconditioner; the others have its diagonal, as a column. */
export interface Sides {
  readonly sizes: Sizes
  readonly matrices: readonly boolean[]
}

/** Factors of a Kronecker product, one for each mode. */
export type Factors = readonly Value[]

/** State for the factors of a Kronecker product, which start at the identity: `factor1` or `diagonal1`, and so on. */
export function factorSlots<Options>(
  most: number,
  sidesOf: (shape: ParameterShape, options: Options) => Sides,
): {
  readonly slots: Readonly<Record<string, Slot>>
  read(state: Readonly<Record<string, Value>>, sides: Sides): Factors
  write(factors: Factors): Record<string, Value>
} {
  const sides = (shape: ParameterShape, options: SlotFacts['options']) => sidesOf(shape, options as Options)
  const factor = (matrix: boolean) => (index: number) => ({
    ...shaped(
      (shape, options) => {
        const size = sides(shape, options).sizes[index] ?? 1
        return [1, size, matrix ? size : 1]
      },
      { start: matrix ? 'identity' : 1 },
    ),
    when: ({ shape, options }: SlotFacts) => sides(shape, options).matrices[index] === matrix,
  })
  const nameOf = (matrix: boolean, mode: number) => `${matrix ? 'factor' : 'diagonal'}${mode + 1}`
  return {
    slots: {
      ...countedSlots('factor', most, factor(true)).slots,
      ...countedSlots('diagonal', most, factor(false)).slots,
    },
    read: (state, { matrices }) => matrices.map((matrix, mode) => state[nameOf(matrix, mode)]!),
    write: (factors) => Object.fromEntries(factors.map((Q, mode) => [nameOf(isMatrix(Q), mode), Q])),
  }
}

/** True for a factor that is no diagonal. Matrices of one element are kept as diagonals. */
export function isMatrix(factor: Value): boolean {
  return factor.columns > 1
}

/** A tensor times the factor of one mode. */
export function appliedAlong(tensor: Value, sizes: Sizes, mode: number, factor: Value): Value {
  return isMatrix(factor)
    ? modeProduct(tensor, sizes, mode, factor.transposed())
    : modeScaled(tensor, sizes, mode, factor)
}

/** A tensor times all factors, Q x. */
export function applied(tensor: Value, sizes: Sizes, factors: Factors): Value {
  return factors.reduce((x, factor, mode) => appliedAlong(x, sizes, mode, factor), tensor)
}

/** A tensor times all factors transposed, Qᵀ x. */
export function appliedTransposed(tensor: Value, sizes: Sizes, factors: Factors): Value {
  return factors.reduce(
    (x, factor, mode) => (isMatrix(factor) ? modeProduct(x, sizes, mode, factor) : modeScaled(x, sizes, mode, factor)),
    tensor,
  )
}

/** What a tensor adds to the gradient of a factor: its Gram matrix along the mode, or the diagonal of that. */
export function gramFor(factor: Value, tensor: Value, sizes: Sizes, mode: number): Value {
  return isMatrix(factor) ? modeGram(tensor, sizes, mode) : modeSquares(tensor, sizes, mode)
}

/** The inverses of upper triangles and diagonals. */
export function inverses(factors: Factors): Factors {
  return factors.map((factor) =>
    isMatrix(factor) ? solveUpper(factor, identityLike(factor)) : factor.lifted(1).over(factor),
  )
}

/** Factors with the same product that have all the same largest element. */
export function balanced(factors: Factors): Factors {
  if (factors.length === 1) return factors
  const sizes = factors.map((Q) => Q.abs().largest())
  const mean = sizes
    .map((size) => size.log())
    .reduce((sum, log) => sum.plus(log))
    .over(factors.length)
    .exp()
  return factors.map((Q, mode) => Q.times(mean.over(sizes[mode]!)))
}

/** The upper triangle of a matrix, its diagonal included. */
export function upperTriangle(matrix: Value): Value {
  return where(matrix.rowIndex().isAtMost(matrix.columnIndex()), matrix, 0)
}
