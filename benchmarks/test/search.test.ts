import { stripVTControlCharacters } from 'node:util'
import { expect, it } from 'vitest'
import { searchAims, verdict } from '../src/aims.ts'
import { searchSection } from '../src/report.ts'
import { type Bookkeeping, bookkeepingInMemory } from '../src/search/bookkeeping.ts'
import { problems } from '../src/search/problems.ts'
import { measureRegrets, type Regret } from '../src/search/regret.ts'
import { summarize } from '../src/statistics.ts'

const row = (sampler: string, storage: string, trials: number, seconds: number): Bookkeeping => ({
  sampler,
  storage,
  trials,
  seconds: summarize([seconds]),
})
const regretOf = (sampler: string, values: readonly number[]): Regret => ({
  sampler,
  problem: 'Branin',
  after: 25,
  values,
  regret: summarize(values),
})

const bookkeeping = [
  row('random', 'PGlite', 100, 0.002),
  row('random', 'PGlite', 1000, 0.004),
  row('Optuna random', 'SQLite', 100, 0.02),
  row('Optuna random', 'SQLite', 1000, 0.012),
  row('tpe', 'memory', 100, 3),
  { sampler: 'tpe', storage: 'memory', trials: 1000, error: 'left out: 3.0 s at 100' },
]
const twenty = (from: number) => Array.from({ length: 20 }, (_, index) => from + index)
const regrets = [
  regretOf('random', twenty(0)),
  regretOf('Optuna random', twenty(0)),
  regretOf('tpe', twenty(0)),
  regretOf('Optuna TPE', twenty(10)),
  regretOf('cmaEs', twenty(10)),
  regretOf('Optuna CMA-ES', twenty(0)),
]

it('holds studies against those of Optuna', () => {
  const said = searchAims({ bookkeeping, regrets }).map(
    (aim) => `${aim.title}: ${aim.measured?.median}, ${verdict(aim)}`,
  )
  expect(said).toEqual([
    'ask and tell on PGlite beside SQLite of Optuna, 100 trials: 10, met, 100 % to spare',
    'ask and tell on PGlite beside SQLite of Optuna, 1000 trials: 3, missed by 40 %',
    'ask and tell on PGlite with 1000 trials: 2, missed by 33 %',
    `regret no worse than with Optuna: ${2 / 3}, missed by 33 %`,
    `regret smaller than with Optuna: ${1 / 3}, missed by 33 %`,
  ])
})

it('says what was left out and why, and which regret is worse', () => {
  const text = stripVTControlCharacters(
    searchSection({
      bookkeeping,
      regrets,
      replayed: [],
      seeds: 20,
      peer: { version: '5.0.0' },
      missing: ['server: none'],
    }),
  )
  expect(text).toMatch(/tpe, memory: left out: 3\.0 s at 100/)
  expect(text).toMatch(/server: none/)
  expect(text).toMatch(/random \/ Optuna random\s+0\.50$/m)
  // Of the 400 pairs those with a smaller one of ours: 345, and 10 equal ones.
  expect(text).toMatch(/tpe \/ Optuna TPE\s+0\.88$/m)
  expect(text).toMatch(/cmaEs \/ Optuna CMA-ES\s+0\.13 worse$/m)
})

it('measures what it says', async () => {
  const found = await bookkeepingInMemory(['random'], [10, 20], () => {})
  expect(found.map(({ sampler, storage, trials, error }) => [sampler, storage, trials, error])).toEqual([
    ['random', 'memory', 10, undefined],
    ['random', 'memory', 20, undefined],
  ])
  const searched = await measureRegrets(['random'], 2, () => {})
  expect(searched.map(({ problem, after }) => `${problem} ${after}`)).toEqual(
    problems.flatMap(({ name }) => [25, 50, 100].map((after) => `${name} ${after}`)),
  )
  for (const { values } of searched) for (const value of values) expect(value).toBeGreaterThanOrEqual(-1e-6)
})

it('has the table in the order in which the peer reads it', () => {
  const table = problems.find(({ ends }) => ends !== undefined)!
  const { choices, values } = table.ends!
  const settings = values.length / choices.length
  for (const [place, optimizer] of [choices[0]!, choices[7]!, choices.at(-1)!].map(
    (name) => [choices.indexOf(name), name] as const,
  )) {
    for (const setting of [0, settings - 1]) {
      expect(values[place * settings + setting]).toBe(table.value({ optimizer, setting }))
    }
  }
})
