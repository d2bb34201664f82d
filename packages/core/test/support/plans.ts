import type { Optimizer } from 'fallline'
import { canonicalize } from '../../src/plan/canonical.ts'
import type { Plan } from '../../src/plan/plan.ts'
import { planTogether } from '../../src/plan/planner.ts'
import { trafficOf } from '../../src/plan/traffic.ts'
import { programsOf, type VariantTree } from '../../src/program/program.ts'
import { traceModel } from '../../src/program/trace-model.ts'

function programsOfModel(optimizer: Optimizer, shape: readonly number[], telemetry: boolean) {
  const { traced } = traceModel(optimizer, { p: shape }, telemetry).parameters[0]!
  return programsOf(traced!.variants).map(canonicalize)
}

/** How an optimizer is planned for one parameter: one plan per combination of what `every` decides. */
export function plansOf(optimizer: Optimizer, shape: readonly number[], telemetry = false): Plan[] {
  return planTogether(programsOfModel(optimizer, shape, telemetry))
}

/** The signatures of the programs of an optimizer for one parameter. */
export function signaturesOf(optimizer: Optimizer, shape: readonly number[]): string[] {
  return programsOfModel(optimizer, shape, false).map(({ signature }) => signature)
}

export function variantsOfModel(optimizer: Optimizer, shape: readonly number[]): VariantTree {
  return traceModel(optimizer, { p: shape }, false).parameters[0]!.traced!.variants
}

/** Passes, matrix functions, and bytes read and written per parameter, of each plan of an optimizer. */
export function costsOf(optimizer: Optimizer, shape: readonly number[]) {
  const programs = programsOfModel(optimizer, shape, false)
  const size = shape.reduce((product, length) => product * length, 1)
  return planTogether(programs).map((plan, index) => {
    const { read, written } = trafficOf(plan, programs[index]!.sizes)
    return {
      passes: plan.loops.length,
      matrices: plan.routines.length,
      read: read / size,
      written: written / size,
    }
  })
}
