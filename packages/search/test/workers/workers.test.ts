import { describe, expect, test } from 'vitest'
import { choice, float, openStudy, space, thresholdPruner } from '../../src/index.ts'
import { Workers } from '../../src/workers.ts'
import { everything } from '../support/everything.ts'
import { objective } from './parabola.ts'

const searched = space({ x: float(-10, 10), what: choice(['does', 'throws', 'is infinite']) })
const module = new URL('./parabola.ts', import.meta.url)
const open = () =>
  openStudy({
    space: searched,
    seed: 4,
    pruner: thresholdPruner({ upper: 7 }),
    resource: { name: 'step', minimum: 1, maximum: 2 },
  })
const budget = { trials: 12, parallel: 3, deterministic: true, failures: 'continue' } as const

describe.each(everything ? (['thread', 'process'] as const) : (['thread'] as const))('in a %s', (kind) => {
  test('objectives give the study that they give without, their ways to end included', async () => {
    const records = async (study: Awaited<ReturnType<typeof open>>) =>
      (await study.trials()).map(({ startedAt, endedAt, worker, ended, seen, ...record }) => record)
    const [here, there] = [await open(), await open()]
    await here.optimize(objective, budget)
    const workers = new Workers(there, module, { kind })
    await there.optimize(workers.evaluate, budget)
    workers.close()
    expect(await records(there)).toEqual(await records(here))
    const states = (await here.trials()).map(({ state, values }) => (values?.[0] === Infinity ? 'infinite' : state))
    expect(new Set(states)).toEqual(new Set(['complete', 'pruned', 'failed', 'infinite']))
  })

  test('an objective that dies fails its trial after three attempts, and one that loops is alive and can be ended', async () => {
    const what = space({ x: float(1, 2), what: choice(['does', 'dies', 'loops']) })
    const study = await openStudy({ space: what, patience: 1000 })
    await study.enqueue({ x: 1, what: 'dies' }, { x: 2, what: 'does' }, { x: 1, what: 'loops' })
    const controller = new AbortController()
    const workers = new Workers(study, module, { kind })
    // The last one loops for longer than it may be silent.
    const { reason } = await study.optimize(workers.evaluate, {
      signal: controller.signal,
      failures: 'continue',
      trials: 3,
      onEnd: ({ number }) => number === 1 && setTimeout(() => controller.abort(), 2000),
    })
    workers.close()
    expect(reason).toBe('aborted')
    const [died, did, looped] = await study.trials()
    expect(died).toMatchObject({ state: 'failed', error: 'what ran its objective ended: exit code 7' })
    expect(did).toMatchObject({ state: 'complete', values: [4] })
    expect(looped).toMatchObject({ state: 'waiting', attempt: 1, lost: 0 })
  })
})

test('a module without an objective says so', async () => {
  const study = await openStudy({ space: searched })
  const workers = new Workers(study, new URL('../support/everything.ts', import.meta.url))
  await expect(study.optimize(workers.evaluate, { trials: 1 })).rejects.toThrow(/everything.ts must export 'objective'/)
})
