import { performance } from 'node:perf_hooks'
import { adam, adan, type CompiledOptimizer, compile, type Optimizer, sgd } from 'fallline'
import { contender, measure } from '../measure.ts'
import { type Summary, speedRatio } from '../statistics.ts'
import { fill, gradientScale } from '../values.ts'

/** The step of one optimizer when gradients have ended, beside the step with gradients. */
export interface DecayResult {
  optimizer: string
  parameters: number
  /** How many times as long a step takes once the moments are at rest. */
  atRest: Summary
  /** The longest block of steps on the way there, in steps with gradients. */
  worst: number
}

/** Small enough for the caches, where arithmetic shows. */
const parameters = 262_144
const withGradients = 60
/** 0.9 to the power of 1600 is far below float32. */
const without = 1600
const block = 32

/** Measures rules whose moments decay when there are no gradients any more, as of units that died. */
export async function measureDecay(progress: (text: string) => void): Promise<DecayResult[]> {
  const results: DecayResult[] = []
  const rules = { sgd: sgd({ momentum: 0.9 }), adam: adam(), adan: adan() }
  for (const [name, rule] of Object.entries(rules)) {
    progress(`${name} without gradients`)
    results.push(await measureOne(name, rule))
  }
  return results
}

async function measureOne(optimizer: string, rule: Optimizer): Promise<DecayResult> {
  const [alive, decayed] = [await begun(rule), await begun(rule)]
  decayed.gradients.weight!.fill(0)
  let worst = 0
  while (decayed.steps < withGradients + without) worst = Math.max(worst, secondsOf(decayed) / secondsOf(alive))
  const contenders = [contender('alive', () => void alive.step()), contender('decayed', () => void decayed.step())]
  const { measurements } = await measure(contenders, { seconds: 0.8 })
  const atRest = speedRatio(measurements.get('alive')!.rounds, measurements.get('decayed')!.rounds)
  for (const each of [alive, decayed]) each.dispose()
  return { optimizer, parameters, atRest, worst }
}

async function begun(rule: Optimizer): Promise<CompiledOptimizer> {
  const compiled: CompiledOptimizer = await compile(rule, { weight: [parameters] }, { nonFinite: 'allow' })
  fill(compiled.gradients.weight as Float32Array, gradientScale)
  while (compiled.steps < withGradients) compiled.step()
  return compiled
}

function secondsOf(compiled: CompiledOptimizer): number {
  const start = performance.now()
  for (let step = 0; step < block; step++) compiled.step()
  return (performance.now() - start) / 1000
}
