import { choleskyReference } from './cholesky.ts'
import { eigenReference } from './eigen.ts'
import { gramReference } from './gram.ts'
import { productReference } from './product.ts'
import { qrReference } from './qr.ts'
import { resizingReference } from './resizing.ts'
import type { RoutineReference } from './routine.ts'
import { svdReference } from './svd.ts'
import { symmetricProductReference } from './symmetric-product.ts'
import type { RoutineName } from './table.ts'
import { transpositionReference } from './transposition.ts'
import { solveLowerReference, solveUpperReference } from './triangular-solve.ts'

/** What every routine means, in float64. */
export const references: Readonly<Record<RoutineName, RoutineReference>> = {
  cholesky: choleskyReference,
  eigen: eigenReference,
  gram: gramReference,
  product: productReference,
  qr: qrReference,
  resizing: resizingReference,
  solveLower: solveLowerReference,
  solveUpper: solveUpperReference,
  svd: svdReference,
  symmetricProduct: symmetricProductReference,
  transposition: transpositionReference,
}
