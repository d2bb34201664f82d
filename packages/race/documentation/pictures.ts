import * as Plot from '@observablehq/plot'
import { adamW, type OptimizerFactory } from 'fallline'
import { parseHTML } from 'linkedom'
import { formatNumber, formatSetting } from '../src/report/format.ts'
import { Html, html } from '../src/report/html.ts'
import { style } from '../src/report/style.ts'
import { missingInputs } from './inputs.ts'
import { descend, type Surface, surfaces, type Trajectory } from './surfaces.ts'
import { type LossCurve, learn, lesson } from './training.ts'

const panel = { width: 290, height: 300, top: 44 } as const
const colour = 'var(--series-0)'

let comparison: Promise<LossCurve | undefined> | undefined

/** The picture of an optimizer: its way down two surfaces and its loss on a small network, from runs made now. */
export async function picture(factory: OptimizerFactory): Promise<string> {
  const { title } = factory.definition
  const panels: Html[] = []
  const missing = missingInputs(factory.definition)
  for (const surface of surfaces) {
    panels.push(surfacePanel(surface, missing.surface ?? (await descend(factory, surface))))
  }
  comparison ??= learn(adamW)
  panels.push(lossPanel(missing.task ?? (await learn(factory)), await comparison))
  const width = panel.width * panels.length
  const placed = panels.map((content, index) => html`<g transform="translate(${panel.width * index},0)">${content}</g>`)
  const [light, dark] = [
    paletteOf(/:root \{ color-scheme: light dark;([^}]*)\}/),
    paletteOf(/dark\) \{ :root \{([^}]*)\}/),
  ]
  const text = html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${panel.height}" width="${width}" height="${panel.height}" role="img" aria-label="${title}: two surfaces and a loss curve" font-family="system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif">
<style>svg { ${light} } @media (prefers-color-scheme: dark) { svg { ${dark} } } .all { fill: var(--text); color: var(--text) } .soft { fill: var(--soft) }</style>
<defs><marker id="dot" markerUnits="userSpaceOnUse" markerWidth="4" markerHeight="4" refX="2" refY="2"><circle cx="2" cy="2" r="1.5" fill="${colour}"/></marker>
<clipPath id="frame"><rect x="14" y="4" width="${panel.width - 22}" height="${panel.height - panel.top - 18}"/></clipPath></defs>
<g class="all"><rect x="0.5" y="0.5" width="${width - 1}" height="${panel.height - 1}" rx="8" fill="var(--ground)" stroke="var(--line)"/>
${placed}</g>
</svg>
`
  return text.text
}

/** The colours of the report that a picture uses, as declarations. */
function paletteOf(rule: RegExp): Html {
  const declarations = style
    .match(rule)![1]!
    .split(';')
    .map((declaration) => declaration.trim())
  return new Html(declarations.filter((text) => /^--(text|soft|ground|line|series-0|series-6):/.test(text)).join('; '))
}

function heading(title: string, below: string): Html {
  return html`<text x="14" y="21" font-size="13" font-weight="600">${title}</text><text x="14" y="37" font-size="11" class="soft">${below}</text>`
}

/** A chart as the content of a picture. Clipping is ours: the identifiers of Plot's differ from run to run. */
function draw({ clip: clipped, ...options }: Plot.PlotOptions): Html {
  const { document } = parseHTML('<!doctype html><html><body></body></html>')
  const chart = Plot.plot({
    document: document as unknown as Document,
    width: panel.width,
    height: panel.height - panel.top,
    marginLeft: 14,
    marginRight: 8,
    marginTop: 4,
    marginBottom: 14,
    ...options,
  })
  chart.querySelector('style')?.remove()
  for (const ground of chart.querySelectorAll('[aria-label=contour] path')) {
    ground.setAttribute('fill', 'currentColor')
    ground.setAttribute('fill-opacity', '.05')
    ground.setAttribute('d', coarse(ground.getAttribute('d')!))
  }
  for (const line of chart.querySelectorAll('[aria-label=line] path')) {
    if (clipped) line.setAttribute('marker-mid', 'url(#dot)')
  }
  const content = chart.innerHTML.replace(/="[^"]*"/g, (value) => value.replace(/(\d\.\d)\d+/g, '$1'))
  const clip = clipped ? new Html(' clip-path="url(#frame)"') : ''
  return html`<g transform="translate(0,${panel.top})" font-size="10" text-anchor="middle" fill="currentColor"${clip}>${new Html(content)}</g>`
}

/** A path in whole pixels, relative and without points on straight lines: a tenth of the bytes, for backgrounds. */
function coarse(path: string): string {
  const rings = path.split('Z').filter((ring) => ring !== '')
  return rings
    .map((ring) => {
      const points = [...ring.matchAll(/(-?[\d.]+),(-?[\d.]+)/g)].map(
        ([, x, y]) => [Math.round(+x!), Math.round(+y!)] as const,
      )
      let [x, y] = points[0]!
      let moves = `M${x} ${y}l`
      points.slice(1).forEach((point, index) => {
        const [nextX, nextY] = points[index + 2] ?? points[0]!
        const [dx, dy] = [point[0] - x, point[1] - y]
        if (dx * (nextY - point[1]) === dy * (nextX - point[0])) return
        moves += `${/\d$/.test(moves) && dx >= 0 ? ' ' : ''}${dx}${dy >= 0 ? ' ' : ''}${dy}`
        ;[x, y] = point
      })
      return `${moves}z`
    })
    .join('')
}

function surfacePanel(surface: Surface, found: Trajectory | string | undefined): Html {
  const { title, x, y, steps, minimum, value, start } = surface
  const trajectory = typeof found === 'string' ? undefined : found
  const below =
    trajectory === undefined
      ? reasonFor(found, 'no learning rate tried stays finite')
      : `${steps} steps to ${formatNumber(trajectory.final, 2)}, learning rate ${formatNumber(trajectory.learningRate, 2)}`
  // Below this the ground is flat to the eye; the logarithm spreads the levels over what is above.
  const height = (px: number, py: number) => Math.log10(value(px, py) + 0.05)
  const heights = [height(...minimum), height(x[0], y[0]), height(x[0], y[1]), height(x[1], y[0]), height(x[1], y[1])]
  const [low, high] = [Math.min(...heights), Math.max(...heights)]
  const thresholds = Array.from({ length: 7 }, (_, level) => low + ((level + 0.6) * (high - low)) / 7)
  const points = trajectory?.points ?? []
  const marks: Plot.Markish[] = [
    Plot.contour({
      x1: x[0],
      x2: x[1],
      y1: y[0],
      y2: y[1],
      fill: height,
      pixelSize: 6,
      interpolate: 'none',
      thresholds,
    } as Plot.ContourOptions),
    Plot.line(points, { stroke: colour, strokeWidth: 1.2 }),
    Plot.dot([start], { stroke: colour, fill: 'var(--ground)', strokeWidth: 1.5, r: 4 }),
    Plot.dot([minimum], { stroke: 'currentColor', symbol: 'times', strokeWidth: 1.5, r: 4.5 }),
  ]
  return html`${heading(title, below)}${draw({ clip: true, axis: null, x: { domain: x }, y: { domain: y }, marks })}`
}

/** Why there is nothing to draw: an input that is missing, or else. */
function reasonFor(missing: unknown, otherwise: string): string {
  return typeof missing === 'string' ? `not run: there is no ${missing} here` : otherwise
}

/** Whole words of a text up to a length. */
function shortened(text: string, length: number): string {
  if (text.length <= length) return text
  return `${text.slice(0, text.lastIndexOf(',', length))}, …`
}

function lossPanel(found: LossCurve | string | undefined, other: LossCurve | undefined): Html {
  const own = typeof found === 'string' ? undefined : found
  const below =
    own === undefined ? reasonFor(found, 'no setting tried stays finite') : shortened(formatSetting(own.setting), 46)
  const limits = [0.05, 3] as const
  const points = (curve: LossCurve | undefined) =>
    (curve?.steps ?? []).map((step, index) => ({
      step,
      loss: Math.min(limits[1], Math.max(limits[0], curve!.values[index]!)),
    }))
  return html`${heading('Digits, 64-64-10 network: loss', below)}${draw({
    marginLeft: 40,
    marginRight: 14,
    marginBottom: 34,
    x: { domain: [0, lesson.steps], label: 'step', labelArrow: 'none', labelOffset: 26, ticks: 4 },
    y: { type: 'log', domain: limits, label: null, grid: true, ticks: [0.05, 0.1, 0.2, 0.5, 1, 2], tickFormat: String },
    marks: [
      Plot.line(points(other), { x: 'step', y: 'loss', stroke: 'var(--series-6)', strokeDasharray: '3 3' }),
      Plot.line(points(own), { x: 'step', y: 'loss', stroke: colour, strokeWidth: 2 }),
      Plot.text([[lesson.steps, 2.6]], {
        text: () => 'validation loss; dashed: AdamW',
        fill: 'var(--series-6)',
        textAnchor: 'end',
      }),
    ],
  })}`
}
