import type { Minimizer } from './method.ts'
import { bfgs } from './methods/minimize/bfgs.ts'

/** Every method of `minimize`, by name: what tests, benchmark, documentation and command line go through. */
export const minimizers = {
  bfgs,
} as const satisfies Readonly<Record<string, Minimizer>>

export type MinimizerName = keyof typeof minimizers
