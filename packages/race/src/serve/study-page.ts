import {
  bestOf,
  type Finding,
  frontOf,
  health,
  importances,
  type Parameters,
  type Storage,
  type StudyRecord,
  spaceOf,
  type TrialRecord,
} from '@fallline/search'
import { formatNumber } from '../report/format.ts'
import { type Html, html } from '../report/html.ts'
import { definitions, page, table } from '../report/parts.ts'
import {
  frontChart,
  historyChart,
  importanceChart,
  parallelChart,
  reportsChart,
  sliceCharts,
  timelineChart,
} from './study-charts.ts'

/** More trials than this are left to the export. */
const mostRows = 200

/** A study as it is shown. */
export interface Shown {
  readonly record: StudyRecord
  readonly trials: readonly TrialRecord[]
}

/** Reads a study as it is now; `null` when there is none of that name. */
export async function readStudy(storage: Storage, name: string): Promise<Shown | null> {
  const record = await storage.find(name)
  if (record === null) return null
  const { trials } = await storage.changes(name, 0)
  return { record, trials }
}

/** The page of a study: one HTML file that needs no network. A server adds the script that keeps it up to date. */
export async function renderStudy(shown: Shown, now: number, script: Html | null = null): Promise<string> {
  return page({
    title: shown.record.name,
    header: html`<p class="soft">Fallline study</p><h1>${shown.record.name}</h1>`,
    first: html`<div id="content">${await studyContent(shown, now)}</div>${script}`,
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
  return html`${summary({ record, trials })}
${healthList(findings)}
${several ? html`<h2>Front</h2>${frontChart(trials, frontOf(trials, objectives), objectives)}` : null}
${objectives.map((objective, index) => html`<h2>${objective.name}</h2>${historyChart(trials, objective, index)}`)}
${curves && html`<h2>Curves</h2>${curves}`}
${found && html`<h2>Importance</h2>${importanceChart(found)}`}
<h2>Parameters</h2>
${parallelChart(space, trials, objectives[0]!, 0)}${sliceCharts(space, trials, objectives[0]!, 0)}
<h2>Workers</h2>
${timelineChart(trials, now)}
<h2>Trials</h2>
${trialTable(record, trials)}`
}

function summary({ record, trials }: Shown): Html {
  const counts = new Map<string, number>()
  for (const { state } of trials) counts.set(state, (counts.get(state) ?? 0) + 1)
  const states = [...counts].map(([state, count]) => `${count} ${state}`).join(', ')
  const best = record.objectives.length > 1 ? null : bestOf(trials, record.objectives[0]!)
  const found = best
    ? html`<section class="verdict"><p>The best of ${best.of}: ${formatNumber(best.value)}, trial ${best.trial.number}</p>
<p class="soft">${settingInWords(best.trial.parameters)}</p></section>`
    : null
  return html`${found}${definitions([
    ['trials', states || 'none yet'],
    ['sampler', record.sampler],
    ['seed', record.seed],
    ...Object.entries(record.attributes).map(
      ([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)] as const,
    ),
  ])}`
}

function healthList(findings: readonly Finding[]): Html | null {
  if (findings.length === 0) return null
  return html`<section class="alarm"><h2>Worth a look</h2><ul>${findings.map(({ message }) => html`<li>${message}</li>`)}</ul></section>`
}

function settingInWords(parameters: Parameters): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${name} ${typeof value === 'number' ? formatNumber(value) : value}`)
    .join(', ')
}

function trialTable({ objectives }: StudyRecord, trials: readonly TrialRecord[]): Html {
  const columns = [
    'trial',
    'state',
    ...objectives.map(({ name }) => name),
    { heading: 'parameters', words: true as const },
    { heading: 'worker', words: true as const },
    { heading: 'error', words: true as const },
  ]
  const rows = trials
    .slice(-mostRows)
    .reverse()
    .map(({ number, state, values, parameters, worker, error }) => [
      number,
      state,
      ...objectives.map((_, index) => (values ? formatNumber(values[index]!) : '')),
      settingInWords(parameters),
      worker,
      error,
    ])
  const left = trials.length - rows.length
  return table(columns, rows, left > 0 ? `The last ${rows.length} of ${trials.length}.` : undefined)
}
