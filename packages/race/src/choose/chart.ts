import { bands, curveAxes, curveOf, figure, lines, type Series, valueAxis } from '../report/figure.ts'
import { type Html, html } from '../report/html.ts'
import type { TrainingState } from '../training/training.ts'

/** A line of the chart: the median of some runs. */
export interface ChartSeries extends Series {
  runs: readonly TrainingState[]
  /** Thin for what is there for comparison only. */
  thin: boolean
}

/** Metric by gradients, drawn for wide pages and for phones. */
export function metricChart(
  series: readonly ChartSeries[],
  { metricName, direction, horizon }: { metricName: string; direction: 'minimize' | 'maximize'; horizon: number },
  caption: string,
): Html {
  const curves = series.map(({ runs }) => curveOf(runs, 'validation', direction === 'maximize'))
  const values = curves.flat().map(({ middle }) => middle)
  if (values.length === 0) return html`<p>No run got as far as an evaluation.</p>`
  const axis = valueAxis(values, `validation ${metricName}`)
  const widthOf = (index: number) => (series[index]!.thin ? 1 : 2.5)
  return figure(
    `Validation ${metricName} by gradients`,
    series.map(({ title }, index) => ({ title, width: widthOf(index) })),
    caption,
    (size) => ({
      ...curveAxes(size, horizon, axis),
      marks: [
        ...curves.flatMap((curve, index) => (series[index]!.thin ? [] : [bands(curve, index, axis)])),
        ...curves.map((curve, index) => lines(curve, index, widthOf(index))),
      ],
    }),
  )
}
