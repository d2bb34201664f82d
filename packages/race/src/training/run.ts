import { type Backend, type CompiledOptimizer, compile } from 'fallline'
import type { Setting } from '../search/space.ts'
import { layoutOf, type Task } from '../task.ts'
import type { Entry } from './contenders.ts'
import { advance, beginning, fail, type NonFinite, type TrainingState, testMetric } from './training.ts'

/** One run of a contender with a setting. @internal */
export interface RunPlan {
  readonly setting: Setting
  /** Optimizer steps of a full run. */
  readonly steps: number
  readonly seed: number
  /** Gradients between two evaluations. */
  readonly evaluateEvery: number
  readonly nonFinite: NonFinite
  /** Where the run stands, and what the optimizer saved there; `null` for a run that begins. */
  readonly from: { readonly state: TrainingState; readonly checkpoint: Uint8Array } | null
  /** Gradients to stop at; `Infinity` for the end of the run. */
  readonly until: number
  /** Whether the test metric is wanted at the end. */
  readonly test: boolean
}

/** How far a run got. @internal */
export interface RunResult {
  state: TrainingState
  /** What the optimizer saved, as long as the run can go on. */
  checkpoint: Uint8Array | null
  /** Test metric of a finished run, where it was asked for. */
  test: number | null
  /** Milliseconds from the rule to a kernel; `null` where there is none. */
  compileMilliseconds: number | null
}

/**
 * Compiles a contender and trains it on from where a run stands. What the task or the optimizer throws is a result, because others go on.
 *
 * @throws only the reason of the signal, when it is aborted
 * @internal
 */
export async function runOn(
  task: Task,
  entry: Entry,
  plan: RunPlan,
  backend: Backend,
  observer: { signal?: AbortSignal | undefined; onStep?: ((step: number) => void) | undefined } = {},
): Promise<RunResult> {
  const { setting, steps, seed, evaluateEvery, nonFinite, from, until } = plan
  const state = from === null ? beginning() : structuredClone(from.state)
  const result: RunResult = { state, checkpoint: null, test: null, compileMilliseconds: null }
  const start = performance.now()
  let optimizer: CompiledOptimizer | null = null
  try {
    // What is not finite is always reported by the optimizer, which is what a step costs by default; `advance` decides what follows.
    optimizer = await compile(entry.create(setting, steps), task.parameters, {
      nonFinite: 'skip',
      backend,
      ...layoutOf(task),
    })
    result.compileMilliseconds = performance.now() - start
    if (from !== null) optimizer.load(from.checkpoint)
    const training = { task, optimizer, seed, steps, evaluateEvery, nonFinite }
    await advance(training, state, until, observer)
    if (plan.test && state.outcome === 'finished') result.test = await testMetric(training)
    if (state.outcome === null) result.checkpoint = optimizer.save()
  } catch (error) {
    observer.signal?.throwIfAborted()
    fail(state, error)
  } finally {
    optimizer?.dispose()
  }
  return result
}
