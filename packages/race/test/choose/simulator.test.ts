import { describe, expect, it } from 'vitest'
import { groundOf, replay } from '../../recording/simulate.ts'
import type { RecordedTable, RecordedTask } from '../../recording/table.ts'
import { trials } from '../../src/search/policies/index.ts'
import type { Policy } from '../../src/search/policy.ts'

/** Three configurations on eight seeds, four evaluations each: the seed adds to all, `good` is best, `broken` diverges half-way. */
function tableOf(direction: 'minimize' | 'maximize' = 'minimize'): { table: RecordedTable; task: RecordedTask } {
  const sign = direction === 'minimize' ? 1 : -1
  const curve = (end: number, seed: number) => [3, 2, 1, 0].map((more) => sign * (end + more + seed / 10))
  const eight = (end: number) => Array.from({ length: 8 }, (_, seed) => curve(end, seed))
  const task: RecordedTask = {
    name: 'made up',
    direction,
    budget: { steps: 40, evaluateEvery: 10 },
    targets: [1],
    complete: true,
    gradientsPerStep: {},
    runs: {
      adamW: [eight(2)],
      good: [eight(1)],
      broken: [eight(0.5).map((values) => values.slice(0, 2))],
      rare: [[curve(1.5, 0)]],
    },
  }
  const optimizers = Object.keys(task.runs).map((name) => ({ name, search: {}, settings: [{ learningRate: 1 }] }))
  return { table: { optimizers, tasks: [task] }, task }
}

const options = { runs: 4, guaranteed: 1, repetitions: 20, seed: 1, prior: null }

describe('the simulator', () => {
  it.each(['minimize', 'maximize'] as const)('counts regret from the best to the baseline (%s)', (direction) => {
    const { table, task } = tableOf(direction)
    const ground = groundOf(table, task)
    expect(ground.configurations[ground.best.index]!.optimizer).toBe('good')
    const all = replay(trials({ name: 'three', groups: ['adamW', 'good', 'broken'] }), ground, options)
    for (const { regret, regretOfBaseline, unseen, cost, rank } of all) {
      expect(regret).toBeCloseTo(0)
      expect(regretOfBaseline).toBeCloseTo(1)
      expect(unseen).toBe(7)
      // A run that diverges costs what it computed: until the third evaluation of four.
      expect(cost).toBeCloseTo(2.75)
      expect(rank).toBe(0)
    }
  })

  it('judges what diverged as ten times as far as the baseline', () => {
    const { table, task } = tableOf()
    const ground = groundOf(table, task)
    const broken = ground.configurations.find(({ optimizer }) => optimizer === 'broken')!
    expect(ground.limit).toBeCloseTo(1.35 + 10)
    expect(broken.judged.every((value) => value === ground.limit)).toBe(true)
  })

  it('never lets a seed judge that the policy has seen, and says when none is left', () => {
    const { table, task } = tableOf()
    const ground = groundOf(table, task)
    const [seen] = replay(trials({ name: 'good', groups: ['good'], ladder: [1, 1, 1] }), ground, options)
    expect(seen).toMatchObject({ unseen: 4, cost: 4 })
    const [rare] = replay(trials({ name: 'rare', groups: ['rare'] }), ground, options)
    expect(rare).toMatchObject({ unseen: 0 })
  })

  it('shows runs as far as they have got, on other seeds in each repetition', () => {
    const { table, task } = tableOf()
    const ground = groundOf(table, task)
    const index = ground.configurations.findIndex(({ optimizer }) => optimizer === 'broken')
    const good = ground.best.index
    const seen: number[] = []
    const spy: Policy<{ round: number }> = {
      name: 'spy',
      description: '',
      start: () => ({ round: 0 }),
      next({ round }, { runs }) {
        const of = (candidate: number) => runs.find((run) => run.candidate === candidate)
        if (round === 1) {
          expect(of(good)).toMatchObject({ gradients: 15, outcome: 'paused', curve: { gradients: [10] } })
          expect(of(index)).toMatchObject({ gradients: 15, outcome: 'paused' })
        }
        if (round === 2) {
          expect(of(good)).toMatchObject({ gradients: 40, outcome: 'finished', curve: { gradients: [10, 20, 30, 40] } })
          expect(of(index)).toMatchObject({ gradients: 30, outcome: 'diverged', curve: { gradients: [10, 20] } })
          seen.push(of(good)!.curve.metric[3]!)
        }
        const until = [15, 100][round]
        const jobs = until === undefined ? [] : [good, index].map((candidate) => ({ candidate, seed: 0, until }))
        return {
          state: { round: round + 1 },
          jobs,
          standing: { stage: '', alive: [] },
          pick: good,
          pickOfBaseline: null,
        }
      },
    }
    replay(spy, ground, options)
    expect(new Set(seen).size).toBeGreaterThan(3)
  })

  it('gives the same for the same seed, and names a recording that has too few runs', () => {
    const { table, task } = tableOf()
    const ground = groundOf(table, task)
    const policy = trials({ name: 'two', count: 2 })
    expect(replay(policy, ground, options)).toEqual(replay(policy, ground, options))
    expect(replay(policy, ground, options)).not.toEqual(replay(policy, ground, { ...options, seed: 2 }))
    const begun = { ...task, runs: { adamW: [[[3, 2, 1, 0]]] } }
    expect(() => groundOf(table, begun)).toThrow("task 'made up' has too few recorded runs")
  })
})
