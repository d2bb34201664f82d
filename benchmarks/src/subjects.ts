import { performance } from 'node:perf_hooks'
import {
  type CompiledOptimizer,
  type CompileOptions,
  compile,
  describe,
  findOptimizer,
  type Optimizer,
  type OptimizerFactory,
  wasm,
} from 'fallline'
import { hasUnfused, unfusedHyper } from './kernels/unfused.ts'
import { type Clock, type Contender, contender } from './measure.ts'
import { fill, gradientScale, parameterScale } from './values.ts'

/**
 * The optimizer that is measured: where it has an unfused version, with that one's hyperparameters, which the peers share;
 * otherwise the defaults of its factory.
 */
export function subject(factory: OptimizerFactory): Optimizer {
  const { name } = factory.definition
  return hasUnfused(name) ? factory(unfusedHyper(name)) : factory()
}

/** The optimizers that are measured at length, beside others and compiled cold, unless `--only` says which. */
export const principal: readonly OptimizerFactory[] = [
  'sgd',
  'adam',
  'adamW',
  'adan',
  'adaBelief',
  'lion',
  'adEMAMix',
  'lamb',
  'adafactor',
  'prodigy',
  'muon',
  'scheduleFreeAdamW',
].map(findOptimizer)

/** How Fallline runs in a measurement. */
export interface Setting {
  threads?: number
  nonFinite?: NonNullable<CompileOptions['nonFinite']>
  telemetry?: boolean
  /** Begin anew every so many steps: parameters that follow one gradient for long leave the range of float32. */
  restartAfter?: number
  /** What times the steps of one evaluation; the wall clock by default. */
  clock?: Clock
}

/** Fallline's step on one tensor. */
export async function falllineContender(
  name: string,
  optimizer: Optimizer,
  shape: readonly number[],
  { threads = 1, nonFinite = 'allow', telemetry = false, restartAfter, clock }: Setting = {},
): Promise<Contender> {
  const compiled = await compile(
    optimizer,
    { weight: [...shape] },
    { backend: wasm({ threads }), nonFinite, telemetry },
  )
  fill(compiled.parameters.weight as Float32Array, parameterScale)
  fill(compiled.gradients.weight as Float32Array, gradientScale)
  for (const arrays of Object.values(compiled.inputs)) fill(arrays.weight as Float32Array, gradientScale)
  const { inputs, evaluations } = describe(optimizer, shape)
  const numbers = Object.entries(inputs).filter(([, { kind }]) => kind === 'number')
  const step =
    evaluations > 1 || optimizer.kind !== 'base' || optimizer.definition.evaluations
      ? undefined
      : { inputs: Object.fromEntries(numbers.map(([input]) => [input, 1])) }
  if (!step) return steppingThere(name, compiled)
  const dispose = () => compiled.dispose()
  const plain = contender(name, () => compiled.step(step), dispose, clock)
  if (restartAfter === undefined) return plain
  const start = compiled.save()
  const run = (steps: number): number[] => {
    const seconds: number[] = []
    while (seconds.length < steps) {
      compiled.load(start)
      seconds.push(...(plain.run(Math.min(restartAfter, steps - seconds.length)) as number[]))
    }
    return seconds
  }
  return { name, run, dispose }
}

/** Takes steps with `minimize`, whose evaluations cost nothing: what is measured is what the optimizer does itself. */
function steppingThere(name: string, compiled: CompiledOptimizer): Contender {
  return {
    name,
    async run(steps) {
      const seconds: number[] = []
      for (let index = 0; index < steps; index++) {
        const start = performance.now()
        await compiled.minimize(() => 1)
        seconds.push((performance.now() - start) / 1000)
      }
      return seconds
    },
    dispose: () => compiled.dispose(),
  }
}
