import type { BackendInstance, Work } from '../backends/backend.ts'
import { leavesOf, type Program } from '../program/program.ts'
import { isLoss, lossKey, type TracedEvaluation } from '../program/trace.ts'
import type { Conductor, Moment, Tensor } from './conductor.ts'
import { nonFiniteNumbers, type StepInputs } from './inputs.ts'
import type { Answer, EvaluationRequest, EvaluationResult, NonFinitePolicy, StepResult } from './step.ts'
import { telemetryOf } from './telemetry.ts'

/** What is asked of the model, besides where to find the parameters and where to write. */
export type Question = Pick<EvaluationRequest, 'wants' | 'evaluation' | 'evaluations'>

export interface CourseSettings {
  readonly nonFinite: NonFinitePolicy
  /** Whether results have telemetry. */
  readonly telemetry: boolean
  /** Called when the instance has changed parameters. */
  readonly changed?: () => void
}

/**
 * How a step goes: the points at which the model is evaluated and the way back from them, the checks of what was given, and
 * the update. Brings the conductor and what runs its programs together.
 */
export class Course {
  /** Evaluations of the model per step. */
  readonly evaluations: number
  /** True when a step evaluates the model elsewhere than where the parameters stand. */
  readonly moves: boolean
  private readonly conductor: Conductor
  private readonly instance: BackendInstance
  private readonly inputs: StepInputs
  private readonly settings: CourseSettings
  private readonly needsArrays: boolean

  constructor(conductor: Conductor, instance: BackendInstance, inputs: StepInputs, settings: CourseSettings) {
    this.conductor = conductor
    this.instance = instance
    this.inputs = inputs
    this.settings = settings
    this.evaluations = Math.max(1, ...conductor.trained.map(({ traced }) => traced!.evaluations.length))
    this.moves = conductor.trained.some(({ traced }) => traced!.evaluations.some(({ point }) => point))
    this.needsArrays = instance.inputs.some((arrays) => arrays.size > 0)
    // Not a number until it is written: what is missing must not act as zeros.
    for (const arrays of instance.inputs) for (const array of arrays.values()) array.fill(Number.NaN)
  }

  /**
   * The update itself, from gradients and inputs that are in place.
   * @param moved the tensors that stand elsewhere than before the step.
   */
  update(tensors: readonly Tensor[], numbers: ReadonlyMap<string, number>, moved: readonly Tensor[] = []): StepResult {
    const { conductor, instance, inputs } = this
    const gradients = this.findNonFinite(tensors)
    const nonFinite = [...gradients, ...(this.settings.nonFinite === 'allow' ? [] : nonFiniteNumbers(numbers))]
    if (nonFinite.length > 0) {
      if (this.settings.nonFinite === 'throw') {
        const what = gradients.length > 0 ? 'the gradient of' : 'the input'
        throw new Error(
          `step ${conductor.steps + 1}: ${what} ${nonFinite.map((name) => `'${name}'`).join(', ')} is not finite; ` +
            "parameters and state are unchanged (nonFinite: 'skip' skips such steps, 'allow' does not check)",
        )
      }
      this.goBack(conductor.next(numbers), moved)
      conductor.skipped++
      return { step: conductor.steps, skipped: true, nonFinite }
    }
    const moment = conductor.next(numbers)
    const updates = conductor.plan(tensors, moment)
    const work = updates.map((update) => update.work)
    inputs.checkNumbers(work, numbers)
    this.checkArrays(work)
    if (moved.length > 0) {
      this.goBack(
        moment,
        moved.filter((tensor) => !tensors.includes(tensor)),
      )
    } else for (const { tensor, counts } of updates) this.startCopies(tensor, counts)
    instance.run(work)
    conductor.commit(updates, moment)
    this.settings.changed?.()
    const result = { step: conductor.steps, skipped: false, nonFinite }
    if (!this.settings.telemetry) return result
    return { ...result, telemetry: telemetryOf(tensors, (tensor, name) => instance.telemetry(tensor, name)) }
  }

  /**
   * A step with evaluations of the model: yields what `evaluate` returned and is sent it, awaited or as it is.
   * @param absent parameters that take no part and are not moved.
   */
  *evaluating(
    evaluate: (question: Question) => Answer | Promise<Answer>,
    absent: Iterable<string>,
  ): Generator<Answer | Promise<Answer>, StepResult, Answer> {
    const { conductor, evaluations } = this
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
        const result = yield evaluate({ wants, evaluation, evaluations })
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
      return this.update(present, numbers, moved)
    } catch (error) {
      if (moved.length > 0) {
        // The way back is known from the last point only.
        while (++evaluation < evaluations) this.moveTo(evaluation, moment, moved, true)
        this.goBack(moment, moved)
      }
      throw error
    }
  }

  /** The evaluation of a tensor's own that is the `evaluation`-th of the step: those of fewer are the last ones. */
  private ownEvaluation({ traced }: Tensor, evaluation: number): TracedEvaluation | undefined {
    return traced!.evaluations[evaluation - (this.evaluations - traced!.evaluations.length)]
  }

  private wantsOf(evaluation: number, moment: Moment, tensors: readonly Tensor[]): Set<string> {
    const wants = new Set<string>()
    const last = evaluation === this.evaluations - 1
    for (const tensor of tensors) {
      for (const want of this.ownEvaluation(tensor, evaluation)?.wants ?? []) wants.add(want)
      // What the next program reads: the update, or the way to the next point.
      const next = last
        ? this.conductor.choose(tensor, moment).program
        : this.ownEvaluation(tensor, evaluation + 1)?.point
      if (next === undefined) continue
      const { gradient, numbers, arrays } = leavesOf(next)
      const named = numbers.filter((name) => name === 'loss' || !isLoss(name))
      for (const name of [...(gradient ? ['gradient'] : []), ...named, ...arrays]) wants.add(name)
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
      this.startCopies(tensor, undefined)
      // What a switch begins in this step.
      this.startCopies(tensor, this.conductor.choose(tensor, moment).own)
    }
    this.move(moves, moment)
    return true
  }

  /** @throws Error when parameters come back together or not at all, and one has no gradient. */
  private checkSeparate(): void {
    if (!this.conductor.trained.some(({ traced }) => traced!.origin && leavesOf(traced!.origin).collective)) return
    throw new Error(
      `${this.inputs.evaluatingTitle()} looks at all parameters to find its way back, so each needs its gradient: leave out without`,
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
    const work = this.conductor.before(programs, moment)
    this.checkArrays(work)
    this.instance.run(work)
    this.settings.changed?.()
  }

  private startCopies(tensor: Tensor, own: ReadonlyMap<string, number> | undefined): void {
    for (const key of this.conductor.copies(tensor, own)) this.instance.copyParameter(tensor.index, key)
  }

  private checkArrays(work: readonly Work[]): void {
    if (!this.needsArrays) return
    const finite = this.settings.nonFinite !== 'allow'
    for (const item of work) this.inputs.checkArrays(item, this.instance.inputs[item.tensor]!, { finite })
  }

  private findNonFinite(tensors: readonly Tensor[]): string[] {
    if (this.settings.nonFinite === 'allow') return []
    const found = this.instance.findNonFinite(tensors.map((tensor) => tensor.index))
    return found.map((index) => this.conductor.names[index]!)
  }
}

/** @throws Error for a text, whose letters would be taken for names. */
export function checkList(caller: string, without: unknown): void {
  if (without === undefined || (typeof without === 'object' && without !== null && Symbol.iterator in without)) return
  const given = typeof without === 'string' ? `the text '${without}'` : String(without)
  throw new Error(`${caller}: without must be a list of names such as ['bias'], not ${given}`)
}
