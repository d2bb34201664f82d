import type { SearchRange } from 'fallline'
import { codeOf } from '../analysis.ts'
import type { ClockAnalysis, RaceResults, RunRecord } from '../results.ts'
import { falseClaims } from '../statistics/comparison.ts'
import { median } from '../statistics/describe.ts'
import { clockTrust } from '../statistics/field.ts'
import { PairLookup } from '../statistics/pairs.ts'
import { intervalInWords, ratioInWords } from '../statistics/verdict.ts'
import { costBlocks, interruptedShare } from '../training/cost.ts'
import { curvesChart, profileChart, sensitivityChart } from './charts.ts'
import {
  edgeInWords,
  formatDuration,
  formatMilliseconds,
  formatNumber,
  formatOrInfinite,
  formatPercent,
  formatSetting,
  many,
} from './format.ts'
import { type Html, html } from './html.ts'
import { hardestReached, ranked } from './order.ts'
import { type Column, definitions, type PageParts, page, table } from './parts.ts'

/** More runs than this are listed in `results.json` only. */
const mostRunRows = 400

/** More contenders than this are compared with the first in the table of pairs, not all with all. */
const mostForAllPairs = 8

/**
 * The report of a finished race: one HTML file that needs no network and no script. The verdict comes first.
 *
 * @throws Error when the race is not complete
 */
export function renderReport(results: RaceResults): string {
  return page(reportOf(results))
}

/** What the report says. Throws as `renderReport` does. */
export function reportOf(results: RaceResults): PageParts {
  const { analysis, task } = results
  if (analysis === null)
    throw new Error('the race is not complete, so there is nothing to report yet: run it to the end first')
  const clocks = [analysis.gradients, ...(analysis.time ? [analysis.time] : [])]
  const sections = [
    html`<h2 id="standings">Standings</h2>${standings(results)}`,
    html`<h2 id="curves">Loss curves</h2>${curvesChart(results, 'validation')}${curvesChart(results, 'loss')}`,
    html`<h2 id="targets">Gradients to the targets</h2>${toTargets(results)}`,
    html`<h2 id="comparison">Pairs</h2>${pairs(results)}`,
    html`<h2 id="profile">Performance profile</h2>${clocks.map((clock) => profileChart(results, clock))}`,
    html`<h2 id="sensitivity">Learning-rate sensitivity</h2>${sensitivityChart(results)}${sensitivityTable(results)}`,
    html`<h2 id="cost">Cost of a step</h2>${costs(results)}`,
    html`<h2 id="protocol">Protocol</h2>${protocol(results)}`,
    html`<h2 id="runs">All runs</h2>${runs(results)}`,
  ]
  return {
    title: `Race on ${task.title}`,
    header: html`<p class="soft">Fallline race, ${(results.finishedAt ?? results.startedAt).slice(0, 10)}</p>
<h1>${task.title}: which optimizer?</h1>
<p class="soft">${task.description}</p>`,
    first: html`${verdict(results)}
${alarms(results)}`,
    sections,
  }
}

function titles({ contenders }: RaceResults): (name: string) => string {
  const byName = new Map(contenders.map(({ name, title }) => [name, title]))
  return (name) => byName.get(name) ?? name
}

function verdict(results: RaceResults): Html {
  const { gradients, time } = results.analysis!
  const about =
    results.protocol.claim === 'settings'
      ? 'The verdict is about the settings that one tuning found, not about the optimizers.'
      : 'The verdict is about optimizers with the ranges below: every study tuned them anew.'
  const part = ({ finding, verdict }: ClockAnalysis) =>
    html`<section class="${finding === 'edge' ? 'alarm' : finding === 'difference' ? 'verdict' : 'verdict even'}"><p>${verdict}</p></section>`
  return html`<div id="verdict">${part(gradients)}${time && time.verdict !== gradients.verdict ? part(time) : null}
<p class="soft">${about} In a race of equals, somebody is called ahead in at most ${formatPercent(falseClaims)} of cases, by either clock, in any pair, at any look.</p></div>`
}

function alarms(results: RaceResults): Html {
  const { edges, remarks } = results.analysis!
  const title = titles(results)
  const items = edges.map(
    (edge) =>
      html`<li>${title(edge.contender)}: ${edgeInWords(edge)}. Give a wider range before trusting this result.</li>`,
  )
  return html`${
    items.length > 0
      ? html`<section class="alarm" id="alarms"><h2>Edge of the search range</h2><ul>${items}</ul></section>`
      : html`<p class="soft" id="alarms">No selected setting lies at the edge of what was tried.</p>`
  }${
    remarks.length > 0
      ? html`<section id="remarks"><h3>Remarks</h3><ul class="remarks">${remarks.map((remark) => html`<li>${remark}</li>`)}</ul></section>`
      : null
  }${stacks(results)}`
}

/** Where errors were thrown, once per contender. */
function stacks({ contenders, runs }: RaceResults): Html | null {
  const found = contenders.flatMap(({ name, title }) => {
    const run = runs.find((each) => each.contender === name && each.stack !== undefined)
    return run
      ? [html`<details><summary>${title}: ${run.message ?? ''}</summary><pre>${run.stack ?? ''}</pre></details>`]
      : []
  })
  return found.length === 0 ? null : html`<section id="errors"><h3>Errors</h3>${found}</section>`
}

function valueWithRange(value: number | null, range: [number, number] | null): string {
  if (range === null) return 'none'
  const middle = value === null ? 'diverged' : formatNumber(value)
  return `${middle} (${formatNumber(range[0])} to ${formatNumber(range[1])})`
}

const scoreInWords = (score: number | null | undefined) =>
  score === null || score === undefined ? 'none' : score.toFixed(3)

function standings(results: RaceResults): Html {
  const analysis = results.analysis!
  const { metricName, direction } = results.task
  const order = ranked(results)
  const rows = order
    .filter(({ name }) => analysis.summaries[name]!.failure === null)
    .map((contender) => {
      const { name, title } = contender
      const summary = analysis.summaries[name]!
      return [
        title,
        scoreInWords(analysis.gradients.scores[name]),
        scoreInWords(analysis.time?.scores[name]),
        valueWithRange(summary.validation, summary.validationRange),
        valueWithRange(summary.test, summary.testRange),
        summary.setting ? html`<code>${codeOf(contender, summary.setting)}</code>` : 'none',
      ]
    })
  const failed = order.flatMap(({ name, title }) => {
    const { failure } = analysis.summaries[name]!
    return failure === null ? [] : [[title, failure]]
  })
  const absent = [...failed, ...results.leftOut.map(({ name, reason }) => [name, reason])]
  const columns: Column[] = [
    'Contender',
    'Score, gradients',
    'Score, time',
    `Validation ${metricName}`,
    `Test ${metricName}`,
    { heading: 'Best setting', words: true },
  ]
  return html`${table(columns, rows)}
<p class="soft">Score: mean over targets of max(0, (4 − r) / 3), r the ratio of the median to the best of the field; 1 is best on every target, 0 is at least four times behind. ${metricName}: median over the fresh runs with lowest and highest; ${direction === 'minimize' ? 'lower' : 'higher'} is better. ${optimism(results)}</p>
${absent.length > 0 ? html`<h3 id="absent">Took no part</h3>${table(['Contender', { heading: 'Reason', words: true }], absent)}` : null}`
}

/** How much better the selected trials looked while tuning than on fresh seeds. */
function optimism(results: RaceResults): string {
  const { summaries } = results.analysis!
  const parts = ranked(results)
    .slice(0, 5)
    .flatMap(({ name, title }) => {
      const { tuningValidation, validation } = summaries[name]!
      return tuningValidation === null || validation === null
        ? []
        : [`${title} ${formatNumber(tuningValidation)} against ${formatNumber(validation)}`]
    })
  return parts.length === 0 ? '' : `Selected trials in the tuning against fresh runs, medians: ${parts.join('; ')}.`
}

function toTargets(results: RaceResults): Html {
  const { task, analysis, runs } = results
  const missed = (name: string, target: number) => {
    const mine = runs.filter((run) => run.phase === 'report' && run.horizon === 1 && run.contender === name)
    return { misses: mine.filter((run) => run.gradientsToTarget[target] === null).length, of: mine.length }
  }
  const cell = (clock: ClockAnalysis, name: string, target: number): Html => {
    const { misses, of } = missed(name, target)
    const format = clock.clock === 'gradients' ? formatNumber : formatMilliseconds
    const shown = formatOrInfinite(clock.medians[name]![target] ?? null, format)
    return html`${shown}${misses > 0 && clock.clock === 'gradients' ? ` (${misses} of ${of} missed)` : null}`
  }
  const order = ranked(results).filter(({ name }) => analysis!.summaries[name]!.failure === null)
  const tables = [analysis!.gradients, ...(analysis!.time ? [analysis!.time] : [])].map((clock) =>
    table(
      [
        'Contender',
        ...task.targets.map((target) => `${task.direction === 'minimize' ? '≤' : '≥'}\u00a0${formatNumber(target)}`),
      ],
      order.map(({ name, title }) => [title, ...task.targets.map((_, target) => cell(clock, name, target))]),
      clock.clock === 'gradients'
        ? `Median gradients until the validation ${task.metricName} meets a target; ∞ is never`
        : 'The same as time: steps times the median cost of a whole step',
    ),
  )
  return html`${tables}`
}

function pairs(results: RaceResults): Html {
  const { gradients, time, level } = results.analysis!
  const title = titles(results)
  const names = ranked(results)
    .map(({ name }) => name)
    .filter((name) => gradients.scores[name] !== null)
  if (names.length < 2) return html`<p>There is only one contender.</p>`
  const few = names.length <= mostForAllPairs
  const first = gradients.leaders[0] ?? names[0]!
  const shown = few
    ? names.flatMap((a, index) => names.slice(index + 1).map((b) => [a, b] as const))
    : names.filter((name) => name !== first).map((name) => [first, name] as const)
  const lookups = new Map([gradients, ...(time ? [time] : [])].map((clock) => [clock, new PairLookup(clock.pairs)]))
  const cell = (clock: ClockAnalysis, a: string, b: string) => {
    const pair = lookups.get(clock)!.of(a, b)
    if (pair === undefined) return 'not measured'
    const evidence = pair.ahead === null ? 'no larger than chance allows' : `${title(pair.ahead)} is ahead`
    return html`${ratioInWords(pair.ratio)} (${intervalInWords(pair)}): ${evidence}`
  }
  return html`${table(
    [
      'Pair',
      { heading: 'Ratio of gradients', words: true },
      ...(time ? [{ heading: 'Ratio of time', words: true } as const] : []),
    ],
    shown.map(([a, b]) => [`${title(b)} / ${title(a)}`, cell(gradients, a, b), ...(time ? [cell(time, a, b)] : [])]),
  )}
<p class="soft">Above 1, the first named needs more. Geometric mean over fresh runs and targets, each limited to four times the best of the two; a miss counts as the limit. Every pair by every clock is one hypothesis of Holm's procedure at ${(100 * level).toPrecision(3)}%; an interval is at the level at which its hypothesis was tested.${few ? null : ' All pairs are in results.json.'}</p>`
}

function sensitivityTable(results: RaceResults): Html {
  const { analysis } = results
  const rows = ranked(results).map(({ name, title }) => {
    const { sensitivity, selected } = analysis!.summaries[name]!
    const rates = selected.flatMap((each) => (each ? [each.setting.learningRate!] : []))
    return [
      title,
      rates.length === 0
        ? 'none'
        : rates.length === 1
          ? formatNumber(rates[0]!)
          : `${formatNumber(median(rates))} (${formatNumber(Math.min(...rates))} to ${formatNumber(Math.max(...rates))})`,
      formatPercent(sensitivity.withinFivePercent),
      String(sensitivity.trials.filter(({ metric }) => metric === null).length),
    ]
  })
  return table(['Contender', 'Selected learning rate', 'Trials within 5% of the best', 'Trials lost'], rows)
}

function costs(results: RaceResults): Html {
  const { analysis, contenders, costs: measured, costFailure } = results
  if (measured === null) return html`<p>No step costs: ${costFailure ?? 'no contender finished a trial'}.</p>`
  const gradient = median(measured.gradient)
  const title = titles(results)
  const rows = contenders.map(
    ({ name, title, gradientsPerStep, compileMilliseconds, stateBytesPerParameter, bytesPerParameter }) => {
      const { optimizerStep, wholeStep } = analysis!.summaries[name]!
      const blocks = measured.step[name]
      return [
        title,
        optimizerStep === null ? 'none' : formatMilliseconds(optimizerStep),
        blocks ? `${formatMilliseconds(Math.min(...blocks))} to ${formatMilliseconds(Math.max(...blocks))}` : 'none',
        wholeStep === null ? 'none' : formatMilliseconds(wholeStep),
        formatNumber(gradientsPerStep, 3),
        compileMilliseconds.length > 0 ? formatMilliseconds(median(compileMilliseconds)) : 'none',
        stateBytesPerParameter === undefined ? 'unknown' : formatNumber(stateBytesPerParameter),
        bytesPerParameter === undefined ? 'unknown' : formatNumber(bytesPerParameter),
      ]
    },
  )
  const evens = analysis!.breakEven
    .slice(0, 28)
    .map(({ fewer, other, ratio, costRatio, overhead, gradientMilliseconds }) => [
      `${title(fewer)} against ${title(other)}`,
      formatNumber(ratio, 3),
      formatNumber(costRatio, 3),
      formatNumber(overhead, 3),
      gradientMilliseconds === 0 ? 'any' : formatMilliseconds(gradientMilliseconds),
    ])
  return html`${table(
    [
      'Contender',
      'Optimizer step',
      'Range over blocks',
      'Whole step',
      'Gradients a step',
      'Compile',
      'State bytes per parameter',
      'Bytes moved per parameter',
    ],
    rows,
    `Medians of ${measured.gradient.length} interleaved blocks of ${measured.stepsPerBlock} steps`,
  )}
<p class="soft">A gradient takes ${formatMilliseconds(gradient)}; a whole step is gradient plus optimizer step. Compiling happens once per setting and is in no other figure.</p>
${
  evens.length > 0
    ? html`<h3>Do fewer gradients pay?</h3>${table(
        [
          'Fewer gradients',
          'Ratio of gradients',
          'Cost ratio',
          'Break-even overhead',
          'Pays when a gradient takes at least',
        ],
        evens,
      )}<p class="soft">Break-even overhead = ratio of gradients / cost ratio: above 1 the one with fewer gradients is also faster, and its step may become that many times dearer before it no longer is. A larger model changes the costs; the last column says from which cost of a gradient on fewer gradients pay, at these optimizer step costs. Whether a ratio is more than chance says the table of pairs.</p>`
    : null
}`
}

function rangeInWords(range: SearchRange): string {
  if (range.scale === 'choice') return `one of ${range.values.map((value) => formatNumber(value)).join(', ')}`
  return `${formatNumber(range.minimum)} to ${formatNumber(range.maximum)}, ${range.scale === 'log' ? 'logarithmic' : 'linear'}`
}

function protocol(results: RaceResults): Html {
  const { task, protocol: study, contenders, machine, versions, analysis } = results
  const shapes = Object.entries(task.parameters).map(([name, shape]) => `${name} [${shape.join(', ')}]`)
  const entered = contenders.map(({ title, paper, search, schedule, fallback, code }) => {
    const link = paper?.arxiv ? `https://arxiv.org/abs/${paper.arxiv}` : paper?.url
    const cited = paper ? `${paper.authors} (${paper.year}), ${paper.title}` : null
    return html`<details><summary>${title}</summary>${definitions([
      ...Object.entries(search).map(([name, range]) => [name, rangeInWords(range)] as const),
      ['learning rate over a run', schedule],
      ['code', html`<code>${code.replace('SETTING', '{ ... }')}</code>`],
      ...(fallback ? [['parameters it does not take', fallback] as const] : []),
      ...(cited === null ? [] : [['published in', link ? html`<a href="${link}">${cited}</a>` : cited] as const]),
    ])}</details>`
  })
  const budget =
    study.claim === 'settings'
      ? `one study of ${many(study.trials, 'tuning trial')} on one seed, the best ${study.finalists} rerun on ${many(study.finalSeeds, 'more seed')}, then fresh runs on ${many(study.seeds, 'seed')}`
      : `${study.studies === 1 ? '1 study' : `${study.studies} independent studies, each`} of ${many(study.trials, 'tuning trial')} and ${many(study.seeds, 'fresh run')}`
  return html`${definitions([
    ['task', `${task.title} (${task.name}), ${formatNumber(task.parameterCount)} parameters`],
    ['parameters', shapes.join('; ')],
    [
      'metric',
      `${task.metricName}, ${task.direction === 'minimize' ? 'lower' : 'higher'} is better, evaluated every ${task.evaluateEvery} gradients`,
    ],
    [
      'targets',
      `${task.targets.map((target) => formatNumber(target)).join(', ')} (${task.targetsFrom === 'task' ? 'registered by the task before the race' : 'given for this race'}); those that all reach at once, or nobody, are left out of a comparison`,
    ],
    ['claim', study.claim === 'settings' ? 'about settings' : 'about optimizers with their ranges and this tuning'],
    ['budget per contender', `${budget}; ${formatNumber(task.steps)} gradients per run`],
    [
      'ranges',
      'three quarters of the trials are Sobol points with a random shift of their own; where the best value is the outermost tried, the others go further out, beyond the bound if need be, as far as values are valid',
    ],
    [
      'selection',
      'by the quantity that is judged: gradients to the targets, limited ratios to the other trials; of equals the better validation metric',
    ],
    [
      'seeds',
      `all drawn from ${study.seed}; within a study all contenders share the seed of the tuning and the fresh seeds, which have nothing in common`,
    ],
    [
      'horizons',
      study.horizons.length > 1
        ? `matched: fresh runs with schedules that end at ${study.horizons.map((share) => formatPercent(share)).join(', ')} of the budget, each target at the one that reaches it first`
        : 'every schedule ends at the end of the budget; one long schedule makes a fast optimizer wait for its end, so true ratios are rather larger',
    ],
    ['misses', 'a run that never meets a target, and for all targets a run that diverges or fails'],
    [
      'numbers that are not finite',
      study.nonFinite === 'skip' ? 'the step is left out and counted' : 'the run ends as diverged',
    ],
    [
      'clock of gradients',
      'gradients computed, whatever a step needs; a loss alone counts as a third where the task can give it; evaluation counts nothing',
    ],
    [
      'clock of time',
      `steps times the median cost of a whole step, from a micro-race of ${costBlocks} blocks per contender in random order, after three rounds of warm-up; the slowest ${formatPercent(interruptedShare)} of the steps of a block are left out as interrupted`,
    ],
    [
      'intervals',
      `${study.claim === 'settings' ? "Student's t over the fresh seeds, paired" : "Welch's t over independent studies, so the luck of tuning and seeds is in them"}; the spacing of the evaluations${analysis!.time ? `, and for time the cost measurement and ${formatPercent(clockTrust)},` : ''} may turn all of them by as much as it can, in the same direction`,
    ],
    [
      'looks',
      `${results.looks.length} so far (${results.looks.map((look) => `${many(look.contenders.length, 'contender')}, ${look.studies === 1 ? '1 study' : `${look.studies} studies`}, ${many(look.seeds, 'fresh seed')} each`).join('; ')}); look k may spend three quarters of what those before it left of ${formatPercent(falseClaims)}`,
    ],
    [
      'machine',
      `${machine.processor}, ${machine.cores} cores, ${machine.memoryGigabytes} GB, ${machine.platform} ${machine.architecture}, Node ${machine.node}, load ${machine.loadAverage.toFixed(2)} at the start; one thread`,
    ],
    [
      'versions',
      `fallline ${versions.fallline}, @fallline/race ${versions.race}, results format ${results.version}; backend ${results.backend}`,
    ],
    [
      'time',
      `${results.startedAt} to ${results.finishedAt ?? 'now'}; ${formatDuration(results.runs.reduce((sum, run) => sum + run.milliseconds, 0))} in ${results.runs.length} runs`,
    ],
    ['fingerprint of the settings', html`<code>${results.fingerprint}</code>`],
  ])}<h3>Contenders</h3>${entered}`
}

function runs(results: RaceResults): Html {
  const title = titles(results)
  const { task } = results
  const target = hardestReached(results)
  if (results.runs.length > mostRunRows) {
    return html`<p>${formatNumber(results.runs.length)} runs, all in results.json.</p>`
  }
  const phases = { tuning: 'tuning', final: 'rerun', report: 'fresh' } as const
  const rows = results.runs.map((run: RunRecord) => [
    title(run.contender),
    `${run.study + 1}.${run.trial + 1} ${phases[run.phase]}`,
    String(run.seed),
    formatSetting(run.setting),
    run.validation === null ? `${run.outcome}: ${run.message ?? 'no reason given'}` : formatNumber(run.validation),
    run.test === null ? '' : formatNumber(run.test),
    formatOrInfinite(run.gradientsToTarget[target] ?? null),
  ])
  const columns: Column[] = [
    'Contender',
    'Study and trial',
    'Seed',
    { heading: 'Setting', words: true },
    `Validation ${task.metricName}`,
    `Test ${task.metricName}`,
    `Gradients to ${formatNumber(task.targets[target]!)}`,
  ]
  return html`<details><summary>${results.runs.length} runs</summary>${table(columns, rows)}</details>`
}
