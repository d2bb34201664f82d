import { viewPlace } from '../backends/backend.ts'
import { EvaluatingCourse, type Turns } from './evaluating-course.ts'
import type { RunningOptimizer } from './running-optimizer.ts'
import type { Evaluate, Question, StepResult } from './step.ts'

/** Where an evaluation finds the parameters and writes gradients. */
type Shown = Pick<RunningOptimizer, 'parameters' | 'gradients'>

/**
 * Takes one step of an optimizer with a function that evaluates the model: see `CompiledOptimizer.minimize`.
 * @param settings.shown where `evaluate` finds parameters and writes gradients, if not in those of the optimizer.
 * @param settings.evaluated called when it has done so.
 * @throws Error as `CompiledOptimizer.minimize` does.
 */
export async function minimize<Name extends string>(
  optimizer: RunningOptimizer<Name>,
  evaluate: Evaluate<Name>,
  settings: { readonly shown?: Shown; readonly evaluated?: () => void } = {},
): Promise<StepResult<Name>> {
  if (typeof evaluate !== 'function') throw new Error(`minimize: evaluate must be a function, not ${String(evaluate)}`)
  const { verdicts } = optimizer.course
  if (verdicts) {
    optimizer.refuseAfterDispose('minimize')
    await verdicts.settled()
  }
  const step = turnsOf(optimizer, evaluate, settings.shown ?? optimizer)
  let turn = step.next()
  while (!turn.done) {
    turn = await Promise.resolve(turn.value).then(
      (answer) => {
        settings.evaluated?.()
        return step.next(answer)
      },
      (error) => step.throw(error),
    )
  }
  return turn.value
}

/** The course of `minimize`, during which nothing else may be done. */
function* turnsOf(optimizer: RunningOptimizer, evaluate: Evaluate, { parameters, gradients }: Shown): Turns {
  optimizer.refuseWhileBusy('minimize')
  optimizer.refuseStep('minimize')
  optimizer.bringIn()
  optimizer.busy = 'minimize is waiting for an evaluation of the model'
  const { inputs } = optimizer
  const { memory } = optimizer.instance
  const isKept = memory && optimizer.conductor.tensors.some(({ index }) => memory.parameterStorage(index))
  /** Views and, where there are none, copies. */
  const placed = () =>
    optimizer.eachPart(
      (tensor) => viewPlace(memory!, { kind: 'parameter', tensor }),
      (array) => array,
    )
  const ask =
    optimizer.device?.evaluator(evaluate, inputs) ??
    ((question: Question) => evaluate({ parameters: isKept ? placed() : parameters, gradients, inputs, ...question }))
  try {
    return yield* new EvaluatingCourse(optimizer.course).evaluating(ask, [])
  } finally {
    optimizer.busy = undefined
  }
}
