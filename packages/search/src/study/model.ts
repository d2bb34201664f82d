import type { Space } from '../space/space.ts'
import type { Changes } from '../storage/storage.ts'
import { isEnd, type Report, type TrialRecord } from './trial.ts'
import { type Objective, type Resource, type SeenTrial, signOf, type View } from './view.ts'

/** What one process knows of a study: records as they came from the storage, and the view that is made of them, kept up to date. */
export class Model {
  readonly records: TrialRecord[] = []
  version = 0
  count = 0
  /** Whether the lease of a running trial had run out. */
  late = false
  sampler: Changes['sampler'] = { version: 0, state: null }
  readonly #space: Space
  readonly #objectives: readonly Objective[]
  readonly #resource: Resource | null
  readonly #seed: number
  readonly #seen = new Map<number, SeenTrial>()
  readonly #ended: SeenTrial[] = []
  readonly #early = new Map<number, SeenTrial>()
  readonly #open = new Map<number, SeenTrial>()
  #results = 0
  /** Points that have been given up for good, joined by commas. */
  readonly abandoned = new Set<string>()
  #view: View | undefined

  constructor(space: Space, objectives: readonly Objective[], resource: Resource | null, seed: number) {
    this.#space = space
    this.#objectives = objectives
    this.#resource = resource
    this.#seed = seed
  }

  /** Takes in what has changed. */
  take({ version, trials, count, late, sampler }: Changes): void {
    this.version = version
    this.count = count
    this.late = late
    this.sampler = sampler
    if (trials.length > 0) this.#view = undefined
    for (const record of trials) {
      const before = this.records[record.number]
      this.records[record.number] = record
      const seen = this.#see(record)
      this.#seen.set(record.number, seen)
      if (!isEnd(record.state)) {
        this.#open.set(record.number, seen)
        continue
      }
      this.#open.delete(record.number)
      if (before && isEnd(before.state)) continue
      // Ends arrive by number of the trial, and are put in the order in which they happened.
      this.#early.set(record.ended!, seen)
    }
    for (let next = this.#early.get(this.#ended.length); next; next = this.#early.get(this.#ended.length)) {
      this.#early.delete(this.#ended.length)
      this.#ended.push(next)
      if (hasResult(next)) this.#results++
      if (next.state === 'abandoned') this.abandoned.add(next.point.join())
    }
  }

  /** What is known. */
  view(): View {
    this.#view ??= this.#viewOf(
      this.#ended,
      [...this.#open.values()].sort((a, b) => a.number - b.number),
      this.#results,
    )
    return this.#view
  }

  /** What is known when only trials before a number may be known to have ended, in the order of their numbers: the same for everybody. */
  viewBefore(number: number): View {
    const trials = [...this.#seen.values()].sort((a, b) => a.number - b.number)
    const settled = (trial: SeenTrial) => trial.number < number && isEnd(trial.state)
    const hidden = ({ number, point, until, note }: SeenTrial): SeenTrial => ({
      number,
      state: 'running',
      point,
      losses: null,
      reports: [],
      until,
      violations: [],
      cost: null,
      note,
    })
    const ended = trials.filter(settled)
    const open = trials.filter((trial) => !settled(trial)).map(hidden)
    const byNumber = new Map([...ended, ...open].map((trial) => [trial.number, trial]))
    return this.#viewOf(ended, open, ended.filter(hasResult).length, byNumber)
  }

  /** A trial as it is seen with one more report than has been taken in. */
  seeReport(number: number, report: Report): SeenTrial {
    const record = this.records[number]!
    return this.#see({ ...record, reports: [...record.reports.filter(({ step }) => step < report.step), report] })
  }

  #viewOf(ended: readonly SeenTrial[], open: readonly SeenTrial[], results: number, byNumber = this.#seen): View {
    return {
      space: this.#space,
      objectives: this.#objectives,
      resource: this.#resource,
      seed: this.#seed,
      ended,
      results,
      open,
      trial: (number) => byNumber.get(number),
    }
  }

  #see(record: TrialRecord): SeenTrial {
    const sign = this.#objectives.map(({ direction }) => signOf(direction))
    return {
      number: record.number,
      state: record.state,
      point: record.point,
      losses: record.values?.map((value, index) => sign[index]! * value) ?? null,
      reports: record.reports.map(({ step, value }) => ({ step, value: sign[0]! * value })),
      until: record.until,
      violations: Object.values(record.constraints),
      cost: record.cost,
      note: record.note,
    }
  }
}

function hasResult({ state }: SeenTrial): boolean {
  return state === 'complete' || state === 'pruned'
}
