import { gramReference } from './gram.ts'
import { productReference } from './product.ts'
import type { RoutineReference } from './routine.ts'
import type { RoutineName } from './table.ts'
import { transpositionReference } from './transposition.ts'

/** What every routine means, in float64. */
export const references: Readonly<Record<RoutineName, RoutineReference>> = {
  gram: gramReference,
  product: productReference,
  transposition: transpositionReference,
}
