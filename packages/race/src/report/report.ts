import type { SearchRange } from 'fallline'
import { costBlocks, interruptedShare } from '../training/cost.ts'
import type { ClockAnalysis, RaceResults, RunRecord } from '../results.ts'
import { clockTrust } from '../statistics/bootstrap.ts'
import { median } from '../statistics/describe.ts'
import { pairFrom } from '../statistics/pairs.ts'
import { intervalInWords, ratioInWords } from '../statistics/verdict.ts'
import { curvesChart, profileChart, sensitivityChart } from './charts.ts'
import {
  formatDuration,
  formatMilliseconds,
  formatNumber,
  formatOrInfinite,
  formatPercent,
  formatSetting,
} from './format.ts'
import { Html, type HtmlValue, html } from './html.ts'
import { style } from './style.ts'

/** A column of a table: heading, and whether it holds words rather than numbers. */
type Column = string | { heading: string; words: true }

/** A table whose rows become cards on a phone. */
function table(columns: readonly Column[], rows: readonly (readonly HtmlValue[])[], caption?: string): Html {
  const heading = (column: Column) => (typeof column === 'string' ? column : column.heading)
  const kind = (column: Column | undefined) => (typeof column === 'object' ? 'text' : 'number')
  return html`<div class="scroll"><table class="cards">${caption ? html`<caption>${caption}</caption>` : null}
<thead><tr>${columns.map((column) => html`<th scope="col" class="${kind(column)}">${heading(column)}</th>`)}</tr></thead>
<tbody>${rows.map(
    (row) =>
      html`<tr>${row.map((cell, index) =>
        index === 0
          ? html`<th scope="row">${cell}</th>`
          : html`<td class="${kind(columns[index])}" data-label="${heading(columns[index]!)}"><span>${cell}</span></td>`,
      )}</tr>
`,
  )}</tbody></table></div>`
}

function definitions(entries: readonly (readonly [string, HtmlValue])[]): Html {
  return html`<dl>${entries.map(([term, value]) => html`<dt>${term}</dt><dd>${value}</dd>`)}</dl>`
}

/**
 * The report of a finished race: one HTML file that needs no network and no script.
 *
 * @throws Error when the race is not complete
 */
export function renderReport(results: RaceResults): string {
  const { analysis, task } = results
  if (analysis === null)
    throw new Error('the race is not complete, so there is nothing to report yet: run it to the end first')
  const sections = [
    html`<h2 id="standings">Standings</h2>${standings(results)}`,
    html`<h2 id="curves">Loss curves</h2>${curvesChart(results, 'validation')}${curvesChart(results, 'loss')}`,
    html`<h2 id="targets">Steps to the targets</h2>${stepsToTargets(results)}`,
    html`<h2 id="comparison">Every pair</h2>${pairs(results)}`,
    html`<h2 id="profile">Performance profile</h2>${[analysis.steps, ...(analysis.time ? [analysis.time] : [])].map((clock) => profileChart(results, clock))}`,
    html`<h2 id="sensitivity">Learning-rate sensitivity</h2>${sensitivityChart(results)}${sensitivityTable(results)}`,
    html`<h2 id="cost">Cost of a step</h2>${costs(results)}`,
    html`<h2 id="protocol">Protocol</h2>${protocol(results)}`,
    html`<h2 id="runs">All runs</h2>${runs(results)}`,
  ]
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Race on ${task.title}</title>
<style>${new Html(style)}</style>
</head>
<body>
<header>
<p class="soft">Fallline race, ${(results.finishedAt ?? results.startedAt).slice(0, 10)}</p>
<h1>${task.title}: which optimizer?</h1>
<p class="soft">${task.description}</p>
</header>
<main>
${verdict(results)}
${alarms(results)}
${sections.map(
  (section) => html`<section>${section}</section>
`,
)}</main>
</body>
</html>
`.text
}

function titles({ contenders }: RaceResults): (name: string) => string {
  const byName = new Map(contenders.map(({ name, title }) => [name, title]))
  return (name) => byName.get(name) ?? name
}

function verdict(results: RaceResults): Html {
  const { steps, time } = results.analysis!
  return html`<section class="verdict" id="verdict" aria-label="Verdict">
<p><strong>By steps.</strong> ${steps.verdict}</p>
${time ? html`<p><strong>By time on this machine.</strong> ${time.verdict}</p>` : null}
</section>`
}

function alarms(results: RaceResults): Html {
  const { edgeAlarms, remarks } = results.analysis!
  const title = titles(results)
  const edges = edgeAlarms.map(
    ({ contender, hyperparameter, value, bound, limit }) =>
      html`<li>${title(contender)}: the best ${hyperparameter}, ${formatNumber(value)}, lies at the ${bound} of its range (${formatNumber(limit)}). Better values may lie beyond; widen the range before trusting this result.</li>`,
  )
  return html`${
    edges.length > 0
      ? html`<section class="alarm" id="alarms"><h2>Edge of the search range</h2><ul>${edges}</ul></section>`
      : html`<p class="soft" id="alarms">No selected setting lies at the edge of its search range.</p>`
  }${
    remarks.length > 0
      ? html`<section id="remarks"><h3>Remarks</h3><ul class="remarks">${remarks.map((remark) => html`<li>${remark}</li>`)}</ul></section>`
      : null
  }`
}

/** Contenders in the order of their score by steps. */
function ranked({ contenders, analysis }: RaceResults) {
  return [...contenders].sort((a, b) => analysis!.steps.scores[b.name]! - analysis!.steps.scores[a.name]!)
}

function valueWithRange(value: number | null, range: [number, number] | null): string {
  if (range === null) return 'none'
  const middle = value === null ? 'diverged' : formatNumber(value)
  return `${middle} (${formatNumber(range[0])} to ${formatNumber(range[1])})`
}

function standings(results: RaceResults): Html {
  const analysis = results.analysis!
  const { metricName, direction } = results.task
  const rows = ranked(results).map(({ name, title }) => {
    const summary = analysis.summaries[name]!
    return [
      title,
      analysis.steps.scores[name]!.toFixed(3),
      analysis.time ? analysis.time.scores[name]!.toFixed(3) : 'none',
      summary.failure ? 'failed' : valueWithRange(summary.validation, summary.validationRange),
      summary.failure ? 'failed' : valueWithRange(summary.test, summary.testRange),
      summary.setting ? formatSetting(summary.setting) : 'none',
    ]
  })
  const columns: Column[] = [
    'Contender',
    'Score, steps',
    'Score, time',
    `Validation ${metricName}`,
    `Test ${metricName}`,
    { heading: 'Selected setting', words: true },
  ]
  return html`${table(columns, rows)}
<p class="soft">Score: mean over targets of max(0, (4 − r) / 3), r the ratio of the median to the best of the field; 1 is best on every target, 0 is at least four times behind. ${metricName}: median over the report seeds with lowest and highest; ${direction === 'minimize' ? 'lower' : 'higher'} is better. ${optimism(results)}</p>`
}

/** How much better the selected trial looked while tuning than on fresh seeds. */
function optimism(results: RaceResults): string {
  const { summaries } = results.analysis!
  const parts = results.contenders.flatMap(({ name, title }) => {
    const { tuningValidation, validation } = summaries[name]!
    return tuningValidation === null || validation === null
      ? []
      : [`${title} ${formatNumber(tuningValidation)} against ${formatNumber(validation)}`]
  })
  return parts.length === 0 ? '' : `Best trial of the tuning against the median of the fresh runs: ${parts.join('; ')}.`
}

function stepsToTargets(results: RaceResults): Html {
  const { task, protocol, analysis } = results
  const seeds = protocol.reportSeeds.length
  const title = titles(results)
  const missed = (name: string, target: number) =>
    seeds -
    results.runs.filter(
      (run) => run.phase === 'report' && run.contender === name && (run.stepsToTarget[target] ?? null) !== null,
    ).length
  const cell = (clock: ClockAnalysis, name: string, target: number): Html => {
    const value = clock.medians[name]![target]!
    const misses = missed(name, target)
    const shown = formatOrInfinite(value, clock.clock === 'steps' ? formatNumber : formatMilliseconds)
    return html`${shown}${misses > 0 && clock.clock === 'steps' ? ` (${misses} of ${seeds} missed)` : null}`
  }
  const tables = [analysis!.steps, ...(analysis!.time ? [analysis!.time] : [])].map((clock) =>
    table(
      [
        'Contender',
        ...task.targets.map((target) => `${task.direction === 'minimize' ? '≤' : '≥'}\u00a0${formatNumber(target)}`),
      ],
      ranked(results).map(({ name }) => [title(name), ...task.targets.map((_, target) => cell(clock, name, target))]),
      clock.clock === 'steps'
        ? `Median steps until the validation ${task.metricName} meets a target; ∞ is never`
        : 'The same as time: steps times the median cost of a whole step',
    ),
  )
  return html`${tables}`
}

function pairs(results: RaceResults): Html {
  const { steps, time } = results.analysis!
  const title = titles(results)
  if (steps.pairs.length === 0) return html`<p>There is only one contender.</p>`
  const names = ranked(results).map(({ name }) => name)
  const rankedPairs = names.flatMap((first, index) => names.slice(index + 1).map((second) => [first, second] as const))
  const cell = (clock: ClockAnalysis, first: string, second: string) => {
    const pair = pairFrom(clock.pairs, first, second)!
    const evidence = pair.ahead === null ? 'no evidence of a difference' : `${title(pair.ahead)} is ahead`
    return html`${ratioInWords(pair.ratio)} (${intervalInWords(pair)}): ${evidence}`
  }
  return html`${table(
    [
      'Pair',
      { heading: 'Ratio of steps', words: true },
      ...(time ? [{ heading: 'Ratio of time', words: true } as const] : []),
    ],
    rankedPairs.map(([first, second]) => [
      `${title(second)} / ${title(first)}`,
      cell(steps, first, second),
      ...(time ? [cell(time, first, second)] : []),
    ]),
  )}
<p class="soft">Above 1, the first named needs more. Geometric mean over seeds and targets, each ratio limited to ¼ … 4, so that a miss counts as 4 and two misses as 1; interval from a paired bootstrap over seeds and targets.</p>`
}

function sensitivityTable(results: RaceResults): Html {
  const { contenders, analysis, task } = results
  const rows = contenders.map(({ name, title }) => {
    const { sensitivity, setting, tuningValidation } = analysis!.summaries[name]!
    return [
      title,
      setting ? formatNumber(setting.learningRate!) : 'none',
      tuningValidation === null ? 'none' : formatNumber(tuningValidation),
      formatPercent(sensitivity.withinFivePercent),
      String(sensitivity.trials.filter(({ metric }) => metric === null).length),
    ]
  })
  return table(
    ['Contender', 'Selected learning rate', `Best ${task.metricName}`, 'Trials within 5% of it', 'Trials lost'],
    rows,
  )
}

function costs(results: RaceResults): Html {
  const { analysis, contenders, costs: measured, costFailure } = results
  if (measured === null) return html`<p>No step costs: ${costFailure ?? 'no contender finished a trial'}.</p>`
  const gradient = median(measured.gradient)
  const title = titles(results)
  const rows = contenders.map(({ name, title, compileMilliseconds, stateBytesPerParameter, bytesPerParameter }) => {
    const { optimizerStep, wholeStep } = analysis!.summaries[name]!
    const blocks = measured.step[name]
    return [
      title,
      optimizerStep === null ? 'none' : formatMilliseconds(optimizerStep),
      blocks ? `${formatMilliseconds(Math.min(...blocks))} to ${formatMilliseconds(Math.max(...blocks))}` : 'none',
      wholeStep === null ? 'none' : formatMilliseconds(wholeStep),
      compileMilliseconds.length > 0 ? formatMilliseconds(median(compileMilliseconds)) : 'none',
      stateBytesPerParameter === undefined ? 'unknown' : formatNumber(stateBytesPerParameter),
      bytesPerParameter === undefined ? 'unknown' : formatNumber(bytesPerParameter),
    ]
  })
  const evens = analysis!.breakEven.map(
    ({ fewerSteps, other, stepsRatio, costRatio, overhead, gradientMilliseconds }) => [
      `${title(fewerSteps)} against ${title(other)}`,
      formatNumber(stepsRatio, 3),
      formatNumber(costRatio, 3),
      formatNumber(overhead, 3),
      gradientMilliseconds === 0 ? 'any' : formatMilliseconds(gradientMilliseconds),
    ],
  )
  return html`${table(
    [
      'Contender',
      'Optimizer step',
      'Range over blocks',
      'Whole step',
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
    ? html`<h3>Do fewer steps pay?</h3>${table(
        ['Fewer steps', 'Steps ratio', 'Cost ratio', 'Break-even overhead', 'Pays when a gradient takes at least'],
        evens,
      )}<p class="soft">Break-even overhead = steps ratio / cost ratio: above 1 the one with fewer steps is also faster, and its step may become that many times dearer before it no longer is. A larger model changes the costs; the last column says from which cost of a gradient on fewer steps pay, at these optimizer step costs. Whether the ratio of steps is more than chance says the table of pairs.</p>`
    : null
}`
}

function rangeInWords(range: SearchRange): string {
  if (range.scale === 'choice') return `one of ${range.values.map((value) => formatNumber(value)).join(', ')}`
  return `${formatNumber(range.minimum)} to ${formatNumber(range.maximum)}, ${range.scale === 'log' ? 'logarithmic' : 'linear'}`
}

function protocol(results: RaceResults): Html {
  const { task, protocol: study, contenders, machine, versions } = results
  const shapes = Object.entries(task.parameters).map(([name, shape]) => `${name} [${shape.join(', ')}]`)
  const shift = study.sequence.dimensions.map((name) => `${name} ${study.sequence.shift[name]!.toFixed(4)}`)
  const papers = contenders.map(({ title, paper, search, schedule, fallback }) => {
    const link = paper?.arxiv ? `https://arxiv.org/abs/${paper.arxiv}` : paper?.url
    const cited = paper ? `${paper.authors} (${paper.year}), ${paper.title}` : 'own contender'
    return html`<h3>${title}</h3>${definitions([
      ...Object.entries(search).map(([name, range]) => [name, rangeInWords(range)] as const),
      ['learning rate over a run', schedule],
      ...(fallback ? [['parameters it does not take', fallback] as const] : []),
      ['published in', link ? html`<a href="${link}">${cited}</a>` : cited],
    ])}`
  })
  return html`${definitions([
    ['task', `${task.title} (${task.name}), ${formatNumber(task.parameterCount)} parameters`],
    ['parameters', shapes.join('; ')],
    [
      'metric',
      `${task.metricName}, ${task.direction === 'minimize' ? 'lower' : 'higher'} is better, evaluated every ${task.evaluateEvery} steps`,
    ],
    [
      'targets',
      `${task.targets.map((target) => formatNumber(target)).join(', ')} (${task.targetsFrom === 'task' ? 'registered by the task before the race' : 'given for this race'})`,
    ],
    [
      'budget per contender',
      `${study.trials} tuning trials on ${study.tuningSeeds.length} seed${study.tuningSeeds.length === 1 ? '' : 's'}, then ${study.reportSeeds.length} report runs; ${formatNumber(task.steps)} steps per run`,
    ],
    ['seed of the study', String(study.seed)],
    ['tuning seeds', study.tuningSeeds.join(', ')],
    ['report seeds', study.reportSeeds.join(', ')],
    [
      'tuning sequence',
      `${study.sequence.kind}; trial k of every contender uses point k, and hyperparameters of one name share its coordinate`,
    ],
    ['dimensions and shifts', shift.join(', ')],
    [
      'selection',
      `best validation ${task.metricName} after the last step; the chosen setting then runs anew on the report seeds, where validation decides targets and test is only reported`,
    ],
    ['misses', 'a run that never meets a target, diverges or fails counts as infinitely many steps'],
    ['steps clock', 'one gradient and one optimizer step count as one step; evaluation counts nothing'],
    [
      'time clock',
      `steps times the median cost of a whole step, from a micro-race of ${costBlocks} blocks per contender in random order, after three rounds of warm-up; the slowest ${formatPercent(interruptedShare)} of the steps of a block are left out as interrupted`,
    ],
    [
      'intervals',
      `95% for the two clocks together (97.5% each), paired bootstrap over seeds and targets (and cost blocks), stretched for few seeds; resolution of the evaluations and ${formatPercent(clockTrust)} for the time clock added. They cover the luck of the seeds and the choice of targets, not the luck of the tuning`,
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
  ])}${papers}`
}

function runs(results: RaceResults): Html {
  const title = titles(results)
  const { task } = results
  const rowsOf = (phase: RunRecord['phase']) =>
    results.runs
      .filter((run) => run.phase === phase)
      .map((run) => [
        title(run.contender),
        String(run.trial + 1),
        String(run.seed),
        formatSetting(run.setting),
        run.validation === null ? `${run.outcome}: ${run.message ?? 'no reason given'}` : formatNumber(run.validation),
        ...(phase === 'report' ? [run.test === null ? 'none' : formatNumber(run.test)] : []),
        run.stepsToTarget.map((steps) => formatOrInfinite(steps)).join(', '),
      ])
  const columns = (phase: RunRecord['phase']): Column[] => [
    'Contender',
    'Trial',
    'Seed',
    { heading: 'Setting', words: true },
    `Validation ${task.metricName}`,
    ...(phase === 'report' ? [`Test ${task.metricName}`] : []),
    'Steps to targets',
  ]
  const part = (phase: RunRecord['phase'], name: string) => {
    const rows = rowsOf(phase)
    return html`<details><summary>${rows.length} ${name} runs</summary>${table(columns(phase), rows)}</details>`
  }
  return html`${part('tuning', 'tuning')}${part('report', 'report')}`
}
