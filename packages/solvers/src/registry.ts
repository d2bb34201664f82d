import type { Minimizer } from './method.ts'
import { bfgs } from './methods/minimize/bfgs.ts'
import { cg } from './methods/minimize/cg.ts'
import { lbfgs } from './methods/minimize/l-bfgs.ts'
import { lbfgsb } from './methods/minimize/l-bfgs-b.ts'
import { nelderMead } from './methods/minimize/nelder-mead.ts'
import { newtonCg } from './methods/minimize/newton-cg.ts'
import { powell } from './methods/minimize/powell.ts'
import { tnc } from './methods/minimize/tnc.ts'
import { dogleg, trustExact, trustNcg } from './methods/minimize/trust-region.ts'

/** Every method of `minimize`, by name: what tests, benchmark, documentation and command line go through. */
export const minimizers = {
  bfgs,
  'l-bfgs': lbfgs,
  'l-bfgs-b': lbfgsb,
  'nelder-mead': nelderMead,
  cg,
  powell,
  'newton-cg': newtonCg,
  dogleg,
  'trust-ncg': trustNcg,
  'trust-exact': trustExact,
  tnc,
} as const satisfies Readonly<Record<string, Minimizer>>

export type MinimizerName = keyof typeof minimizers
