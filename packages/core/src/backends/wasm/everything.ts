import type { Plan } from '../../plan/plan.ts'
import { planTogether } from '../../plan/planner.ts'
import * as gathering from './gathering.ts'
import { type AllParts, functionsOf, type Generated } from './kernels.ts'
import { mathematicalFunctions } from './mathematics.ts'
import { randomFunctions } from './random.ts'
import { routineFunctions, routineKernels } from './routines/kernels.ts'

/** All parts, for who cannot wait until those that are needed have been loaded. */
export const everything = (fused: boolean): AllParts => ({
  planTogether,
  gathering,
  routines: routineKernels(fused),
  helpers: { ...routineFunctions, ...mathematicalFunctions, ...randomFunctions },
})

/** The functions of a set of plans, without a module. */
export const generateFunctions = (plans: readonly Plan[]): Generated => functionsOf(plans, everything(false))
