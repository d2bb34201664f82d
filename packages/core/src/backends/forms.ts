/** What programs are to the kernels of any backend. */

import { argumentsOf, type CanonicalProgram, canonicalize } from '../plan/canonical.ts'
import type { Sizes } from '../plan/plan.ts'
import type { HostProgram } from '../program/host.ts'
import type { Program } from '../program/program.ts'
import { type BackendTensor, programsOfTensor } from './backend.ts'

/** What a program is to the kernels: the place of its plan, what the plan's sizes stand for, and the numbers it takes. */
export interface ProgramForm {
  readonly plan: number
  readonly sizes: Sizes
  readonly computation: HostProgram
}

/** The distinct programs of tensors, and what every program is to their kernels. */
export function formsOf(tensors: readonly BackendTensor[]) {
  const forms = new Map<Program, ProgramForm>()
  const programs: CanonicalProgram[] = []
  const places = new Map<string, number>()
  for (const program of tensors.flatMap(programsOfTensor)) {
    const canonical = canonicalize(program)
    const { signature, sizes } = canonical
    const plan = places.get(signature) ?? programs.push(canonical) - 1
    places.set(signature, plan)
    forms.set(program, { plan, sizes, computation: argumentsOf(canonical) })
  }
  return { forms, programs }
}
