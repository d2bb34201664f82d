/** The kernels of matrix functions: loaded with the first plan that calls one. */

import type { RoutineName } from '../../../routines/table.ts'
import type { FunctionBuilder, Helpers } from '../assembler.ts'
import { cholesky, triangularSolve } from './cholesky.ts'
import { eigen, eigenFunctions } from './eigen.ts'
import { orthonormalization } from './orthonormalization.ts'
import { matmul, productFunctions } from './product.ts'
import { qr } from './qr.ts'
import { reverse } from './reversal.ts'
import { rowFunctions } from './rows.ts'
import { gather, largestPlaces, resized, scatter } from './selection.ts'
import { svd } from './svd.ts'
import { transpose } from './transposition.ts'

/** What writes the kernel of each matrix function; `fused`: with instructions that multiply and add at once. */
export const routineKernels = (fused: boolean): Readonly<Record<RoutineName, () => FunctionBuilder>> => ({
  cholesky,
  eigen,
  gather,
  gram: () => matmul(true, fused),
  householder: () => qr('householder', false),
  largestPlaces,
  orthonormalization,
  product: () => matmul(false, fused),
  qr: () => qr('qr', true),
  resized,
  scatter,
  reversal: reverse,
  solveLower: () => triangularSolve(true),
  solveUpper: () => triangularSolve(false),
  svd,
  symmetricProduct: () => matmul(true, fused),
  transposition: transpose,
})

/** What they call. */
export const routineFunctions: Helpers = { ...rowFunctions, ...eigenFunctions, ...productFunctions }
