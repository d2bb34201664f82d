import { setImmediate } from 'node:timers/promises'
import type { CompiledOptimizer } from 'fallline'
import type { Task } from '../task.ts'
import { type Arrays, evaluationOf } from './evaluate.ts'

/** How one training run ended. `diverged`: a number was no longer finite; `failed`: the task or the optimizer threw an error. */
export type Outcome = 'finished' | 'diverged' | 'failed'

/** What is done with a gradient that is not finite: the run ends as diverged, or the step is left out and counted. */
export type NonFinite = 'stop' | 'skip'

/** Evaluations of a run, in the order of time. */
export interface Curve {
  /** Optimizer steps taken. */
  step: number[]
  /** Gradients computed by then; a loss alone counts as a third of a gradient. */
  gradients: number[]
  /** Mean training loss since the evaluation before. */
  loss: number[]
  /** Validation metric. */
  validation: number[]
}

/** Everything about a run that the optimizer does not hold. Plain JSON, so that a run can be put away and taken up again. */
export interface TrainingState {
  outcome: Outcome | null
  message?: string
  stack?: string
  step: number
  gradients: number
  skipped: number
  curve: Curve
  lossSum: number
  lossCount: number
}

/** One training run. @internal */
export interface TrainingPlan {
  task: Task
  optimizer: CompiledOptimizer
  /** Training seed: initial values and order of the data. */
  seed: number
  /** Optimizer steps; the schedule of the learning rate ends there. */
  steps: number
  /** Gradients between two evaluations. */
  evaluateEvery: number
  nonFinite: NonFinite
}

/** Gives other work of this process, such as signals and the progress display, a turn now and then. @internal */
export class Breather {
  #last = performance.now()

  /** @throws the reason of `signal` when it has been aborted */
  async breathe(signal: AbortSignal | undefined): Promise<void> {
    if (performance.now() - this.#last < 25) return
    await setImmediate()
    this.#last = performance.now()
    signal?.throwIfAborted()
  }
}

class Diverged extends Error {}

/** The state of a run before its first step. @internal */
export function beginning(): TrainingState {
  return {
    outcome: null,
    step: 0,
    gradients: 0,
    skipped: 0,
    curve: { step: [], gradients: [], loss: [], validation: [] },
    lossSum: 0,
    lossCount: 0,
  }
}

/**
 * Trains from where `state` stands, which it brings up to date, until `until` gradients have been computed or the run ends. Losses,
 * gradients or metrics that are not finite end the run as diverged, errors of the task or the optimizer as failed; neither is thrown.
 * The optimizer must be the one that `state` was left with: newly compiled before the first step, or loaded from a checkpoint.
 *
 * @throws only the reason of `signal`, when it is aborted
 * @internal
 */
export async function advance(
  plan: TrainingPlan,
  state: TrainingState,
  until = Infinity,
  { signal, onStep }: { signal?: AbortSignal | undefined; onStep?: ((step: number) => void) | undefined } = {},
): Promise<void> {
  const { task, optimizer, seed, steps, evaluateEvery, nonFinite } = plan
  const breather = new Breather()
  signal?.throwIfAborted()
  try {
    if (state.step === 0) task.initialize(optimizer.parameters as Arrays, seed)
    while (state.outcome === null && state.gradients < until - rounding) {
      const step = state.step + 1
      let loss = 0
      let cost = 0
      const point = evaluationOf(
        task,
        { seed, step },
        {
          onLoss(found, evaluation) {
            if (!Number.isFinite(found) && nonFinite === 'stop')
              throw new Diverged(`the loss was ${found} at step ${step}`)
            if (evaluation === 0) loss = found
          },
          onCost(gradients) {
            cost += gradients
          },
        },
      )
      const { skipped, nonFinite: names } = await optimizer.minimize(point)
      if (skipped && nonFinite === 'stop') {
        throw new Diverged(`the gradient of ${names.join(', ')} was not finite at step ${step}`)
      }
      state.step = step
      state.gradients += cost
      if (skipped) state.skipped++
      else {
        state.lossSum += loss
        state.lossCount++
      }
      const due = (state.curve.step.length + 1) * evaluateEvery
      if (state.gradients >= due - rounding || step === steps) await evaluate(plan, state)
      if (step === steps) state.outcome = 'finished'
      onStep?.(step)
      await breather.breathe(signal)
    }
  } catch (error) {
    signal?.throwIfAborted()
    state.outcome = error instanceof Diverged ? 'diverged' : 'failed'
    state.message = error instanceof Error ? error.message : String(error)
    if (state.outcome === 'failed' && error instanceof Error && error.stack) state.stack = error.stack
  }
}

/** Thirds of gradients do not add up exactly. */
const rounding = 1e-6

async function evaluate({ task, optimizer }: TrainingPlan, state: TrainingState): Promise<void> {
  const metric = await task.metric(optimizer.evaluationParameters() as Arrays, 'validation')
  if (!Number.isFinite(metric)) throw new Diverged(`the validation metric was ${metric} at step ${state.step}`)
  const { curve } = state
  curve.step.push(state.step)
  curve.gradients.push(Math.round(state.gradients * 1000) / 1000)
  curve.loss.push(state.lossCount > 0 ? state.lossSum / state.lossCount : Number.NaN)
  curve.validation.push(metric)
  state.lossSum = 0
  state.lossCount = 0
}

/** The test metric where a run ended; `null` when it is not finite. @internal */
export async function testMetric({
  task,
  optimizer,
}: Pick<TrainingPlan, 'task' | 'optimizer'>): Promise<number | null> {
  const metric = await task.metric(optimizer.evaluationParameters() as Arrays, 'test')
  return Number.isFinite(metric) ? metric : null
}

/**
 * Gradients until a metric met each target: those of the first evaluation that saw it, `null` for never. A run that did not finish
 * counts as missing every target, whatever it met before. @internal
 */
export function gradientsToTargets(
  { outcome, curve }: Pick<TrainingState, 'outcome' | 'curve'>,
  targets: readonly number[],
  direction: 'minimize' | 'maximize',
): (number | null)[] {
  const met = (metric: number, target: number) => (direction === 'minimize' ? metric <= target : metric >= target)
  return targets.map((target) => {
    if (outcome !== 'finished') return null
    const index = curve.validation.findIndex((metric) => met(metric, target))
    return index < 0 ? null : curve.gradients[index]!
  })
}
