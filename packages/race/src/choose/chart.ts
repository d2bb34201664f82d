import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import { formatNumber } from '../report/format.ts'
import { Html, html } from '../report/html.ts'
import { median } from '../statistics/describe.ts'
import type { TrainingState } from '../training/training.ts'

/** A line of the chart: the median of some runs. */
export interface ChartSeries {
  title: string
  runs: readonly TrainingState[]
  /** Thin for what is there for comparison only. */
  thin: boolean
}

interface Point {
  gradients: number
  middle: number
  low: number
  high: number
}

const dashes = ['none', '7 3', '2 3', '9 3 2 3'] as const
const colourOf = (index: number) => `var(--series-${index % 8})`
const dashOf = (index: number) => dashes[index % dashes.length]!

/** Median and middle half at every evaluation; a run that has ended early counts as the worst there is. */
function pointsOf(runs: readonly TrainingState[], worst: number): Point[] {
  const longest = runs.map(({ curve }) => curve.gradients).sort((a, b) => b.length - a.length)[0] ?? []
  return longest.flatMap((gradients, index) => {
    const values = runs.map(({ curve }) => curve.validation[index] ?? worst).sort((a, b) => a - b)
    // Nearest ranks, because interpolation has no meaning between a number and an infinity.
    const at = (share: number) => values[Math.round(share * (values.length - 1))]!
    const middle = median(values)
    return Number.isFinite(middle) ? [{ gradients, low: at(0.25), middle, high: at(0.75) }] : []
  })
}

/** Metric by gradients, drawn for wide pages and for phones. */
export function metricChart(
  series: readonly ChartSeries[],
  { metricName, direction, horizon }: { metricName: string; direction: 'minimize' | 'maximize'; horizon: number },
  caption: string,
): Html {
  const curves = series.map(({ runs }) => pointsOf(runs, direction === 'minimize' ? Infinity : -Infinity))
  const values = curves.flat().map(({ middle }) => middle)
  if (values.length === 0) return html`<p>No run got as far as an evaluation.</p>`
  const [least, greatest] = [Math.min(...values), Math.max(...values)]
  const logarithmic = least > 0 && greatest / least > 8
  const margin = (greatest - least || 1) * 0.04
  const domain = logarithmic ? [least / 1.1, greatest * 1.1] : [least - margin, greatest + margin]
  const inside = (value: number) => Math.min(domain[1]!, Math.max(domain[0]!, value))
  const tickFormat = (value: number) => formatNumber(value, 3)
  const draw = (narrow: boolean) => {
    const { document } = parseHTML('<!doctype html><html><body></body></html>')
    const chart = Plot.plot({
      document: document as unknown as Document,
      width: narrow ? 330 : 700,
      height: narrow ? 260 : 340,
      marginLeft: 52,
      marginRight: narrow ? 14 : 20,
      marginBottom: 40,
      x: { label: 'gradients', labelArrow: 'none', domain: [0, horizon], ticks: narrow ? 4 : 8, tickFormat },
      y: {
        type: logarithmic ? 'log' : 'linear',
        domain,
        label: `validation ${metricName}`,
        labelArrow: 'none',
        grid: true,
        tickFormat,
        ticks: logarithmic ? logarithmicTicks(domain[0]!, domain[1]!) : 6,
      },
      marks: [
        ...curves.flatMap((curve, index) =>
          series[index]!.thin
            ? []
            : [
                Plot.areaY(curve, {
                  x: 'gradients',
                  y1: ({ low }: Point) => inside(low),
                  y2: ({ high }: Point) => inside(high),
                  fill: colourOf(index),
                  fillOpacity: 0.18,
                }),
              ],
        ),
        ...curves.map((curve, index) =>
          Plot.line(curve, {
            x: 'gradients',
            y: 'middle',
            stroke: colourOf(index),
            strokeWidth: series[index]!.thin ? 1 : 2.5,
            strokeDasharray: dashOf(index),
          }),
        ),
      ],
    })
    chart.querySelector('style')?.remove()
    chart.setAttribute('class', narrow ? 'narrow' : 'wide')
    chart.setAttribute('role', 'img')
    chart.setAttribute('aria-label', `Validation ${metricName} by gradients`)
    chart.setAttribute('font-size', narrow ? '11' : '12')
    chart.removeAttribute('font-family')
    // Long fractions of a pixel would double the size of the file.
    return new Html(chart.outerHTML.replace(/="[^"]*"/g, (value) => value.replace(/(\d\.\d\d)\d+/g, '$1')))
  }
  const legend = series.map(
    ({ title, thin }, index) =>
      html`<li><svg width="30" height="10" aria-hidden="true"><line x1="0" x2="30" y1="5" y2="5" stroke="${colourOf(index)}" stroke-width="${thin ? 1 : 2.5}" stroke-dasharray="${dashOf(index)}"/></svg> ${title}</li>`,
  )
  return html`<figure><ul class="legend">${legend}</ul>${draw(false)}${draw(true)}<figcaption>${caption}</figcaption></figure>`
}

/** 1, 2 and 5 times powers of ten; of a wide range only the powers. */
function logarithmicTicks(low: number, high: number): number[] {
  const factors = high / low < 300 ? [1, 2, 5] : [1]
  const ticks: number[] = []
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const factor of factors) {
      const tick = Number(`${factor}e${power}`)
      if (tick >= low && tick <= high) ticks.push(tick)
    }
  }
  return ticks
}
