import { mappings } from './mapping.ts'
import { drivers } from './mappings/drivers.ts'
import type { Mapping } from './mappings/mapping.ts'
import {
  type BackendName,
  type Comparison,
  type Outcome,
  passes,
  type RunResult,
  sameTolerance,
  stepTolerance,
  tolerances,
} from './replay.ts'
import { allowance } from './replay-driver.ts'

const headings: Readonly<Record<BackendName, string>> = {
  reference: 'float64',
  wasm: 'float32 wasm',
  webgpu: 'float32 webgpu',
}

const marks: Readonly<Record<Comparison, string>> = { free: '  ', sensitive: ' +', stepwise: ' *' }

/** The results as a table, one line per trajectory, and below it notes and a summary. */
export function formatReport(results: readonly RunResult[], backends: readonly BackendName[]): string {
  const header = ['optimizer', 'configuration', 'layout', ...backends.map((name) => headings[name]), 'result']
  const lines = results.map((result) => [
    result.optimizer,
    result.config,
    result.layout,
    ...backends.map((name) => formatOutcome(result.outcomes[name])),
    verdict(result),
  ])
  const widths = header.map((_, column) => Math.max(...[header, ...lines].map((line) => line[column]!.length)))
  const numeric = (column: number) => column >= 3 && column < 3 + backends.length
  const format = (line: readonly string[]) =>
    line
      .map((text, column) => (numeric(column) ? text.padStart(widths[column]!) : text.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd()
  const rule = widths.map((width, column) => '-'.repeat(column === widths.length - 1 ? 6 : width)).join('  ')
  const parts = [[format(header), rule, ...lines.map(format)].join('\n'), ...notes(results, backends)]
  return `${parts.join('\n\n')}\n\n${summary(results)}`
}

/** How many passed, failed and were skipped. */
export function summary(results: readonly RunResult[]): string {
  const skipped = results.filter((result) => result.skipped !== undefined).length
  const failed = results.filter((result) => !passes(result)).length
  const passed = results.length - skipped - failed
  const nothing = passed + failed === 0 ? '; nothing was replayed' : ''
  return `${passed} passed, ${failed} failed, ${skipped} skipped${nothing}`
}

function formatOutcome(outcome: Outcome | undefined): string {
  if (!outcome) return '-'
  const error = outcome.error === 0 ? '0' : outcome.error.toExponential(1)
  return `${error}${marks[outcome.comparison]}`
}

function verdict(result: RunResult): string {
  if (result.skipped !== undefined) return `skipped: ${result.skipped}`
  if (result.failure !== undefined) return `FAIL: ${result.failure}`
  const failed = Object.entries(result.outcomes).filter(([, outcome]) => outcome.failedAt !== undefined)
  if (failed.length === 0) return result.exact === undefined ? 'pass' : `pass; not in float32: ${result.exact}`
  return `FAIL: ${failed.map(([name, outcome]) => `${name} from step ${outcome.failedAt}`).join(', ')}`
}

function notes(results: readonly RunResult[], backends: readonly BackendName[]): string[] {
  const rules = backends.map((name) => `${tolerances[name]} in ${headings[name]}`).join(', ')
  const list = [
    `Worst |a - b| / max(|a|, |b|, 1e-3) over all checkpoints; tolerance ${rules}.`,
    ...[...new Set(results.map((result) => result.optimizer))].flatMap((name) => {
      const amplifies = Object.hasOwn(drivers, name) ? drivers[name]!.amplifies : undefined
      if (amplifies) {
        return [
          `${name}: tolerance ${allowance.reference} times what one rounding per gradient does (float32: ${allowance.wasm}), as long as that is below 0.01: ${amplifies}.`,
        ]
      }
      const known: Readonly<Record<string, Partial<Mapping>>> = { ...mappings, ...drivers }
      const { tolerances: looser, until } = Object.hasOwn(known, name) ? known[name]! : {}
      if (until) {
        const which = until.config === undefined ? name : `${name} ${until.config}`
        return [`${which}: compared up to step ${until.step}: ${until.reason}.`]
      }
      if (!looser) return []
      const limits = backends.flatMap((backend) =>
        looser[sameTolerance(backend)] ? [`${looser[sameTolerance(backend)]} in ${headings[backend]}`] : [],
      )
      return limits.length > 0 ? [`${name}: ${limits.join(', ')}: ${looser.reason}.`] : []
    }),
  ]
  const used = new Set(results.flatMap((result) => Object.values(result.outcomes).map(({ comparison }) => comparison)))
  if (used.has('sensitive')) {
    list.push(
      '+ amplifies rounding: the tolerance is 10 times what one rounding per step does to the float64 trajectory itself.',
    )
  }
  if (used.has('stepwise'))
    list.push(
      `* float32 cannot follow to the end: every step compared from the float64 state, with the state, to ${stepTolerance}.`,
    )
  return [list.join('\n')]
}
