import { builtinTasks, type Task } from '@fallline/race'
import {
  adamW,
  adan,
  type CompiledOptimizer,
  compile,
  cosine,
  lion,
  type Optimizer,
  type QuantizedSettings,
  quantized,
} from 'fallline'
import { mean, sampleStandardDeviation } from 'simple-statistics'
import { contender, measure, processorClock } from '../measure.ts'
import { type Summary, speedRatio } from '../statistics.ts'
import { fill, gradientScale, parameterScale } from '../values.ts'

/** A way to keep state, with its name. */
const ways: Readonly<Record<string, QuantizedSettings>> = {
  '8 bits': { bits: 8 },
  '4 bits': { bits: 4 },
  bf16: { storage: 'bf16' },
  'bf16+byte': { storage: 'bf16+byte' },
  'parameters bf16': { storage: 'float32', parameters: 'bf16' },
  'parameters bf16+byte': { storage: 'float32', parameters: 'bf16+byte' },
  '8 bits, parameters bf16': { bits: 8, parameters: 'bf16' },
  'both bf16+byte': { storage: 'bf16+byte', parameters: 'bf16+byte' },
}

/** A step of AdamW with its state or parameters kept otherwise, beside one in float32. */
export interface QuantizedResult {
  way: string
  parameters: number
  /** Bytes of state as they lie in memory, as a share of those in float32. */
  memory: number
  /** The same of parameters. */
  parameterMemory: number
  /** Parameters a second of the processor's time as a share of those in float32. */
  speed: Summary
}

/** Far larger than the caches. */
const side = 4096

/** Bytes that state and parameters take in the memory of an optimizer: those of its checkpoint without its header. */
function bytesOf(optimizer: CompiledOptimizer): { state: number; parameters: number } {
  const bytes = optimizer.save()
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
  const header: Record<string, { data_offsets: [number, number] }> = JSON.parse(
    new TextDecoder().decode(bytes.subarray(8, 8 + length)),
  )
  const [from, to] = Object.entries(header).find(([name]) => name.startsWith('parameters/'))![1].data_offsets
  return { state: bytes.length - 8 - length - (to - from), parameters: to - from }
}

/** Measures AdamW with its state or parameters in fewer bits, all ways and float32 in turns. */
export async function measureQuantized(progress: (text: string) => void): Promise<QuantizedResult[]> {
  progress('AdamW with its state in fewer bits')
  const start = new Float32Array(side * side)
  fill(start, parameterScale)
  const begun = async (rule: Optimizer) => {
    const optimizer: CompiledOptimizer = await compile(rule, { weight: [side, side] }, { nonFinite: 'allow' })
    fill(optimizer.gradients.weight as Float32Array, gradientScale)
    optimizer.writeParameters({ weight: start })
    optimizer.step()
    return optimizer
  }
  const full = await begun(adamW())
  const kept = await Promise.all(
    Object.entries(ways).map(async ([way, settings]) => ({
      way,
      optimizer: await begun(quantized(adamW(), settings)),
    })),
  )
  const all = [{ way: 'float32', optimizer: full }, ...kept]
  // One thread computes: what else the machine does makes it wait, which is no part of this.
  const contenders = all.map(({ way, optimizer }) =>
    contender(way, () => void optimizer.step(), undefined, processorClock),
  )
  const { measurements } = await measure(contenders, { seconds: 6 })
  const rounds = (way: string) => measurements.get(way)!.rounds
  const whole = bytesOf(full)
  const results = kept.map(({ way, optimizer }) => {
    const { state, parameters } = bytesOf(optimizer)
    return {
      way,
      parameters: side * side,
      memory: state / whole.state,
      parameterMemory: parameters / whole.parameters,
      speed: speedRatio(rounds(way), rounds('float32')),
    }
  })
  for (const { optimizer } of all) optimizer.dispose()
  return results
}

/** Final losses of an optimizer with its state in fewer bits, beside float32 on the same seeds. */
export interface QuantizedLoss {
  task: string
  optimizer: string
  way: string
  seeds: number
  /** Mean final validation loss in float32, and its standard deviation from seed to seed. */
  float32: number
  spread: number
  /** Mean difference to float32 on the same seeds, with the ends of its 95 % interval. */
  difference: number
  low: number
  high: number
}

const seeds = 20

/** The two-sided 95 % quantile of Student's t with 19 degrees of freedom. */
const student = 2.093

/** With rates that suit these tasks; cosine to 0. */
const rules: Readonly<Record<string, (steps: number) => Optimizer>> = {
  adamW: (steps) => adamW({ learningRate: cosine({ from: 5e-3, to: 0, steps }) }),
  adan: (steps) => adan({ learningRate: cosine({ from: 1e-2, to: 0, steps }) }),
  lion: (steps) => lion({ learningRate: cosine({ from: 1e-3, to: 0, steps }) }),
}

/** The matrices of these tasks are small: those of at least this many elements are quantized. */
const minimumSize = 512

/** Trains networks with state in float32, 8 and 4 bits from the same seeds, and compares their final validation losses. */
export async function measureQuantizedLosses(progress: (text: string) => void): Promise<QuantizedLoss[]> {
  const results: QuantizedLoss[] = []
  for (const name of ['digits-mlp', 'character-transformer']) {
    const task = await builtinTasks.find((found) => found.name === name)!.load()
    const { steps } = task.budget
    for (const [optimizer, rule] of Object.entries(rules)) {
      const losses = async (way: string, own: Optimizer) => {
        progress(`${name}, ${optimizer}, ${way}`)
        const found: number[] = []
        for (let seed = 1; seed <= seeds; seed++) found.push(await finalLoss(task, own, seed))
        return found
      }
      const full = await losses('float32', rule(steps))
      for (const way of ['8 bits', '4 bits']) {
        const own = await losses(way, quantized(rule(steps), { ...ways[way]!, minimumSize }))
        const differences = own.map((loss, index) => loss - full[index]!)
        const [difference, half] = [
          mean(differences),
          (student * sampleStandardDeviation(differences)) / Math.sqrt(seeds),
        ]
        const [low, high] = [difference - half, difference + half]
        const spread = sampleStandardDeviation(full)
        results.push({ task: name, optimizer, way, seeds, float32: mean(full), spread, difference, low, high })
      }
    }
    task.dispose?.()
  }
  return results
}

async function finalLoss(task: Task, rule: Optimizer, seed: number): Promise<number> {
  const optimizer = await compile(rule, task.parameters, task.layout ? { layout: task.layout } : {})
  const { parameters, gradients } = optimizer as {
    parameters: Record<string, Float32Array>
    gradients: typeof parameters
  }
  task.initialize(parameters, seed)
  for (let step = 1; step <= task.budget.steps; step++) {
    await task.gradient(parameters, gradients, { seed, step })
    optimizer.step()
  }
  const loss = await task.metric(parameters, 'validation')
  optimizer.dispose()
  return loss
}
