import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import { median } from '../statistics/describe.ts'
import type { Curve } from '../training/training.ts'
import { formatNumber } from './format.ts'
import { Html, html } from './html.ts'

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

/** Which of the two drawings. */
export interface Size {
  width: number
  narrow: boolean
}

export type Mark = Plot.Markish

/** A line of a chart and its place in the legend. */
export interface Series {
  readonly title: string
  /** Width of the line in the legend, in pixels. Default 2.5. */
  readonly width?: number
  /** How it is drawn. Default: a line with the pattern of its place. */
  readonly look?: 'line' | 'dot' | 'bar'
  /** Default: the colour of its place. */
  readonly colour?: string
}

/**
 * A text as far as it fits into so many pixels, at the size of the text of a chart. Of a name with dots the last parts are kept, of any
 * other text its beginning and end.
 */
export function fitting(text: string, pixels: number): string {
  const most = Math.max(4, Math.floor(pixels / 7))
  if (text.length <= most) return text
  const tails = [...text.matchAll(/\./g)].map(({ index }) => text.slice(index + 1))
  const tail = tails.find(({ length }) => length > 0 && length < most)
  if (tail !== undefined) return `…${tail}`
  const end = Math.floor((most - 1) / 2)
  return `${text.slice(0, most - 1 - end)}…${text.slice(text.length - end)}`
}

/** Draws a chart at both widths, or at the narrow one alone, with a legend. */
export function figure(
  label: string,
  series: readonly Series[],
  caption: string,
  options: (size: Size) => Plot.PlotOptions & { marks: Mark[] },
  which: 'both' | 'narrow' = 'both',
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
    chart.setAttribute('class', which === 'narrow' ? 'chart' : narrow ? 'narrow' : 'wide')
    chart.setAttribute('role', 'img')
    chart.setAttribute('aria-label', label)
    chart.setAttribute('font-size', narrow ? '11' : '12')
    chart.removeAttribute('font-family')
    // Long fractions of a pixel would double the size of the file.
    return new Html(chart.outerHTML.replace(/="[^"]*"/g, (value) => value.replace(/(\d\.\d\d)\d+/g, '$1')))
  }
  return html`<figure>${series.length > 0 && legend(series)}${which === 'both' && draw(false)}${draw(true)}<figcaption>${caption}</figcaption></figure>`
}

function legend(series: readonly Series[]): Html {
  const items = series.map(
    (each, index) =>
      html`<li><svg width="30" height="10" aria-hidden="true">${sample(each, index)}</svg> ${each.title}</li>`,
  )
  return html`<ul class="legend">${items}</ul>`
}

function sample({ width, look, colour: own }: Series, index: number): Html {
  const colour = own ?? colourOf(index)
  if (look === 'dot') return html`<circle cx="15" cy="5" r="4" fill="${colour}"/>`
  if (look === 'bar') return html`<rect x="9" width="12" height="10" fill="${colour}"/>`
  const dash = look === 'line' ? 'none' : dashOf(index)
  return html`<line x1="0" x2="30" y1="5" y2="5" stroke="${colour}" stroke-width="${width ?? 2.5}" stroke-dasharray="${dash}"/>`
}

/** A curve over runs at one evaluation: median and middle half. */
export interface CurvePoint {
  gradients: number
  low: number
  middle: number
  high: number
}

/** Quartiles over fresh runs at every evaluation; a run that has ended counts as the worst there is. */
export function curveOf(
  runs: readonly { readonly curve: Curve }[],
  what: 'loss' | 'validation',
  largerIsBetter: boolean,
): CurvePoint[] {
  const worst = largerIsBetter ? -Infinity : Infinity
  const evaluations = [...new Set(runs.flatMap((run) => run.curve.gradients))].sort((a, b) => a - b)
  const lookups = runs.map((run) => new Map(run.curve.gradients.map((at, index) => [at, run.curve[what][index]!])))
  return evaluations.flatMap((gradients) => {
    const values = lookups.map((lookup) => lookup.get(gradients) ?? worst).sort((a, b) => a - b)
    // Nearest ranks, because interpolation has no meaning between a number and an infinity.
    const at = (share: number) => values[Math.round(share * (values.length - 1))]!
    const middle = median(values)
    return Number.isFinite(middle) ? [{ gradients, low: at(0.25), middle, high: at(0.75) }] : []
  })
}

/** A logarithmic axis where the values are positive and spread wide. */
function scaleFor(values: readonly number[]): 'log' | 'linear' {
  const low = Math.min(...values)
  return low > 0 && Math.max(...values) / low > 8 ? 'log' : 'linear'
}

/** A domain with a margin around the values. */
export function domainOf(values: readonly number[], scale: 'log' | 'linear'): [number, number] {
  const low = Math.min(...values)
  const high = Math.max(...values)
  if (low === high) return scale === 'log' ? [low / 2, high * 2] : [low - 1, high + 1]
  if (scale === 'log') return [low / 1.1, high * 1.1]
  const margin = (high - low) * 0.04
  return [low - margin, high + margin]
}

/** Numbers at ticks. */
export const tickFormat = (value: number) => formatNumber(value, 3)

/** Ticks of a logarithmic axis that spans little: 1, 2 and 5 times powers of ten. */
export function logTicks([low, high]: readonly [number, number], dense: boolean): number[] {
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

/** The axis of a metric or loss. */
export function valueAxis(values: readonly number[], label: string): Plot.ScaleOptions {
  const type = scaleFor(values)
  const domain = domainOf(values, type)
  const base = { type, domain, label, grid: true, tickFormat, labelArrow: 'none' } as const
  return type === 'log' ? { ...base, ticks: logTicks(domain, true) } : { ...base, ticks: 6 }
}

/** The axes of curves by gradients. */
export function curveAxes({ narrow }: Size, longest: number, y: Plot.ScaleOptions): Pick<Plot.PlotOptions, 'x' | 'y'> {
  const x = { label: 'gradients', labelArrow: 'none', domain: [0, longest], ticks: narrow ? 4 : 8, tickFormat } as const
  return { x, y }
}

/** The middle half of a curve, as far as the axis goes. */
export function bands(curve: readonly CurvePoint[], index: number, axis: Plot.ScaleOptions): Mark {
  const [least, greatest] = axis.domain as [number, number]
  const inside = (value: number) => Math.min(greatest, Math.max(least, value))
  return Plot.areaY(curve, {
    x: 'gradients',
    y1: ({ low }: CurvePoint) => inside(low),
    y2: ({ high }: CurvePoint) => inside(high),
    fill: colourOf(index),
    fillOpacity: 0.18,
  })
}

/** The median of a curve. */
export function lines(curve: readonly CurvePoint[], index: number, width = 2): Mark {
  const stroke = colourOf(index)
  return Plot.line(curve, { x: 'gradients', y: 'middle', stroke, strokeWidth: width, strokeDasharray: dashOf(index) })
}
