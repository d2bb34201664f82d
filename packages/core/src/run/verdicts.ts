import type { DeferredExecutor } from '../backends/backend.ts'
import type { Conductor, Moment, Update } from './conductor.ts'
import { type NonFinitePolicy, nonFiniteError, type StepResult } from './step.ts'

/** A step that a deferred executor was told to take. */
interface AttemptedStep {
  /** What it is if it was taken. */
  readonly result: StepResult
  /** The tensors whose gradient was not finite. */
  readonly verdict: Promise<readonly number[]>
  readonly telemetry: Promise<StepResult['telemetry']> | undefined
  /** Takes back what the host noted. */
  readonly undo: () => void
}

/**
 * What became of the steps that a deferred executor was told to take. With `throw` the host runs ahead: an executor leaves
 * out what comes after a failure, so the counts, which go back to before it, are right whenever the verdict arrives. With
 * `skip` the next step is taken all the same, and its counts depend on the verdict: the host waits for it.
 */
export class Verdicts {
  private readonly executor: DeferredExecutor
  private readonly policy: NonFinitePolicy
  private readonly names: readonly string[]
  /** The steps of which nothing is known yet, in order. */
  private open: AttemptedStep[] = []
  private failure: Error | undefined
  private tail: Promise<void> = Promise.resolve()
  private last: StepResult = { step: 0, skipped: false, nonFinite: [] }
  /** Called when a step turns out to be skipped. */
  private readonly skipped: () => void

  constructor(executor: DeferredExecutor, policy: NonFinitePolicy, names: readonly string[], skipped: () => void) {
    this.executor = executor
    this.policy = policy
    this.names = names
    this.skipped = skipped
  }

  /** @throws Error when a step has failed, or when what comes next depends on a verdict. */
  check(caller: string): void {
    const { failure } = this
    this.failure = undefined
    if (failure) throw failure
    if (this.open.length === 0 || (caller === 'step' && this.policy !== 'skip')) return
    throw new Error(
      `${caller}: it is not known yet whether the gradients of step ${this.open[0]!.result.step} were finite: ` +
        'await optimizer.settled() first',
    )
  }

  /**
   * Has the executor attempt the next updates, and notes them as if they had been taken.
   * @param settings.checked the tensors whose gradients must be finite.
   * @param settings.moved true when the tensors stand elsewhere than before the step.
   * @returns what the step is if it turns out to be taken.
   */
  attempt(
    conductor: Conductor,
    updates: readonly Update[],
    moment: Moment,
    {
      checked,
      moved,
      report,
    }: {
      readonly checked: readonly number[]
      readonly moved: boolean
      readonly report: () => StepResult['telemetry'] | Promise<StepResult['telemetry']>
    },
  ): StepResult {
    const result = { step: conductor.steps + 1, skipped: false, nonFinite: [] }
    const copies = updates.flatMap(({ tensor, counts }) =>
      moved ? [] : conductor.copies(tensor, counts).map((key) => ({ tensor: tensor.index, key })),
    )
    const undo = remember(conductor)
    const work = updates.map((update) => update.work)
    const verdict = this.executor.attempt(work, checked, copies)
    const telemetry = report()
    this.add({ result, verdict, telemetry: telemetry && Promise.resolve(telemetry), undo })
    conductor.commit(updates, moment)
    return result
  }

  private add(step: AttemptedStep): void {
    this.open.push(step)
    // Whoever waits for the tail is told.
    step.telemetry?.catch(() => {})
    this.tail = Promise.all([step.verdict, this.tail])
      .then(([found]) => this.judge(step, found))
      .catch((error) => this.fail(step, error))
  }

  /** @throws Error when a step has failed since the last call. */
  async settled(): Promise<StepResult> {
    while (this.open.length > 0) await this.tail
    this.check('settled')
    return this.last
  }

  /** Notes a step that was decided at once. */
  note(result: StepResult): void {
    this.last = result
  }

  private async judge(step: AttemptedStep, found: readonly number[]): Promise<void> {
    // Left out because of a failure before it.
    if (this.open[0] !== step) return
    if (found.length === 0) {
      const telemetry = await step.telemetry
      this.last = telemetry ? { ...step.result, telemetry } : step.result
      this.open.shift()
      return
    }
    const nonFinite = found.map((index) => this.names[index]!)
    const later = this.open.length - 1
    this.takeBack(step)
    if (this.policy === 'throw') {
      this.failure = nonFiniteError(step.result.step, 'the gradient of', nonFinite, later)
      return
    }
    this.skipped()
    this.last = { step: step.result.step - 1, skipped: true, nonFinite }
  }

  private fail(step: AttemptedStep, error: unknown): void {
    if (this.open[0] !== step) return
    this.takeBack(step)
    this.failure = error instanceof Error ? error : new Error(String(error))
  }

  private takeBack(step: AttemptedStep): void {
    this.open = []
    step.undo()
    this.executor.resume()
  }
}

/** Remembers counts and numbers; the result brings them back. */
function remember(conductor: Conductor): () => void {
  const { counts } = conductor
  const shared = new Map(conductor.shared)
  const own = conductor.tensors.map((tensor) => ({ counts: new Map(tensor.counts), host: new Map(tensor.host) }))
  return () => {
    conductor.counts = counts
    for (const [key, value] of shared) conductor.shared.set(key, value)
    conductor.tensors.forEach((tensor, index) => {
      tensor.counts = own[index]!.counts
      for (const [key, value] of own[index]!.host) tensor.host.set(key, value)
    })
  }
}
