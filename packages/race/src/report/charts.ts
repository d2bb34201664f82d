import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import type { ClockAnalysis, RaceResults, RunRecord } from '../results.ts'
import { median } from '../statistics/describe.ts'
import { worstRatio } from '../statistics/ratios.ts'
import { formatNumber } from './format.ts'
import { Html, html } from './html.ts'
import { ranked } from './order.ts'

/** Line patterns, so that contenders differ by more than colour. */
const dashes = ['none', '7 3', '2 3', '9 3 2 3', '12 4', '5 2 1 2', '1 2', '10 2 4 2'] as const

/** How many colours the style sheet defines. */
export const seriesColours = 8

/** Lines of a chart; more cannot be told apart, whatever they look like. */
export const mostLines = 12

/** Colour of the contender of that index. Colour and pattern together are different for every index. */
export const colourOf = (index: number) => `var(--series-${index % seriesColours})`

/** Line pattern of the contender of that index: where colours come round again, the pattern has moved on or grown. */
export function dashOf(index: number): string {
  const round = Math.floor(index / seriesColours)
  const dash = dashes[(index + round) % dashes.length]!
  const dots = Math.floor(round / dashes.length)
  return dots === 0 ? dash : `${dash === 'none' ? '20 3' : dash}${' 1 3'.repeat(dots)}`
}

/** Widths in pixels: one drawing for wide pages and print, one for phones, so that text stays readable on both. */
const widths = { wide: 700, narrow: 330 } as const

interface Size {
  width: number
  narrow: boolean
}

type Mark = Plot.Markish

/** Draws a chart at both widths, with a legend. */
function figure(
  label: string,
  names: readonly string[],
  caption: string,
  options: (size: Size) => Plot.PlotOptions & { marks: Mark[] },
): Html {
  const draw = (narrow: boolean) => {
    const { document } = parseHTML('<!doctype html><html><body></body></html>')
    const width = narrow ? widths.narrow : widths.wide
    const chart = Plot.plot({
      document: document as unknown as Document,
      width,
      height: narrow ? 260 : 340,
      marginLeft: 52,
      marginRight: narrow ? 14 : 20,
      marginBottom: 40,
      ...options({ width, narrow }),
    })
    chart.querySelector('style')?.remove()
    chart.setAttribute('class', narrow ? 'narrow' : 'wide')
    chart.setAttribute('role', 'img')
    chart.setAttribute('aria-label', label)
    chart.setAttribute('font-size', narrow ? '11' : '12')
    chart.removeAttribute('font-family')
    // Long fractions of a pixel would double the size of the file.
    return new Html(chart.outerHTML.replace(/="[^"]*"/g, (value) => value.replace(/(\d\.\d\d)\d+/g, '$1')))
  }
  return html`<figure>${legend(names)}${draw(false)}${draw(true)}<figcaption>${caption}</figcaption></figure>`
}

function legend(names: readonly string[]): Html {
  const items = names.map(
    (name, index) =>
      html`<li><svg width="30" height="10" aria-hidden="true"><line x1="0" x2="30" y1="5" y2="5" stroke="${colourOf(index)}" stroke-width="2.5" stroke-dasharray="${dashOf(index)}"/></svg> ${name}</li>`,
  )
  return html`<ul class="legend">${items}</ul>`
}

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

interface CurvePoint {
  step: number
  low: number
  middle: number
  high: number
}

/** Quartiles over fresh runs at every evaluation; a run that has ended counts as the worst there is. */
export function curveOf(
  runs: readonly RunRecord[],
  what: 'loss' | 'validation',
  largerIsBetter: boolean,
): CurvePoint[] {
  const worst = largerIsBetter ? -Infinity : Infinity
  const steps = [...new Set(runs.flatMap((run) => run.curve.gradients))].sort((a, b) => a - b)
  const lookups = runs.map((run) => new Map(run.curve.gradients.map((at, index) => [at, run.curve[what][index]!])))
  return steps.flatMap((step) => {
    const values = lookups.map((lookup) => lookup.get(step) ?? worst).sort((a, b) => a - b)
    // Nearest ranks, because interpolation has no meaning between a number and an infinity.
    const at = (share: number) => values[Math.round(share * (values.length - 1))]!
    const middle = median(values)
    return Number.isFinite(middle) ? [{ step, low: at(0.25), middle, high: at(0.75) }] : []
  })
}

/** A logarithmic axis where the values are positive and spread wide. */
function scaleFor(values: readonly number[]): 'log' | 'linear' {
  const low = Math.min(...values)
  return low > 0 && Math.max(...values) / low > 8 ? 'log' : 'linear'
}

function domainOf(values: readonly number[], scale: 'log' | 'linear'): [number, number] {
  const low = Math.min(...values)
  const high = Math.max(...values)
  if (low === high) return scale === 'log' ? [low / 2, high * 2] : [low - 1, high + 1]
  if (scale === 'log') return [low / 1.1, high * 1.1]
  const margin = (high - low) * 0.04
  return [low - margin, high + margin]
}

const tickFormat = (value: number) => formatNumber(value, 3)

/** Ticks of a logarithmic axis that spans little: 1, 2 and 5 times powers of ten. */
function logTicks([low, high]: readonly [number, number], dense: boolean): number[] {
  const ticks: number[] = []
  const factors = dense && high / low < 300 ? [1, 2, 5] : [1]
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const factor of factors) {
      const tick = Number(`${factor}e${power}`)
      if (tick >= low && tick <= high) ticks.push(tick)
    }
  }
  return ticks
}

function valueAxis(values: readonly number[], label: string): Plot.ScaleOptions {
  const type = scaleFor(values)
  const domain = domainOf(values, type)
  const base = { type, domain, label, grid: true, tickFormat, labelArrow: 'none' } as const
  return type === 'log' ? { ...base, ticks: logTicks(domain, true) } : { ...base, ticks: 6 }
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
  const [least, greatest] = axis.domain as [number, number]
  const inside = (value: number) => Math.min(greatest, Math.max(least, value))
  const label = what === 'loss' ? 'Training loss by gradients' : `Validation ${task.metricName} by gradients`
  const caption =
    what === 'loss'
      ? 'Training loss, averaged between evaluations. Lines: median over the fresh runs; bands: middle half of them.' +
        omitted(results)
      : `Validation ${task.metricName} (${largerIsBetter ? 'higher' : 'lower'} is better). Lines: median over the fresh runs; bands: middle half of them; dotted: targets.${omitted(results)}`
  return figure(
    label,
    contenders.map(({ title }) => title),
    caption,
    ({ narrow }) => ({
      x: { label: 'gradients', labelArrow: 'none', domain: [0, task.steps], ticks: narrow ? 4 : 8, tickFormat },
      y: axis,
      marks: [
        ...curves.map((curve, index) =>
          Plot.areaY(curve, {
            x: 'step',
            y1: ({ low }: CurvePoint) => inside(low),
            y2: ({ high }: CurvePoint) => inside(high),
            fill: colourOf(index),
            fillOpacity: 0.18,
          }),
        ),
        Plot.ruleY(targets, { stroke: 'currentColor', strokeOpacity: 0.55, strokeDasharray: '1 4' }),
        ...curves.map((curve, index) =>
          Plot.line(curve, {
            x: 'step',
            y: 'middle',
            stroke: colourOf(index),
            strokeWidth: 2,
            strokeDasharray: dashOf(index),
          }),
        ),
      ],
    }),
  )
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
    contenders.map(({ title }) => title),
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
    contenders.map(({ title }) => title),
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
        const sorted = [...trials].sort((a, b) => a.learningRate - b.learningRate)
        const done = sorted.filter(({ metric }) => metric !== null)
        const lost = sorted.filter(({ metric }) => metric === null)
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
