import { float, integer } from '../space/domain.ts'
import { space } from '../space/space.ts'
import { memoryStorage } from '../storage/memory.ts'
import type { Ending, Held, Start, Storage, StudyRecord } from '../storage/storage.ts'
import { openStudy } from '../study/study.ts'
import type { TrialRecord } from '../study/trial.ts'

/** What is used of a test runner: `test` and `expect` of Vitest or Jest fit. */
export interface Runner {
  test(name: string, body: () => Promise<void>): unknown
  expect(value: unknown): Expectation & { readonly rejects: { toThrow(message: RegExp): Promise<unknown> } }
}

interface Expectation {
  toEqual(value: unknown): unknown
  toMatchObject(value: object): unknown
}

const plane = space({ second: float(0, 1), first: integer(1, 9) })
const point = [0.25, 0.5]
const parameters = plane.parameters(point)

const study: StudyRecord = {
  name: 'study',
  seed: 7,
  space: { dimensions: plane.dimensions, constraints: ["it's small"] },
  objectives: [
    { name: 'loss', direction: 'minimize' },
    { name: 'gain', direction: 'maximize' },
  ],
  resource: { name: 'epoch', minimum: 1, maximum: 9 },
  sampler: 'random',
  attributes: {},
}

const complete: Ending = { state: 'complete', values: [1.5, 2], constraints: {}, cost: null, error: null }

const startOf = (trial: number, more: Partial<Start> = {}): Start => ({
  trial,
  continues: false,
  point,
  parameters,
  until: null,
  note: null,
  seen: 0,
  sampler: null,
  ...more,
})

const patient = { worker: 'patient', patience: 3_600_000 }
const hasty = { worker: 'hasty', patience: 1 }

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** Longer than the patience of those who are hasty. */
const tooLong = () => sleep(20)

const counting = (count: number) => Array.from({ length: count }, (_, index) => index)

const allOf = async (storage: Storage, name = 'study') => (await storage.changes(name, 0)).trials
const trialOf = async (storage: Storage, number: number) => (await allOf(storage))[number]!

/**
 * Tests that a storage keeps what `Storage` promises.
 *
 * @example
 * import { expect, test } from 'vitest'
 * testStorage('my storage', async () => openMine(await temporaryFolder()), { test, expect })
 *
 * @param make gives a storage without studies; it is closed after the test
 */
export function testStorage(name: string, make: () => Storage | Promise<Storage>, { test, expect }: Runner): void {
  const on = (what: string, body: (storage: Storage) => Promise<void>) =>
    test(`${name}: ${what}`, async () => {
      const storage = await make()
      try {
        await body(storage)
      } finally {
        await storage.close()
      }
    })
  /** On a storage that has the study already. */
  const within = (what: string, body: (storage: Storage) => Promise<void>) =>
    on(what, async (storage) => {
      await storage.create(study)
      await body(storage)
    })
  const started = async (storage: Storage, trial: number, more: Partial<Start> = {}, holder = patient): Promise<Held> =>
    (await storage.start('study', holder, startOf(trial, more)))!

  on('creates a study once, finds it as it was, and names all in order', async (storage) => {
    expect(await storage.find('study')).toEqual(null)
    expect(await storage.names()).toEqual([])
    const kept = await storage.create(study)
    expect(JSON.stringify(kept)).toEqual(JSON.stringify(study))
    await storage.create({ ...study, name: 'another "one"; größer' })
    expect(JSON.stringify(await storage.create({ ...study, seed: 8 }))).toEqual(JSON.stringify(study))
    expect(JSON.stringify(await storage.find('study'))).toEqual(JSON.stringify(study))
    expect(await storage.names()).toEqual(['study', 'another "one"; größer'])
  })

  on('makes one study of two that are created at the same time', async (storage) => {
    const created = await Promise.all(counting(10).map((seed) => storage.create({ ...study, seed })))
    const { seed } = (await storage.find('study'))!
    expect(created.map((record) => record.seed)).toEqual(counting(10).map(() => seed))
    expect(await storage.names()).toEqual(['study'])
  })

  within('removes a study with all its trials, and leaves the others', async (storage) => {
    await storage.create({ ...study, name: 'other' })
    for (const each of ['study', 'other']) await storage.enqueue(each, [{ point, parameters }])
    const { lease } = await started(storage, 1)
    await storage.report('study', lease, { step: 1, value: 2 })
    await storage.remove('study')
    expect(await storage.find('study')).toEqual(null)
    expect(await storage.names()).toEqual(['other'])
    expect((await allOf(storage, 'other')).length).toEqual(1)
    await storage.create(study)
    expect(await storage.changes('study', 0)).toMatchObject({ trials: [], count: 0 })
    expect(await storage.end('study', lease, complete)).toEqual(false)
  })

  on('says that a study is not there, and which are', async (storage) => {
    const lease = { trial: 0, attempt: 1, token: 'none' }
    const attempts: readonly ((name: string) => Promise<unknown>)[] = [
      (name) => storage.remove(name),
      (name) => storage.changes(name, 0),
      (name) => storage.claim(name, patient),
      (name) => storage.start(name, patient, startOf(0)),
      (name) => storage.report(name, lease, { step: 1, value: 1 }),
      (name) => storage.end(name, lease, complete),
      (name) => storage.giveBack(name, lease),
      (name) => storage.beat(name, lease),
      (name) => storage.expire(name, 3),
      (name) => storage.enqueue(name, [{ point, parameters }]),
      (name) => storage.add(name, []),
      (name) => storage.annotate(name, null, 'color', 'red'),
      (name) => storage.annotate(name, 0, 'color', 'red'),
    ]
    for (const attempt of attempts) await expect(attempt('lost')).rejects.toThrow(/no study 'lost' here: .*none at all/)
    await storage.create(study)
    for (const attempt of attempts) await expect(attempt('lost')).rejects.toThrow(/no study 'lost' here: study/)
  })

  within('keeps a new trial as it was started, its parameters in their order', async (storage) => {
    const before = Date.now()
    const { record, lease } = await started(storage, 0, { until: 3, note: { rung: [0, null] }, seen: 4 })
    expect(lease).toMatchObject({ trial: 0, attempt: 1 })
    expect({ ...record, startedAt: null }).toEqual({
      number: 0,
      state: 'running',
      attempt: 1,
      lost: 0,
      parameters,
      point,
      until: 3,
      reports: [],
      values: null,
      constraints: {},
      cost: null,
      note: { rung: [0, null] },
      seen: 4,
      ended: null,
      worker: 'patient',
      error: null,
      startedAt: null,
      endedAt: null,
      attributes: {},
    })
    expect(Object.keys(record.parameters)).toEqual(['second', 'first'])
    // Clocks of two machines may differ by some minutes.
    expect(Math.abs(record.startedAt! - before) < 600_000).toEqual(true)
    expect(await trialOf(storage, 0)).toEqual(record)
  })

  within('gives what has changed since a version, and 0 gives everything', async (storage) => {
    const first = await storage.changes('study', 0)
    expect(first).toMatchObject({ trials: [], count: 0 })
    await storage.enqueue('study', Array(4).fill({ point, parameters }))
    const second = await storage.changes('study', first.version)
    expect(second.trials.map(({ number }) => number)).toEqual([0, 1, 2, 3])
    expect(second.count).toEqual(4)
    expect((await storage.changes('study', second.version)).trials).toEqual([])
    const { lease } = (await storage.claim('study', patient))!
    await storage.report('study', lease, { step: 1, value: 2 })
    await storage.annotate('study', 2, 'color', 'red')
    const third = await storage.changes('study', second.version)
    expect(third.trials.map(({ number, state, reports }) => [number, state, reports.length])).toEqual([
      [0, 'running', 1],
      [2, 'waiting', 0],
    ])
    expect(third.count).toEqual(4)
    expect(third.version > second.version).toEqual(true)
    expect((await storage.changes('study', third.version)).version).toEqual(third.version)
    expect((await allOf(storage)).map(({ number }) => number)).toEqual([0, 1, 2, 3])
  })

  within('does not change records that it has given', async (storage) => {
    const { record, lease } = await started(storage, 0)
    const before = await trialOf(storage, 0)
    const copies = structuredClone([record, before])
    await storage.report('study', lease, { step: 1, value: 2 })
    await storage.annotate('study', 0, 'color', 'red')
    await storage.end('study', lease, complete)
    expect([record, before]).toEqual(copies)
    const kept = (await storage.find('study'))!
    const copy = structuredClone(kept)
    await storage.annotate('study', null, 'color', 'red')
    expect(kept).toEqual(copy)
  })

  within('lets waiting trials be claimed by number, each once', async (storage) => {
    expect(await storage.claim('study', patient)).toEqual(null)
    const points = counting(3).map((index) => ({ point: [index / 4, 0.5], parameters: { second: index, first: 5 } }))
    expect(await storage.enqueue('study', points)).toEqual([0, 1, 2])
    for (const index of counting(3)) {
      const { record, lease } = (await storage.claim('study', patient))!
      expect(record).toMatchObject({ number: index, state: 'running', attempt: 1, seen: null, ...points[index]! })
      expect(lease.trial).toEqual(index)
    }
    expect(await storage.claim('study', patient)).toEqual(null)
    expect(await storage.enqueue('study', [])).toEqual([])
    expect(await storage.enqueue('study', [points[0]!])).toEqual([3])
  })

  within('gives each of ten who claim at the same time a trial of their own', async (storage) => {
    await storage.enqueue('study', Array(10).fill({ point, parameters }))
    const helds = await Promise.all(
      counting(12).map((worker) => storage.claim('study', { ...patient, worker: `${worker}` })),
    )
    const numbers = helds.flatMap((held) => (held ? [held.record.number] : []))
    expect(numbers.sort((a, b) => a - b)).toEqual(counting(10))
    expect(new Set(helds.map((held) => held?.lease.token)).size).toEqual(11)
  })

  within('starts a trial only when its number is the next', async (storage) => {
    expect(await storage.start('study', patient, startOf(1))).toEqual(null)
    const helds = await Promise.all(counting(5).map(() => storage.start('study', patient, startOf(0))))
    expect(helds.filter((held) => held !== null).length).toEqual(1)
    expect(await storage.start('study', patient, startOf(0))).toEqual(null)
    expect((await started(storage, 1)).record.number).toEqual(1)
    expect((await storage.changes('study', 0)).count).toEqual(2)
  })

  within('starts a trial only from the newest state of the sampler, and keeps what it leaves', async (storage) => {
    expect((await storage.changes('study', 0)).sampler).toEqual({ version: 0, state: null })
    const state = { mean: [0.5, null], generation: 1 }
    await started(storage, 0, { sampler: { version: 0, state } })
    expect((await storage.changes('study', 0)).sampler).toEqual({ version: 1, state })
    const stale = startOf(1, { sampler: { version: 0, state: { mean: [9] } } })
    expect(await storage.start('study', patient, stale)).toEqual(null)
    await started(storage, 1, { sampler: { version: 1, state: null } })
    expect((await storage.changes('study', 0)).sampler).toEqual({ version: 1, state })
    const both = [4, 5].map((mean) => startOf(2, { sampler: { version: 1, state: { mean } } }))
    const helds = await Promise.all(both.map((start) => storage.start('study', patient, start)))
    expect(helds.filter((held) => held !== null).length).toEqual(1)
    expect((await storage.changes('study', 0)).sampler.version).toEqual(2)
    expect((await storage.changes('study', 0)).count).toEqual(3)
  })

  within('continues a trial that is paused, and no other', async (storage) => {
    const { record, lease } = await started(storage, 0, { until: 3 })
    const next = startOf(0, { continues: true, until: 9, note: 'second rung', seen: 1 })
    expect(await storage.start('study', patient, next)).toEqual(null)
    expect(await storage.start('study', patient, { ...next, trial: 5 })).toEqual(null)
    await storage.report('study', lease, { step: 3, value: 2 })
    expect(await storage.end('study', lease, { ...complete, state: 'paused' })).toEqual(true)
    expect(await trialOf(storage, 0)).toMatchObject({ state: 'paused', values: [1.5, 2], ended: null, endedAt: null })
    expect(await storage.beat('study', lease)).toEqual(false)
    expect(await storage.start('study', patient, { ...next, sampler: { version: 3, state: { rung: 1 } } })).toEqual(
      null,
    )
    const again = (await storage.start('study', { ...patient, worker: 'heir' }, next))!
    expect(again.record).toMatchObject({
      state: 'running',
      attempt: 2,
      lost: 0,
      until: 9,
      note: 'second rung',
      seen: 1,
      worker: 'heir',
      reports: [{ step: 3, value: 2 }],
      startedAt: record.startedAt,
    })
    expect(await storage.start('study', patient, next)).toEqual(null)
    expect(await storage.end('study', lease, complete)).toEqual(false)
    expect(await storage.end('study', again.lease, complete)).toEqual(true)
    expect((await storage.changes('study', 0)).count).toEqual(1)
  })

  within('keeps reports in their order, infinite ones and those that are not a number included', async (storage) => {
    const { lease } = await started(storage, 0)
    const reports = [
      { step: 1, value: Number.POSITIVE_INFINITY },
      { step: 2.5, value: Number.NEGATIVE_INFINITY },
      { step: 1, value: Number.NaN },
      { step: 3, value: 0.1 + 0.2 },
      { step: 4, value: 5e-324 },
      { step: 5, value: Number.MAX_VALUE },
    ]
    for (const report of reports) expect(await storage.report('study', lease, report)).toEqual(true)
    expect((await trialOf(storage, 0)).reports).toEqual(reports)
  })

  within('keeps the outcomes of trials, infinite numbers included, and in which order they ended', async (storage) => {
    const endings: readonly Ending[] = [
      {
        state: 'complete',
        values: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
        constraints: { z: Number.POSITIVE_INFINITY, a: -1e-300 },
        cost: 1.25,
        error: null,
      },
      { state: 'pruned', values: null, constraints: {}, cost: null, error: null },
      { state: 'failed', values: null, constraints: {}, cost: Number.POSITIVE_INFINITY, error: 'it said: "no\n"' },
      { state: 'abandoned', values: null, constraints: {}, cost: null, error: 'too hot' },
    ]
    const leases = []
    for (const index of endings.keys()) leases.push((await started(storage, index)).lease)
    for (const index of [2, 0, 3, 1]) expect(await storage.end('study', leases[index]!, endings[index]!)).toEqual(true)
    const records = await allOf(storage)
    expect(records).toMatchObject(endings as object)
    expect(Object.keys(records[0]!.constraints)).toEqual(['z', 'a'])
    expect(records.map(({ ended }) => ended)).toEqual([1, 3, 0, 2])
    expect(records.every(({ startedAt, endedAt }) => endedAt !== null && endedAt >= startedAt!)).toEqual(true)
  })

  within('refuses everything for a trial that has ended', async (storage) => {
    const { lease } = await started(storage, 0)
    expect(await storage.end('study', lease, complete)).toEqual(true)
    const { version } = await storage.changes('study', 0)
    expect(await storage.end('study', lease, { ...complete, values: [0, 0] })).toEqual(false)
    expect(await storage.report('study', lease, { step: 1, value: 1 })).toEqual(false)
    expect(await storage.giveBack('study', lease)).toEqual(false)
    expect(await storage.beat('study', lease)).toEqual(false)
    expect(await storage.claim('study', patient)).toEqual(null)
    expect(await storage.expire('study', 1)).toEqual([])
    expect(await storage.changes('study', version)).toMatchObject({ version, trials: [] })
    expect((await trialOf(storage, 0)).values).toEqual([1.5, 2])
  })

  within('refuses leases that it has not given', async (storage) => {
    const { lease } = await started(storage, 0)
    for (const wrong of [
      { ...lease, token: 'none' },
      { ...lease, trial: 1 },
      { ...lease, token: '' },
    ]) {
      expect(await storage.end('study', wrong, complete)).toEqual(false)
      expect(await storage.report('study', wrong, { step: 1, value: 1 })).toEqual(false)
      expect(await storage.giveBack('study', wrong)).toEqual(false)
      expect(await storage.beat('study', wrong)).toEqual(false)
    }
    expect(await trialOf(storage, 0)).toMatchObject({ state: 'running', reports: [] })
  })

  within('accepts one of several who end the same trial at the same time', async (storage) => {
    const { lease } = await started(storage, 0)
    const accepted = await Promise.all(
      counting(5).map((value) => storage.end('study', lease, { ...complete, values: [value, value] })),
    )
    expect(accepted.filter(Boolean).length).toEqual(1)
    expect((await trialOf(storage, 0)).values![0]).toEqual(accepted.indexOf(true))
  })

  within('takes a trial back, which is no loss', async (storage) => {
    const { lease } = await started(storage, 0)
    await storage.report('study', lease, { step: 1, value: 2 })
    expect(await storage.giveBack('study', lease)).toEqual(true)
    expect(await trialOf(storage, 0)).toMatchObject({ state: 'waiting', lost: 0, reports: [{ step: 1, value: 2 }] })
    expect(await storage.giveBack('study', lease)).toEqual(false)
    const again = (await storage.claim('study', { ...patient, worker: 'heir' }))!
    expect(again.record).toMatchObject({ number: 0, attempt: 2, worker: 'heir' })
    expect(await storage.end('study', lease, complete)).toEqual(false)
    expect(await storage.end('study', again.lease, complete)).toEqual(true)
  })

  within('lets trials of silent workers wait again, and be stale after so many attempts', async (storage) => {
    const silent = await started(storage, 0, {}, hasty)
    await started(storage, 1)
    await started(storage, 2, {}, { worker: 'endless', patience: Number.POSITIVE_INFINITY })
    const lateOf = async () => (await storage.changes('study', 0)).late
    await tooLong()
    expect(await lateOf()).toEqual(true)
    expect(await storage.expire('study', 2)).toEqual([0])
    expect(await lateOf()).toEqual(false)
    expect(await storage.expire('study', 2)).toEqual([])
    expect(await trialOf(storage, 0)).toMatchObject({ state: 'waiting', lost: 1, attempt: 1, ended: null })
    expect(await storage.beat('study', silent.lease)).toEqual(false)
    expect(await storage.end('study', silent.lease, complete)).toEqual(false)
    const again = (await storage.claim('study', hasty))!
    expect(again.record).toMatchObject({ number: 0, attempt: 2, lost: 1 })
    expect(await storage.end('study', silent.lease, complete)).toEqual(false)
    await tooLong()
    expect(await storage.expire('study', 2)).toEqual([0])
    expect(await trialOf(storage, 0)).toMatchObject({
      state: 'stale',
      lost: 2,
      ended: 0,
      values: null,
      error: 'no sign of life in 2 attempts',
    })
    expect((await trialOf(storage, 0)).endedAt === null).toEqual(false)
    expect(await storage.end('study', again.lease, complete)).toEqual(false)
    expect(await storage.claim('study', patient)).toEqual(null)
  })

  within('numbers several trials that become stale together', async (storage) => {
    for (const index of counting(3)) await started(storage, index, {}, hasty)
    await tooLong()
    const expired = await Promise.all(counting(3).map(() => storage.expire('study', 1)))
    expect(expired.flat().sort()).toEqual([0, 1, 2])
    expect((await allOf(storage)).map(({ ended }) => ended).sort()).toEqual([0, 1, 2])
  })

  within('leaves trials to those who give signs of life', async (storage) => {
    const patience = 400
    // On a busy machine the sign may come too late to show anything; then it is tried again.
    for (const trial of counting(5)) {
      const { lease } = await started(storage, trial, {}, { worker: 'lively', patience })
      await sleep(0.6 * patience)
      const beaten = Date.now()
      if (!(await storage.beat('study', lease))) continue
      await sleep(0.6 * patience)
      const late = await storage.expire('study', 3)
      if (Date.now() - beaten >= patience) continue
      expect(late.includes(trial)).toEqual(false)
      await sleep(0.6 * patience)
      expect((await storage.expire('study', 3)).includes(trial)).toEqual(true)
      return
    }
    throw new Error('the machine is too busy to tell')
  })

  within('adds trials that have ended elsewhere, numbered anew', async (storage) => {
    const other = memoryStorage()
    await other.create(study)
    const { lease } = (await other.start('study', patient, startOf(0, { until: 4, note: ['a'], seen: 0 })))!
    await other.report('study', lease, { step: 1, value: Number.POSITIVE_INFINITY })
    await other.report('study', lease, { step: 2, value: 3 })
    await other.annotate('study', 0, 'color', { tone: ['red'] })
    await other.end('study', lease, { ...complete, constraints: { z: 1, a: Number.NEGATIVE_INFINITY }, cost: 3 })
    const second = (await other.start('study', patient, startOf(1)))!
    await other.end('study', second.lease, { ...complete, state: 'failed', values: null, error: 'no' })
    const records = await allOf(other)
    const without: TrialRecord = { ...records[1]!, worker: null, startedAt: null, endedAt: 5 }
    await started(storage, 0)
    expect(await storage.add('study', [...records, without])).toEqual([1, 2, 3])
    const added = (await allOf(storage)).slice(1)
    expect(added).toEqual(
      [...records, without].map((record, index) => ({ ...record, number: index + 1, ended: index })),
    )
    expect(await storage.add('study', [])).toEqual([])
    expect((await storage.changes('study', 0)).count).toEqual(4)
    const next = await started(storage, 4)
    await storage.end('study', next.lease, complete)
    expect((await trialOf(storage, 4)).ended).toEqual(3)
  })

  within('notes attributes of trials and of the study', async (storage) => {
    await storage.enqueue('study', [{ point, parameters }])
    const value = { deep: [1, 'two', null, { three: true }] }
    await storage.annotate('study', 0, 'color', 'red')
    await storage.annotate('study', 0, 'other "name"', value)
    await storage.annotate('study', 0, 'color', 'blue')
    await storage.annotate('study', null, 'color', value)
    expect((await trialOf(storage, 0)).attributes).toEqual({ color: 'blue', 'other "name"': value })
    expect((await storage.find('study'))!.attributes).toEqual({ color: value })
    await expect(storage.annotate('study', 7, 'color', 'red')).rejects.toThrow(/no trial 7 in 'study', which has 1/)
    const { lease } = (await storage.claim('study', patient))!
    await storage.end('study', lease, complete)
    await storage.annotate('study', 0, 'late', null)
    expect((await trialOf(storage, 0)).attributes).toEqual({ color: 'blue', 'other "name"': value, late: null })
  })

  within('loses no attribute of those that are noted at the same time', async (storage) => {
    await storage.enqueue('study', [{ point, parameters }])
    await Promise.all(counting(10).map((index) => storage.annotate('study', 0, `attribute ${index}`, index)))
    await Promise.all(counting(10).map((index) => storage.annotate('study', null, `attribute ${index}`, index)))
    const expected = Object.fromEntries(counting(10).map((index) => [`attribute ${index}`, index]))
    expect((await trialOf(storage, 0)).attributes).toEqual(expected)
    expect((await storage.find('study'))!.attributes).toEqual(expected)
  })

  on('carries studies that several work on at the same time', async (storage) => {
    const line = space({ x: float(0, 10) })
    const workers = await Promise.all(counting(4).map(() => openStudy({ space: line, storage, patience: 60_000 })))
    await Promise.all(
      workers.map((worker) =>
        worker.optimize(
          async (trial) => {
            await trial.report(1, trial.parameters.x)
            return (trial.parameters.x - 3) ** 2
          },
          { trials: 20, parallel: 2 },
        ),
      ),
    )
    const records = await allOf(storage)
    expect(records.length >= 20).toEqual(true)
    expect(records.map(({ number }) => number)).toEqual(counting(records.length))
    expect(records.map(({ ended }) => ended).sort((a, b) => a! - b!)).toEqual(counting(records.length))
    for (const { state, values, reports, parameters } of records) {
      const x = parameters.x as number
      expect({ state, values, reports }).toEqual({
        state: 'complete',
        values: [(x - 3) ** 2],
        reports: [{ step: 1, value: x }],
      })
    }
  })
}
