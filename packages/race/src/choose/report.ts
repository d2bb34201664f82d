import { formatDuration, formatMilliseconds, formatNumber, formatSetting } from '../report/format.ts'
import { Html, type HtmlValue, html } from '../report/html.ts'
import { style } from '../report/style.ts'
import { median } from '../statistics/describe.ts'
import { formatProbability, freshRunsOf, gradientsUntil, medianOf, settingInWords, stepMilliseconds } from './answer.ts'
import { type ChartSeries, metricChart } from './chart.ts'
import { type CodeTarget, codeTargets } from './code.ts'
import { type ChooseResults, fateOf, gradientsSpent, standingOf, triedOf } from './results.ts'

/** What the style sheet of all reports lacks. */
const ownStyle = `
pre { background: var(--panel); padding: 0.7rem 1rem; overflow-x: auto; font-size: 0.85rem; line-height: 1.45; margin: 0.5rem 0; }
pre code { font-size: inherit; overflow-wrap: normal; white-space: pre; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 0.6rem; padding: 0; list-style: none; }
.figures li { background: var(--panel); padding: 0.5rem 0.8rem; }
.figures strong { display: block; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.figures span { color: var(--soft); font-size: 0.875rem; }
@media print { pre { white-space: pre-wrap; border: 1px solid var(--line); } }
`

/** A column of a table: heading, and whether it holds words rather than numbers. */
type Column = string | { heading: string; words: true }

/** A table whose rows become cards on a phone. */
function table(columns: readonly Column[], rows: readonly (readonly HtmlValue[])[], caption?: string): Html {
  const heading = (column: Column) => (typeof column === 'string' ? column : column.heading)
  const kind = (column: Column) => (typeof column === 'object' ? 'text' : 'number')
  return html`<div class="scroll"><table class="cards">${caption ? html`<caption>${caption}</caption>` : null}
<thead><tr>${columns.map((column) => html`<th scope="col" class="${kind(column)}">${heading(column)}</th>`)}</tr></thead>
<tbody>${rows.map(
    (row) =>
      html`<tr>${row.map((cell, index) =>
        index === 0
          ? html`<th scope="row">${cell}</th>`
          : html`<td class="${kind(columns[index]!)}" data-label="${heading(columns[index]!)}"><span>${cell}</span></td>`,
      )}</tr>
`,
  )}</tbody></table></div>`
}

function definitions(entries: readonly (readonly [string, HtmlValue])[]): Html {
  return html`<dl>${entries.map(([term, value]) => html`<dt>${term}</dt><dd>${value}</dd>`)}</dl>`
}

/**
 * The report of a finished study: one HTML file that needs no network and no script. It begins with what to do, as a sentence and as
 * code.
 *
 * @throws Error when the study is not complete
 */
export function renderChooseReport(results: ChooseResults): string {
  const { answer, task } = results
  if (answer === null) {
    throw new Error('the study is not complete, so there is nothing to report yet: run it to the end first')
  }
  const sections = [
    ...(results.fresh ? [html`<h2 id="curves">Curves</h2>${curves(results)}`] : []),
    ...(results.fresh ? [html`<h2 id="comparison">The comparison</h2>${comparison(results)}`] : []),
    html`<h2 id="standing">How far everything got</h2>${standing(results)}`,
    html`<h2 id="failed">Not raced, and failed</h2>${failures(results)}`,
    html`<h2 id="protocol">Protocol</h2>${protocol(results)}`,
  ]
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Which optimizer for ${task.title}?</title>
<style>${new Html(style)}${new Html(ownStyle)}</style>
</head>
<body>
<header>
<p class="soft">Fallline choose, ${(results.finishedAt ?? results.startedAt).slice(0, 10)}</p>
<h1>${task.title}: which optimizer?</h1>
</header>
<main>
<section class="verdict" id="answer" aria-label="Answer"><p>${answer.sentence}</p></section>
${figures(results)}
${code(results)}
${answer.remarks.length > 0 ? html`<ul class="remarks">${answer.remarks.map((remark) => html`<li>${remark}</li>`)}</ul>` : null}
${sections.map(
  (section) => html`<section>${section}</section>
`,
)}</main>
</body>
</html>
`.text
}

function titleOf({ contenders, candidates }: ChooseResults, candidate: number): string {
  const { group } = candidates[candidate]!
  return contenders.find(({ name }) => name === group)?.title ?? group
}

const fullRuns = (gradients: number, { protocol }: ChooseResults) => formatNumber(gradients / protocol.horizon, 3)

/** Two or three plain numbers. */
function figures(results: ChooseResults): Html {
  const { fresh, task, milliseconds, contenders } = results
  const { choosing, confirmation } = gradientsSpent(results)
  const items: [string, string][] = []
  if (fresh) {
    for (const candidate of new Set([fresh.pick, fresh.baseline])) {
      const end = medianOf(freshRunsOf(results, candidate), 'validation', task.direction)
      items.push([
        end === null ? 'not finished' : formatNumber(end),
        `${task.metricName} with ${titleOf(results, candidate)}, ${task.direction === 'minimize' ? 'lower' : 'higher'} is better`,
      ])
    }
  }
  items.push([
    formatDuration(milliseconds),
    `for ${fullRuns(choosing + confirmation, results)} full runs' worth of training; ${triedOf(results)} of ${contenders.length} optimizers tried`,
  ])
  return html`<ul class="figures">${items.map(([value, what]) => html`<li><strong>${value}</strong><span>${what}</span></li>`)}</ul>`
}

function code({ answer }: ChooseResults): Html | null {
  if (!answer?.code) return null
  const { code: written, failure } = answer.code
  if (written === null) return html`<p>There is no code to paste: ${failure}.</p>`
  const block = (target: CodeTarget) => html`<pre><code>${written[target].trimEnd()}</code></pre>`
  const others = (Object.keys(codeTargets) as CodeTarget[]).filter((target) => target !== 'fallline')
  return html`${block('fallline')}${others.map(
    (target) => html`<details><summary>The same in ${codeTargets[target]}</summary>${block(target)}</details>`,
  )}`
}

function curves(results: ChooseResults): Html {
  const { fresh, task, protocol, decisions, runs } = results
  const { pick, baseline } = fresh!
  const series: ChartSeries[] = [...new Set([pick, baseline])].map((candidate) => ({
    title: `${titleOf(results, candidate)}, fresh runs`,
    runs: freshRunsOf(results, candidate).map(({ state }) => state),
    thin: false,
  }))
  const finalists = [...new Set(decisions.slice(-2).flatMap(({ alive }) => alive))]
    .filter((candidate) => candidate !== pick && candidate !== baseline)
    .map((candidate) => ({
      candidate,
      finished: runs.filter((run) => run.candidate === candidate && run.state.outcome === 'finished'),
    }))
    .filter(({ finished }) => finished.length > 0)
    .slice(0, 6)
  for (const { candidate, finished } of finalists) {
    const { setting } = results.candidates[candidate]!
    series.push({
      title: `${titleOf(results, candidate)} (learning rate ${formatNumber(setting.learningRate!)})`,
      runs: finished.map(({ state }) => state),
      thin: true,
    })
  }
  return metricChart(
    series,
    { ...task, horizon: protocol.horizon },
    `Thick lines: median over ${protocol.confirmationSeeds} fresh runs, bands the middle half of them. Thin lines: finalists, median over the seeds they were chosen by, which is better than fresh seeds will show.`,
  )
}

function comparison(results: ChooseResults): Html {
  const { fresh, confirmation, task, protocol, candidates, contenders } = results
  const both = [...new Set([fresh!.pick, fresh!.baseline])]
  const ends = both.map((candidate) => medianOf(freshRunsOf(results, candidate), 'validation', task.direction))
  const rows = both.map((candidate, index) => {
    const runs = freshRunsOf(results, candidate)
    const finished = runs.flatMap(({ validation }) => (validation === null ? [] : [validation]))
    const test = medianOf(runs, 'test', task.direction)
    const cost = stepMilliseconds(runs)
    const other = ends[1 - index]
    const soon = other === null || other === undefined ? null : gradientsUntil(runs, other, task.direction)
    return [
      titleOf(results, candidate),
      formatSetting(candidates[candidate]!.setting),
      ends[index] === null ? 'not finished' : formatNumber(ends[index]!),
      finished.length > 0 ? `${formatNumber(Math.min(...finished))} to ${formatNumber(Math.max(...finished))}` : 'none',
      test === null ? 'none' : formatNumber(test),
      ...(both.length === 1 ? [] : [soon === null ? 'never' : formatNumber(soon)]),
      cost === null ? 'unknown' : formatMilliseconds(cost),
    ]
  })
  const claim = confirmation
    ? html`<p>${confirmation.test}: better in ${confirmation.better} of ${confirmation.count}, ${formatProbability(confirmation.p)}, held against ${formatNumber(confirmation.level)}. ${confirmation.confirmed ? 'The claim is about these two settings on this task, and about nothing else.' : 'No difference is claimed.'}</p>`
    : null
  const again =
    results.earlier.length > 0
      ? html`<p>This study was continued: it is comparison ${results.earlier.length + 1}, on seeds that no earlier one used, and held against half the level of the one before.</p>`
      : null
  const optimizerSteps = both.map((candidate) => {
    const { group } = candidates[candidate]!
    const { title, gradientsPerStep, steps } = contenders.find(({ name }) => name === group)!
    return `${title} takes ${formatNumber(steps)} steps of ${formatNumber(gradientsPerStep, 3)} ${gradientsPerStep === 1 ? 'gradient' : 'gradients'}`
  })
  return html`${table(
    [
      'Optimizer',
      { heading: 'Setting', words: true },
      `Validation ${task.metricName}`,
      'Range',
      `Test ${task.metricName}`,
      ...(both.length === 1 ? [] : ["Gradients to the other's end"]),
      'Whole step',
    ],
    rows,
    `Medians of ${protocol.confirmationSeeds} fresh runs on the same seeds`,
  )}${claim}${again}<p class="soft">${optimizerSteps.join('; ')}. A whole step is a gradient and an optimizer step with a share of the evaluations, while the machine was busy with the other runs.</p>`
}

function standing(results: ChooseResults): Html {
  const { candidates, runs, task, contenders } = results
  const sign = task.direction === 'minimize' ? 1 : -1
  const tried = [...new Set(runs.map(({ candidate }) => candidate))]
  const place = (candidate: number) => (candidate === results.pick ? 2 : candidate === results.pickOfBaseline ? 1 : 0)
  const rows = tried
    .map((candidate) => ({ candidate, found: standingOf(results, candidate) }))
    .sort(
      (a, b) =>
        place(b.candidate) - place(a.candidate) ||
        (b.found?.gradients ?? 0) - (a.found?.gradients ?? 0) ||
        sign * ((a.found?.metric ?? 0) - (b.found?.metric ?? 0)),
    )
    .map(({ candidate, found }) => [
      titleOf(results, candidate),
      formatSetting(candidates[candidate]!.setting),
      fateOf(results, candidate),
      found === null ? '0' : formatNumber(found.gradients),
      found === null ? 'none' : formatNumber(found.metric),
    ])
  const reached = new Set(tried.map((candidate) => candidates[candidate]!.group))
  const untried = contenders.filter(({ name }) => !reached.has(name)).map(({ title }) => title)
  const columns: Column[] = [
    'Optimizer',
    { heading: 'Setting', words: true },
    { heading: 'How far it got', words: true },
    'Gradients',
    `Validation ${task.metricName} there`,
  ]
  const first = 12
  return html`<p>${tried.length} settings of ${reached.size} optimizers were tried, of ${candidates.length} settings there are. Those that were dropped were not compared any further: being dropped says that others looked better at that point, not that they are worse.</p>
${table(columns, rows.slice(0, first))}${
  rows.length > first
    ? html`<details><summary>${rows.length - first} more</summary>${table(columns, rows.slice(first))}</details>`
    : null
}${untried.length > 0 ? html`<p class="soft">Not tried within this budget: ${untried.join(', ')}.</p>` : null}`
}

function failures(results: ChooseResults): Html {
  const { excluded, runs, candidates } = results
  const ended = runs.filter(({ state }) => state.outcome === 'failed' || state.outcome === 'diverged')
  if (excluded.length === 0 && ended.length === 0)
    return html`<p>Everything could take part, and no run diverged or failed.</p>`
  const left = excluded.map(({ title, reason }) => html`<li><strong>${title}</strong>: ${reason}</li>`)
  const rows = ended.map(({ candidate, state }) => [
    titleOf(results, candidate),
    formatSetting(candidates[candidate]!.setting),
    state.outcome!,
    state.message ?? 'no reason given',
  ])
  return html`${left.length > 0 ? html`<ul>${left}</ul>` : null}${
    rows.length > 0
      ? table(
          [
            'Optimizer',
            { heading: 'Setting', words: true },
            { heading: 'Outcome', words: true },
            { heading: 'Reason', words: true },
          ],
          rows,
        )
      : null
  }`
}

function protocol(results: ChooseResults): Html {
  const { task, protocol: study, machine, versions, decisions, runs } = results
  const spent = gradientsSpent(results)
  const asked = 'runs' in study.asked ? `${study.asked.runs} full runs` : `${formatNumber(study.asked.minutes)} minutes`
  const times = runs.filter(({ state }) => state.step > 0).map(({ milliseconds, state }) => milliseconds / state.step)
  const stages = decisions
    .filter(({ jobs }) => jobs.length > 0)
    .map(({ stage, jobs }) => `${stage}: ${jobs.length} runs`)
  return html`${definitions([
    ['task', `${task.title} (${task.name}), ${formatNumber(task.parameterCount)} parameters. ${task.description}`],
    [
      'metric',
      `${task.metricName}, ${task.direction === 'minimize' ? 'lower' : 'higher'} is better, evaluated every ${study.evaluateEvery} gradients`,
    ],
    [
      'a full run',
      `${formatNumber(study.horizon)} gradients; an optimizer that computes more in a step takes fewer steps`,
    ],
    ['asked for', `${asked}${study.added.length > 0 ? `, then ${study.added.join(' and ')} full runs more` : ''}`],
    ...(study.speed ? [['number of runs', study.speed] as const] : []),
    [
      'budget',
      `${formatNumber(study.runs)} full runs: ${formatNumber(study.split.choosing)} for choosing, ${formatNumber(study.split.confirmation)} for comparing`,
    ],
    [
      'spent',
      `${fullRuns(spent.choosing, results)} for choosing, ${fullRuns(spent.confirmation, results)} for comparing`,
    ],
    ['how candidates are chosen', `${study.policy.name}: ${study.policy.description}`],
    ['stages', stages.join('; ')],
    [
      'baseline',
      `${study.baseline.name}, tuned with at least ${study.baseline.guaranteed} full ${study.baseline.guaranteed === 1 ? 'run' : 'runs'} whatever it looked like`,
    ],
    [
      'learning rate',
      'linear warm-up over 5 % of the steps, then cosine to zero, or constant for methods that want no schedule',
    ],
    [
      'comparison',
      `pick and best setting of the baseline on ${study.confirmationSeeds} fresh seeds, the same for both; the test was fixed beforehand. The claim is about two settings on this task`,
    ],
    ['numbers that are not finite', study.nonFinite === 'stop' ? 'end a run as diverged' : 'leave the step out'],
    ['seed of the study', String(study.seed)],
    ['seeds for choosing', study.studySeeds.join(', ')],
    ['fresh seeds', study.freshSeeds.join(', ')],
    [
      'cost',
      `a training step took ${times.length > 0 ? formatMilliseconds(median(times)) : 'no time'} in the median of all runs; ${formatDuration(results.milliseconds)} in all`,
    ],
    [
      'machine',
      `${machine.processor}, ${machine.cores} cores, ${machine.memoryGigabytes} GB, ${machine.platform} ${machine.architecture}, Node ${machine.node}, load ${machine.loadAverage.toFixed(2)} at the start`,
    ],
    ['versions', `fallline ${versions.fallline}, @fallline/race ${versions.race}, results format ${results.version}`],
    ['time', `${results.startedAt} to ${results.finishedAt ?? 'now'}`],
    ['fingerprint of the settings', html`<code>${results.fingerprint}</code>`],
  ])}${pickOf(results)}`
}

function pickOf(results: ChooseResults): Html | null {
  const recommended = results.answer?.recommended
  if (recommended === null || recommended === undefined) return null
  const { group, setting } = results.candidates[recommended]!
  const { title, paper } = results.contenders.find(({ name }) => name === group)!
  if (!paper) return null
  const link = paper.arxiv ? `https://arxiv.org/abs/${paper.arxiv}` : paper.url
  const cited = `${paper.authors} (${paper.year}), ${paper.title}`
  return html`<p>${title} with ${settingInWords(setting)} is from ${link ? html`<a href="${link}">${cited}</a>` : cited}.</p>`
}
