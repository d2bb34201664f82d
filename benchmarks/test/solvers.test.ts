import { stripVTControlCharacters } from 'node:util'
import { expect, it } from 'vitest'
import { solverAims, verdict } from '../src/aims.ts'
import { solverSection } from '../src/report.ts'
import { measureSolvers } from '../src/sections/solvers.ts'
import { overheadsBeside, totals } from '../src/solvers/beside.ts'
import type { SolverRow } from '../src/solvers/measure.ts'
import { type Subject, subjectsOf } from '../src/solvers/problems.ts'
import { jobs } from '../src/solvers/scipy.ts'
import { summarize } from '../src/statistics.ts'

const once = { warmUp: 0, rounds: 1, seconds: 0, most: 1 }

const row = (library: string, part: SolverRow['part'], problem: string, value: number, seconds: number): SolverRow => ({
  part,
  library,
  method: 'l-bfgs-b',
  problem,
  iterations: 10,
  values: 12,
  gradients: 11,
  value,
  seconds: summarize([seconds]),
  beyond: summarize([seconds / 2]),
})
const rows = [
  row('fallline', 'minimize', 'a', 1, 0.001),
  row('fallline', 'minimize', 'b', 1, 0.003),
  row('SciPy', 'minimize', 'a', 1, 0.002),
  row('SciPy', 'minimize', 'b', 2, 0.002),
  row('fallline', 'large', 'valleys', 0, 2),
  row('SciPy', 'large', 'valleys', 0, 1),
  row('fallline', 'fit', 'memory', 3, 0.04),
]

it('compares problem by problem', () => {
  const [minimizing] = overheadsBeside(rows)
  expect(minimizing!.ratio).toMatchObject({ median: 1, count: 2 })
  const ours = totals(rows).find(({ library, part }) => library === 'SciPy' && part === 'minimize')!
  expect(ours).toMatchObject({ problems: 2, solved: 1, iterations: 20, values: 24, gradients: 22, seconds: 0.004 })
})

it('holds solvers against SciPy and a limit of time', () => {
  const said = solverAims({ rows, size: 1000 }).map((aim) => `${aim.title}: ${aim.measured?.median}, ${verdict(aim)}`)
  expect(said).toEqual([
    'an iteration of l-bfgs-b beyond evaluations, minimize: 1, met, 0.0 % to spare',
    'an iteration of l-bfgs-b beyond evaluations, large: 2, missed by 100 %',
    'l-bfgs-b in 1000 variables, valleys: 0.5, missed by 50 %',
    'a fit of 21 parameters: 40, met, 20 % to spare',
  ])
})

it('says what failed, and who did not come as low as others', () => {
  const failed: SolverRow = {
    part: 'root',
    library: 'SciPy',
    method: 'newton',
    problem: 'c',
    error: 'another function',
  }
  const report = { rows: [...rows, failed], size: 1000, peer: { version: '1.17.1' } }
  const text = stripVTControlCharacters(solverSection(report))
  expect(text).toMatch(/l-bfgs-b\s+SciPy\s+1 of 2\s+20\s+24\s+22\s+4\.00\s+100/)
  expect(text).toMatch(/SciPy, newton on c: another function/)
  expect(text).toMatch(/SciPy 1\.17\.1/)
})

it('measures every contender that is here', async () => {
  const said: string[] = []
  const { rows: measured } = await measureSolvers(['root', 'large'], undefined, (text) => said.push(text), once, 100)
  expect(measured.flatMap(({ error }) => error ?? [])).toEqual([])
  expect(measured.length).toBe(said.length)
  for (const { value, iterations, seconds, beyond, values } of measured) {
    expect(Number.isFinite(value)).toBe(true)
    expect(iterations).toBeGreaterThan(0)
    expect(values).toBeGreaterThan(0)
    expect(beyond!.median).toBeLessThanOrEqual(seconds!.median)
  }
})

it('asks the peer for every problem by a name of its own', () => {
  for (const part of ['minimize', 'leastSquares', 'root', 'large', 'fit'] as const) {
    const subjects: readonly Subject[] = subjectsOf(part, 10)
    expect(new Set(subjects.map(({ name }) => name)).size).toBe(subjects.length)
    for (const { start, atStart } of jobs(part, subjects)) {
      expect(start.length).toBeGreaterThan(0)
      expect(Number.isFinite(atStart)).toBe(true)
    }
  }
})
