/** The kernels of matrix functions: loaded with the first plan that calls one. */

import type { RoutineName } from '../../../routines/table.ts'
import type { FunctionBuilder, Helpers } from '../assembler.ts'
import { cholesky, triangularSolve } from './cholesky.ts'
import { eigen, eigenFunctions } from './eigen.ts'
import { matmul } from './product.ts'
import { qr } from './qr.ts'
import { resize } from './resizing.ts'
import { rowFunctions } from './rows.ts'
import { svd } from './svd.ts'
import { transpose } from './transposition.ts'

/** What writes the kernel of each matrix function; `fused`: with instructions that multiply and add at once. */
export const routineKernels = (fused: boolean): Readonly<Record<RoutineName, () => FunctionBuilder>> => ({
  cholesky,
  eigen,
  gram: () => matmul(true, fused),
  product: () => matmul(false, fused),
  qr,
  resizing: resize,
  solveLower: () => triangularSolve(true),
  solveUpper: () => triangularSolve(false),
  svd,
  symmetricProduct: () => matmul(true, fused),
  transposition: transpose,
})

/** What they call. */
export const routineFunctions: Helpers = { ...rowFunctions, ...eigenFunctions }
