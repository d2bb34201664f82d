import { expect, test } from 'vitest'
import {
  gridSearch,
  hyperband,
  iterativeDeepeningHyperband,
  openStudy,
  sobolSearch,
  successiveHalving,
} from '../../src/index.ts'
import { hyperbandBrackets } from '../../src/samplers/parts/hyperband.ts'
import { levelsOf } from '../../src/samplers/parts/rungs.ts'
import { proposed } from '../support/propose.ts'
import { countByUntil, line, run, value, xOf } from '../support/schedules.ts'
import { seen, viewOf } from '../support/view.ts'

const resource = (minimum: number, maximum: number) => ({ name: 'epoch', minimum, maximum })

test('has as many levels as whole powers fit, where logarithms lose one', () => {
  const count = (maximum: number, eta: number) => levelsOf(resource(1, maximum), eta).length
  expect(count(243, 3)).toBe(6)
  expect(count(1000, 10)).toBe(4)
  expect(count(59049, 3)).toBe(11)
  expect(count(59049, 9)).toBe(6)
  expect(count(1e6, 10)).toBe(7)
  expect(count(10, 3)).toBe(3)
  expect(count(10, 10)).toBe(2)
  expect(count(80, 3)).toBe(4)
  expect(levelsOf(resource(1, 10), 3)).toEqual([1, 3, 10])
  expect(levelsOf(resource(0.1, 0.3), 3)).toHaveLength(2)
  expect(levelsOf(resource(5, 5), 3)).toEqual([5])
})

test('accounts for 1,902 and 1,581 units from 1 to 81, and 1,701 and 1,404 in the sizes of the preprint', () => {
  const levels = levelsOf(resource(1, 81), 3)
  const account = (sizes: 'journal' | 'preprint') => {
    const brackets = hyperbandBrackets(levels, 3, sizes)
    const scratch = brackets.flat().reduce((sum, { count, until }) => sum + count * until, 0)
    const continued = brackets
      .flatMap((rungs) => rungs.map(({ count, until }, rung) => count * (until - (rungs[rung - 1]?.until ?? 0))))
      .reduce((sum, cost) => sum + cost, 0)
    return { begun: brackets.map(([first]) => first!.count), scratch, continued }
  }
  expect(account('journal')).toEqual({ begun: [81, 34, 15, 8, 5], scratch: 1902, continued: 1581 })
  expect(account('preprint')).toEqual({ begun: [81, 27, 9, 6, 5], scratch: 1701, continued: 1404 })
})

test('uses what is accounted for in a study, and takes the best of each rung', async () => {
  for (const [sizes, scratch, continued] of [
    ['journal', 1902, 1581],
    ['preprint', 1701, 1404],
  ] as const) {
    const { evaluations, used, records, reason } = await run(hyperband({ rounds: 1, sizes }))
    expect(reason).toBe('hyperband: all brackets are through')
    expect(used).toBe(continued)
    expect(evaluations.reduce((sum, { until }) => sum + until, 0)).toBe(scratch)
    const first = records
      .slice(0, 81)
      .map(xOf)
      .sort((a, b) => a - b)
    const wentTo = (least: number) =>
      records
        .slice(0, 81)
        .filter(({ until }) => until! >= least)
        .map(xOf)
    expect(wentTo(3).sort((a, b) => a - b)).toEqual(first.slice(0, 27))
    expect(wentTo(81)).toEqual(first.slice(0, 1))
    expect(records.filter(({ state }) => state === 'complete').every(({ until }) => until === 81)).toBe(true)
  }
})

test('does the same with 4 workers, and waits in words at the end alone', async () => {
  const { used, evaluations } = await run(hyperband({ rounds: 1 }), { parallel: 4, maximum: 27 })
  const alone = await run(hyperband({ rounds: 1 }), { maximum: 27 })
  expect(used).toBe(alone.used)
  expect(countByUntil(evaluations)).toEqual(countByUntil(alone.evaluations))
})

test('goes on past failed trials: a rung with fewer sends on fewer or the next best', async () => {
  const { records, reason } = await run(successiveHalving({ rounds: 1 }), {
    maximum: 9,
    fails: (number, from) => number < 4 && from === 0,
  })
  expect(reason).toBe('successiveHalving: all brackets are through')
  expect(records).toHaveLength(9)
  const rest = records
    .slice(4)
    .map(xOf)
    .sort((a, b) => a - b)
  const gone = records.filter(({ until, state }) => until! >= 3 && state !== 'failed')
  expect(gone.map(xOf).sort((a, b) => a - b)).toEqual(rest.slice(0, 3))
  const lost = await run(successiveHalving({ rounds: 2 }), { maximum: 9, fails: (number) => number < 9 })
  expect(lost.records.filter(({ state }) => state === 'complete')).toHaveLength(1)
})

test('halving waits for a rung, says for whom, and continues what was noted', async () => {
  const sampler = successiveHalving({ eta: 2, rounds: 1 })
  const note = (losses: number[]) => ({ bracket: 0, first: 0, losses, inner: null })
  const trial = (number: number, loss: number) =>
    seen(number, { state: 'paused', losses: [loss], until: 1, note: note([]) })
  const running = { state: 'running', losses: null } as const
  const given = { resource: resource(1, 4) }
  const begun = [trial(0, 3), trial(1, 1), trial(2, Infinity), { ...trial(3, 0), ...running }]
  expect(await proposed(sampler, viewOf(line, begun.slice(0, 3), given))).toMatchObject({
    kind: 'trial',
    until: 1,
    note: note([]),
  })
  expect(await proposed(sampler, viewOf(line, begun, given))).toEqual({
    kind: 'wait',
    reason: 'rung 0 of bracket 0 waits for 1 of 4 trials',
  })
  const stale = [...begun.slice(0, 3), { ...begun[3]!, state: 'stale' as const }]
  expect(await proposed(sampler, viewOf(line, stale, given))).toEqual({
    kind: 'continue',
    trial: 1,
    until: 2,
    note: note([1]),
  })
  const equal = [0, 1, 2, 3].map((number) => trial(number, Infinity))
  expect(await proposed(sampler, viewOf(line, equal, given))).toMatchObject({ kind: 'continue', trial: 0 })
  const failed = [0, 1, 2, 3].map((number) => ({ ...trial(number, 0), losses: null, state: 'failed' as const }))
  expect(await proposed(sampler, viewOf(line, failed, given))).toMatchObject({ kind: 'end' })
  expect(() => successiveHalving({ eta: 1 })).toThrow(/eta must be a whole number from 2, not 1/)
  await expect(openStudy({ space: line, sampler })).rejects.toThrow(/needs to know what a longer trial uses more of/)
})

test('takes its points from a sampler inside, and ends with it', async () => {
  const points = await run(hyperband({ inner: sobolSearch(), rounds: 1 }), { maximum: 9 })
  const alone = await openStudy({ space: line, sampler: sobolSearch(), seed: 1 })
  await alone.optimize(() => 1, { trials: points.records.length })
  expect(points.records.map(xOf)).toEqual((await alone.trials()).map(xOf))
  const grid = await run(hyperband({ inner: gridSearch({ parts: 7 }) }), { maximum: 9 })
  expect(grid.reason).toBe('hyperband: all 7 points were tried')
  expect(countByUntil(grid.evaluations)).toEqual({ 1: 7, 3: 3, 9: 1 })
})

test('deepening ends where Hyperband with the whole maximum does, and evaluates nothing twice', async () => {
  const { records, used, evaluations, reason } = await run(iterativeDeepeningHyperband(), { maximum: 27 })
  expect(reason).toMatch(/all brackets are through/)
  const keys = evaluations.map(({ number, until }) => `${number} ${until}`)
  expect(new Set(keys).size).toBe(keys.length)
  const brackets = hyperbandBrackets(levelsOf(resource(1, 27), 3), 3, 'journal')
  for (const [first, rungs] of brackets.entries()) {
    const mine = records.filter(({ note }) => (note as { bracket: number }).bracket === first)
    expect(mine).toHaveLength(rungs[0]!.count)
    // What the last stage chose are the best of all, at every rung.
    const best = [...mine].sort((a, b) => xOf(a) - xOf(b))
    for (const { count, until } of rungs)
      for (const trial of best.slice(0, count)) expect(trial.until).toBeGreaterThanOrEqual(until)
  }
  // The first stages have sent on some that are not among the best any more.
  const exact = (await run(hyperband({ rounds: 1 }), { maximum: 27 })).used
  expect(used).toBeGreaterThanOrEqual(exact)
  expect(used).toBeLessThan(1.6 * exact)
})

test('deepening goes on when the maximum is raised', async () => {
  const objective = (trial: { until: number | null; parameters: { x: number } }) =>
    value(trial.parameters.x, trial.until!)
  const options = { space: line, resource: resource(1, 9), seed: 1 }
  const study = await openStudy({ ...options, sampler: iterativeDeepeningHyperband({ maximum: 3 }) })
  await study.optimize(objective, { trials: 1e6 })
  const before = await study.trials()
  expect(before.every(({ until }) => until! <= 3)).toBe(true)
  const deeper = await openStudy({ ...options, storage: study.storage, sampler: iterativeDeepeningHyperband() })
  await deeper.optimize(objective, { trials: 1e6 })
  const after = await deeper.trials()
  expect(after.length).toBeGreaterThan(before.length)
  expect(after.map(({ point }) => point)).toEqual(
    (await run(iterativeDeepeningHyperband(), { maximum: 9 })).records.map(({ point }) => point),
  )
})
