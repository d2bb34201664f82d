import * as Plot from '@observablehq/plot'
import type { ClockAnalysis, RaceResults } from '../results.ts'
import { worstRatio } from '../statistics/ratios.ts'
import {
  bands,
  colourOf,
  curveAxes,
  curveOf,
  dashOf,
  domainOf,
  figure,
  lines,
  logTicks,
  type Mark,
  mostLines,
  valueAxis,
} from './figure.ts'
import { formatNumber } from './format.ts'
import { type Html, html } from './html.ts'
import { ranked } from './order.ts'

/** Those that are drawn: the best by score, with the place that gives each its colour. */
function drawn(results: RaceResults) {
  const taking = ranked(results).filter(({ name }) => results.analysis!.summaries[name]!.failure === null)
  return taking.slice(0, mostLines)
}

/** What a caption says where not all are drawn. */
function omitted(results: RaceResults): string {
  const count = results.contenders.length - drawn(results).length
  return count > 0 && results.contenders.length > mostLines
    ? ` The best ${mostLines} of ${results.contenders.length} are drawn.`
    : ''
}

/** Median and middle half over seeds of a curve of every contender, against steps. */
export function curvesChart(results: RaceResults, what: 'loss' | 'validation'): Html {
  const { task, runs } = results
  const contenders = drawn(results)
  const largerIsBetter = what === 'validation' && task.direction === 'maximize'
  const curves = contenders.map(({ name }) => {
    const mine = runs.filter((run) => run.phase === 'report' && run.horizon === 1 && run.contender === name)
    return curveOf(mine, what, largerIsBetter)
  })
  const all = curves.flat()
  if (all.length === 0) return html`<p>No report run got as far as an evaluation.</p>`
  const targets = what === 'validation' ? task.targets : []
  const axis = valueAxis(
    [...all.map(({ middle }) => middle), ...targets],
    what === 'loss' ? 'training loss' : `validation ${task.metricName}`,
  )
  const label = what === 'loss' ? 'Training loss by gradients' : `Validation ${task.metricName} by gradients`
  const caption =
    what === 'loss'
      ? 'Training loss, averaged between evaluations. Lines: median over the fresh runs; bands: middle half of them.' +
        omitted(results)
      : `Validation ${task.metricName} (${largerIsBetter ? 'higher' : 'lower'} is better). Lines: median over the fresh runs; bands: middle half of them; dotted: targets.${omitted(results)}`
  return figure(label, contenders, caption, (size) => ({
    ...curveAxes(size, task.steps, axis),
    marks: [
      ...curves.map((curve, index) => bands(curve, index, axis)),
      Plot.ruleY(targets, { stroke: 'currentColor', strokeOpacity: 0.55, strokeDasharray: '1 4' }),
      ...curves.map((curve, index) => lines(curve, index)),
    ],
  }))
}

/** Share of the targets that each contender reaches within a ratio of the best of the field. */
export function profileChart(results: RaceResults, analysis: ClockAnalysis): Html {
  const unit = analysis.clock
  const contenders = drawn(results)
  const curves = contenders.map(({ name }) => {
    const points = analysis.profiles[name]!.filter(({ ratio }) => ratio <= worstRatio)
    return [...points, { ratio: worstRatio, share: points.at(-1)?.share ?? 0 }]
  })
  return figure(
    `Performance profile by ${unit}`,
    contenders,
    `Share of the targets that a contender reaches within a given ratio of the best of the field, by ${unit}. Higher and further left is better; the area under a line is the score.${omitted(results)}`,
    ({ narrow }) => ({
      height: narrow ? 220 : 260,
      x: {
        label: `ratio to the best, ${unit}`,
        labelArrow: 'none',
        domain: [1, worstRatio],
        ticks: [1, 1.5, 2, 2.5, 3, 3.5, 4],
      },
      y: {
        label: 'share of targets',
        labelArrow: 'none',
        domain: [0, 1.03],
        ticks: [0, 0.25, 0.5, 0.75, 1],
        tickFormat: '.0%',
        grid: true,
      },
      marks: curves.map((curve, index) =>
        Plot.line(curve, {
          x: 'ratio',
          y: 'share',
          curve: 'step-after',
          stroke: colourOf(index),
          strokeWidth: 2.5,
          strokeDasharray: dashOf(index),
        }),
      ),
    }),
  )
}

const symbols = ['circle', 'square', 'triangle', 'diamond', 'star', 'cross', 'wye'] as const

/** Colour comes round after eight, the symbol after seven: both together after 56. */
const symbolOf = (index: number) => symbols[index % symbols.length]!

/** Final validation metric of every tuning trial against its learning rate. */
export function sensitivityChart(results: RaceResults): Html {
  const { task, analysis } = results
  const contenders = drawn(results)
  const series = contenders.map(({ name }) => analysis!.summaries[name]!.sensitivity.trials)
  const finished = series.flat().flatMap(({ metric }) => (metric === null ? [] : [metric]))
  const rates = series.flat().map(({ learningRate }) => learningRate)
  if (rates.length === 0 || finished.length === 0) return html`<p>No tuning trial finished.</p>`
  const axis = valueAxis(finished, `validation ${task.metricName}`)
  const [least, greatest] = axis.domain as [number, number]
  const edge = task.direction === 'minimize' ? greatest : least
  const rateDomain = domainOf(rates, 'log')
  return figure(
    `Validation ${task.metricName} by learning rate`,
    contenders,
    `Validation ${task.metricName} after the last step of every tuning trial, by its learning rate; other tuned hyperparameters vary along. Circles: the selected trials. Crosses at the edge: diverged or failed. A wide valley is easy to tune.${omitted(results)}`,
    ({ narrow }) => ({
      x: {
        type: 'log',
        domain: rateDomain,
        label: 'learning rate',
        labelArrow: 'none',
        ticks: logTicks(rateDomain, !narrow),
        tickFormat: (value: number) => formatNumber(value, 1),
      },
      y: axis,
      marks: series.flatMap((trials, index): Mark[] => {
        const done = trials.filter(({ metric }) => metric !== null)
        const lost = trials.filter(({ metric }) => metric === null)
        const chosen = analysis!.summaries[contenders[index]!.name]!.selected
        const selected = done.filter(({ study, trial }) => trial === chosen[study]?.trial)
        const stroke = colourOf(index)
        const position = { x: 'learningRate', y: 'metric' } as const
        return [
          Plot.dot(done, { ...position, stroke, fill: stroke, r: 3.5, symbol: symbolOf(index) }),
          Plot.dot(selected, { ...position, stroke, strokeWidth: 2, r: 7 }),
          Plot.dot(lost, { x: 'learningRate', y: () => edge, symbol: 'times', stroke, strokeWidth: 2, r: 4 }),
        ]
      }),
    }),
  )
}
