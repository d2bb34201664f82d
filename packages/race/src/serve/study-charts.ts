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
import { colourOf, domainOf, figure, logTicks, type Mark, tickFormat, valueAxis } from '../report/figure.ts'
import { formatNumber } from '../report/format.ts'
import { type Html, html } from '../report/html.ts'

/** More trials than this are thinned out in charts, evenly and with the best ones. */
const mostDrawn = 1000
/** More curves than this cannot be told apart. */
const mostCurves = 60
/** More dimensions than this do not fit beside each other. */
const mostAxes = 12

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
    [{ title: 'each trial' }, { title: 'the best so far' }],
    `${trials.length} complete trials. ${objective.direction === 'minimize' ? 'Lower' : 'Higher'} is better; being the best of so many, the best looks better than it is.`,
    () => ({
      x: { label: 'trial', labelArrow: 'none', tickFormat },
      y: axis,
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
    [{ title: 'stopped early' }, { title: 'others' }],
    `What the last ${reporting.length} trials with reports have reported.`,
    () => ({
      x: { label: unit, labelArrow: 'none', tickFormat },
      y: valueAxis(
        points.map(({ value }) => value),
        objective.name,
      ),
      marks: [
        Plot.line(points, {
          x: 'step',
          y: 'value',
          z: 'number',
          stroke: ({ state }: Point) => colourOf(state === 'pruned' ? 0 : 1),
          strokeOpacity: 0.6,
        }),
      ],
    }),
  )
}

/** How much parameters matter, with intervals. */
export function importanceChart(found: readonly Importance[]): Html {
  return figure(
    'Importance of parameters',
    [{ title: 'share, with the middle 90 % of studies drawn from these trials' }],
    'How different the values of a parameter are among the best tenth of the trials from those of all, as a share of the sum over parameters.',
    ({ narrow }) => ({
      height: 70 + 26 * found.length,
      marginLeft: narrow ? 120 : 200,
      x: { label: 'share', labelArrow: 'none', domain: [0, 1], grid: true },
      y: { label: null, domain: found.map(({ name }) => name) },
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

/** All parameters and the value beside each other, a line for each trial. */
export function parallelChart(
  space: Space,
  records: readonly TrialRecord[],
  objective: Objective,
  index: number,
): Html | null {
  const trials = drawn(completeOf(records, index), objective).slice(0, 300)
  const dimensions = space.dimensions.slice(0, mostAxes)
  if (trials.length < 2 || dimensions.length < 2) return null
  const names = dimensions.map(({ name }) => name)
  const lines = trials.flatMap(({ record }, rank) =>
    dimensions.flatMap((dimension, place) => {
      const coordinate = record.point[place]
      if (coordinate === null || coordinate === undefined) return []
      return [
        { rank: rank / trials.length, number: record.number, name: dimension.name, y: placeOf(dimension, coordinate) },
      ]
    }),
  )
  type Line = (typeof lines)[number]
  const group = ({ rank }: Line) => (rank < 0.1 ? 0 : 1)
  const mark = (which: number): Mark =>
    Plot.line(
      lines.filter((line) => group(line) === which),
      {
        x: 'name',
        y: 'y',
        z: 'number',
        stroke: which === 0 ? colourOf(1) : 'currentColor',
        strokeOpacity: which === 0 ? 0.8 : 0.15,
      },
    )
  const left = space.dimensions.length - dimensions.length
  return figure(
    'Parameters of each trial',
    [{ title: 'others' }, { title: 'the best tenth' }],
    `A line is a trial, from the lower end of each range to the upper one.${left > 0 ? ` ${left} more parameters are not drawn.` : ''}`,
    ({ narrow }) => ({
      marginBottom: 90,
      marginLeft: 30,
      x: { type: 'point', domain: names, label: null, tickRotate: narrow ? -60 : -30 },
      y: { domain: [0, 1], label: null, ticks: [] },
      marks: [Plot.ruleX(names, { stroke: 'currentColor', strokeOpacity: 0.3 }), mark(1), mark(0)],
    }),
  )
}

/** The value by each parameter. */
export function sliceCharts(space: Space, records: readonly TrialRecord[], objective: Objective, index: number): Html {
  const trials = drawn(completeOf(records, index), objective)
  if (trials.length === 0) return noValues
  const axis = valueAxis(
    trials.map(({ value }) => value),
    objective.name,
  )
  return html`${space.dimensions.slice(0, mostAxes).map(({ name, domain }) => {
    const having = trials.filter(({ record }) => name in record.parameters)
    if (having.length === 0) return null
    const value = ({ record }: Complete): ParameterValue => record.parameters[name]!
    const x =
      domain.kind === 'choice'
        ? ({ type: 'point', domain: domain.values.map(String) } as const)
        : ({
            type: domain.scale,
            domain: domainOf([domain.minimum, domain.maximum], domain.scale),
            tickFormat,
            ticks:
              domain.scale === 'log'
                ? logTicks([domain.minimum, domain.maximum], false)
                : Math.min(8, valueCount(domain) ?? 8),
          } as const)
    return figure(
      `${objective.name} by ${name}`,
      [],
      `${objective.name} by ${name}, in ${having.length} trials.`,
      () => ({
        height: 220,
        x: { ...x, label: name, labelArrow: 'none' },
        y: axis,
        marks: [
          Plot.dot(having, {
            x: domain.kind === 'choice' ? (trial: Complete) => String(value(trial)) : value,
            y: 'value',
            r: 2.5,
            fill: colourOf(0),
            fillOpacity: 0.5,
          }),
        ],
      }),
    )
  })}`
}

/** Two objectives against each other, with the front. */
export function frontChart(
  records: readonly TrialRecord[],
  front: readonly TrialRecord[],
  objectives: readonly Objective[],
): Html | null {
  const [first, second] = objectives
  if (!first || !second) return null
  const trials = records.filter(({ state, values }) => state === 'complete' && values!.every(Number.isFinite))
  if (trials.length === 0) return noValues
  const at = (index: number) => (record: TrialRecord) => record.values![index]!
  const onFront = front.toSorted((a, b) => a.values![0]! - b.values![0]!)
  return figure(
    `${first.name} and ${second.name}`,
    [{ title: 'each trial' }, { title: 'the front' }],
    `${front.length} of ${trials.length} trials are dominated by no other one${objectives.length > 2 ? ', judged by all objectives' : ''}.`,
    () => ({
      x: { ...valueAxis(trials.map(at(0)), first.name) },
      y: { ...valueAxis(trials.map(at(1)), second.name) },
      marks: [
        Plot.dot(trials.slice(-mostDrawn), { x: at(0), y: at(1), r: 2.5, fill: colourOf(0), fillOpacity: 0.5 }),
        Plot.line(onFront, { x: at(0), y: at(1), stroke: colourOf(1), strokeOpacity: 0.5 }),
        Plot.dot(onFront, { x: at(0), y: at(1), r: 4, fill: colourOf(1) }),
      ],
    }),
  )
}

/** Who worked on what, and when. */
export function timelineChart(records: readonly TrialRecord[], now: number): Html | null {
  const worked = records.filter(({ startedAt, worker }) => startedAt !== null && worker !== null).slice(-mostDrawn)
  if (worked.length === 0) return null
  const start = Math.min(...worked.map(({ startedAt }) => startedAt!))
  const longest = Math.max(...worked.map(({ endedAt }) => (endedAt ?? now) - start), 1)
  const [unit, size] =
    longest > 7_200_000 ? ['hours', 3_600_000] : longest > 120_000 ? ['minutes', 60_000] : ['seconds', 1000]
  const workers = [...new Set(worked.map(({ worker }) => worker!))]
  const colour = ({ state }: TrialRecord) => colourOf(state === 'complete' ? 0 : state === 'pruned' ? 1 : 2)
  return figure(
    'Timeline of workers',
    [{ title: 'complete' }, { title: 'stopped early' }, { title: 'others' }],
    `${workers.length} workers, from ${new Date(start).toISOString()}, over ${formatNumber(longest / (size as number), 3)} ${unit}.`,
    ({ narrow }) => ({
      height: 80 + 24 * workers.length,
      marginLeft: narrow ? 90 : 140,
      x: { label: unit as string, labelArrow: 'none', tickFormat },
      y: { label: null, domain: workers },
      marks: [
        Plot.barX(worked, {
          x1: ({ startedAt }: TrialRecord) => (startedAt! - start) / (size as number),
          x2: ({ endedAt }: TrialRecord) => ((endedAt ?? now) - start) / (size as number),
          y: 'worker',
          fill: colour,
          inset: 1,
        }),
      ],
    }),
  )
}
