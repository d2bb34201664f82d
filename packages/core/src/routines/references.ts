import { choleskyReference } from './cholesky.ts'
import { eigenReference } from './eigen.ts'
import { gramReference } from './gram.ts'
import { orthonormalizationReference } from './orthonormalization.ts'
import { productReference } from './product.ts'
import { householderReference, qrReference } from './qr.ts'
import { reversalReference } from './reversal.ts'
import type { RoutineReference } from './routine.ts'
import { gatherReference, largestPlacesReference, resizedReference, scatterReference } from './selection.ts'
import { svdReference } from './svd.ts'
import { symmetricProductReference } from './symmetric-product.ts'
import type { RoutineName } from './table.ts'
import { transpositionReference } from './transposition.ts'
import { solveLowerReference, solveUpperReference } from './triangular-solve.ts'

/** What every routine means, in float64. */
export const references: Readonly<Record<RoutineName, RoutineReference>> = {
  cholesky: choleskyReference,
  eigen: eigenReference,
  gather: gatherReference,
  gram: gramReference,
  largestPlaces: largestPlacesReference,
  orthonormalization: orthonormalizationReference,
  product: productReference,
  householder: householderReference,
  qr: qrReference,
  resized: resizedReference,
  scatter: scatterReference,
  reversal: reversalReference,
  solveLower: solveLowerReference,
  solveUpper: solveUpperReference,
  svd: svdReference,
  symmetricProduct: symmetricProductReference,
  transposition: transpositionReference,
}
