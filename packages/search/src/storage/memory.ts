import type { Json } from '../json.ts'
import { isEnd, type Lease, type TrialRecord } from '../study/trial.ts'
import { type Held, type Holder, noStudy, type Start, type Storage, type StudyRecord } from './storage.ts'

interface Kept {
  record: StudyRecord
  version: number
  readonly trials: TrialRecord[]
  /** The version in which each trial last changed. */
  readonly changed: number[]
  /** Numbers of the trials in the order of their last change, with those that have changed again since. */
  readonly log: { readonly trial: number; readonly version: number }[]
  readonly leases: Map<number, { readonly lease: Lease; readonly patience: number; until: number }>
  readonly waiting: Set<number>
  sampler: { version: number; state: Json }
  ended: number
}

/**
 * Keeps studies in the memory of this process.
 *
 * @param now milliseconds since 1970; for tests of leases
 */
export function memoryStorage(now: () => number = Date.now): Storage {
  const studies = new Map<string, Kept>()
  const get = (name: string) => {
    const kept = studies.get(name)
    if (!kept) throw noStudy(name, [...studies.keys()])
    return kept
  }
  const change = (kept: Kept, record: TrialRecord) => {
    kept.version++
    kept.trials[record.number] = record
    kept.changed[record.number] = kept.version
    kept.log.push({ trial: record.number, version: kept.version })
    if (record.state === 'waiting') kept.waiting.add(record.number)
    else kept.waiting.delete(record.number)
    if (record.state !== 'running') kept.leases.delete(record.number)
    return record
  }
  const hold = (kept: Kept, record: TrialRecord, { worker, patience }: Holder): Held => {
    const attempt = record.attempt + 1
    const running = { ...record, state: 'running', attempt, worker, startedAt: record.startedAt ?? now() } as const
    const lease = { trial: record.number, attempt, token: crypto.randomUUID() }
    change(kept, running)
    kept.leases.set(record.number, { lease, patience, until: now() + patience })
    return { record: running, lease }
  }
  const held = (kept: Kept, { trial, token }: Lease) => {
    const found = kept.leases.get(trial)
    return found?.lease.token === token ? found : undefined
  }
  const finish = (kept: Kept, record: TrialRecord): TrialRecord =>
    change(kept, isEnd(record.state) ? { ...record, ended: kept.ended++, endedAt: record.endedAt ?? now() } : record)
  const fresh = (number: number, { point, parameters }: Pick<TrialRecord, 'point' | 'parameters'>): TrialRecord => ({
    number,
    state: 'waiting',
    attempt: 0,
    lost: 0,
    parameters,
    point,
    until: null,
    reports: [],
    values: null,
    constraints: {},
    cost: null,
    note: null,
    seen: null,
    ended: null,
    worker: null,
    error: null,
    startedAt: null,
    endedAt: null,
    attributes: {},
  })
  const begin = (kept: Kept, holder: Holder, start: Start): Held | null => {
    const { trial, continues, sampler } = start
    if (sampler && sampler.version !== kept.sampler.version) return null
    const before = kept.trials[trial]
    if (continues ? before?.state !== 'paused' : trial !== kept.trials.length) return null
    if (sampler && sampler.state !== null) kept.sampler = { version: sampler.version + 1, state: sampler.state }
    const record = continues
      ? { ...before!, until: start.until, note: start.note, seen: start.seen }
      : { ...fresh(trial, start), until: start.until, note: start.note, seen: start.seen }
    return hold(kept, record, holder)
  }
  const lateOf = (kept: Kept) => {
    const time = now()
    return [...kept.leases.values()].filter(({ until }) => until < time).map(({ lease }) => lease.trial)
  }
  return {
    async create(record) {
      const existing = studies.get(record.name)
      if (existing) return existing.record
      studies.set(record.name, {
        record,
        version: 0,
        trials: [],
        changed: [],
        log: [],
        leases: new Map(),
        waiting: new Set(),
        sampler: { version: 0, state: null },
        ended: 0,
      })
      return record
    },
    find: async (name) => studies.get(name)?.record ?? null,
    names: async () => [...studies.keys()],
    async remove(name) {
      get(name)
      studies.delete(name)
    },
    async changes(name, since) {
      const kept = get(name)
      const { version, sampler, log } = kept
      const numbers = new Set<number>()
      for (let index = log.length - 1; index >= 0 && log[index]!.version > since; index--)
        numbers.add(log[index]!.trial)
      const trials = [...numbers].sort((a, b) => a - b).map((number) => kept.trials[number]!)
      return { version, trials, count: kept.trials.length, late: lateOf(kept).length > 0, sampler }
    },
    async claim(name, holder) {
      const kept = get(name)
      if (kept.waiting.size === 0) return null
      return hold(kept, kept.trials[Math.min(...kept.waiting)]!, holder)
    },
    start: async (name, holder, start) => begin(get(name), holder, start),
    async report(name, lease, report) {
      const kept = get(name)
      if (!held(kept, lease)) return false
      const record = kept.trials[lease.trial]!
      change(kept, { ...record, reports: [...record.reports, report] })
      return true
    },
    async end(name, lease, ending) {
      const kept = get(name)
      if (!held(kept, lease)) return false
      finish(kept, { ...kept.trials[lease.trial]!, ...ending })
      return true
    },
    async giveBack(name, lease) {
      const kept = get(name)
      if (!held(kept, lease)) return false
      change(kept, { ...kept.trials[lease.trial]!, state: 'waiting' })
      return true
    },
    async beat(name, lease) {
      const found = held(get(name), lease)
      if (!found) return false
      found.until = now() + found.patience
      return true
    },
    async expire(name, attempts) {
      const kept = get(name)
      const late = lateOf(kept)
      for (const number of late) {
        const before = kept.trials[number]!
        const record = { ...before, lost: before.lost + 1 }
        if (record.lost < attempts) change(kept, { ...record, state: 'waiting' })
        else finish(kept, { ...record, state: 'stale', error: `no sign of life in ${record.lost} attempts` })
      }
      return late
    },
    async enqueue(name, trials) {
      const kept = get(name)
      return trials.map((trial) => change(kept, fresh(kept.trials.length, trial)).number)
    },
    async add(name, records) {
      const kept = get(name)
      return records.map((record) => finish(kept, { ...record, number: kept.trials.length }).number)
    },
    async annotate(name, trial, attribute, value) {
      const kept = get(name)
      if (trial === null) {
        kept.record = { ...kept.record, attributes: { ...kept.record.attributes, [attribute]: value } }
        return
      }
      const record = kept.trials[trial]
      if (!record) throw new RangeError(`there is no trial ${trial} in '${name}', which has ${kept.trials.length}`)
      change(kept, { ...record, attributes: { ...record.attributes, [attribute]: value } })
    },
    async close() {},
  }
}
