import type { Program } from '../program/program.ts'
import { isLoss, lossKey, type TracedEvaluation } from '../program/trace.ts'
import type { Moment, Tensor } from './conductor.ts'
import { type Course, checkList, except, type Moved } from './course.ts'
import type { Answer, EvaluationResult, Question, StepResult } from './step.ts'

/** What a driver is given to await, and is to send back. */
export type Turns = Generator<unknown, StepResult, unknown>

/** The points at which a step evaluates the model, and the way back from them. */
export class EvaluatingCourse {
  private readonly course: Course

  constructor(course: Course) {
    this.course = course
  }

  /**
   * A step with evaluations of the model: yields what `evaluate` returned, or a verdict, and is sent it, awaited or as it is.
   * @param absent parameters that take no part and are not moved.
   */
  *evaluating(evaluate: (question: Question) => Answer | Promise<Answer>, absent: Iterable<string>): Turns {
    const { course } = this
    const { conductor, verdicts, evaluations } = course
    const without = new Set(absent)
    let present = conductor.present(without)
    const numbers = new Map<string, number>()
    const moment = conductor.next(numbers)
    /** Those that stand at a point of the step. */
    let moved: readonly Tensor[] = []
    let evaluation = 0
    try {
      for (; evaluation < evaluations; evaluation++) {
        if (this.moveTo(evaluation, moment, present, moved.length > 0)) moved = present
        const wants = this.wantsOf(evaluation, moment, present)
        const result = (yield evaluate({ wants, evaluation, evaluations })) as Answer
        const given: Exclude<EvaluationResult, number | undefined> =
          typeof result === 'object' ? result : typeof result === 'number' ? { loss: result } : {}
        if (given.loss !== undefined) {
          numbers.set(lossKey(evaluations - 1 - evaluation), given.loss)
          numbers.set('loss', given.loss)
        } else if (wants.has('loss')) throw new Error('minimize: evaluate must return the loss, or { loss }')
        for (const [name, value] of Object.entries(given.inputs ?? {})) numbers.set(name, value)
        checkList('minimize', given.without)
        for (const name of given.without ?? []) without.add(name)
        // What has no gradient before anything moved stays where it is.
        if (moved.length === 0) present = conductor.present(without)
      }
      present = conductor.present(without)
      if (present.length < moved.length) this.checkSeparate()
      const back: Moved['back'] = (then, tensors) => this.goBack(then, tensors)
      const result = course.update(present, numbers, moved.length > 0 ? { tensors: moved, back } : undefined)
      if (!verdicts || result.skipped) return result
      const settled = (yield verdicts.settled()) as StepResult
      this.goBack(moment, settled.skipped ? moved : except(moved, present))
      return settled
    } catch (error) {
      if (moved.length > 0) {
        // The way back is known from the last point only.
        while (++evaluation < evaluations) this.moveTo(evaluation, moment, moved, true)
        this.goBack(moment, moved)
      }
      throw error
    }
  }

  /** A step whose evaluations answer at once, on an executor that does so too. */
  evaluatedNow(evaluate: (question: Question) => Answer, absent: Iterable<string>): StepResult {
    const turns = this.evaluating(evaluate, absent)
    let turn = turns.next()
    while (!turn.done) turn = turns.next(turn.value)
    return turn.value
  }

  /** The evaluation of a tensor's own that is the `evaluation`-th of the step: those of fewer are the last ones. */
  private ownEvaluation({ traced }: Tensor, evaluation: number): TracedEvaluation | undefined {
    return traced!.evaluations[evaluation - (this.course.evaluations - traced!.evaluations.length)]
  }

  private wantsOf(evaluation: number, moment: Moment, tensors: readonly Tensor[]): Set<string> {
    const wants = new Set<string>()
    const last = evaluation === this.course.evaluations - 1
    for (const tensor of tensors) {
      for (const want of this.ownEvaluation(tensor, evaluation)?.wants ?? []) wants.add(want)
      // What the next program reads: the update, or the way to the next point.
      const next = last
        ? this.course.conductor.choose(tensor, moment).program
        : this.ownEvaluation(tensor, evaluation + 1)?.point
      if (next === undefined) continue
      const { gradient, numbers, arrays } = next.leaves
      const named = numbers.filter((name) => name === 'loss' || !isLoss(name))
      for (const name of [...(gradient ? ['gradient'] : []), ...named, ...arrays.map((array) => array.name)]) {
        wants.add(name)
      }
    }
    return wants
  }

  /** Moves parameters to the point of an evaluation; true when something moved. */
  private moveTo(evaluation: number, moment: Moment, tensors: readonly Tensor[], movedBefore: boolean): boolean {
    const moves = tensors.flatMap((tensor) => {
      const program = this.ownEvaluation(tensor, evaluation)?.point
      return program ? [{ tensor, program }] : []
    })
    if (moves.length === 0) return false
    for (const tensor of movedBefore ? [] : tensors) {
      this.course.startCopies(tensor, undefined)
      // What a switch begins in this step.
      this.course.startCopies(tensor, this.course.conductor.choose(tensor, moment).own)
    }
    this.move(moves, moment)
    return true
  }

  /** @throws Error when parameters come back together or not at all, and one has no gradient. */
  private checkSeparate(): void {
    if (!this.course.conductor.trained.some(({ traced }) => traced!.origin?.leaves.collective)) return
    throw new Error(
      `${this.course.inputs.evaluatingTitle()} looks at all parameters to find its way back, so each needs its gradient: leave out without`,
    )
  }

  /** Brings parameters back from the points of a step: all when it failed, else those that turned out to have no gradient. */
  private goBack(moment: Moment, tensors: readonly Tensor[]): void {
    const moves = tensors.flatMap((tensor) => {
      const program = tensor.traced!.origin
      return program ? [{ tensor, program }] : []
    })
    if (moves.length > 0) this.move(moves, moment)
  }

  private move(programs: readonly { tensor: Tensor; program: Program }[], moment: Moment): void {
    const work = this.course.conductor.before(programs, moment)
    this.course.checkArrays(work)
    this.course.executor.run(work)
    this.course.settings.changed?.()
  }
}
