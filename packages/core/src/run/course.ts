import type { Executor, FloatArray, Work } from '../backends/backend.ts'
import type { Conductor, Moment, Tensor, Update } from './conductor.ts'
import { nonFiniteNumbers, type StepInputs } from './no-inputs.ts'
import { type NonFinitePolicy, nonFiniteError, type StepResult } from './step.ts'
import type { Verdicts } from './verdicts.ts'

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
  /** The parameters of a tensor whose gradients are not finite, where a tensor may be several. */
  readonly nonFiniteNames?: (tensor: number) => readonly string[]
}

/** Tensors that stand at a point where the model was evaluated, and how they come back from there. */
export interface Moved {
  readonly tensors: readonly Tensor[]
  readonly back: (moment: Moment, tensors: readonly Tensor[]) => void
}

/**
 * How a step goes: the checks of what was given, and the update. Brings the conductor and what runs its programs together.
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
  readonly conductor: Conductor
  readonly executor: Executor
  readonly inputs: StepInputs
  readonly settings: CourseSettings

  constructor(conductor: Conductor, executor: Executor, inputs: StepInputs, settings: CourseSettings) {
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
   * @param moved the tensors that stand elsewhere than before the step, and the way back. Those without an update are brought back,
   * unless the verdict comes later.
   * @returns with `verdicts`, what the step is if it turns out to be taken.
   */
  update(tensors: readonly Tensor[], numbers: ReadonlyMap<string, number>, moved?: Moved): StepResult {
    const { conductor, executor, settings } = this
    const allowed = settings.nonFinite === 'allow'
    const indices = tensors.map(({ index }) => index)
    const gradients = allowed || !('findNonFinite' in executor) ? [] : executor.findNonFinite(indices)
    const nonFinite = gradients.flatMap((index) => settings.nonFiniteNames?.(index) ?? conductor.names[index]!)
    if (!allowed) nonFinite.push(...nonFiniteNumbers(numbers))
    if (nonFinite.length > 0) {
      if (settings.nonFinite === 'throw') {
        const what = gradients.length > 0 ? 'the gradient of' : 'the input'
        throw nonFiniteError(conductor.steps + 1, what, nonFinite)
      }
      moved?.back(conductor.next(numbers), moved.tensors)
      conductor.skipped++
      const result = { step: conductor.steps, skipped: true, nonFinite }
      this.verdicts?.note(result)
      this.last = result
      return result
    }
    const moment = conductor.next(numbers)
    const updates = this.planned(tensors, moment)
    const work = updates.map((update) => update.work)
    if (this.verdicts) {
      const checked = allowed ? [] : indices
      const report = () => settings.report?.(tensors)
      return this.verdicts.attempt(conductor, updates, moment, { checked, moved: moved !== undefined, report })
    }
    if (moved) moved.back(moment, except(moved.tensors, tensors))
    else for (const { tensor, counts } of updates) this.startCopies(tensor, counts)
    executor.run(work)
    return this.taken(updates, moment, nonFinite)
  }

  /** The next updates of tensors. @throws Error when a number or an array that they read was not given, or is not finite. */
  planned(tensors: readonly Tensor[], moment: Moment): Update[] {
    const updates = this.conductor.plan(tensors, moment)
    const work = updates.map((update) => update.work)
    this.inputs.checkNumbers(work, moment.numbers)
    this.checkArrays(work)
    return updates
  }

  /** Notes a step whose updates have run. */
  taken(updates: readonly Update[], moment: Moment, nonFinite: readonly string[]): StepResult {
    const { conductor, settings } = this
    conductor.commit(updates, moment)
    settings.changed?.()
    const telemetry = settings.report?.(updates.map(({ tensor }) => tensor)) as StepResult['telemetry']
    this.last = { step: conductor.steps, skipped: false, nonFinite, ...(telemetry ? { telemetry } : {}) }
    return this.last
  }

  /** Makes copies of the parameter where a clock makes its first step. */
  startCopies(tensor: Tensor, own: ReadonlyMap<string, number> | undefined): void {
    for (const key of this.conductor.copies(tensor, own)) this.executor.copyParameter(tensor.index, key)
  }

  /** @throws Error when an array that programs read was not written, or is not finite. */
  checkArrays(work: readonly Work[]): void {
    const { nonFinite } = this.settings
    const arrays = this.settings.arrays?.()
    if (!arrays?.some(({ size }) => size > 0)) return
    for (const item of work) this.inputs.checkArrays(item, arrays[item.tensor]!, { finite: nonFinite !== 'allow' })
  }
}

/** All but some. */
export function except(all: readonly Tensor[], some: readonly Tensor[]): Tensor[] {
  return all.filter((tensor) => !some.includes(tensor))
}

/** @throws Error for a text, whose letters would be taken for names. */
export function checkList(caller: string, without: unknown): void {
  if (without === undefined || (typeof without === 'object' && without !== null && Symbol.iterator in without)) return
  const given = typeof without === 'string' ? `the text '${without}'` : String(without)
  throw new Error(`${caller}: without must be a list of names such as ['bias'], not ${given}`)
}
