import { gram } from './gram.ts'
import { product } from './product.ts'
import type { Routine } from './routine.ts'
import { transposition } from './transposition.ts'

/** All matrix functions. A backend that lacks an implementation of one does not compile. */
export const routines = { gram, product, transposition } as const satisfies Readonly<Record<string, Routine>>

export type RoutineName = keyof typeof routines
