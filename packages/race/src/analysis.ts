import { edgeAlarms } from './search/space.ts'
import type {
  Analysis,
  BreakEvenRecord,
  ClockAnalysis,
  ContenderRecord,
  RaceResults,
  RunRecord,
  SensitivityRecord,
  SummaryRecord,
} from './results.ts'
import { fewestSeeds } from './statistics/bootstrap.ts'
import { median } from './statistics/describe.ts'
import { compareField, type FieldEntry } from './statistics/field.ts'
import { listInWords } from './statistics/verdict.ts'

/** A contender's selected trial. */
export interface Selection {
  trial: number
  setting: Readonly<Record<string, number>>
  /** Mean validation metric of the trial over the tuning seeds. */
  validation: number
}

/**
 * The trial with the best mean validation metric after the last step, of those that finished on most tuning seeds; of equals the one
 * that reached more targets sooner, then the earlier one. `null` when no trial finished on any seed.
 */
export function selectTrial(
  runs: readonly RunRecord[],
  contender: string,
  direction: 'minimize' | 'maximize',
): Selection | null {
  const sign = direction === 'minimize' ? 1 : -1
  const trials = new Map<number, RunRecord[]>()
  for (const run of runs) {
    if (run.phase === 'tuning' && run.contender === contender)
      trials.set(run.trial, [...(trials.get(run.trial) ?? []), run])
  }
  const candidates = [...trials.entries()].flatMap(([trial, all]) => {
    const finished = all.filter((run) => run.validation !== null)
    if (finished.length === 0) return []
    const validation = finished.reduce((sum, run) => sum + run.validation!, 0) / finished.length
    const steps = finished.flatMap((run) => run.stepsToTarget)
    const missed = steps.filter((value) => value === null).length
    const total = steps.reduce<number>((sum, value) => sum + (value ?? 0), 0)
    return [{ trial, setting: all[0]!.setting, validation, unfinished: all.length - finished.length, missed, total }]
  })
  candidates.sort(
    (a, b) =>
      a.unfinished - b.unfinished ||
      sign * (a.validation - b.validation) ||
      a.missed - b.missed ||
      a.total - b.total ||
      a.trial - b.trial,
  )
  const best = candidates[0]
  return best === undefined ? null : { trial: best.trial, setting: best.setting, validation: best.validation }
}

/** Steps to targets of the report runs: `steps[seed][target]`, `Infinity` for a miss, in the order of the report seeds. */
function reportSteps(results: RaceResults, contender: string): number[][] {
  return results.protocol.reportSeeds.map((seed) => {
    const run = results.runs.find((r) => r.phase === 'report' && r.contender === contender && r.seed === seed)
    return results.task.targets.map((_, target) => run?.stepsToTarget[target] ?? Infinity)
  })
}

/** Everything that follows from the runs of a race. */
export function analyse(results: RaceResults): Analysis {
  const { contenders, costs, task, protocol } = results
  const evaluateEvery = task.evaluateEvery
  const entries: FieldEntry[] = contenders.map(({ name, title }) => {
    const blocks = costs?.step[name]
    const whole = blocks?.map((step, block) => step + costs!.gradient[block]!)
    return { name, title, steps: reportSteps(results, name), ...(whole ? { costs: whole } : {}) }
  })
  const steps = compareField(entries, { clock: 'steps', evaluateEvery, seed: protocol.seed })
  const time = costs ? compareField(entries, { clock: 'time', evaluateEvery, seed: protocol.seed }) : null
  const summaries = Object.fromEntries(contenders.map(({ name }) => [name, summarize(results, name)]))
  const alarms = contenders.flatMap(({ name, search }) => {
    const setting = summaries[name]!.setting
    return setting === null ? [] : edgeAlarms(name, search, setting)
  })
  return {
    steps,
    time,
    summaries,
    breakEven: breakEven(steps, summaries, results),
    edgeAlarms: alarms,
    remarks: remarks(results, steps, summaries),
  }
}

function summarize(results: RaceResults, name: string): SummaryRecord {
  const { runs, costs, task } = results
  const mine = runs.filter((run) => run.contender === name)
  const report = mine.filter((run) => run.phase === 'report')
  const selection = selectTrial(runs, name, task.direction)
  const worst = task.direction === 'minimize' ? Infinity : -Infinity
  const middle = (values: (number | null)[]) => {
    const value = values.length > 0 ? median(values.map((v) => v ?? worst)) : worst
    return Number.isFinite(value) ? value : null
  }
  const range = (values: (number | null)[]): [number, number] | null => {
    const finite = values.filter((value) => value !== null)
    return finite.length > 0 ? [Math.min(...finite), Math.max(...finite)] : null
  }
  const optimizerStep = costs?.step[name] ? median(costs.step[name]) : null
  const validations = report.map((run) => run.validation)
  const tests = report.map((run) => run.test)
  return {
    trial: selection?.trial ?? null,
    setting: selection?.setting ?? null,
    tuningValidation: selection?.validation ?? null,
    validation: middle(validations),
    test: middle(tests),
    validationRange: range(validations),
    testRange: range(tests),
    diverged: mine.filter((run) => run.outcome === 'diverged').length,
    failed: mine.filter((run) => run.outcome === 'failed').length,
    wholeStep: optimizerStep === null ? null : optimizerStep + median(costs!.gradient),
    optimizerStep,
    sensitivity: sensitivity(runs, name, task.direction),
    failure: selection === null ? failureOf(mine) : null,
  }
}

/** Why no trial of a contender finished. */
function failureOf(runs: readonly RunRecord[]): string {
  const first = runs.find((run) => run.outcome === 'failed') ?? runs[0]
  if (first === undefined) return 'it never ran'
  const what = runs.every((run) => run.outcome === 'diverged') ? 'diverged' : 'failed'
  return `${what} in every trial: ${first.message ?? 'no reason given'}`
}

function sensitivity(runs: readonly RunRecord[], name: string, direction: 'minimize' | 'maximize'): SensitivityRecord {
  const tuning = runs.filter((run) => run.phase === 'tuning' && run.contender === name)
  const indices = [...new Set(tuning.map((run) => run.trial))].sort((a, b) => a - b)
  const trials = indices.map((trial) => {
    const same = tuning.filter((run) => run.trial === trial)
    const finished = same.filter((run) => run.validation !== null)
    const complete = finished.length === same.length
    const metric = complete ? finished.reduce((sum, run) => sum + run.validation!, 0) / same.length : null
    return { trial, learningRate: same[0]!.setting.learningRate!, metric }
  })
  const metrics = trials.map(({ metric }) => metric).filter((metric) => metric !== null)
  const best = direction === 'minimize' ? Math.min(...metrics) : Math.max(...metrics)
  const near = metrics.filter((metric) => Math.abs(metric - best) <= 0.05 * Math.abs(best)).length
  return { trials, withinFivePercent: trials.length > 0 ? near / trials.length : 0 }
}

function breakEven(
  steps: ClockAnalysis,
  summaries: Readonly<Record<string, SummaryRecord>>,
  { costs }: RaceResults,
): BreakEvenRecord[] {
  if (costs === null) return []
  const gradient = median(costs.gradient)
  return steps.pairs.flatMap((pair): BreakEvenRecord[] => {
    const [fewerSteps, other] = pair.ratio >= 1 ? [pair.first, pair.second] : [pair.second, pair.first]
    const mine = summaries[fewerSteps]!.optimizerStep
    const theirs = summaries[other]!.optimizerStep
    const stepsRatio = Math.max(pair.ratio, 1 / pair.ratio)
    // Where the steps are equal nothing is to be paid for.
    if (mine === null || theirs === null || stepsRatio < 1.005) return []
    const costRatio = (gradient + mine) / (gradient + theirs)
    const gradientMilliseconds = Math.max(0, (mine - stepsRatio * theirs) / (stepsRatio - 1))
    return [{ fewerSteps, other, stepsRatio, costRatio, overhead: stepsRatio / costRatio, gradientMilliseconds }]
  })
}

function remarks(
  results: RaceResults,
  steps: ClockAnalysis,
  summaries: Readonly<Record<string, SummaryRecord>>,
): string[] {
  const { contenders, task, protocol, machine, runs } = results
  const title = (name: string) => contenders.find((contender) => contender.name === name)?.title ?? name
  const found: string[] = []
  for (const { name } of contenders) {
    const { failure, failed, diverged } = summaries[name]!
    if (failure !== null)
      found.push(`${title(name)} took no part in the report: it ${failure}. It counts as missing every target.`)
    else if (failed > 0) {
      const message = runs.find((run) => run.contender === name && run.outcome === 'failed')?.message
      found.push(`${title(name)}: ${count(failed, 'run')} failed (${message}).`)
    }
    if (failure === null && diverged > 0)
      found.push(`${title(name)}: ${count(diverged, 'run')} diverged, which counts as a miss.`)
  }
  for (const side of ['largest', 'smallest'] as const) {
    const parts = contenders.flatMap((contender) => {
      const extreme = outermost(contender, summaries[contender.name]!)
      return extreme?.side === side ? [`${contender.title} (${extreme.best}, its range goes to ${extreme.limit})`] : []
    })
    if (parts.length > 0) {
      found.push(
        `The best learning rate is the ${side} that was tried: ${listInWords(parts)}. More trials could find better ones.`,
      )
    }
  }
  if (task.targetsFrom === 'options') {
    found.push('The targets were given for this race; they are not those that the task registered beforehand.')
  }
  if (results.costFailure !== null) {
    found.push(`Step costs could not be measured (${results.costFailure}), so there is no comparison by time.`)
  }
  const medians = Object.values(steps.medians)
  const indices = task.targets.map((_, index) => index)
  const targetsWhere = (holds: (index: number) => boolean) => {
    const chosen = indices.filter(holds).map((index) => String(task.targets[index]))
    return chosen.length === 0 ? null : `${chosen.length === 1 ? 'Target' : 'Targets'} ${listInWords(chosen)}`
  }
  const missed = targetsWhere((index) => medians.every((row) => row[index] === null))
  const trivial = targetsWhere((index) =>
    medians.every((row) => row[index] !== null && row[index]! <= task.evaluateEvery),
  )
  if (missed) found.push(`${missed}: missed by everybody (median over seeds).`)
  if (trivial) found.push(`${trivial}: met by everybody at the first evaluation, which tells nothing.`)
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
      `Equal trials, but unequal spaces are tuned: ${listInWords(parts)}. More dimensions are searched more thinly.`,
    )
  }
  if (protocol.reportSeeds.length < fewestSeeds) {
    found.push(`With fewer than ${fewestSeeds} report seeds no difference is ever claimed.`)
  }
  if (machine.loadAverage > machine.cores) {
    found.push(
      `The machine was busy (load ${machine.loadAverage.toFixed(1)} on ${machine.cores} cores), which disturbs the step costs; steps are not affected.`,
    )
  }
  return found
}

/** Whether the best learning rate is the outermost one tried, so that one side of the valley was not seen. */
function outermost({ search }: ContenderRecord, { setting, sensitivity }: SummaryRecord) {
  const rates = sensitivity.trials.map(({ learningRate }) => learningRate)
  const range = search.learningRate
  if (setting === null || range === undefined || range.scale === 'choice' || new Set(rates).size < 3) return null
  const best = setting.learningRate!
  if (best >= Math.max(...rates)) return { best, side: 'largest', limit: range.maximum } as const
  if (best <= Math.min(...rates)) return { best, side: 'smallest', limit: range.minimum } as const
  return null
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
