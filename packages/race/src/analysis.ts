import { arrivalsInSteps, arrivalsOf } from './protocol/arrivals.ts'
import { earliest, runsOf, seedsOfStudy, selectTrial } from './protocol/study.ts'
import type {
  Analysis,
  BreakEvenRecord,
  ClockAnalysis,
  ContenderRecord,
  EdgeRecord,
  RaceResults,
  RunRecord,
  SensitivityRecord,
  SummaryRecord,
} from './results.ts'
import { edgeShare, positionOf, type Setting } from './search/space.ts'
import { outermost } from './search/trials.ts'
import { levelOfLook } from './statistics/comparison.ts'
import { median } from './statistics/describe.ts'
import { compareField } from './statistics/field.ts'
import { type FieldEntry, PairLookup } from './statistics/pairs.ts'
import { type Arrival, miss } from './statistics/ratios.ts'
import { rank } from './statistics/selection.ts'
import { listInWords } from './statistics/verdict.ts'
import { stepsOf } from './training/cost-of-a-step.ts'

/** Share of the studies of a contender whose best value lies at an edge, from which its result is in doubt. */
const doubtfulShare = 0.25

/** The runs that the present contenders, studies and seeds use: a file may hold more. */
export function runsInPlay({ runs, contenders, protocol }: RaceResults): RunRecord[] {
  const names = new Set(contenders.map(({ name }) => name))
  return runs.filter(({ contender, study }) => names.has(contender) && study < protocol.studies)
}

/** How many runs a race takes when no contender is withdrawn. */
export function plannedRuns({ contenders, protocol }: Pick<RaceResults, 'contenders' | 'protocol'>): number {
  const { studies, seed, finalSeeds, seeds } = protocol
  const { finals, reports } = seedsOfStudy(seed, 0, finalSeeds, seeds)
  return contenders.length * studies * runsOf({ ...protocol, finalSeeds: finals, reportSeeds: reports })
}

/** A setting as code: the contender's, with the hyperparameters in braces. */
export function codeOf({ code }: Pick<ContenderRecord, 'code'>, setting: Setting): string {
  const parts = Object.entries(setting).map(([name, value]) => `${name}: ${value}`)
  return code.replace('SETTING', `{ ${parts.join(', ')} }`)
}

/** A study of one contender: its runs, the trial it selected, and the fresh runs among them. */
interface StudyOutcome {
  runs: RunRecord[]
  trial: number | null
  reports: RunRecord[]
}

function studiesOf(results: RaceResults, name: string): StudyOutcome[] {
  const { protocol, task } = results
  const mine = runsInPlay(results).filter(({ contender }) => contender === name)
  return Array.from({ length: protocol.studies }, (_, study) => {
    const runs = mine.filter((run) => run.study === study)
    const trial =
      runs.length === 0
        ? null
        : selectTrial(
            {
              trials: protocol.trials,
              finalists: protocol.finalists,
              finalSeeds: [...new Set(runs.filter(({ phase }) => phase === 'final').map(({ seed }) => seed))],
              direction: task.direction,
            },
            runs.map((run) => ({ ...run, arrivals: arrivalsOf(run) })),
          )
    const seeds = [...new Set(runs.filter(({ phase }) => phase === 'report').map(({ seed }) => seed))].slice(
      0,
      protocol.seeds,
    )
    const reports = runs.filter(({ phase, seed }) => phase === 'report' && seeds.includes(seed))
    return { runs, trial, reports }
  })
}

/** Arrivals of the fresh runs, `[replicate][run][target]`: studies are the replicates of optimizers, seeds those of a setting. */
function replicatesOf(
  results: RaceResults,
  studies: readonly StudyOutcome[],
  of: (run: RunRecord) => Arrival[],
): Arrival[][][] {
  const { protocol, task } = results
  const none = task.targets.map(() => miss)
  const perStudy = studies.map(({ reports }) => {
    const seeds = [...new Set(reports.map(({ seed }) => seed))]
    const runs = seeds.map((seed) => earliest(reports.filter((run) => run.seed === seed).map(of), task.targets.length))
    // A study without a finished trial has no setting to run: it misses every target.
    while (runs.length < protocol.seeds) runs.push(none)
    return runs
  })
  return protocol.claim === 'settings' ? perStudy[0]!.map((run) => [run]) : perStudy
}

/**
 * Everything that follows from the runs of a race.
 *
 * @param look number of the look at these data, from 1; what it may spend of the probability of a false claim follows from it
 */
export function analyse(results: RaceResults, look = 1): Analysis {
  const { contenders, costs, protocol } = results
  const studies = new Map(contenders.map(({ name }) => [name, studiesOf(results, name)]))
  const summaries = Object.fromEntries(
    contenders.map((contender) => [contender.name, summarize(results, contender.name, studies.get(contender.name)!)]),
  )
  const edges = contenders.flatMap((contender) => edgesOf(contender, studies.get(contender.name)!))
  const entries: FieldEntry[] = contenders.map((contender) => {
    const { name, title } = contender
    const blocks = costs?.step[name]
    const whole = blocks?.map((step, block) => step + costs!.gradient[block]!)
    const { setting, failure } = summaries[name]!
    return {
      name,
      title,
      gradients: replicatesOf(results, studies.get(name)!, arrivalsOf),
      steps: replicatesOf(results, studies.get(name)!, arrivalsInSteps),
      code: setting === null ? title : codeOf(contender, setting),
      ran: failure === null,
      edge: edges.some((edge) => edge.contender === name),
      ...(whole ? { costs: whole } : {}),
    }
  })
  const level = levelOfLook(look)
  const { gradients, time } = compareField(entries, { claim: protocol.claim, level, trials: protocol.trials })
  return {
    gradients,
    time,
    look,
    level,
    summaries,
    breakEven: breakEven(gradients, summaries, results),
    edges,
    remarks: remarks(results, gradients, summaries, look),
  }
}

function summarize(results: RaceResults, name: string, studies: readonly StudyOutcome[]): SummaryRecord {
  const { costs, task, protocol } = results
  const mine = studies.flatMap(({ runs }) => runs)
  const report = studies.flatMap(({ reports }) => reports).filter(({ horizon }) => horizon === 1)
  const worst = task.direction === 'minimize' ? Infinity : -Infinity
  const middle = (values: (number | null)[]) => {
    const value = values.length > 0 ? median(values.map((v) => v ?? worst)) : worst
    return Number.isFinite(value) ? value : null
  }
  const range = (values: (number | null)[]): [number, number] | null => {
    const finite = values.filter((value) => value !== null)
    return finite.length > 0 ? [Math.min(...finite), Math.max(...finite)] : null
  }
  const selected = studies.map(({ runs, trial }) => {
    const run = trial === null ? undefined : runs.find((each) => each.phase === 'tuning' && each.trial === trial)
    return run ? { trial: run.trial, setting: run.setting } : null
  })
  const tuning = studies.flatMap(({ runs, trial }) =>
    runs.filter((run) => run.phase === 'tuning' && run.trial === trial).map(({ validation }) => validation),
  )
  const optimizerStep = costs?.step[name] ? median(costs.step[name]) : null
  const failures = mine.filter(({ outcome }) => outcome === 'failed')
  const failure =
    selected.every((each) => each === null) || report.length === 0 || failures.length > 1 ? failureOf(mine) : null
  return {
    selected,
    setting: bestSetting(results, studies, selected),
    tuningValidation: middle(tuning),
    validation: middle(report.map(({ validation }) => validation)),
    test: middle(report.map(({ test }) => test)),
    validationRange: range(report.map(({ validation }) => validation)),
    testRange: range(report.map(({ test }) => test)),
    diverged: mine.filter(({ outcome }) => outcome === 'diverged').length,
    failed: failures.length,
    skipped: mine.reduce((sum, run) => sum + run.skipped, 0),
    wholeStep: optimizerStep === null ? null : optimizerStep + median(costs!.gradient),
    optimizerStep,
    sensitivity: sensitivity(mine, task.direction),
    failure: protocol.studies > 0 ? failure : null,
  }
}

/** The selected setting of the study whose fresh runs were best by the quantity that is judged. */
function bestSetting(
  { task }: RaceResults,
  studies: readonly StudyOutcome[],
  selected: SummaryRecord['selected'],
): Setting | null {
  const sign = task.direction === 'minimize' ? 1 : -1
  const done = studies.flatMap(({ reports }, study) => (selected[study] && reports.length > 0 ? [study] : []))
  if (done.length === 0) return selected.find((each) => each !== null)?.setting ?? null
  const runs = Math.min(...done.map((study) => studies[study]!.reports.length))
  const order = rank(
    done.map((study) => {
      const reports = studies[study]!.reports.slice(0, runs)
      return {
        arrivals: reports.map(arrivalsOf),
        metrics: reports.map(({ validation }) => (validation === null ? Infinity : sign * validation)),
      }
    }),
  )
  return selected[done[order[0]!]!]!.setting
}

/** Why a contender took no part. */
function failureOf(runs: readonly RunRecord[]): string {
  const first = runs.find((run) => run.outcome === 'failed') ?? runs[0]
  if (first === undefined) return 'it never ran'
  const failed = runs.filter(({ outcome }) => outcome === 'failed').length
  if (failed > 0) return `failed: ${first.message ?? 'no reason given'}`
  return `diverged in every trial: ${first.message ?? 'no reason given'}`
}

function sensitivity(runs: readonly RunRecord[], direction: 'minimize' | 'maximize'): SensitivityRecord {
  const trials = runs
    .filter(({ phase }) => phase === 'tuning')
    .map(({ study, trial, setting, validation }) => ({
      study,
      trial,
      learningRate: setting.learningRate!,
      metric: validation,
    }))
  const metrics = trials.map(({ metric }) => metric).filter((metric) => metric !== null)
  const best = direction === 'minimize' ? Math.min(...metrics) : Math.max(...metrics)
  const near = metrics.filter((metric) => Math.abs(metric - best) <= 0.05 * Math.abs(best)).length
  return { trials, withinFivePercent: trials.length > 0 ? near / trials.length : 0 }
}

/** Best values that are the outermost of their study and lie at the edge of their range or beyond it. */
function edgesOf({ name, search }: ContenderRecord, studies: readonly StudyOutcome[]): EdgeRecord[] {
  const found = new Map<string, EdgeRecord & { values: number[] }>()
  for (const { runs, trial } of studies) {
    const tuning = runs.filter(({ phase }) => phase === 'tuning')
    const best = tuning.find((run) => run.trial === trial)?.setting
    if (best === undefined) continue
    for (const [hyperparameter, side] of outermost(
      search,
      tuning.map(({ setting }) => setting),
      best,
    )) {
      const position = positionOf(search[hyperparameter]!, best[hyperparameter]!)!
      if (side === 'minimum' ? position > edgeShare : position < 1 - edgeShare) continue
      const key = `${hyperparameter} ${side}`
      const record = found.get(key) ?? {
        contender: name,
        hyperparameter,
        side,
        value: 0,
        studies: 0,
        of: studies.length,
        values: [],
      }
      record.studies++
      record.values.push(best[hyperparameter]!)
      found.set(key, record)
    }
  }
  return [...found.values()]
    .filter((record) => record.studies / record.of > doubtfulShare)
    .map(({ values, ...record }) => ({ ...record, value: median(values) }))
}

function breakEven(
  gradients: ClockAnalysis,
  summaries: Readonly<Record<string, SummaryRecord>>,
  { costs, contenders }: RaceResults,
): BreakEvenRecord[] {
  if (costs === null) return []
  const gradient = median(costs.gradient)
  const perGradient = (name: string, cost: number) =>
    cost / contenders.find((contender) => contender.name === name)!.gradientsPerStep
  return gradients.pairs.flatMap((pair): BreakEvenRecord[] => {
    const [fewer, other] = pair.ratio >= 1 ? [pair.first, pair.second] : [pair.second, pair.first]
    const mine = summaries[fewer]!.optimizerStep
    const theirs = summaries[other]!.optimizerStep
    const ratio = Math.max(pair.ratio, 1 / pair.ratio)
    // Where nobody needs fewer there is nothing to be paid for.
    if (mine === null || theirs === null || ratio < 1.005) return []
    const costRatio = perGradient(fewer, gradient + mine) / perGradient(other, gradient + theirs)
    const gradientMilliseconds = Math.max(0, (mine - ratio * theirs) / (ratio - 1))
    return [{ fewer, other, ratio, costRatio, overhead: ratio / costRatio, gradientMilliseconds }]
  })
}

function remarks(
  results: RaceResults,
  gradients: ClockAnalysis,
  summaries: Readonly<Record<string, SummaryRecord>>,
  look: number,
): string[] {
  const { contenders, task, protocol, machine, leftOut } = results
  const title = (name: string) => contenders.find((contender) => contender.name === name)?.title ?? name
  const found: string[] = []
  for (const { name, gradientsPerStep } of contenders) {
    const { failure, failed, diverged, skipped } = summaries[name]!
    const message = runsInPlay(results).find((run) => run.contender === name && run.outcome === 'failed')?.message
    if (failure !== null) found.push(`${title(name)} took no part in the comparison: it ${failure}.`)
    else if (failed > 0) found.push(`${title(name)}: ${count(failed, 'run')} failed (${message}).`)
    if (failure === null && diverged > 0) {
      found.push(`${title(name)}: ${count(diverged, 'run')} diverged, which counts as missing every target.`)
    }
    if (skipped > 0) found.push(`${title(name)}: ${count(skipped, 'step')} left out, because a number was not finite.`)
    if (Math.abs(gradientsPerStep - 1) > 0.01) {
      found.push(
        `${title(name)} computes ${Number(gradientsPerStep.toFixed(2))} gradients a step (a loss alone counts as a third), so a run has ${stepsOf(task.steps, gradientsPerStep)} steps.`,
      )
    }
  }
  for (const { name, reason } of leftOut) found.push(`${name} was not raced: ${reason}.`)
  if (task.targetsFrom === 'options') {
    found.push('The targets were given for this race; they are not those that the task registered beforehand.')
  }
  if (results.costFailure !== null) {
    found.push(`Step costs could not be measured (${results.costFailure}), so there is no comparison by time.`)
  }
  const medians = contenders
    .filter(({ name }) => summaries[name]!.failure === null)
    .map(({ name }) => gradients.medians[name]!)
  const targetsWhere = (holds: (index: number) => boolean) => {
    const chosen = task.targets.filter((_, index) => medians.length > 0 && holds(index)).map(String)
    return chosen.length === 0 ? null : `${chosen.length === 1 ? 'Target' : 'Targets'} ${listInWords(chosen)}`
  }
  const missed = targetsWhere((index) => medians.every((row) => row[index] === null))
  const trivial = targetsWhere((index) =>
    medians.every((row) => row[index] !== null && row[index]! <= task.evaluateEvery),
  )
  if (missed) found.push(`${missed}: missed by everybody (median over fresh runs).`)
  if (trivial) found.push(`${trivial}: met by everybody at the first evaluation, which tells nothing.`)
  found.push(...contradictions(results, summaries, gradients))
  const byDimensions = new Map<number, ContenderRecord[]>()
  for (const contender of contenders) {
    const dimensions = Object.keys(contender.search).length
    byDimensions.set(dimensions, [...(byDimensions.get(dimensions) ?? []), contender])
  }
  if (byDimensions.size > 1) {
    const parts = [...byDimensions.entries()]
      .sort(([a], [b]) => a - b)
      .map(
        ([dimensions, list]) => `${listInWords(list.map((c) => c.title))} over ${count(dimensions, 'hyperparameter')}`,
      )
    found.push(
      `Equal trials, but unequal spaces are tuned: ${parts.join('; ')}. More dimensions are searched more thinly.`,
    )
  }
  if (look > 1) {
    found.push(
      `This is look ${look} at a growing race; it may spend ${(100 * levelOfLook(look)).toPrecision(2)} % of the 5 % that all looks have together.`,
    )
  }
  if (protocol.horizons.length > 1) {
    found.push('Horizons are matched: every target counts with the schedule length that reaches it first.')
  }
  if (machine.loadAverage > machine.cores) {
    found.push(
      `The machine was busy (load ${machine.loadAverage.toFixed(1)} on ${machine.cores} cores), which disturbs the step costs; gradients are not affected.`,
    )
  }
  return found
}

/** Pairs whose order by the test metric contradicts what was claimed by the validation metric. */
function contradictions(
  { task, contenders }: RaceResults,
  summaries: Readonly<Record<string, SummaryRecord>>,
  { pairs }: ClockAnalysis,
): string[] {
  const title = (name: string) => contenders.find((contender) => contender.name === name)!.title
  const lookup = new PairLookup(pairs)
  const better = (a: number, b: number) => (task.direction === 'minimize' ? a < b : a > b)
  const found = pairs.flatMap(({ first, second, ahead }) => {
    if (ahead === null) return []
    const other = lookup.of(ahead, ahead === first ? second : first)!.second
    const [mine, theirs] = [summaries[ahead]!.test, summaries[other]!.test]
    return mine !== null && theirs !== null && better(theirs, mine)
      ? [`${title(ahead)} is ahead of ${title(other)} by validation, but ${title(other)} ends better on the test data`]
      : []
  })
  if (found.length === 0) return []
  return [`${found.slice(0, 3).join('; ')}${found.length > 3 ? `; and ${found.length - 3} more such pairs` : ''}.`]
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
