import type { Optimizer } from 'fallline'
import { traceModel } from '../../src/program/model.ts'
import { canonicalize, type Plan, planTogether } from '../../src/program/plan.ts'
import { programsOf, type VariantTree } from '../../src/program/program.ts'

/** How an optimizer is planned for one parameter: one plan per combination of what `every` decides. */
export function plansOf(optimizer: Optimizer, shape: readonly number[], telemetry = false): Plan[] {
  const { traced } = traceModel(optimizer, { p: shape }, telemetry).parameters[0]!
  return planTogether(programsOf(traced!.variants).map(canonicalize))
}

export function variantsOfModel(optimizer: Optimizer, shape: readonly number[]): VariantTree {
  return traceModel(optimizer, { p: shape }, false).parameters[0]!.traced!.variants
}

/** Passes, matrix operations and bytes read and written per parameter. */
export function costOf(plan: Plan, size: number) {
  return {
    passes: plan.loops.length,
    matrices: plan.matrices.length,
    read: plan.readBytes / size,
    written: plan.writtenBytes / size,
  }
}
