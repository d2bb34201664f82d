import Table from 'cli-table3'
import pc from 'picocolors'
import { formatMilliseconds, formatNumber, formatOrInfinite } from '../report/format.ts'
import { hardestReached, ranked } from '../report/order.ts'
import type { RaceResults, SummaryRecord } from '../results.ts'

/** Contenders, and lines of remarks, beyond this many are in the report, not in the terminal. */
const mostRows = 25
const mostLines = 8

/** The first lines, and how many more there are. */
function first(lines: readonly string[]): string[] {
  if (lines.length <= mostLines) return [...lines]
  return [...lines.slice(0, mostLines), `and ${lines.length - mostLines} more like these, see the report`]
}

/** The result of a race for the terminal: verdict, table, edges and remarks. */
export function summaryOf(results: RaceResults, columns = 100): string {
  const { contenders, task, protocol } = results
  const { gradients, time, summaries, edges, remarks } = results.analysis!
  const narrow = columns < 100
  const hardest = hardestReached(results)
  const head = [
    'contender',
    'score',
    ...(narrow ? [] : ['score by time']),
    `gradients to ${formatNumber(task.targets[hardest]!)}`,
    'validation',
    ...(narrow ? [] : ['test']),
    'step',
    ...(narrow ? [] : ['learning rate']),
    'notes',
  ]
  const table = new Table({
    head,
    colAligns: head.map((title) => (title === 'contender' || title === 'notes' ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  })
  const order = ranked(results)
  for (const { name, title } of order.slice(0, mostRows)) {
    const summary = summaries[name]!
    const { validation, test, optimizerStep, setting } = summary
    const edge = edges.some(({ contender }) => contender === name) ? 'edge of range' : ''
    const score = (value: number | null | undefined) => (value === null || value === undefined ? '-' : value.toFixed(3))
    table.push([
      gradients.winner === name ? pc.bold(title) : title,
      score(gradients.scores[name]),
      ...(narrow ? [] : [score(time?.scores[name])]),
      summary.failure === null ? formatOrInfinite(gradients.medians[name]![hardest] ?? null) : '-',
      validation === null ? '-' : formatNumber(validation),
      ...(narrow ? [] : [test === null ? '-' : formatNumber(test)]),
      optimizerStep === null ? '-' : formatMilliseconds(optimizerStep),
      ...(narrow ? [] : [setting === null ? '-' : formatNumber(setting.learningRate!)]),
      [stateInWords(summary), edge].filter((note) => note !== '').join(', '),
    ])
  }
  const title = (name: string) => contenders.find((contender) => contender.name === name)?.title ?? name
  const alarms = edges.map(
    ({ contender, hyperparameter, value, side, studies, of }) =>
      `${title(contender)}: the best ${hyperparameter}, ${formatNumber(value)}, is the ${side === 'minimum' ? 'smallest' : 'largest'} that was tried${of > 1 ? `, in ${studies} of ${of} studies` : ''}; better values may lie beyond (--range)`,
  )
  const fresh =
    protocol.claim === 'settings' ? `${protocol.seeds} fresh seeds` : `fresh runs of ${protocol.studies} studies`
  const finding = { difference: pc.green, edge: pc.yellow, none: (text: string) => text }
  return [
    `${finding[gradients.finding](pc.bold(gradients.verdict))}`,
    ...(time ? [time.verdict] : []),
    '',
    `${pc.bold(task.title)}: validation and test are ${task.metricName}, median over ${fresh}`,
    table.toString(),
    ...(order.length > mostRows ? [`and ${order.length - mostRows} more, see the report`] : []),
    ...(alarms.length > 0 ? ['', ...first(alarms.map((alarm) => `${pc.yellow('edge of range')} ${alarm}`))] : []),
    ...(remarks.length > 0 ? ['', ...first(remarks.map((remark) => `${pc.dim('note')} ${remark}`))] : []),
  ].join('\n')
}

/** What became of a contender, in a word or two. */
function stateInWords(summary: SummaryRecord): string {
  if (summary.failure !== null) return summary.failure.startsWith('diverged') ? 'diverged' : 'failed'
  const parts = [
    ...(summary.diverged > 0 ? [`${summary.diverged} diverged`] : []),
    ...(summary.failed > 0 ? [`${summary.failed} failed`] : []),
    ...(summary.skipped > 0 ? [`${summary.skipped} steps skipped`] : []),
  ]
  return parts.join(', ')
}
