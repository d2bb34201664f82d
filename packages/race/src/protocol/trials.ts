import type { Parameters, Proposal, Sampler, SeenTrial, Space, TrialRecord } from '@fallline/search'
import { choice, integer, isEnd, random, signOf, space, variant } from '@fallline/search/internal'
import type { ProtocolRecord, RunRecord } from '../results.ts'
import { type Limits, type SearchSpace, type Setting, widenedParameter } from '../search/space.ts'
import { gradientsToTargets, type Outcome } from '../training/training.ts'
import { arrivalsOf } from './arrivals.ts'
import { courseOf, type Phase, type PlannedRun, type StudyPlan, type StudyRun } from './study.ts'

/** Errors of one contender after which it is not run any more: the first may be the fault of one setting. */
export const mostErrors = 2

/** A run among all of a race. */
export interface RaceRun extends PlannedRun {
  readonly contender: string
  /** Number of the study of the protocol, from 0. */
  readonly study: number
}

/** The same with what came of it. */
type EndedRun = StudyRun & RaceRun

/** A contender with the plan of each of its studies. */
export interface Planned {
  readonly name: string
  readonly plans: readonly StudyPlan[]
}

/** What is judged, and how. */
export interface Judging {
  readonly targets: readonly number[]
  readonly direction: 'minimize' | 'maximize'
}

const phases = ['tuning', 'final', 'report'] as const satisfies readonly Phase[]

/**
 * The runs of a race as a space: who runs is a variant with the hyperparameters that are tuned, beyond their ranges as far as trials may
 * go, and beside it stands what the run is for.
 */
export function raceSpace(
  field: readonly { readonly name: string; readonly search: SearchSpace; readonly limits: Limits }[],
  { studies, trials, horizons }: Pick<ProtocolRecord, 'studies' | 'trials' | 'horizons'>,
): Space {
  const variants = field.map(({ name, search, limits }) => [
    name,
    Object.fromEntries(Object.entries(search).map(([key, range]) => [key, widenedParameter(range, limits[key])])),
  ])
  return space({
    study: integer(0, studies - 1),
    phase: choice(phases),
    trial: integer(0, trials - 1),
    seed: integer(1, 999_999_999),
    horizon: choice(horizons),
    contender: variant(Object.fromEntries(variants)),
  })
}

/** A run by the names of the space. */
function parametersOf({ study, phase, trial, seed, horizon, contender, setting }: RaceRun): Parameters {
  const hyperparameters = Object.entries(setting).map(([name, value]) => [`contender.${contender}.${name}`, value])
  return { study, phase, trial, seed, horizon, contender, ...Object.fromEntries(hyperparameters) }
}

/** The run that a trial stands for. The setting is in its note, to the last digit. */
export function plannedIn(raced: Space, { point, note }: Pick<TrialRecord, 'point' | 'note'>): RaceRun {
  const { study, phase, trial, seed, horizon, contender } = raced.parameters(point) as unknown as RaceRun
  return { contender, study, phase, trial, seed, horizon, setting: note as Setting }
}

/** What tells a run of a race from the others. */
export function raceKey({ contender, study, phase, trial, seed, horizon }: Omit<RaceRun, 'setting'>): string {
  return `${study} ${phase} ${trial} ${seed} ${horizon} ${contender}`
}

/** All runs of a contender in their order as far as they are known, study by study, none after its errors; and whether these are all. */
export function courseOfContender({ plans }: Planned, runs: readonly StudyRun[][]) {
  const known: { study: number; place: number; planned: PlannedRun; ended: StudyRun | null }[] = []
  let whole = true
  let errors = 0
  for (const [study, plan] of plans.entries()) {
    const course = courseOf(plan, runs[study] ?? [])
    for (const [place, { planned, ended }] of course.runs.entries()) {
      known.push({ study, place, planned, ended })
      if (ended?.outcome === 'failed') errors++
      if (errors >= mostErrors) return { runs: known, whole }
    }
    whole &&= course.whole
  }
  return { runs: known, whole }
}

/** The runs of a race as far as they are known from the trials that have ended. */
class Known {
  readonly #field: readonly Planned[]
  readonly #judging: Judging
  readonly #runs: ReadonlyMap<string, EndedRun[][]>
  readonly #courses = new Map<string, ReturnType<typeof courseOfContender>>()
  #count = 0

  constructor(field: readonly Planned[], judging: Judging) {
    this.#field = field
    this.#judging = judging
    this.#runs = new Map(field.map(({ name }) => [name, []]))
  }

  /** Takes in what has ended since. */
  take(raced: Space, ended: readonly SeenTrial[]): void {
    for (; this.#count < ended.length; this.#count++) {
      const run = endedRun(raced, ended[this.#count]!, this.#judging)
      const studies = this.#runs.get(run.contender)!
      studies[run.study] = [...(studies[run.study] ?? []), run]
      this.#courses.delete(run.contender)
    }
  }

  /** The runs that have not ended, and whether there will be no others. */
  open(): { readonly runs: readonly (RaceRun & { readonly place: number })[]; readonly whole: boolean } {
    const courses = this.#field.map((contender) => {
      const { name } = contender
      const course = this.#courses.get(name) ?? courseOfContender(contender, this.#runs.get(name)!)
      this.#courses.set(name, course)
      return { name, ...course }
    })
    return {
      runs: courses.flatMap(({ name, runs }) =>
        runs.flatMap(({ study, place, planned, ended }) =>
          ended === null ? [{ contender: name, study, place, ...planned }] : [],
        ),
      ),
      whole: courses.every(({ whole }) => whole),
    }
  }
}

/**
 * Proposes the runs of a race: study after study, one run of each contender after the other, in an order by chance. What is asked for
 * at the same time is what would come next one after the other, so a race has the same runs however many work on it.
 */
export function raceSampler(field: readonly Planned[], judging: Judging): Sampler<null> {
  // Later views of a study have the same array, longer.
  const known = new WeakMap<readonly SeenTrial[], Known>()
  return {
    name: 'race',
    propose({ space: raced, ended, open, seed }): Proposal<null> {
      const here = known.get(ended) ?? new Known(field, judging)
      known.set(ended, here)
      here.take(raced, ended)
      const { runs, whole } = here.open()
      const begun = new Set(open.map((trial) => raceKey(plannedIn(raced, trial))))
      const next = runs.filter((run) => !begun.has(raceKey(run)))
      if (next.length === 0) {
        return whole && runs.length === 0
          ? { kind: 'end', reason: 'all runs of the race have ended' }
          : { kind: 'wait', reason: `what comes next depends on runs that are under way (${open.length})` }
      }
      const first = next.reduce((one, other) => (isBefore(other, one) ? other : one))
      const order = random(seed, `order of the runs ${first.place} of study ${first.study}`).shuffle(
        field.map(({ name }) => name),
      )
      const { place, ...run } = next
        .filter((other) => !isBefore(first, other))
        .reduce((one, other) => (order.indexOf(other.contender) < order.indexOf(one.contender) ? other : one))
      return { kind: 'trial', point: raced.point(parametersOf(run)), note: { ...run.setting } }
    },
  }
}

function isBefore(one: { study: number; place: number }, other: { study: number; place: number }): boolean {
  return one.study < other.study || (one.study === other.study && one.place < other.place)
}

/** What a trial that has ended says of its run. */
function endedRun(raced: Space, trial: SeenTrial, { targets, direction }: Judging): EndedRun {
  const sign = signOf(direction)
  const loss = trial.state === 'complete' ? trial.losses![0]! : null
  const outcome: Outcome = loss === null ? 'failed' : Number.isFinite(loss) ? 'finished' : 'diverged'
  // A trial that was taken over may have said the same twice.
  const curve = new Map(trial.reports.map(({ step, value }) => [step, sign * value]))
  const gradients = [...curve.keys()].sort((a, b) => a - b)
  const whole = { step: [], loss: [], gradients, validation: gradients.map((at) => curve.get(at)!) }
  const gradientsToTarget = gradientsToTargets({ outcome, curve: whole }, targets, direction)
  return {
    ...plannedIn(raced, trial),
    outcome,
    arrivals: arrivalsOf({ gradientsToTarget, curve: whole }),
    validation: outcome === 'finished' ? sign * loss! : null,
  }
}

/** How a run ends as a trial: its value, infinite where it diverged; `null` where it failed. */
export function outcomeValue({ outcome, validation }: RunRecord, direction: Judging['direction']): number | null {
  if (outcome === 'failed') return null
  return outcome === 'finished' ? validation! : signOf(direction) * Infinity
}

/** Name of the attribute that keeps everything about a run. */
export const runAttribute = 'run'

/** Everything about a run, with the milliseconds from its rule to a kernel. */
export interface KeptRun extends RunRecord {
  readonly compileMilliseconds: number | null
}

/** A run that was kept elsewhere as a trial that has ended; `null` where it is none of this race. */
export function trialOfRun(raced: Space, run: RunRecord, direction: Judging['direction']): TrialRecord | null {
  const parameters = parametersOf(run)
  try {
    const value = outcomeValue(run, direction)
    return {
      number: 0,
      state: value === null ? 'failed' : 'complete',
      attempt: 1,
      lost: 0,
      parameters,
      point: raced.point(parameters),
      until: null,
      reports: run.curve.gradients.map((step, index) => ({ step, value: run.curve.validation[index]! })),
      values: value === null ? null : [value],
      constraints: {},
      cost: null,
      note: { ...run.setting },
      seen: null,
      ended: null,
      worker: null,
      error: run.message ?? null,
      startedAt: null,
      endedAt: null,
      attributes: { [runAttribute]: JSON.parse(JSON.stringify({ ...run, compileMilliseconds: null })) },
    }
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

/** The run that a trial has kept; `null` as long as it has not ended. */
export function runOfTrial(raced: Space, trial: TrialRecord, targets: readonly number[]): KeptRun | null {
  if (!isEnd(trial.state)) return null
  const kept = trial.attributes[runAttribute]
  if (kept !== undefined) return kept as unknown as KeptRun
  return {
    ...plannedIn(raced, trial),
    outcome: 'failed',
    message: trial.error ?? `the trial is ${trial.state}`,
    steps: 0,
    gradients: 0,
    skipped: 0,
    curve: { step: [], gradients: [], loss: [], validation: [] },
    validation: null,
    test: null,
    gradientsToTarget: targets.map(() => null),
    milliseconds: 0,
    compileMilliseconds: null,
  }
}
