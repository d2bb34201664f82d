import { random } from '@fallline/search/internal'
import type { CompiledOptimizer } from 'fallline'
import type { CostRecord } from '../results.ts'
import type { Task } from '../task.ts'
import { type Arrays, evaluationOf } from './evaluate.ts'
import { Breather } from './training.ts'

/** Blocks per contender of the micro-race. */
export const costBlocks = 9

const blockMilliseconds = 50
const longestBlock = 1000

/** Rounds until the compilers of JavaScript and WebAssembly have settled. */
const warmupRounds = 3

/**
 * Share of the slowest steps of a block that is left out: other processes interrupt a few steps, and would otherwise decide what the
 * rest seems to cost.
 */
export const interruptedShare = 0.02

function trimmedMean(values: number[]): number {
  const kept = values.sort((a, b) => a - b).slice(0, values.length - Math.floor(interruptedShare * values.length))
  return kept.reduce((sum, value) => sum + value, 0) / kept.length
}

/** What the micro-race needs. @internal */
export interface CostOptions {
  task: Task
  /** Contenders with their selected setting, at their initial state. */
  optimizers: ReadonlyMap<string, CompiledOptimizer>
  /** Seed of the training data. */
  trainingSeed: number
  /** Seed of the order of the blocks. */
  seed: number
  signal?: AbortSignal | undefined
  onBlock?: ((done: number, total: number) => void) | undefined
}

/**
 * Measures what a step costs in an interleaved micro-race: every contender trains in nine blocks, in an order drawn anew for each
 * round, after three rounds of warm-up that are thrown away. A block's cost is the mean of its steps but for the slowest 2 %, so that
 * work done every k-th step counts, for k up to 50.
 *
 * @throws the reason of `signal` when it is aborted, and errors of the task or an optimizer
 * @internal
 */
export async function measureCosts(options: CostOptions): Promise<CostRecord> {
  const { task, optimizers, trainingSeed, signal } = options
  const order = random(options.seed, 'order of the cost blocks')
  const breather = new Breather()
  const taken = new Map<string, number>()
  for (const optimizer of optimizers.values()) task.initialize(optimizer.parameters as Arrays, trainingSeed)

  const block = async (name: string, steps: number) => {
    const optimizer = optimizers.get(name)!
    const gradientTimes: number[] = []
    const stepTimes: number[] = []
    for (let index = 0; index < steps; index++) {
      const step = (taken.get(name) ?? 0) + 1
      taken.set(name, step)
      const start = performance.now()
      let middle = start
      const evaluate = evaluationOf(
        task,
        { seed: trainingSeed, step },
        {
          onLoss(_, evaluation) {
            if (evaluation === 0) middle = performance.now()
          },
        },
      )
      await optimizer.minimize(evaluate)
      // What follows the first gradient, further evaluations among it, is what this optimizer costs.
      stepTimes.push(performance.now() - middle)
      gradientTimes.push(middle - start)
      await breather.breathe(signal)
    }
    return { gradient: trimmedMean(gradientTimes), step: trimmedMean(stepTimes) }
  }

  const names = [...optimizers.keys()]
  let slowest = 0
  for (const name of names) {
    const { gradient, step } = await block(name, 5)
    slowest = Math.max(slowest, gradient + step)
  }
  const stepsPerBlock = Math.max(5, Math.min(longestBlock, Math.round(blockMilliseconds / slowest)))
  for (let round = 0; round < warmupRounds; round++) {
    for (const name of names) await block(name, stepsPerBlock)
  }

  const record: CostRecord = { stepsPerBlock, gradient: [], step: Object.fromEntries(names.map((name) => [name, []])) }
  let done = 0
  for (let round = 0; round < costBlocks; round++) {
    const gradients: number[] = []
    for (const name of order.shuffle(names)) {
      const { gradient, step } = await block(name, stepsPerBlock)
      gradients.push(gradient)
      record.step[name]!.push(step)
      options.onBlock?.(++done, names.length * costBlocks)
    }
    // All contenders compute the same gradients: one cost for all, so that its noise favours nobody.
    record.gradient.push(gradients.reduce((sum, value) => sum + value, 0) / gradients.length)
  }
  return record
}
