import {
  type Coordinate,
  type Dimension,
  type Importance,
  type Objective,
  type ParameterValue,
  type Space,
  type TrialRecord,
  valueCount,
} from '@fallline/search'
import * as Plot from '@observablehq/plot'
import { colourOf, domainOf, figure, fitting, logTicks, type Mark, tickFormat, valueAxis } from '../report/figure.ts'
import { formatNumber, many } from '../report/format.ts'
import { type Html, html } from '../report/html.ts'

/** More trials than this are thinned out in charts, evenly and with the best ones. */
const mostDrawn = 1000
/** More curves than this cannot be told apart. */
const mostCurves = 60
/** More dimensions than this do not fit beside each other. */
const mostAxes = 12
/** On a phone, ends of ranges fit beside so many. */
const mostLabelledNarrow = 4

/** Pixels for the text beside an axis. */
const textWidth = (narrow: boolean) => (narrow ? 120 : 200)
/** Pixels for the name of what an axis measures. */
const nameWidth = (narrow: boolean) => (narrow ? 300 : 640)

/** The dimensions that are drawn: the most important ones, in the order of the space. */
export function drawnDimensions(space: Space, found: readonly Importance[] | null): number[] {
  const places = space.dimensions.map((_, place) => place)
  if (places.length <= mostAxes) return places
  const rank = new Map(found?.map(({ name }, index) => [name, index]))
  const rankOf = (place: number) => rank.get(space.dimensions[place]!.name) ?? place
  return places
    .sort((a, b) => rankOf(a) - rankOf(b))
    .slice(0, mostAxes)
    .sort((a, b) => a - b)
}

interface Complete {
  readonly record: TrialRecord
  readonly value: number
}

/** Trials with a finite value of an objective. */
function completeOf(records: readonly TrialRecord[], objective: number): Complete[] {
  return records.flatMap((record) => {
    const value = record.state === 'complete' ? record.values![objective]! : Number.NaN
    return Number.isFinite(value) ? [{ record, value }] : []
  })
}

/** The best of them, and an even choice of the others. */
function drawn(trials: readonly Complete[], { direction }: Objective): Complete[] {
  const sign = direction === 'minimize' ? 1 : -1
  const ordered = trials.toSorted((a, b) => sign * (a.value - b.value))
  if (ordered.length <= mostDrawn) return ordered
  const half = mostDrawn / 2
  const others = ordered.slice(half)
  return [...ordered.slice(0, half), ...others.filter((_, index) => index % Math.ceil(others.length / half) === 0)]
}

/** Numbers of trials have no fractions. */
const wholeTick = (value: number) => (Number.isInteger(value) ? tickFormat(value) : '')

/** An axis whose name fits. */
const named = (axis: Plot.ScaleOptions, narrow: boolean): Plot.ScaleOptions => ({
  ...axis,
  label: fitting(String(axis.label), nameWidth(narrow)),
})

/** An axis whose ticks stay apart on a phone. */
function acrossPhone(axis: Plot.ScaleOptions, narrow: boolean): Plot.ScaleOptions {
  if (!narrow) return axis
  return { ...axis, ticks: Array.isArray(axis.ticks) ? sparse(axis.ticks) : 4 }
}

const noValues = html`<p class="soft">No trial has a finite value yet.</p>`

/** Values by number of the trial, and the best so far. */
export function historyChart(records: readonly TrialRecord[], objective: Objective, index: number): Html {
  const trials = completeOf(records, index)
  if (trials.length === 0) return noValues
  const better = objective.direction === 'minimize' ? Math.min : Math.max
  let best = trials[0]!.value
  const soFar = trials.map(({ record, value }) => {
    best = better(best, value)
    return { number: record.number, best }
  })
  const axis = valueAxis(
    trials.map(({ value }) => value),
    objective.name,
  )
  return figure(
    `${objective.name} by trial`,
    [
      { title: 'each trial', look: 'dot' },
      { title: 'the best so far', look: 'line' },
    ],
    `${many(trials.length, 'complete trial')}. ${objective.direction === 'minimize' ? 'Lower' : 'Higher'} is better; being the best of so many, the best looks better than it is.`,
    ({ narrow }) => ({
      x: { label: 'trial', labelArrow: 'none', tickFormat: wholeTick },
      y: named(axis, narrow),
      marks: [
        Plot.dot(drawn(trials, objective), {
          x: ({ record }: Complete) => record.number,
          y: 'value',
          r: 2.5,
          fill: colourOf(0),
          fillOpacity: 0.6,
        }),
        Plot.line(soFar, { x: 'number', y: 'best', stroke: colourOf(1), strokeWidth: 2, curve: 'step-after' }),
      ],
    }),
  )
}

/** What trials reported on their way. */
export function reportsChart(records: readonly TrialRecord[], objective: Objective, unit: string): Html | null {
  const reporting = records.filter(({ reports }) => reports.length > 1).slice(-mostCurves)
  const points = reporting.flatMap(({ number, state, reports }) =>
    reports.filter(({ value }) => Number.isFinite(value)).map(({ step, value }) => ({ number, state, step, value })),
  )
  if (points.length === 0) return null
  type Point = (typeof points)[number]
  return figure(
    `${objective.name} by ${unit}`,
    [
      { title: 'stopped early', look: 'line' },
      { title: 'others', look: 'line' },
    ],
    `What the last ${many(reporting.length, 'trial')} with reports have reported.`,
    ({ narrow }) => ({
      x: { label: fitting(unit, nameWidth(narrow)), labelArrow: 'none', tickFormat },
      y: named(
        valueAxis(
          points.map(({ value }) => value),
          objective.name,
        ),
        narrow,
      ),
      marks: [true, false].map((isStopped) =>
        Plot.line(
          points.filter(({ state }: Point) => (state === 'pruned') === isStopped),
          { x: 'step', y: 'value', z: 'number', stroke: colourOf(isStopped ? 0 : 1), strokeOpacity: 0.6 },
        ),
      ),
    }),
  )
}

/** How much parameters matter, with intervals. */
export function importanceChart(found: readonly Importance[]): Html {
  return figure(
    'Importance of parameters',
    [],
    'Bars: how different the values of a parameter are among the best tenth of the trials from those of all, as a share of the sum over parameters. Lines: the middle 90 % when trials are drawn again.',
    ({ narrow }) => ({
      height: 70 + 26 * found.length,
      marginLeft: textWidth(narrow),
      marginTop: 4,
      x: {
        label: 'share',
        labelArrow: 'none',
        domain: [0, Math.min(1, 1.05 * Math.max(...found.flatMap(({ share, interval }) => [share, interval[1]])) || 1)],
        grid: true,
        ticks: narrow ? 4 : 8,
      },
      y: {
        label: null,
        domain: found.map(({ name }) => name),
        tickFormat: (name: string) => fitting(name, textWidth(narrow) - 12),
      },
      marks: [
        Plot.barX(found, { x: 'share', y: 'name', fill: colourOf(0), fillOpacity: 0.7 }),
        Plot.ruleY(found, {
          x1: ({ interval }: Importance) => interval[0],
          x2: ({ interval }: Importance) => interval[1],
          y: 'name',
          stroke: 'currentColor',
        }),
      ],
    }),
  )
}

/** Where a coordinate is drawn, from 0 to 1: choices stand in the middle of equal parts. */
function placeOf({ domain }: Dimension, coordinate: NonNullable<Coordinate>): number {
  return domain.kind === 'choice' ? (coordinate + 0.5) / domain.values.length : coordinate
}

/** What stands beside an axis: the ends of a range, or the values of a choice. */
function labelsOf(dimension: Dimension): { text: string; y: number }[] {
  const { domain } = dimension
  if (domain.kind !== 'choice') {
    return [
      { text: formatNumber(domain.minimum, 3), y: 0 },
      { text: formatNumber(domain.maximum, 3), y: 1 },
    ]
  }
  if (domain.values.length > 6) return []
  return domain.values.map((value, index) => ({ text: fitting(String(value), 60), y: placeOf(dimension, index) }))
}

/** Drawn parameters and the value beside each other, a line for each trial. */
export function parallelChart(
  space: Space,
  places: readonly number[],
  records: readonly TrialRecord[],
  objective: Objective,
  index: number,
): Html | null {
  const trials = drawn(completeOf(records, index), objective).slice(0, 300)
  if (trials.length < 2) return null
  const values = trials.map(({ value }) => value)
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const scaled = valueAxis(values, objective.name).type === 'log' ? Math.log : (value: number) => value
  const axes = [
    ...places.map((place) => ({
      name: space.dimensions[place]!.name,
      labels: labelsOf(space.dimensions[place]!),
      at({ record }: Complete) {
        const coordinate = record.point[place]
        return coordinate === null || coordinate === undefined ? null : placeOf(space.dimensions[place]!, coordinate)
      },
    })),
    {
      name: objective.name,
      labels: [
        { text: formatNumber(low, 3), y: 0 },
        { text: formatNumber(high, 3), y: 1 },
      ],
      at: ({ value }: Complete) => (low === high ? 0.5 : (scaled(value) - scaled(low)) / (scaled(high) - scaled(low))),
    },
  ]
  // A trial that lacks a parameter has a gap there, and a dot where a line would have no length.
  const lines = trials.flatMap((trial, rank) => {
    const ys = axes.map(({ at }) => at(trial))
    return ys.map((y, axis) => ({
      isBest: rank < 0.1 * trials.length,
      number: trial.record.number,
      axis,
      y,
      isAlone: y !== null && (ys[axis - 1] ?? null) === null && (ys[axis + 1] ?? null) === null,
    }))
  })
  const marks = (isBest: boolean): Mark[] => {
    const colour = isBest ? colourOf(1) : 'currentColor'
    const opacity = isBest ? 0.8 : 0.15
    const mine = lines.filter((line) => line.isBest === isBest)
    return [
      Plot.line(mine, { x: 'axis', y: 'y', z: 'number', stroke: colour, strokeOpacity: opacity }),
      Plot.dot(
        mine.filter(({ isAlone }) => isAlone),
        { x: 'axis', y: 'y', r: 1.5, fill: colour, fillOpacity: opacity },
      ),
    ]
  }
  const left = space.dimensions.length - places.length
  const nameOf = (axis: number, narrow: boolean) => fitting(axes[axis]!.name, narrow ? 100 : 120)
  /** Pixels that the tilted names take below. */
  const tilted = (narrow: boolean) =>
    6.6 * (narrow ? 0.87 : 0.57) * Math.max(...axes.map((_, axis) => nameOf(axis, narrow).length))
  return figure(
    'Parameters of each trial',
    [
      { title: 'the best tenth', look: 'line', colour: colourOf(1) },
      { title: 'others', look: 'line', colour: 'color-mix(in srgb, currentColor 35%, transparent)' },
    ],
    `A line is a trial, from the lower end of each range to the upper one, and its value at the right; parameters that it does not have are left out.${left > 0 ? ` ${many(left, 'less important parameter')} ${left === 1 ? 'is' : 'are'} not drawn.` : ''}`,
    ({ narrow }) => ({
      marginBottom: 30 + tilted(narrow),
      marginLeft: narrow ? 40 : 84,
      marginRight: narrow ? 30 : 50,
      height: (narrow ? 210 : 280) + tilted(narrow),
      x: {
        type: 'point',
        domain: axes.map((_, axis) => axis),
        label: null,
        tickRotate: narrow ? -60 : -35,
        tickFormat: (axis: number) => nameOf(axis, narrow),
      },
      y: { domain: [0, 1], label: null, ticks: [] },
      marks: [
        Plot.ruleX(
          axes.map((_, axis) => axis),
          { stroke: 'currentColor', strokeOpacity: 0.3 },
        ),
        ...marks(false),
        ...marks(true),
        ...(narrow && axes.length > mostLabelledNarrow
          ? []
          : [
              Plot.text(
                axes.flatMap(({ labels }, axis) => labels.map((label) => ({ ...label, axis }))),
                {
                  x: 'axis',
                  y: 'y',
                  text: 'text',
                  dx: 4,
                  textAnchor: 'start',
                  fontSize: 10,
                  fill: 'currentColor',
                  stroke: 'var(--ground)',
                  strokeWidth: 3,
                },
              ),
            ]),
      ],
    }),
  )
}

/** The value by each parameter that is drawn. */
export function sliceCharts(
  space: Space,
  places: readonly number[],
  records: readonly TrialRecord[],
  objective: Objective,
  index: number,
): Html {
  const trials = drawn(completeOf(records, index), objective)
  if (trials.length === 0) return noValues
  const axis = named(
    valueAxis(
      trials.map(({ value }) => value),
      objective.name,
    ),
    true,
  )
  const slice = ({ name, domain }: Dimension) => {
    const having = trials.filter(({ record }) => name in record.parameters)
    if (having.length === 0) return null
    const value = ({ record }: Complete): ParameterValue => record.parameters[name]!
    const x =
      domain.kind === 'choice'
        ? ({
            type: 'point',
            domain: domain.values.map(String),
            tickFormat: (text: string) => fitting(text, 250 / domain.values.length),
          } as const)
        : ({
            type: domain.scale,
            domain: domainOf([domain.minimum, domain.maximum], domain.scale),
            tickFormat: (number: number) => formatNumber(number, 3),
            ticks:
              domain.scale === 'log'
                ? sparse(logTicks([domain.minimum, domain.maximum], false))
                : Math.min(5, valueCount(domain) ?? 5),
          } as const)
    return figure(
      `${objective.name} by ${name}`,
      [],
      `${many(having.length, 'trial')}`,
      () => ({
        height: 220,
        x: { ...x, label: fitting(name, nameWidth(true)), labelArrow: 'none' },
        y: axis,
        marks: [
          Plot.dot(having, {
            x: domain.kind === 'choice' ? (trial: Complete) => String(value(trial)) : value,
            y: 'value',
            r: 2.5,
            fill: colourOf(0),
            fillOpacity: 0.7,
          }),
        ],
      }),
      'narrow',
    )
  }
  return html`<div class="charts">${places.map((place) => slice(space.dimensions[place]!))}</div>`
}

/** Every so manieth tick, so that they stay apart. */
function sparse(ticks: readonly number[]): number[] {
  const step = Math.ceil(ticks.length / 6)
  return ticks.filter((_, index) => index % step === 0)
}

const inWords = ({ name, direction }: Objective) => `${direction === 'minimize' ? 'lower' : 'higher'} ${name}`

/** Two objectives against each other, with the front. */
export function frontChart(
  records: readonly TrialRecord[],
  front: readonly TrialRecord[],
  objectives: readonly Objective[],
  [across, up]: readonly [number, number],
): Html {
  const [first, second] = [objectives[across]!, objectives[up]!]
  const trials = records.filter(({ state, values }) => state === 'complete' && values!.every(Number.isFinite))
  if (trials.length === 0) return noValues
  const at = (index: number) => (record: TrialRecord) => record.values![index]!
  const [x, y] = [at(across), at(up)]
  const onFront = front.toSorted((a, b) => x(a) - x(b))
  return figure(
    `${first.name} and ${second.name}`,
    [
      { title: 'each trial', look: 'dot' },
      { title: 'the front', look: 'dot' },
    ],
    `${front.length} of ${many(trials.length, 'trial')} ${front.length === 1 ? 'is' : 'are'} dominated by no other one${objectives.length > 2 ? ', judged by all objectives' : ''}. Better: ${inWords(first)}, ${inWords(second)}.`,
    ({ narrow }) => ({
      x: acrossPhone(named(valueAxis(trials.map(x), first.name), narrow), narrow),
      y: named(valueAxis(trials.map(y), second.name), narrow),
      marks: [
        Plot.dot(trials.slice(-mostDrawn), { x, y, r: 2.5, fill: colourOf(0), fillOpacity: 0.5 }),
        ...(objectives.length > 2 ? [] : [Plot.line(onFront, { x, y, stroke: colourOf(1), strokeOpacity: 0.5 })]),
        Plot.dot(onFront, { x, y, r: 3.5, fill: colourOf(1) }),
      ],
    }),
  )
}

/** Units of time and their milliseconds. */
const units: readonly (readonly [string, number])[] = [
  ['hours', 3_600_000],
  ['minutes', 60_000],
  ['seconds', 1000],
  ['milliseconds', 1],
]

/** Who worked on what, and when. */
export function timelineChart(records: readonly TrialRecord[], now: number): Html | null {
  const worked = records.filter(({ startedAt, worker }) => startedAt !== null && worker !== null).slice(-mostDrawn)
  if (worked.length === 0) return null
  const start = Math.min(...worked.map(({ startedAt }) => startedAt!))
  const longest = Math.max(...worked.map(({ endedAt }) => (endedAt ?? now) - start), 1)
  const [unit, size] = units.find(([, milliseconds]) => longest > 2 * milliseconds) ?? units.at(-1)!
  const workers = [...new Set(worked.map(({ worker }) => worker!))]
  const kinds = [
    { title: 'complete', states: ['complete'] },
    { title: 'stopped early', states: ['pruned'] },
    { title: 'running, waiting or paused', states: ['running', 'waiting', 'paused'] },
    { title: 'failed, lost or given up', states: ['failed', 'stale', 'abandoned'] },
  ]
  const kindOf = ({ state }: TrialRecord) => kinds.findIndex(({ states }) => states.includes(state))
  const present = kinds.flatMap(({ title }, kind) =>
    worked.some((record) => kindOf(record) === kind) ? [{ title, look: 'bar' as const, colour: colourOf(kind) }] : [],
  )
  return figure(
    'Timeline of workers',
    present,
    `${many(workers.length, 'worker')} from ${new Date(start).toISOString().slice(0, 19).replace('T', ' ')} UTC on, over ${formatNumber(longest / size, 3)} ${unit}.`,
    ({ narrow }) => ({
      height: 70 + 24 * workers.length,
      marginLeft: textWidth(narrow),
      marginTop: 4,
      x: { label: unit, labelArrow: 'none', tickFormat, ticks: narrow ? 4 : 8, domain: [0, longest / size] },
      y: {
        label: null,
        domain: workers,
        tickFormat: (worker: string) => fitting(worker, textWidth(narrow) - 12),
      },
      marks: [
        Plot.barX(worked, {
          x1: ({ startedAt }: TrialRecord) => (startedAt! - start) / size,
          x2: ({ endedAt }: TrialRecord) => ((endedAt ?? now) - start) / size,
          y: 'worker',
          fill: (record: TrialRecord) => colourOf(kindOf(record)),
          // Short trials stay visible.
          insetRight: -1,
        }),
      ],
    }),
  )
}
