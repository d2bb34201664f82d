import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ChooseOptions, type ChooseResults, choose, StorageError } from '@fallline/race'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { candidateSetting } from '../../src/choose/candidates.ts'
import { learntFrom, readLearnt } from '../../src/choose/learnt.ts'
import { merged, readPrior, readScores, type ScoresByTask, scoreOf } from '../../src/choose/prior.ts'
import { enter } from '../../src/training/contenders.ts'
import { quadratic } from '../fixtures/quadratic.ts'
import { inside } from '../support/command.ts'

const directory = mkdtempSync(join(tmpdir(), 'fallline-learnt-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))
const prior = join(directory, 'kept', 'prior.json')

const first = quadratic('first', 4)
const small: ChooseOptions = {
  task: first,
  optimizers: ['sgd', 'lion', 'adamW'],
  runs: 26,
  steps: 24,
  workers: 0,
  prior,
}

const searches = new Map(enter(['sgd', 'lion', 'adamW']).map(({ name, search }) => [name, search]))
const search = searches.get('sgd')!
const scores = (...all: (number | null)[]) => all
const known = (task: string, ...all: (number | null)[]): ScoresByTask => ({
  tasks: [task],
  optimizers: { sgd: { search, scores: [all] } },
})

describe('what choosing learns', () => {
  let results: ChooseResults
  beforeAll(async () => {
    results = await choose({ ...small, out: join(directory, 'first') })
  })

  it('is kept in a file, as scores of the settings that were tried', () => {
    const learnt = readLearnt(prior)
    expect(learnt.tasks).toEqual(['first'])
    expect(Object.keys(learnt.optimizers).sort()).toEqual(['adamW', 'lion', 'sgd'])
    expect(learnt).toEqual(learntFrom(results, searches))
    for (const [name, { scores }] of Object.entries(learnt.optimizers)) {
      const tried = results.runs.filter(
        ({ candidate, seed }) => seed === 0 && results.candidates[candidate]!.group === name,
      )
      expect(scores[0]!.filter((score) => score !== null)).toHaveLength(tried.length)
    }
    // Whoever is picked is behind few of the first.
    const { group, setting } = results.candidates[results.pick!]!
    const places = learnt.optimizers[group]!.scores[0]!
    const mine = places.find(
      (_, index) => JSON.stringify(candidateSetting(searches.get(group)!, index)) === JSON.stringify(setting),
    )!
    expect(mine).toBeLessThanOrEqual(scoreOf(0.2))
    expect(
      Math.max(...Object.values(learnt.optimizers).flatMap(({ scores }) => scores[0]!.map(Number))),
    ).toBeGreaterThan(scoreOf(0.5))
  })

  it('is a prior on the next task, beside the one that comes with the package, and none on its own', async () => {
    const own = readLearnt(prior).optimizers.sgd!.scores[0]!
    const shipped = readScores()
    const task = quadratic('second', 30)
    const second = await choose({ ...small, task })
    const index = own.findIndex((score) => score !== null)
    const all = [...shipped.optimizers.sgd!.scores.map((each) => each[index]!), own[index]!]
    const candidate = second.candidates.filter(({ group }) => group === 'sgd')[index]!
    expect(candidate.prior).toBeCloseTo(all.reduce((sum, score) => sum + score, 0) / all.length, 12)
    expect([...readLearnt(prior).tasks].sort()).toEqual(['first', 'second'])
    const again = readPrior('first', readLearnt(prior))
    expect(again.tasks).toEqual([...shipped.tasks, 'second'])
    const without = await choose({ ...small, task, prior: 'none' })
    expect(without.candidates.every((each) => each.prior === null)).toBe(true)
    expect(existsSync('none')).toBe(false)
    // What was learnt meanwhile does not start a finished study over.
    const shown = await choose({ ...small, out: join(directory, 'first') })
    expect(shown.startedAt).toBe(results.startedAt)
  })

  it('says nothing of other ranges, and keeps the newest of a task', () => {
    const both = merged(known('a', 1, 2), known('b', null, 3))
    expect(both).toEqual({
      tasks: ['a', 'b'],
      optimizers: { sgd: { search, scores: [scores(1, 2), scores(null, 3)] } },
    })
    expect(merged(known('a', 1, 2), known('a', 5, 6))).toEqual(known('a', 1, 2))
    const wider = { ...search, learningRate: { scale: 'log', minimum: 1e-9, maximum: 1 } } as const
    const other: ScoresByTask = {
      tasks: ['c'],
      optimizers: { sgd: { search: wider, scores: [scores(4, 5)] }, own: { search, scores: [scores(0, 1)] } },
    }
    expect(merged(known('a', 1, 2), other).optimizers).toEqual({
      sgd: { search, scores: [scores(1, 2), scores(null, null)] },
      own: { search, scores: [scores(null, null), scores(0, 1)] },
    })
  })

  it('is shared by export alone, and refused where it is something else', async () => {
    const exported = await inside(['choose', 'export', '--prior', prior])
    expect(exported).toMatchObject({ code: 0, stdout: readFileSync(prior, 'utf8') })
    const none = await inside(['choose', 'export', '--prior', join(directory, 'none.json')])
    expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining('nothing has been learnt in') })
    writeFileSync(join(directory, 'other.json'), '{"tasks":[]}')
    expect(() => readLearnt(join(directory, 'other.json'))).toThrow(StorageError)
    const wrong = await inside(['choose', 'export', '--prior', join(directory, 'other.json')])
    expect(wrong).toMatchObject({
      code: 3,
      stderr: expect.stringContaining("is no prior that choose has written: its format is not 'fallline prior'"),
    })
  })
})
