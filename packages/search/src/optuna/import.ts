import { readFile } from 'node:fs/promises'
import type { Json } from '../json.ts'
import { spaceOf } from '../space/space.ts'
import type { Storage } from '../storage/storage.ts'
import type { TrialRecord } from '../study/trial.ts'
import { readJournal } from './journal.ts'
import { rebuildSpace } from './space.ts'
import { readSqlite } from './sqlite.ts'
import type { OptunaStudy, OptunaTrial } from './studies.ts'

/** What has become of a study of Optuna. */
export interface ImportedStudy {
  readonly name: string
  /** How many trials it has here. */
  readonly trials: number
  /** Trials that could not be taken, with why; all of them when the study is not here. */
  readonly leftOut: readonly { readonly number: number; readonly why: string }[]
}

const endOf = { COMPLETE: 'complete', PRUNED: 'pruned', FAIL: 'failed' } as const

/**
 * Takes all studies of a file of Optuna, an SQLite database or a journal, into a storage: spaces rebuilt from the ranges that trials were
 * suggested, states, values of all objectives, reports, constraints, attributes and times. Trials are numbered anew; their number in
 * Optuna is the attribute `optuna`. The category `None` becomes the text `'None'`. Trials that waited wait here too where all their
 * parameters are given; those that ran are left out, as are failed ones without all their parameters and studies without trials.
 *
 * @throws Error for a file that is neither, and RangeError, before anything is taken, when the storage has a study of one of the names
 */
export async function importOptuna(path: string, storage: Storage): Promise<readonly ImportedStudy[]> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new Error(error.code === 'ENOENT' ? `there is no file ${path}` : `${path} cannot be read: ${error.message}`, {
      cause: error,
    })
  })
  const studies =
    bytes.subarray(0, 16).toString('latin1') === 'SQLite format 3\0'
      ? await readSqlite(bytes, path)
      : readJournal(bytes.toString('utf8'), path)
  if (studies.length === 0) throw new Error(`${path} has no studies`)
  for (const { name } of studies) {
    if (await storage.find(name)) throw new RangeError(`there is a study '${name}' already`)
  }
  const imported: ImportedStudy[] = []
  for (const study of studies) imported.push(await importStudy(study, storage))
  return imported
}

async function importStudy(study: OptunaStudy, storage: Storage): Promise<ImportedStudy> {
  const { name, directions, trials, systemAttributes } = study
  const whole = trials.filter(({ state }) => state === 'COMPLETE' || state === 'PRUNED')
  const rebuilt = rebuildSpace(whole)
  if (rebuilt.dimensions.length === 0) {
    return { name, trials: 0, leftOut: trials.map(({ number }) => ({ number, why: 'no trial has parameters' })) }
  }
  const space = spaceOf({ dimensions: rebuilt.dimensions, constraints: [] })
  const leftOut: { number: number; why: string }[] = []
  const records: TrialRecord[] = []
  const waiting: Pick<TrialRecord, 'point' | 'parameters'>[] = []
  for (const trial of trials) {
    if (trial.state === 'RUNNING') {
      leftOut.push({ number: trial.number, why: 'it was running' })
      continue
    }
    try {
      if (trial.state === 'WAITING') {
        const parameters = (trial.systemAttributes.fixed_params ?? {}) as TrialRecord['parameters']
        waiting.push({ point: space.point(parameters), parameters })
      } else {
        const parameters = rebuilt.parametersOf(trial)
        records.push(recordOf(trial, endOf[trial.state], { parameters, point: space.point(parameters) }))
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      leftOut.push({ number: trial.number, why: error.message })
    }
  }
  const metrics = systemAttributes['study:metric_names'] as readonly string[] | undefined
  const several = directions.length > 1
  const objectives = directions.map((direction, index) => ({
    name: metrics?.[index] ?? (several ? `value ${index + 1}` : 'value'),
    direction,
  }))
  await storage.create({
    name,
    seed: 0,
    space: { dimensions: rebuilt.dimensions, constraints: [] },
    objectives,
    resource: null,
    sampler: 'optuna',
    attributes: study.userAttributes as Record<string, Json>,
  })
  await storage.add(name, records)
  await storage.enqueue(name, waiting)
  return { name, trials: records.length + waiting.length, leftOut }
}

function recordOf(
  trial: OptunaTrial,
  state: 'complete' | 'pruned' | 'failed',
  at: Pick<TrialRecord, 'parameters' | 'point'>,
): TrialRecord {
  const reports = [...trial.reports].map(([step, value]) => ({ step, value })).sort((a, b) => a.step - b.step)
  return {
    ...at,
    number: trial.number,
    state,
    attempt: 1,
    lost: 0,
    until: null,
    reports,
    // What Optuna takes for the value of a pruned trial is its last report.
    values: state === 'complete' ? trial.values : null,
    constraints: constraintsOf(trial.systemAttributes),
    cost: null,
    note: null,
    seen: null,
    ended: null,
    worker: null,
    error: state === 'failed' ? String(trial.systemAttributes.fail_reason ?? 'it failed in Optuna') : null,
    startedAt: trial.startedAt,
    endedAt: trial.endedAt,
    attributes: { ...(trial.userAttributes as Record<string, Json>), optuna: trial.number },
  }
}

/** Constraints by name, as Optuna 5 keeps them, or as the list of those before. */
function constraintsOf(attributes: Readonly<Record<string, unknown>>): Record<string, number> {
  const listed = Array.isArray(attributes.constraints)
    ? attributes.constraints.map((value, index) => [`${index}`, Number(value)] as const)
    : []
  const named = Object.entries(attributes).flatMap(([key, value]) =>
    key.startsWith('constraints:') ? [[key.slice('constraints:'.length), Number(value)] as const] : [],
  )
  return Object.fromEntries([...listed, ...named])
}
