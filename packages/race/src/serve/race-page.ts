import * as Plot from '@observablehq/plot'
import { plannedRuns, runsInPlay } from '../analysis.ts'
import {
  bands,
  colourOf,
  curveAxes,
  curveOf,
  domainOf,
  figure,
  lines,
  logTicks,
  mostLines,
  valueAxis,
} from '../report/figure.ts'
import { formatDuration, formatNumber, many } from '../report/format.ts'
import { type Html, html } from '../report/html.ts'
import { contentOf, definitions, type PageParts, table } from '../report/parts.ts'
import { reportOf } from '../report/report.ts'
import type { RaceResults, RunRecord } from '../results.ts'
import type { RaceReader } from './race-reader.ts'
import type { Source } from './source.ts'

/**
 * A race: its report when it is done, and how it stands before; `null` when there is none of that name.
 *
 * @param home the address of the list of all
 */
export async function raceSource(races: RaceReader, name: string, home: string): Promise<Source | null> {
  const known = (await races.names()).includes(name) ? await races.read(name) : null
  if (known === null) return null
  const { title, header } = partsOf(known)
  const results = async () => (await races.read(name)) ?? known
  return {
    title,
    header: html`<p class="soft"><a href="${home}">All studies and races</a></p>${header}`,
    footer: null,
    version: () => races.version(name),
    content: async () => contentOf(partsOf(await results())),
    data: async () => JSON.stringify(await results()),
  }
}

function partsOf(results: RaceResults): PageParts {
  if (results.complete) return reportOf(results)
  const { task, startedAt } = results
  return {
    title: `Race on ${task.title}`,
    header: html`<p class="soft">Fallline race, begun ${startedAt.slice(0, 16).replace('T', ' ')} UTC</p>
<h1>${task.title}: which optimizer?</h1>
<p class="soft">${task.description}</p>`,
    first: standing(results),
    sections: [
      html`<h2>Contenders so far</h2>${contenderTable(results)}`,
      html`<h2>Curves</h2>${curves(results)}`,
      html`<h2>Tuning</h2>${tuning(results)}`,
    ],
  }
}

function standing(results: RaceResults): Html {
  const { protocol, contenders, task } = results
  const done = runsInPlay(results)
  const planned = plannedRuns(results)
  const spent = done.reduce((sum, { milliseconds }) => sum + milliseconds, 0)
  return html`<section class="verdict even"><p>Under way: ${done.length} of ${planned} runs are done.</p>
<progress max="${planned}" value="${done.length}"></progress>
<p class="soft">Nobody is ahead before all runs are done: what follows tells tuning from luck only at the end.</p></section>
${definitions([
  ['contenders', contenders.map(({ title }) => title).join(', ')],
  [
    'protocol',
    `${protocol.studies === 1 ? 'one study' : `${protocol.studies} studies, each`} of ${many(protocol.trials, 'tuning trial')} and ${many(protocol.seeds, 'fresh run')}`,
  ],
  ['a run', `${formatNumber(task.steps)} gradients`],
  ['time in runs', formatDuration(spent)],
])}`
}

const ofContender = (runs: readonly RunRecord[], name: string) => runs.filter(({ contender }) => contender === name)

function contenderTable(results: RaceResults): Html {
  const { contenders, task } = results
  const runs = runsInPlay(results)
  const rows = contenders.map(({ name, title }) => {
    const mine = ofContender(runs, name)
    const count = (phase: RunRecord['phase']) => mine.filter((run) => run.phase === phase).length
    const values = mine.flatMap(({ validation }) => (validation === null ? [] : [validation]))
    const best = task.direction === 'minimize' ? Math.min(...values) : Math.max(...values)
    const lost = mine.filter(({ outcome }) => outcome !== 'finished').length
    return [
      title,
      count('tuning') + count('final'),
      count('report'),
      values.length === 0 ? '' : formatNumber(best),
      lost,
    ]
  })
  return table(['Contender', 'Tuning runs', 'Fresh runs', `Best validation ${task.metricName}`, 'Runs lost'], rows)
}

/** Medians of the fresh runs, or of all runs before there are any. */
function curves(results: RaceResults): Html {
  const { task } = results
  const all = runsInPlay(results).filter(({ horizon }) => horizon === 1)
  const fresh = all.filter(({ phase }) => phase === 'report')
  const runs = fresh.length > 0 ? fresh : all
  const contenders = results.contenders.slice(0, mostLines)
  const drawn = contenders.map(({ name }) =>
    curveOf(ofContender(runs, name), 'validation', task.direction === 'maximize'),
  )
  const points = drawn.flat()
  if (points.length === 0) return html`<p class="soft">No run got as far as an evaluation yet.</p>`
  const axis = valueAxis(
    points.map(({ middle }) => middle),
    `validation ${task.metricName}`,
  )
  return figure(
    `Validation ${task.metricName} by gradients`,
    contenders,
    `Lines: median over the ${fresh.length > 0 ? 'fresh' : 'tuning'} runs so far; bands: middle half of them.`,
    (size) => ({
      ...curveAxes(size, task.steps, axis),
      marks: [
        ...drawn.map((curve, index) => bands(curve, index, axis)),
        ...drawn.map((curve, index) => lines(curve, index)),
      ],
    }),
  )
}

function tuning(results: RaceResults): Html {
  const { task } = results
  const contenders = results.contenders.slice(0, mostLines)
  const trials = contenders.flatMap(({ name }, index) =>
    ofContender(runsInPlay(results), name).flatMap(({ phase, setting, validation }) =>
      phase === 'tuning' && validation !== null && setting.learningRate! > 0
        ? [{ index, learningRate: setting.learningRate!, validation }]
        : [],
    ),
  )
  if (trials.length === 0) return html`<p class="soft">No tuning trial has finished yet.</p>`
  const domain = domainOf(
    trials.map(({ learningRate }) => learningRate),
    'log',
  )
  return figure(
    `Validation ${task.metricName} by learning rate`,
    contenders,
    'After the last step of every tuning trial; other hyperparameters vary along.',
    ({ narrow }) => ({
      x: {
        type: 'log',
        domain,
        label: 'learning rate',
        labelArrow: 'none',
        ticks: logTicks(domain, !narrow),
        tickFormat: (value: number) => formatNumber(value, 1),
      },
      y: valueAxis(
        trials.map(({ validation }) => validation),
        `validation ${task.metricName}`,
      ),
      marks: [
        Plot.dot(trials, {
          x: 'learningRate',
          y: 'validation',
          r: 3.5,
          fill: ({ index }: (typeof trials)[number]) => colourOf(index),
        }),
      ],
    }),
  )
}
