import {
  bestOf,
  type Finding,
  frontOf,
  health,
  importances,
  type Parameters,
  type StudyRecord,
  spaceOf,
  type TrialRecord,
} from '@fallline/search'
import { formatNumber, many } from '../report/format.ts'
import { type Html, html } from '../report/html.ts'
import { definitions, page, table } from '../report/parts.ts'
import { jsonOf } from '../studies/kept.ts'
import type { Source } from './source.ts'
import {
  drawnDimensions,
  frontChart,
  historyChart,
  importanceChart,
  parallelChart,
  reportsChart,
  sliceCharts,
  timelineChart,
} from './study-charts.ts'

import { type Change, studyForms } from './study-forms.ts'
import type { Shown, StudyReader } from './study-reader.ts'

/** Objectives beyond these are not drawn in pairs. */
const mostPaired = 4

/** So many of the last trials are seen at once. */
const shownRows = 20

/** More trials than this are left to the export. */
const mostRows = 200

const headerOf = (name: string, home: string | null) =>
  html`<p class="soft">${home === null ? 'Fallline study' : html`<a href="${home}">All studies and races</a>`}</p><h1>${name}</h1>`

/**
 * A study; `null` when there is none of that name.
 *
 * @param home the address of the list of all
 * @param addressOf where changes are sent to; `null` when there are to be none
 */
export async function studySource(
  reader: StudyReader,
  name: string,
  home: string,
  addressOf: ((change: Change) => string) | null,
): Promise<Source | null> {
  const found = await reader.read(name)
  if (found === null) return null
  const now = async () => {
    const shown = await reader.read(name)
    if (shown === null) throw new RangeError(`the study '${name}' has been removed`)
    return shown
  }
  return {
    title: name,
    header: headerOf(name, home),
    footer: addressOf && studyForms(found.record, addressOf),
    version: async () => (await now()).version,
    content: async () => studyContent(await now(), Date.now()),
    data: async () => {
      const { record, trials } = await now()
      return jsonOf({ record, trials })
    },
  }
}

/** The page of a study: one HTML file that needs no network and no script. */
export async function renderStudy(shown: Shown, now: number): Promise<string> {
  const { name } = shown.record
  return page({
    title: name,
    header: headerOf(name, null),
    first: html`<div id="content">${await studyContent(shown, now)}</div>`,
    sections: [],
  })
}

/** What of the page changes while a study runs. */
export async function studyContent({ record, trials }: Shown, now: number): Promise<Html> {
  const space = spaceOf(record.space)
  const { objectives, resource } = record
  const several = objectives.length > 1
  const found = several ? null : importances(space, objectives, trials)
  const findings = await health({ space, record, trials: async () => trials }, found)
  const curves = reportsChart(trials, objectives[0]!, resource?.name ?? 'step')
  const timeline = timelineChart(trials, now)
  const front = several ? frontOf(trials, objectives) : []
  const pairs = objectives
    .slice(0, mostPaired)
    .flatMap((_, a, all) => all.slice(a + 1).map((_, b) => [a, a + 1 + b] as const))
  const places = drawnDimensions(space, found)
  return html`${summary({ record, trials })}
${healthList(findings)}
${several && html`<h2>Front</h2>${pairs.map((pair) => frontChart(trials, front, objectives, pair))}`}
${objectives.map((objective, index) => html`<h2>${objective.name}</h2>${historyChart(trials, objective, index)}`)}
${curves && html`<h2>Curves</h2>${curves}`}
${found && html`<h2>Importance</h2>${importanceChart(found)}`}
<h2>Parameters</h2>
${searched(record)}
${objectives.map((objective, index) => {
  const heading = several ? html`<h3>${objective.name}</h3>` : null
  return html`${heading}${parallelChart(space, places, trials, objective, index)}${sliceCharts(space, places, trials, objective, index)}`
})}
${timeline && html`<h2>Workers</h2>${timeline}`}
<h2>Trials</h2>
${trials.length === 0 ? html`<p class="soft">None yet.</p>` : trialTable(record, trials)}`
}

function summary({ record, trials }: Shown): Html {
  const { objectives, resource } = record
  const counts = new Map<string, number>()
  for (const { state } of trials) counts.set(state, (counts.get(state) ?? 0) + 1)
  const states = [...counts].map(([state, count]) => `${count} ${state}`).join(', ')
  const best = objectives.length > 1 ? null : bestOf(trials, objectives[0]!)
  const breaking =
    best && best.infeasible > 0 ? ` ${many(best.infeasible, 'more complete trial')} broke a constraint.` : null
  const found = best
    ? html`<section class="verdict"><p>The best of ${best.of}: ${objectives[0]!.name} ${formatNumber(best.value)}, trial ${best.trial.number}</p>
<p class="soft">${settingInWords(best.trial.parameters)}.${breaking}</p></section>`
    : null
  return html`${found}${definitions([
    ['trials', states || 'none yet'],
    ['objective', objectives.map(({ name, direction }) => `${direction} ${name}`).join(', ')],
    ['sampler', record.sampler],
    ...(resource ? [[resource.name, `${resource.minimum} to ${resource.maximum}`] as const] : []),
    ['seed', record.seed],
    ...Object.entries(record.attributes)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)] as const),
  ])}`
}

function healthList(findings: readonly Finding[]): Html | null {
  const [few, serious] = [true, false].map((isFew) => findings.filter(({ check }) => (check === 'too few') === isFew))
  return html`${
    serious!.length > 0 &&
    html`<section class="alarm"><h2>Worth a look</h2><ul>${serious!.map(({ message }) => html`<li>${message}</li>`)}</ul></section>`
  }${few!.map(({ message }) => html`<p class="soft">${message}</p>`)}`
}

/** What can be chosen. */
function searched({ space: { dimensions, constraints } }: StudyRecord): Html {
  const entries = dimensions.map(({ name, domain, condition }) => {
    const range =
      domain.kind === 'choice'
        ? domain.values.map(String).join(', ')
        : `${formatNumber(domain.minimum)} to ${formatNumber(domain.maximum)}${domain.scale === 'log' ? ', logarithmic' : ''}${domain.step === null || (domain.kind === 'integer' && domain.step === 1) ? '' : `, in steps of ${formatNumber(domain.step)}`}`
    return [
      name,
      condition ? `${range}; if ${dimensions[condition.dimension]!.name} is ${condition.value}` : range,
    ] as const
  })
  const broken = constraints.map((name) => ['constraint', name] as const)
  return html`<details><summary>${many(dimensions.length, 'parameter')} and ${dimensions.length === 1 ? 'its' : 'their'} ranges</summary>${definitions([...entries, ...broken])}</details>`
}

function settingInWords(parameters: Parameters): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${name} ${typeof value === 'number' ? formatNumber(value) : value}`)
    .join(', ')
}

function trialTable({ objectives }: StudyRecord, trials: readonly TrialRecord[]): Html {
  const several = new Set(trials.map(({ worker }) => worker)).size > 1
  const columns = [
    'trial',
    'state',
    ...objectives.map(({ name }) => name),
    { heading: 'parameters', words: true as const },
    ...(several ? [{ heading: 'worker', words: true as const }] : []),
  ]
  const rows = trials
    .slice(-mostRows)
    .reverse()
    .map(({ number, state, values, parameters, worker, error }) => [
      number,
      state,
      ...objectives.map((_, index) => (values ? formatNumber(values[index]!) : '')),
      html`${settingInWords(parameters)}${error !== null && html`<br><span class="bad">${error}</span>`}`,
      ...(several ? [worker] : []),
    ])
  const left = trials.length - rows.length
  return html`${table(columns, rows.slice(0, shownRows))}${
    rows.length > shownRows &&
    html`<details><summary>Earlier trials</summary>${table(columns, rows.slice(shownRows))}${
      left > 0 && html`<p class="soft">${left} still earlier ones are in the export.</p>`
    }</details>`
  }`
}
