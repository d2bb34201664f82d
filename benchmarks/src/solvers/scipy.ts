import { fileURLToPath } from 'node:url'
import { messageOf } from '../measure.ts'
import { installPythonPeers } from '../peers/install.ts'
import { runScript } from '../peers/script.ts'
import { summarize } from '../statistics.ts'
import { methods, mostIterations, squares } from './contenders.ts'
import type { SolverEffort, SolverRow } from './measure.ts'
import { isTried, type SolverPart, type Subject } from './problems.ts'

/** What SciPy measured, and its version; or why it could not. */
export interface ScipyReport {
  readonly rows: readonly SolverRow[]
  readonly peer: { readonly version?: string; readonly error?: string }
}

interface Output {
  readonly version: string
  readonly rows: readonly (Omit<SolverRow, 'seconds' | 'beyond' | 'library'> & {
    readonly seconds?: readonly number[]
    readonly beyond?: readonly number[]
  })[]
}

const script = fileURLToPath(new URL('../peers/scipy_peer.py', import.meta.url))
const nist = fileURLToPath(new URL('../../../packages/solvers/test/support/nist.txt', import.meta.url))

/** What SciPy is asked: every problem with its start, and what is there, so that it can tell whether it computes the same. */
export function jobs(part: SolverPart, subjects: readonly Subject[]) {
  return Object.entries(methods[part]).flatMap(([method, theirs]) =>
    subjects
      .filter((subject) => isTried(method, subject))
      .map(({ name, start, bounds, objective, residuals }) => {
        const x = Float64Array.from(start)
        const atStart = objective ? objective.value(x) : squares(residuals!(x))
        return { part, method, theirs, problem: name, start: [...start], bounds: bounds ?? null, atStart }
      }),
  )
}

/** Runs SciPy in a process of its own. */
export async function measureScipy(
  parts: ReadonlyMap<SolverPart, readonly Subject[]>,
  effort: SolverEffort,
  python: string | undefined,
  progress: (text: string) => void,
): Promise<ScipyReport> {
  const installed = python === undefined ? await installPythonPeers(progress, ['scipy']) : null
  const problem = installed?.problems.scipy
  if (problem) return { rows: [], peer: { error: problem } }
  // The memory model is a program; in Python its evaluations alone would be measured.
  const asked = [...parts].filter(([part]) => part !== 'fit').flatMap(([part, subjects]) => jobs(part, subjects))
  try {
    const request = JSON.stringify({ jobs: asked, nist, effort, mostIterations })
    const output = JSON.parse(await runScript(python ?? installed!.interpreter, script, request, progress)) as Output
    const rows = output.rows.map(({ seconds, beyond, ...row }) => ({
      ...row,
      library: 'SciPy',
      ...(seconds && { seconds: summarize(seconds) }),
      ...(beyond && { beyond: summarize(beyond) }),
    }))
    return { rows, peer: { version: output.version } }
  } catch (error) {
    return { rows: [], peer: { error: messageOf(error) } }
  }
}
