import { cholesky } from './cholesky.ts'
import { eigen } from './eigen.ts'
import { gram } from './gram.ts'
import { orthonormalization } from './orthonormalization.ts'
import { product } from './product.ts'
import { householder, qr } from './qr.ts'
import { reversal } from './reversal.ts'
import type { Routine } from './routine.ts'
import { gather, largestPlaces, resized, scatter } from './selection.ts'
import { svd } from './svd.ts'
import { symmetricProduct } from './symmetric-product.ts'
import { transposition } from './transposition.ts'
import { solveLower, solveUpper } from './triangular-solve.ts'

/** All matrix functions. A backend that lacks an implementation of one does not compile. */
export const routines = {
  cholesky,
  eigen,
  gather,
  gram,
  householder,
  largestPlaces,
  orthonormalization,
  product,
  qr,
  resized,
  scatter,
  reversal,
  solveLower,
  solveUpper,
  svd,
  symmetricProduct,
  transposition,
} as const satisfies Readonly<Record<string, Routine>>

export type RoutineName = keyof typeof routines

/** A matrix function as what all have in common. */
export function routineOf(name: RoutineName): Routine {
  return routines[name]
}
