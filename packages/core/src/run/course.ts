import type { DeferredExecutor, Executor, FloatArray, Work } from '../backends/backend.ts'
import type { Program } from '../program/program.ts'
import { isLoss, lossKey, type TracedEvaluation } from '../program/trace.ts'
import type { Conductor, Moment, Tensor } from './conductor.ts'
import { type DeclaredInputs, nonFiniteNumbers } from './inputs.ts'
import {
  type Answer,
  type EvaluationResult,
  type NonFinitePolicy,
  nonFiniteError,
  type Question,
  type StepResult,
} from './step.ts'
import type { Verdicts } from './verdicts.ts'

/** What a driver is given to await, and is to send back. */
export type Turns = Generator<unknown, StepResult, unknown>

export interface CourseSettings {
  readonly nonFinite: NonFinitePolicy
  /** The arrays besides gradients that programs read, by tensor and name, where the host can check them. */
  readonly arrays?: () => readonly ReadonlyMap<string, FloatArray>[]
  /** What is reported about the tensors of a step that has been run, at once or later. */
  readonly report?:
    | ((tensors: readonly Tensor[]) => StepResult['telemetry'] | Promise<StepResult['telemetry']>)
    | undefined
  /** What became of steps, for a deferred executor. */
  readonly verdicts?: Verdicts | undefined
  /** Called when the executor has changed parameters. */
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
  /** What became of steps; absent where that is known at once. */
  readonly verdicts: Verdicts | undefined
  /** The last step, where what became of it is known at once. */
  last: StepResult = { step: 0, skipped: false, nonFinite: [] }
  private readonly conductor: Conductor
  private readonly executor: Executor
  private readonly inputs: DeclaredInputs
  private readonly settings: CourseSettings

  constructor(conductor: Conductor, executor: Executor, inputs: DeclaredInputs, settings: CourseSettings) {
    this.conductor = conductor
    this.executor = executor
    this.inputs = inputs
    this.settings = settings
    this.evaluations = Math.max(1, ...conductor.trained.map(({ traced }) => traced!.evaluations.length))
    this.moves = conductor.trained.some(({ traced }) => traced!.evaluations.some(({ point }) => point))
    // Not a number until it is written: what is missing must not act as zeros.
    for (const arrays of settings.arrays?.() ?? []) for (const array of arrays.values()) array.fill(Number.NaN)
    this.verdicts = settings.verdicts
  }

  /**
   * The update itself, from gradients and inputs that are in place.
   * @param moved the tensors that stand elsewhere than before the step. Those without an update are brought back, unless the
   * verdict comes later.
   * @returns with `verdicts`, what the step is if it turns out to be taken.
   */
  update(tensors: readonly Tensor[], numbers: ReadonlyMap<string, number>, moved: readonly Tensor[] = []): StepResult {
    const { conductor, executor, inputs, settings } = this
    const allowed = settings.nonFinite === 'allow'
    const indices = tensors.map(({ index }) => index)
    const gradients = allowed || !('findNonFinite' in executor) ? [] : executor.findNonFinite(indices)
    const nonFinite = gradients.map((index) => conductor.names[index]!)
    if (!allowed) nonFinite.push(...nonFiniteNumbers(numbers))
    if (nonFinite.length > 0) {
      if (settings.nonFinite === 'throw') {
        const what = gradients.length > 0 ? 'the gradient of' : 'the input'
        throw nonFiniteError(conductor.steps + 1, what, nonFinite)
      }
      this.goBack(conductor.next(numbers), moved)
      conductor.skipped++
      const result = { step: conductor.steps, skipped: true, nonFinite }
      this.verdicts?.note(result)
      this.last = result
      return result
    }
    const moment = conductor.next(numbers)
    const updates = conductor.plan(tensors, moment)
    const work = updates.map((update) => update.work)
    inputs.checkNumbers(work, numbers)
    this.checkArrays(work)
    const result = { step: conductor.steps + 1, skipped: false, nonFinite }
    if (this.verdicts) {
      const copies = updates.flatMap(({ tensor, counts }) =>
        moved.length > 0 ? [] : conductor.copies(tensor, counts).map((key) => ({ tensor: tensor.index, key })),
      )
      const undo = conductor.remember()
      const verdict = (executor as DeferredExecutor).attempt(work, allowed ? [] : indices, copies)
      const report = settings.report?.(tensors)
      this.verdicts.add({ result, verdict, telemetry: report && Promise.resolve(report), undo })
      conductor.commit(updates, moment)
      return result
    }
    if (moved.length > 0) this.goBack(moment, except(moved, tensors))
    else for (const { tensor, counts } of updates) this.startCopies(tensor, counts)
    executor.run(work)
    conductor.commit(updates, moment)
    settings.changed?.()
    const telemetry = settings.report?.(tensors) as StepResult['telemetry']
    this.last = telemetry ? { ...result, telemetry } : result
    return this.last
  }

  /**
   * A step with evaluations of the model: yields what `evaluate` returned, or a verdict, and is sent it, awaited or as it is.
   * @param absent parameters that take no part and are not moved.
   */
  *evaluating(evaluate: (question: Question) => Answer | Promise<Answer>, absent: Iterable<string>): Turns {
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
      const result = this.update(present, numbers, moved)
      if (!this.verdicts || result.skipped) return result
      const settled = (yield this.verdicts.settled()) as StepResult
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
      const { gradient, numbers, arrays } = next.leaves
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
    if (!this.conductor.trained.some(({ traced }) => traced!.origin?.leaves.collective)) return
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
    this.executor.run(work)
    this.settings.changed?.()
  }

  private startCopies(tensor: Tensor, own: ReadonlyMap<string, number> | undefined): void {
    for (const key of this.conductor.copies(tensor, own)) this.executor.copyParameter(tensor.index, key)
  }

  private checkArrays(work: readonly Work[]): void {
    const { nonFinite } = this.settings
    const arrays = this.settings.arrays?.()
    if (!arrays?.some(({ size }) => size > 0)) return
    for (const item of work) this.inputs.checkArrays(item, arrays[item.tensor]!, { finite: nonFinite !== 'allow' })
  }
}

function except(all: readonly Tensor[], some: readonly Tensor[]): Tensor[] {
  return all.filter((tensor) => !some.includes(tensor))
}

/** @throws Error for a text, whose letters would be taken for names. */
export function checkList(caller: string, without: unknown): void {
  if (without === undefined || (typeof without === 'object' && without !== null && Symbol.iterator in without)) return
  const given = typeof without === 'string' ? `the text '${without}'` : String(without)
  throw new Error(`${caller}: without must be a list of names such as ['bias'], not ${given}`)
}
