import { cholesky } from './cholesky.ts'
import { eigen } from './eigen.ts'
import { gram } from './gram.ts'
import { product } from './product.ts'
import { qr } from './qr.ts'
import { resizing } from './resizing.ts'
import type { Routine } from './routine.ts'
import { svd } from './svd.ts'
import { symmetricProduct } from './symmetric-product.ts'
import { transposition } from './transposition.ts'
import { solveLower, solveUpper } from './triangular-solve.ts'

/** All matrix functions. A backend that lacks an implementation of one does not compile. */
export const routines = {
  cholesky,
  eigen,
  gram,
  product,
  qr,
  resizing,
  solveLower,
  solveUpper,
  svd,
  symmetricProduct,
  transposition,
} as const satisfies Readonly<Record<string, Routine>>

export type RoutineName = keyof typeof routines
