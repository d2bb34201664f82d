import { type CompileOptions, compile, type Optimizer, type OptimizerFactory, wasm } from 'fallline'
import { hasUnfused, unfusedHyper } from './kernels/unfused.ts'
import { type Contender, contender } from './measure.ts'
import { fill, gradientScale, parameterScale } from './values.ts'

/**
 * The optimizer that is measured: where it has an unfused version, with that one's hyperparameters, which the peers share;
 * otherwise the defaults of its factory.
 */
export function subject(factory: OptimizerFactory): Optimizer {
  const { name } = factory.definition
  return hasUnfused(name) ? factory(unfusedHyper(name)) : factory()
}

/** How Fallline runs in a measurement. */
export interface Setting {
  threads?: number
  nonFinite?: NonNullable<CompileOptions['nonFinite']>
  telemetry?: boolean
}

/** Fallline's step on one tensor. */
export async function falllineContender(
  name: string,
  optimizer: Optimizer,
  shape: readonly number[],
  { threads = 1, nonFinite = 'allow', telemetry = false }: Setting = {},
): Promise<Contender> {
  const compiled = await compile(
    optimizer,
    { weight: [...shape] },
    { backend: wasm({ threads }), nonFinite, telemetry },
  )
  fill(compiled.parameters.weight as Float32Array, parameterScale)
  fill(compiled.gradients.weight as Float32Array, gradientScale)
  return contender(
    name,
    () => compiled.step(),
    () => compiled.dispose(),
  )
}
