import { programsOf } from '../program/program.ts'
import type { Moment, Tensor, Update } from './conductor.ts'
import type { Course } from './course.ts'
import type { RunningOptimizer } from './running-optimizer.ts'
import { nonFiniteError, type StepOptions, type StepResult } from './step.ts'

/** A step that takes the gradients one after the other, as backpropagation makes them. */
export interface FusedBackward<Name extends string = string> {
  /**
   * Updates one parameter. Its gradient may be thrown away, or overwritten, afterwards.
   * @throws Error for an unknown or frozen parameter, a second gradient of one parameter, a wrong length, and, with the policy
   * `throw`, a gradient that is not finite. That parameter is untouched then; those before it have moved.
   */
  update(name: Name, gradient: ArrayLike<number>): void
  /** Ends the step. Parameters that were not updated had no gradient. Call it whatever happened, or nothing else may be done. */
  end(): StepResult<Name>
}

/**
 * Begins a step in which each parameter is updated as soon as its gradient is known, so that no two gradients need be kept at
 * once: the fused backward of LOMO and AdaLOMO (Lv, Yang, Liu, Gao, Guo, Qiu 2023, arXiv 2306.09782). Compile with `gradients:
 * 'oneAtATime'`, and the optimizer has room for the largest gradient alone.
 *
 * ```ts
 * import { adafactor, compile, fusedBackward } from 'fallline'
 *
 * const optimizer = await compile(adafactor(), { first: [64, 32], last: [32] }, { gradients: 'oneAtATime' })
 * const step = fusedBackward(optimizer)
 * for (const name of ['last', 'first'] as const) step.update(name, optimizer.parameters[name].map((x) => x - 1))
 * console.log(step.end().step) // 1
 * ```
 *
 * The step is that of `step`, to the bit, but for parameters whose gradient is not finite: with the policy `skip` they alone have
 * no gradient.
 *
 * @param settings.inputs the numbers and arrays that the optimizer takes besides gradients, as for `step`.
 * @throws Error when the optimizer needs all gradients at once, since it sums over parameters, takes them as one vector, or evaluates
 * the model at points of its own; when its backend answers later; and in the middle of another step.
 */
export function fusedBackward<Name extends string>(
  optimizer: RunningOptimizer<Name>,
  { inputs }: Pick<StepOptions<Name>, 'inputs'> = {},
): FusedBackward<Name> {
  optimizer.refuseWhileBusy('fusedBackward')
  optimizer.refuseAfterFinish('fusedBackward')
  optimizer.memory('fusedBackward', 'step')
  checkSeparate(optimizer)
  const { conductor, course } = optimizer
  const numbers = optimizer.takeInputs(inputs)
  optimizer.bringIn()
  const moment: Moment = conductor.next(numbers)
  const updates: Update[] = []
  const nonFinite: string[] = []
  const seen = new Set<string>()
  const done = 'this step has ended; begin another with fusedBackward(optimizer)'
  let ended: StepResult<Name> | undefined
  optimizer.busy = 'fusedBackward has begun a step; end() it first'
  return {
    update(name, gradient) {
      if (ended) throw new Error(`update: ${done}`)
      optimizer.checkLength('update', name, gradient)
      const tensor = conductor.tensors[conductor.partOf('update', name).tensor]!
      if (!tensor.traced) throw new Error(`update: the parameter '${name}' is frozen, so its gradient is of no use`)
      if (seen.has(name))
        throw new Error(`update: '${name}' has been updated in this step; add its gradients up before`)
      optimizer.write('gradient', name, gradient)
      const moved = updated(course, tensor, moment)
      if (moved) updates.push(moved)
      else if (course.settings.nonFinite === 'throw')
        throw nonFiniteError(conductor.steps + 1, 'the gradient of', [name])
      else nonFinite.push(name)
      seen.add(name)
    },
    end() {
      if (ended) throw new Error(`end: ${done}`)
      ended = course.taken(updates, moment, nonFinite) as StepResult<Name>
      optimizer.busy = undefined
      return ended
    },
  }
}

/** Updates one tensor from the gradient in place, unless that is not finite; it is noted when all have been. */
function updated(course: Course, tensor: Tensor, moment: Moment): Update | undefined {
  const { executor, settings } = course
  const looks = settings.nonFinite !== 'allow' && 'findNonFinite' in executor
  if (looks && executor.findNonFinite([tensor.index]).length > 0) return undefined
  const [update] = course.planned([tensor], moment) as [Update]
  course.startCopies(tensor, update.counts)
  executor.run([update.work])
  return update
}

/** @throws Error when gradients are needed together. */
function checkSeparate({ conductor, moves }: RunningOptimizer): void {
  const { parts, trained } = conductor
  const instead = 'give it all gradients at once, with step or minimize'
  if (moves) throw new Error(`fusedBackward: this optimizer evaluates the model at points of its own; ${instead}`)
  if (parts.length > conductor.tensors.length)
    throw new Error(`fusedBackward: this optimizer takes parameters as one vector; ${instead}`)
  const collective = trained.some(({ traced }) => programsOf(traced!.variants).some(({ leaves }) => leaves.collective))
  if (collective) throw new Error(`fusedBackward: this optimizer sums over all parameters; ${instead}`)
}
