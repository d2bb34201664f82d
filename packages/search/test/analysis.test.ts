import { describe, expect, test } from 'vitest'
import {
  choice,
  float,
  health,
  importances,
  openStudy,
  randomSearch,
  Stopped,
  space,
  type Trial,
  variant,
} from '../src/index.ts'

const searched = space({
  strong: float(0, 1),
  weak: float(0, 1),
  none: float(0, 1),
  kind: choice(['good', 'bad']),
})
type Values = ReturnType<typeof searched.values>
const loss = ({ strong, weak, kind }: Values) => 10 * (strong - 0.4) ** 2 + (weak - 0.6) ** 2 + (kind === 'bad' ? 1 : 0)

async function studied(
  objective: (trial: Trial<Values>) => number,
  trials = 300,
  direction: 'minimize' | 'maximize' = 'minimize',
) {
  const study = await openStudy({ space: searched, sampler: randomSearch(), seed: 4, objectives: direction })
  await study.optimize(objective, { trials })
  return study
}

describe('importances', () => {
  test('order parameters by what they do, whatever the direction', async () => {
    for (const direction of ['minimize', 'maximize'] as const) {
      const sign = direction === 'minimize' ? 1 : -1
      const study = await studied(({ parameters }) => sign * loss(parameters), 300, direction)
      const found = importances(searched, study.record.objectives, await study.trials())!
      expect(
        found
          .map(({ name }) => name)
          .slice(0, 2)
          .sort(),
      ).toEqual(['kind', 'strong'])
      const none = found.find(({ name }) => name === 'none')!
      expect(none.chance).toBeGreaterThan(0.05)
      expect(found[0]!.chance).toBeLessThan(0.05)
      expect(found.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 12)
      for (const { share, interval } of found)
        expect(interval[0] <= share + 0.1 && share - 0.1 <= interval[1]).toBe(true)
    }
  })

  test('call a parameter without effect one in at most one of ten studies', async () => {
    let claimed = 0
    for (let seed = 0; seed < 40; seed++) {
      const study = await openStudy({ space: searched, sampler: randomSearch(), seed })
      await study.optimize(({ parameters }) => loss(parameters), { trials: 60 })
      const found = importances(searched, study.record.objectives, await study.trials(), { repetitions: 60 })!
      if (found.find(({ name }) => name === 'none')!.chance <= 0.05) claimed++
    }
    expect(claimed).toBeLessThanOrEqual(5)
  })

  test('say nothing from too few trials, and judge variants among the trials that have them', async () => {
    const few = await studied(({ parameters }) => loss(parameters), 19)
    expect(importances(searched, few.record.objectives, await few.trials())).toBe(null)
    const nested = space({ model: variant({ a: { x: float(0, 1) }, b: {} }), y: float(0, 1) })
    const study = await openStudy({ space: nested, sampler: randomSearch(), seed: 2 })
    await study.optimize(({ parameters: { model } }) => (model.kind === 'a' ? (model.x - 0.2) ** 2 : 0.3), {
      trials: 200,
    })
    const found = importances(nested, study.record.objectives, await study.trials())!
    const x = found.find(({ name }) => name === 'model.a.x')!
    expect(x.trials).toBeLessThan(140)
    expect(x.chance).toBeLessThan(0.05)
    expect(() => importances(nested, study.record.objectives, [], { objective: 1 })).toThrow(/there is no objective 1/)
  })
})

describe('health checks', () => {
  const checks = async (study: Awaited<ReturnType<typeof studied>>) =>
    (await health(study)).map(({ check, about }) => `${check}: ${about}`)

  test('find what has no effect and whose edge wins, and nothing else', async () => {
    const study = await studied(({ parameters }) => loss(parameters) - 60 * parameters.weak)
    expect(await checks(study)).toEqual(expect.arrayContaining(['edge: weak', 'no effect: none']))
    expect((await health(study)).find(({ check }) => check === 'edge')!.message).toMatch(/upper end of its range, 1/)
    expect(await checks(study)).not.toContain('edge: strong')
  })

  test('find constraints that are not met, failures, and too few trials', async () => {
    const study = await openStudy({ space: searched, sampler: randomSearch(), seed: 1 })
    await study.optimize(({ parameters }) => ({ values: loss(parameters), constraints: { memory: 1 } }), { trials: 30 })
    expect(await checks(study)).toContain('constraint: memory')
    let calls = 0
    const flaky = () => {
      if (calls++ % 2 === 0) throw new Error('out of memory')
      return 1
    }
    await study.optimize(flaky, { trials: 50, failures: 'continue' })
    const failed = (await health(study)).find(({ check }) => check === 'failures')!
    expect(failed.message).toMatch(/20 of 70 trials failed, the last one, trial 68, with: out of memory/)
    const young = await studied(() => 1, 3)
    expect(await health(young)).toEqual([
      { check: 'too few', message: '3 complete trials say little: the checks need 20.', about: null },
    ])
  })

  test('find stopping that saves nothing, and repetition', async () => {
    const resource = { name: 'epoch', minimum: 1, maximum: 10 }
    const late = {
      name: 'late',
      decide: (_: unknown, { reports }: { reports: readonly unknown[] }) =>
        reports.length === 10 ? 'stop' : 'continue',
    } as const
    const study = await openStudy({ space: searched, resource, pruner: late })
    const objective = async (trial: Trial<Values>) => {
      for (let epoch = 1; epoch <= 10; epoch++)
        if ((await trial.report(epoch, 1)) === 'stop' && trial.number % 2 === 0) throw new Stopped()
      return loss(trial.parameters)
    }
    await study.optimize(objective, { trials: 50 })
    expect((await health(study)).find(({ check }) => check === 'stopping')!.message).toMatch(
      /saved 0.0 % of the epochs/,
    )
    const small = await openStudy({ space: space({ a: choice([1, 2, 3]) }) })
    await small.optimize(({ parameters }) => parameters.a, { trials: 30 })
    const found = (await health(small)).find(({ check }) => check === 'duplicates')!
    expect(found.message).toBe(
      '30 trials have tried 3 different points of 3 possible ones: more trials tell little more.',
    )
  })
})
