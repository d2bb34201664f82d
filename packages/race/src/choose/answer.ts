import { formatMilliseconds, formatNumber } from '../report/format.ts'
import { median } from '../statistics/describe.ts'
import type { Task } from '../task.ts'
import type { ContenderLike } from '../training/contenders.ts'
import { codesFor } from './code.ts'
import { confirmationLevel } from './confirm.ts'
import { type Answer, type ChooseResults, type FreshRun, triedOf } from './results.ts'

/** Median over runs, one that did not finish counting as the worst there is; `null` when that is the median. */
export function medianOf(
  runs: readonly FreshRun[],
  what: 'validation' | 'test',
  direction: 'minimize' | 'maximize',
): number | null {
  if (runs.length === 0) return null
  const worst = direction === 'minimize' ? Infinity : -Infinity
  const middle = median(runs.map((run) => run[what] ?? worst))
  return Number.isFinite(middle) ? middle : null
}

/** The fresh runs of a candidate. */
export function freshRunsOf({ fresh }: ChooseResults, candidate: number): FreshRun[] {
  return fresh?.runs.filter((run) => run.candidate === candidate) ?? []
}

/**
 * Gradients at the first evaluation where the median of some runs is at least as good as a metric; `null` for never. A run that has
 * ended early counts as the worst there is.
 */
export function gradientsUntil(
  runs: readonly FreshRun[],
  metric: number,
  direction: 'minimize' | 'maximize',
): number | null {
  const worst = direction === 'minimize' ? Infinity : -Infinity
  const finished = runs.filter(({ state }) => state.outcome === 'finished')
  const longest = finished.map(({ state }) => state.curve.gradients).sort((a, b) => b.length - a.length)[0] ?? []
  const index = longest.findIndex((_, at) => {
    const middle = median(
      runs.map(({ state }) => (state.outcome === 'finished' ? (state.curve.validation[at] ?? worst) : worst)),
    )
    return direction === 'minimize' ? middle <= metric : middle >= metric
  })
  return index < 0 ? null : longest[index]!
}

/** Milliseconds of a whole training step: median over the fresh runs, their evaluations included. */
export function stepMilliseconds(runs: readonly FreshRun[]): number | null {
  const times = runs.filter(({ state }) => state.step > 0).map(({ milliseconds, state }) => milliseconds / state.step)
  return times.length > 0 ? median(times) : null
}

/** A setting in words: `learning rate 0.01, weight decay 0.1`. */
export function settingInWords(setting: Readonly<Record<string, number>>): string {
  return Object.entries(setting)
    .map(([name, value]) => `${name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)} ${formatNumber(value)}`)
    .join(', ')
}

/** A probability as it is cited. */
export function formatProbability(p: number): string {
  return p < 0.001 ? 'p < 0.001' : `p = ${formatNumber(p, 2)}`
}

/**
 * What follows from a study that has ended, in plain words. The claim, if there is one, is about two settings on this task, and is made
 * by the test that was fixed beforehand; what else is said describes.
 *
 * @param givenOf the contender of a name as it was given, for the code
 * @param chosenOn the task, for the code
 */
export function answerOf(
  results: ChooseResults,
  givenOf: (name: string) => ContenderLike,
  chosenOn: Pick<Task, 'layout' | 'parameters'>,
): Answer {
  const { pick, pickOfBaseline, confirmation, candidates, contenders, protocol, task } = results
  const baseline = contenders.find(({ name }) => name === protocol.baseline.name)!
  if (pick === null) {
    const sentence = `Nothing can be recommended: no run of any of the ${contenders.length} optimizers finished on this task. The reasons are in the report.`
    return { outcome: 'nothing finished', recommended: null, sentence, remarks: [], code: null }
  }
  const titleOf = (candidate: number) => contenders.find(({ name }) => name === candidates[candidate]!.group)!.title
  const named = (candidate: number) => `${titleOf(candidate)} with ${settingInWords(candidates[candidate]!.setting)}`
  const { metricName, direction } = task
  const ofPick = freshRunsOf(results, pick)
  const endOfPick = medianOf(ofPick, 'validation', direction)
  const count = ofPick.length
  const ended = (metric: number | null) =>
    metric === null ? 'did not finish in at least half of the fresh runs' : `ended at ${formatNumber(metric)}`
  const codeOf = (candidate: number) => {
    const { group, setting } = candidates[candidate]!
    return codesFor(givenOf(group), setting, contenders.find(({ name }) => name === group)!.steps, chosenOn)
  }
  if (pickOfBaseline === null) {
    const sentence = `${named(pick)} came out ahead, but there is nothing to hold it against: no run of ${baseline.title} finished. In ${count} fresh runs it ${ended(endOfPick)} (median ${metricName}).`
    return { outcome: 'not confirmed', recommended: pick, sentence, remarks: [], code: codeOf(pick) }
  }
  if (candidates[pick]!.group === baseline.name) {
    const others = triedOf(results) - 1
    const sentence = `Stay with ${named(pick)}. ${others === 0 ? 'Nothing else was tried' : `None of the ${others} other optimizers that were tried looked better while choosing`}; in ${count} fresh runs it ${ended(endOfPick)} (median ${metricName}).`
    return { outcome: 'baseline', recommended: pick, sentence, remarks: [], code: codeOf(pick) }
  }
  const ofBaseline = freshRunsOf(results, pickOfBaseline)
  const endOfBaseline = medianOf(ofBaseline, 'validation', direction)
  const remarks = remarksOf(results, pick, pickOfBaseline)
  const { better = 0, p = 1, level = confirmationLevel, confirmed = false } = confirmation ?? {}
  const percent = `${formatNumber(level * 100, 2)} %`
  if (confirmed) {
    const sentence = `Use ${named(pick)}. On this task it ${ended(endOfPick)} where ${named(pickOfBaseline)}, tuned as well as the budget allowed, ${ended(endOfBaseline)} (${metricName}, medians of ${count} fresh runs; better in ${better} of ${count}; ${formatProbability(p)}).`
    return { outcome: 'confirmed', recommended: pick, sentence, remarks, code: codeOf(pick) }
  }
  const sentence = `Stay with ${named(pickOfBaseline)}. ${named(pick)} looked better while choosing, but fresh runs do not show it at ${percent}: it ${ended(endOfPick)}, ${baseline.title} ${ended(endOfBaseline)} (${metricName}, medians of ${count} fresh runs; better in ${better} of ${count}; ${formatProbability(p)}).`
  return { outcome: 'not confirmed', recommended: pickOfBaseline, sentence, remarks, code: codeOf(pickOfBaseline) }
}

/** How soon and at which cost, as description. */
function remarksOf(results: ChooseResults, pick: number, baseline: number): string[] {
  const { candidates, contenders, task, protocol } = results
  const { direction, metricName } = task
  const titleOf = (candidate: number) => contenders.find(({ name }) => name === candidates[candidate]!.group)!.title
  const runs = { pick: freshRunsOf(results, pick), baseline: freshRunsOf(results, baseline) }
  const ends = {
    pick: medianOf(runs.pick, 'validation', direction),
    baseline: medianOf(runs.baseline, 'validation', direction),
  }
  const better = (a: number | null, b: number | null) =>
    a !== null && (b === null || (direction === 'minimize' ? a <= b : a >= b))
  const [ahead, behind] = better(ends.pick, ends.baseline)
    ? (['pick', 'baseline'] as const)
    : (['baseline', 'pick'] as const)
  const candidate = { pick, baseline }
  const remarks: string[] = []
  const goal = ends[behind]
  if (goal !== null) {
    const soon = gradientsUntil(runs[ahead], goal, direction)
    if (soon !== null) {
      remarks.push(
        `${titleOf(candidate[ahead])} was at ${formatNumber(goal)} (${metricName}), where ${titleOf(candidate[behind])} ended after ${formatNumber(protocol.horizon)} gradients, after ${formatNumber(soon)}.`,
      )
    }
  }
  const tests = { pick: medianOf(runs.pick, 'test', direction), baseline: medianOf(runs.baseline, 'test', direction) }
  if (tests.pick !== null && tests.baseline !== null) {
    remarks.push(
      `On the test data, which nothing was chosen by: ${titleOf(pick)} ${formatNumber(tests.pick)}, ${titleOf(baseline)} ${formatNumber(tests.baseline)} (medians).`,
    )
  }
  const cost = { pick: stepMilliseconds(runs.pick), baseline: stepMilliseconds(runs.baseline) }
  if (cost.pick !== null && cost.baseline !== null) {
    remarks.push(
      `A training step with its gradient took ${formatMilliseconds(cost.pick)} with ${titleOf(pick)} and ${formatMilliseconds(cost.baseline)} with ${titleOf(baseline)}, evaluations shared out, while this machine was busy choosing.`,
    )
  }
  return remarks
}
