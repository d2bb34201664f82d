import Table from 'cli-table3'
import pc from 'picocolors'
import { formatMilliseconds, formatNumber, formatOrInfinite } from '../report/format.ts'
import type { RaceResults, SummaryRecord } from '../results.ts'

/** The result of a race for the terminal: table, verdict, alarms and remarks. */
export function summaryOf(results: RaceResults, columns = 100): string {
  const { contenders, task } = results
  const analysis = results.analysis!
  const { steps, time, summaries, edgeAlarms, remarks } = analysis
  const narrow = columns < 100
  // The hardest target that somebody reaches separates the contenders best.
  const reached = task.targets.map((_, index) => contenders.some(({ name }) => steps.medians[name]![index] !== null))
  const hardest = Math.max(0, reached.lastIndexOf(true))
  const table = new Table({
    head: [
      'contender',
      'score steps',
      'score time',
      `steps to ${formatNumber(task.targets[hardest]!)}`,
      'validation',
      ...(narrow ? [] : ['test']),
      'step',
      ...(narrow ? [] : ['learning rate']),
      'notes',
    ],
    colAligns: [
      'left',
      'right',
      'right',
      'right',
      'right',
      ...(narrow ? [] : ['right' as const]),
      'right',
      ...(narrow ? [] : ['right' as const]),
      'left',
    ],
    style: { head: [], border: [], compact: true },
  })
  const leaders = new Set(steps.winner ? [steps.winner] : [])
  const ranked = [...contenders].sort((a, b) => steps.scores[b.name]! - steps.scores[a.name]!)
  for (const { name, title } of ranked) {
    const summary = summaries[name]!
    const { validation, test, optimizerStep, setting } = summary
    const edge = edgeAlarms.some((alarm) => alarm.contender === name) ? 'edge of range' : ''
    table.push([
      leaders.has(name) ? pc.bold(title) : title,
      steps.scores[name]!.toFixed(3),
      time ? time.scores[name]!.toFixed(3) : '-',
      formatOrInfinite(steps.medians[name]![hardest] ?? null),
      validation === null ? '-' : formatNumber(validation),
      ...(narrow ? [] : [test === null ? '-' : formatNumber(test)]),
      optimizerStep === null ? '-' : formatMilliseconds(optimizerStep),
      ...(narrow ? [] : [setting === null ? '-' : formatNumber(setting.learningRate!)]),
      [stateInWords(summary), edge].filter((note) => note !== '').join(', '),
    ])
  }
  const title = (name: string) => contenders.find((contender) => contender.name === name)?.title ?? name
  const alarms = edgeAlarms.map(
    ({ contender, hyperparameter, value, bound, limit }) =>
      `${title(contender)}: the best ${hyperparameter}, ${formatNumber(value)}, lies at the ${bound} of its range (${formatNumber(limit)}); better values may lie beyond`,
  )
  return [
    `${pc.bold(task.title)}: validation and test are ${task.metricName}, median over ${results.protocol.reportSeeds.length} fresh seeds`,
    table.toString(),
    '',
    `${pc.bold('By steps:')} ${steps.verdict}`,
    ...(time ? [`${pc.bold('By time:')}  ${time.verdict}`] : []),
    ...(alarms.length > 0 ? ['', ...alarms.map((alarm) => `${pc.yellow('edge of range')} ${alarm}`)] : []),
    ...(remarks.length > 0 ? ['', ...remarks.map((remark) => `${pc.dim('note')} ${remark}`)] : []),
  ].join('\n')
}

/** What became of a contender, in a word or two. */
function stateInWords(summary: SummaryRecord): string {
  if (summary.failure !== null) return summary.failure.startsWith('diverged') ? 'diverged' : 'failed'
  const parts = [
    ...(summary.diverged > 0 ? [`${summary.diverged} diverged`] : []),
    ...(summary.failed > 0 ? [`${summary.failed} failed`] : []),
  ]
  return parts.join(', ')
}
