import type { Minimizer } from './method.ts'
import { bfgs } from './methods/minimize/bfgs.ts'
import { cg } from './methods/minimize/cg.ts'
import { lbfgs } from './methods/minimize/l-bfgs.ts'
import { lbfgsb } from './methods/minimize/l-bfgs-b.ts'
import { nelderMead } from './methods/minimize/nelder-mead.ts'

/** Every method of `minimize`, by name: what tests, benchmark, documentation and command line go through. */
export const minimizers = {
  bfgs,
  'l-bfgs': lbfgs,
  'l-bfgs-b': lbfgsb,
  'nelder-mead': nelderMead,
  cg,
} as const satisfies Readonly<Record<string, Minimizer>>

export type MinimizerName = keyof typeof minimizers
