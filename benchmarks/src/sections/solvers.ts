import { contenders } from '../solvers/contenders.ts'
import { measureSolver, type SolverEffort, type SolverRow, effort as usual } from '../solvers/measure.ts'
import { isTried, largeSize, type SolverPart, subjectsOf } from '../solvers/problems.ts'
import { measureScipy, type ScipyReport } from '../solvers/scipy.ts'

export interface SolverReport {
  readonly rows: readonly SolverRow[]
  /** How many variables the large problems have. */
  readonly size: number
  /** The peer's version, or why there is none. */
  readonly peer?: ScipyReport['peer']
}

/** Measures solvers beside packages of npm, and beside SciPy where there are `peers`. */
export async function measureSolvers(
  parts: readonly SolverPart[],
  peers: { python: string | undefined } | undefined,
  progress: (text: string) => void,
  effort: SolverEffort = usual,
  size = largeSize,
): Promise<SolverReport> {
  const subjects = new Map(parts.map((part) => [part, subjectsOf(part, size)]))
  const rows: SolverRow[] = []
  for (const contender of contenders) {
    for (const subject of subjects.get(contender.part) ?? []) {
      if (!isTried(contender.method, subject)) continue
      progress(`${contender.library}: ${contender.method} on ${subject.name}`)
      rows.push(measureSolver(contender, subject, effort))
    }
  }
  if (!peers) return { rows, size }
  const theirs = await measureScipy(subjects, effort, peers.python, progress)
  return { rows: [...rows, ...theirs.rows], size, peer: theirs.peer }
}
