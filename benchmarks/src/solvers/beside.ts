import { type Summary, summarize } from '../statistics.ts'
import type { SolverRow } from './measure.ts'

/** What a solver has needed on all problems of a part that everybody with its method could be run on. */
export interface SolverTotal {
  readonly part: SolverRow['part']
  readonly method: string
  readonly library: string
  readonly problems: number
  /** On how many it came as low as the best of all. */
  readonly solved: number
  readonly iterations?: number
  readonly values: number
  readonly gradients: number
  readonly seconds: number
  /** Seconds of an iteration that no evaluation took: median over problems. */
  readonly overhead?: Summary
}

const keyOf = ({ part, problem }: SolverRow) => `${part} ${problem}`
const groupOf = ({ part, method, library }: SolverRow) => `${part} ${method} ${library}`

/** Seconds of an iteration that no evaluation took. */
export function overheadOf({ beyond, iterations }: SolverRow): number | undefined {
  return beyond && iterations ? beyond.median / iterations : undefined
}

/** Whether each row has come as low as the best of all on its problem, up to a thousandth. */
export function solvedRows(rows: readonly SolverRow[]): ReadonlySet<SolverRow> {
  const best = new Map<string, number>()
  for (const row of rows) best.set(keyOf(row), Math.min(row.value ?? Infinity, best.get(keyOf(row)) ?? Infinity))
  return new Set(
    rows.filter((row) => row.value !== undefined && row.value <= best.get(keyOf(row))! * (1 + 1e-3) + 1e-6),
  )
}

/** Rows of one solver together. */
export function totals(rows: readonly SolverRow[]): SolverTotal[] {
  const solved = solvedRows(rows)
  return [...new Set(rows.map(groupOf))].map((name) => {
    const group = rows.filter((row) => groupOf(row) === name)
    const { part, method, library } = group[0]!
    const sum = (of: (row: SolverRow) => number | undefined) => group.reduce((total, row) => total + (of(row) ?? 0), 0)
    const overheads = group.map(overheadOf).filter((each) => each !== undefined)
    return {
      part,
      method,
      library,
      problems: group.length,
      solved: group.filter((row) => solved.has(row)).length,
      ...(group.some(({ iterations }) => iterations !== undefined) && { iterations: sum((row) => row.iterations) }),
      values: sum(({ values }) => values),
      gradients: sum(({ gradients }) => gradients),
      seconds: sum(({ seconds }) => seconds?.median),
      ...(overheads.length > 0 && { overhead: summarize(overheads) }),
    }
  })
}

/** Ours beside that of SciPy, problem by problem: how many times as much an iteration takes beyond evaluations. */
export function overheadsBeside(rows: readonly SolverRow[]): { part: string; method: string; ratio: Summary }[] {
  const ratios = new Map<string, { part: string; method: string; each: number[] }>()
  for (const row of rows.filter(({ library }) => library === 'fallline')) {
    const other = rows.find(
      (each) => each.library === 'SciPy' && each.method === row.method && keyOf(each) === keyOf(row),
    )
    const [ours, theirs] = [overheadOf(row), other && overheadOf(other)]
    if (ours === undefined || theirs === undefined) continue
    const key = `${row.part} ${row.method}`
    const entry = ratios.get(key) ?? { part: row.part, method: row.method, each: [] }
    entry.each.push(ours / theirs)
    ratios.set(key, entry)
  }
  return [...ratios.values()].map(({ part, method, each }) => ({ part, method, ratio: summarize(each) }))
}
