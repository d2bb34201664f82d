import { random } from '@fallline/search/internal'
import { describe, expect, it } from 'vitest'
import {
  courseOf,
  earliest,
  type PlannedRun,
  runsOf,
  type StudyPlan,
  type StudyRun,
  selectTrial,
} from '../src/protocol/study.ts'
import { shiftedSobol } from '../src/search/sequence.ts'
import { settingAt } from '../src/search/space.ts'
import { type Arrival, miss } from '../src/statistics/ratios.ts'
import { nextRun } from './support/next-run.ts'

const space = { learningRate: { scale: 'log', minimum: 1e-3, maximum: 1 } } as const

const plan: StudyPlan = {
  space,
  limits: {},
  sequence: shiftedSobol(['learningRate'], 1, 'test'),
  trials: 5,
  finalists: 2,
  finalSeeds: [21, 22],
  tuningSeed: 11,
  reportSeeds: [31, 32, 33],
  horizons: [1],
  direction: 'minimize',
}

const at = (by: number): Arrival => (by === Infinity ? miss : { after: by - 1, by })

/** A run that needs the more gradients, the further its learning rate lies from 0.05. */
function result(planned: PlannedRun): StudyRun {
  const distance = Math.abs(Math.log(planned.setting.learningRate! / 0.05))
  return {
    ...planned,
    outcome: 'finished',
    arrivals: [at(100 + 50 * distance + (planned.seed % 7))],
    validation: distance,
  }
}

/** All runs of a study, as one after the other is asked for. */
function complete(own: StudyPlan, of: (planned: PlannedRun) => StudyRun = result): StudyRun[] {
  const runs: StudyRun[] = []
  for (let next = nextRun(own, runs); next !== null; next = nextRun(own, runs)) {
    runs.push(of(next))
    if (runs.length > 200) throw new Error('a study without an end')
  }
  return runs
}

describe('the course of a study', () => {
  it('tunes on one seed, reruns the best on others, and runs the selected trial on fresh ones', () => {
    const runs = complete(plan)
    expect(runs.length).toBe(runsOf(plan))
    expect(runs.map(({ phase }) => phase)).toEqual([
      ...Array(5).fill('tuning'),
      ...Array(4).fill('final'),
      ...Array(3).fill('report'),
    ])
    expect(runs.slice(0, 5).map(({ trial, seed }) => [trial, seed])).toEqual(
      [0, 1, 2, 3, 4].map((trial) => [trial, 11]),
    )
    const distances = runs.slice(0, 5).map(({ validation }) => validation!)
    const order = [0, 1, 2, 3, 4].sort((a, b) => distances[a]! - distances[b]!)
    expect(runs.slice(5, 9).map(({ trial, seed }) => [trial, seed])).toEqual([
      [order[0], 21],
      [order[1], 21],
      [order[0], 22],
      [order[1], 22],
    ])
    expect(runs.slice(9).map(({ trial, seed }) => [trial, seed])).toEqual([31, 32, 33].map((seed) => [order[0], seed]))
    for (const { trial, setting } of runs.slice(5)) expect(setting).toEqual(runs[trial]!.setting)
  })

  it('depends on the runs, not on their order or on what it was asked before', () => {
    const runs = complete(plan)
    const source = random(4, 'shuffled runs')
    for (let count = 0; count <= runs.length; count++) {
      const some = runs.slice(0, count)
      const next = nextRun(plan, some)
      expect(nextRun(plan, source.shuffle(some))).toEqual(next)
      expect(nextRun(plan, some)).toEqual(next)
      if (next !== null) expect(result(next)).toEqual(runs[count])
    }
  })

  it('takes up what is missing in the middle', () => {
    const runs = complete(plan)
    const without = (index: number) =>
      nextRun(
        plan,
        runs.filter((_, other) => other !== index),
      )
    expect(result(without(7)!)).toEqual(runs[7])
    expect(result(without(10)!)).toEqual(runs[10])
  })

  it('adds runs where more fresh seeds or horizons are asked for, and repeats none', () => {
    const runs = complete(plan)
    const more = { ...plan, reportSeeds: [31, 32, 33, 34], horizons: [1, 0.5] }
    const added: PlannedRun[] = []
    const all = [...runs]
    for (let next = nextRun(more, all); next !== null; next = nextRun(more, all)) {
      added.push(next)
      all.push(result(next))
    }
    expect(all.length).toBe(runsOf(more))
    expect(added.map(({ seed, horizon }) => [seed, horizon])).toEqual([
      [31, 0.5],
      [32, 0.5],
      [33, 0.5],
      [34, 1],
      [34, 0.5],
    ])
  })

  it('leaves the sequence after three quarters of the trials where the best is at the edge', () => {
    const upwards = (planned: PlannedRun): StudyRun => {
      const metric = -planned.setting.learningRate!
      return {
        ...planned,
        outcome: 'finished',
        arrivals: [at(1000 / planned.setting.learningRate!)],
        validation: metric,
      }
    }
    const own = { ...plan, trials: 8, finalists: 0, finalSeeds: [] }
    const runs = complete(own, upwards)
    const tuning = runs.filter(({ phase }) => phase === 'tuning')
    expect(tuning.length).toBe(8)
    tuning.slice(0, 6).forEach(({ setting }, index) => {
      expect(setting).toEqual(settingAt(space, plan.sequence, index))
    })
    expect(tuning[6]!.setting.learningRate).toBeGreaterThan(1)
    expect(tuning[7]!.setting.learningRate).toBeGreaterThan(tuning[6]!.setting.learningRate!)
    expect(runs.at(-1)!.trial).toBe(7)
  })

  it('knows ahead what does not depend on the runs before', () => {
    const runs = complete(plan)
    const known = (count: number) => {
      const { runs: planned, whole } = courseOf(plan, runs.slice(0, count))
      return [planned.length, whole]
    }
    // Of five trials four are points of the sequence; then the fifth, the reruns of the best two, and the fresh runs.
    expect([0, 1, 3, 4, 5, 8, 9, 12].map(known)).toEqual([
      [4, false],
      [4, false],
      [4, false],
      [5, false],
      [9, false],
      [9, false],
      [12, true],
      [12, true],
    ])
    const ahead = courseOf(plan, [runs[3]!, runs[1]!]).runs
    expect(ahead.map(({ planned }) => planned.setting)).toEqual(runs.slice(0, 4).map(({ setting }) => setting))
    expect(ahead.map(({ ended }) => ended !== null)).toEqual([false, true, false, true])
  })

  it('ends after the tuning when nothing finished', () => {
    const lost = (planned: PlannedRun): StudyRun => ({
      ...planned,
      outcome: 'diverged',
      arrivals: [miss],
      validation: null,
    })
    const runs = complete(plan, lost)
    expect(runs.map(({ phase }) => phase)).toEqual(Array(5).fill('tuning'))
    expect(selectTrial(plan, runs)).toBeNull()
    expect(selectTrial(plan, [])).toBeNull()
  })
})

describe('selectTrial', () => {
  const run = (
    phase: StudyRun['phase'],
    trial: number,
    seed: number,
    by: number,
    validation: number | null,
  ): StudyRun => ({
    phase,
    trial,
    seed,
    horizon: 1,
    setting: { learningRate: 0.1 },
    outcome: validation === null ? 'diverged' : 'finished',
    arrivals: [at(by)],
    validation,
  })
  const tuning = [run('tuning', 0, 11, 100, 1), run('tuning', 1, 11, 90, 2), run('tuning', 2, 11, Infinity, null)]

  it('goes by gradients to the targets, where there are reruns by all seeds together', () => {
    const own = { trials: 3, finalists: 2, finalSeeds: [21, 22], direction: 'minimize' } as const
    expect(selectTrial(own, tuning)).toBe(1)
    const lucky = [run('final', 1, 21, 150, 2), run('final', 1, 22, 160, 2)]
    const steady = [run('final', 0, 21, 100, 1), run('final', 0, 22, 101, 1)]
    expect(selectTrial(own, [...tuning, ...lucky, ...steady])).toBe(0)
    // Reruns that are not complete decide nothing.
    expect(selectTrial(own, [...tuning, ...lucky, steady[0]!])).toBe(1)
  })

  it('takes the better metric of equals, in the direction of the task', () => {
    const equal = [run('tuning', 0, 11, 100, 1), run('tuning', 1, 11, 100, 2)]
    const own = { trials: 2, finalists: 0, finalSeeds: [] }
    expect(selectTrial({ ...own, direction: 'minimize' }, equal)).toBe(0)
    expect(selectTrial({ ...own, direction: 'maximize' }, equal)).toBe(1)
  })
})

it('takes the horizon that reaches a target first', () => {
  expect(
    earliest(
      [
        [at(100), miss],
        [at(80), miss],
        [at(90), at(300)],
      ],
      2,
    ),
  ).toEqual([at(80), at(300)])
  expect(earliest([], 2)).toEqual([miss, miss])
})
