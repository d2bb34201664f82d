import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { isEnd, type Lease, type Outcome, type Storage, type Study, type TrialRecord } from '@fallline/search'
import { importOptuna } from '@fallline/search/optuna'
import { studiesAt } from '@fallline/search/sql'
import { type EvaluatorKind, ObjectiveFailed, Workers } from '@fallline/search/workers'
import pc from 'picocolors'
import { messageOf } from '../import-module.ts'
import { UsageError } from '../names.ts'
import { formatNumber } from '../report/format.ts'
import { jsonOf, openKept } from '../studies/kept.ts'
import { loadStudyModule, openStudyOf } from '../studies/module.ts'
import { exitCodes } from './exit.ts'
import { interruptible } from './interruption.ts'

/** Which study. */
export interface Place {
  readonly study: string
  readonly name: string
}

/** What is done with it. */
export interface Work extends Place {
  readonly trials?: number
  readonly seconds?: number
  readonly workers: number
  readonly patience: number
  readonly as: EvaluatorKind
}

/** Runs objectives in threads and processes. */
const script = new URL(`../studies/evaluator.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url)

/** Makes a study. */
export function create(module: string, place: Place): Promise<void> {
  return within(place, async (storage) => {
    const study = await openStudyOf(await loadStudyModule(module), { storage, name: place.name })
    line(study.record)
  })
}

/** Takes up a trial and prints it with its lease. */
export function ask(module: string, { patience, ...place }: Place & { patience: number }): Promise<void> {
  return within(place, async (storage) => {
    const study = await openStudyOf(await loadStudyModule(module), {
      storage,
      name: place.name,
      patience: 1000 * patience,
    })
    const trial = await study.ask()
    const { number, seed, until, from, record } = trial
    line({ number, parameters: record.parameters, seed, until, from, lease: study.leaseOf(trial) })
  })
}

/** Tells what stands on the standard input. */
export async function tell(place: Place): Promise<void> {
  const refused = await inside(place, async (storage) => tellAll(await kept(storage, place.name)))
  if (refused > 0) throw new UsageError(`${refused} of the outcomes ${refused === 1 ? 'was' : 'were'} refused`)
}

/** Works on a study, which is made when it is not there; gives the exit code. */
export function optimize(module: string, work: Work): Promise<number> {
  if (work.trials === undefined && work.seconds === undefined) throw new UsageError('give --trials, --seconds or both')
  return workOn(module, work)
}

/** Works on a study that is there; gives the exit code. */
export async function help(module: string, work: Work): Promise<number> {
  await inside(work, (storage) => kept(storage, work.name))
  return workOn(module, work)
}

/** Ends the trials that are paused. */
export async function finish(place: Place): Promise<void> {
  return inside(place, async (storage) => {
    const study = await kept(storage, place.name)
    const numbers = await study.finish()
    process.stdout.write(`${numbers.length} paused trials are pruned\n${await standing(study)}\n`)
  })
}

/** Takes the studies of a file of Optuna. */
export async function importFile(path: string, place: Pick<Place, 'study'>): Promise<void> {
  if (!existsSync(path)) throw new UsageError(`there is no file ${path}`)
  await within(place, async (storage) => {
    const studies = await importOptuna(path, storage).catch((error) => {
      throw new UsageError(messageOf(error))
    })
    for (const { name, trials, leftOut } of studies) {
      process.stdout.write(`${name}: ${trials} trials${leftOut.length > 0 ? `, ${leftOut.length} left out` : ''}\n`)
      for (const { number, why } of leftOut) process.stderr.write(`${name}: trial ${number} is left out: ${why}\n`)
    }
  })
}

/** Says how a study stands. */
export async function show(place: Place): Promise<void> {
  return inside(place, async (storage) => {
    process.stdout.write(`${await standing(await kept(storage, place.name))}\n`)
  })
}

/** Prints all trials. */
export async function exportAs(format: 'csv' | 'json' | 'html', place: Place): Promise<void> {
  return inside(place, async (storage) => {
    const study = await kept(storage, place.name)
    const records = await study.trials()
    if (format === 'html') {
      const { renderStudy } = await import('../serve/study-page.ts')
      process.stdout.write(await renderStudy({ record: study.record, trials: records }, Date.now()))
      return
    }
    process.stdout.write(format === 'json' ? `${jsonOf(records, 2)}\n` : csvOf(study, records))
  })
}

const line = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`)

/** The studies of a place; @throws UsageError when there can be none. */
export async function openPlace(place: string): Promise<Storage> {
  try {
    return await studiesAt(place)
  } catch (error) {
    throw new UsageError(messageOf(error))
  }
}

/** Works on the studies of a place that is there, and leaves it. */
export async function inside<T>(place: Pick<Place, 'study'>, work: (storage: Storage) => Promise<T>): Promise<T> {
  const { study } = place
  if (!study.includes('://') && !existsSync(study)) {
    throw new UsageError(`there are no studies in ${study}: there is no such folder (looked at ${resolve(study)})`)
  }
  return within(place, work)
}

/** Works on the studies of a place, which is made when it is a folder that is not there, and leaves it. */
export async function within<T>({ study }: Pick<Place, 'study'>, work: (storage: Storage) => Promise<T>): Promise<T> {
  const storage = await openPlace(study)
  try {
    return await work(storage)
  } finally {
    await storage.close()
  }
}

/** The study of a place; @throws UsageError when it is not there. */
async function kept(storage: Storage, name: string): Promise<Study<unknown>> {
  const study = await openKept(storage, name)
  if (study) return study
  const names = await storage.names()
  throw new UsageError(`there is no study '${name}' here${names.length > 0 ? `: ${names.join(', ')}` : ''}`)
}

interface Told {
  readonly lease: Lease
  readonly values?: number | readonly number[]
  readonly constraints?: Readonly<Record<string, number>>
  readonly cost?: number
  readonly pruned?: true
  readonly error?: string
}

/** What a line tells; @throws TypeError for a line that tells nothing. */
function toldIn(text: string): Told {
  let told: Partial<Told> | null
  try {
    told = JSON.parse(text)
  } catch (error) {
    throw new TypeError(
      `a line must be JSON such as {"lease":{...},"values":1.5}, not ${shortened(text)}: ${messageOf(error)}`,
    )
  }
  const lease = told?.lease
  if (lease === undefined) throw new TypeError(`the lease that ask has given is missing in ${shortened(text)}`)
  if (typeof lease?.token !== 'string' || !Number.isInteger(lease.trial) || !Number.isInteger(lease.attempt)) {
    throw new TypeError(
      `a lease must be as ask has given it, {"trial":0,"attempt":1,"token":"..."}, not ${JSON.stringify(lease)}`,
    )
  }
  return told as Told
}

const shortened = (text: string) => (text.length > 60 ? `${text.slice(0, 60)}...` : text)

/** Tells what stands on the standard input, and answers each line; gives how many were refused. */
async function tellAll(study: Study<unknown>): Promise<number> {
  let refused = 0
  for await (const text of createInterface({ input: process.stdin })) {
    if (text.trim() === '') continue
    try {
      const { lease, values, constraints, cost, pruned, error } = toldIn(text)
      const outcome = { values, ...(constraints && { constraints }), ...(cost !== undefined && { cost }) } as Outcome
      if (pruned) await study.prune(lease)
      else if (error !== undefined) await study.fail(lease, error)
      else await study.tell(lease, outcome)
      line({ accepted: true, trial: lease.trial })
    } catch (error) {
      refused++
      line({ accepted: false, reason: messageOf(error) })
    }
  }
  return refused
}

async function workOn(path: string, { trials, seconds, workers, patience, as: kind, ...place }: Work): Promise<number> {
  const module = await loadStudyModule(path)
  return within(place, async (storage) => {
    const options = { storage, name: place.name, worker: `process ${process.pid}`, patience: 1000 * patience }
    const study = await openStudyOf(module, options)
    const evaluators = new Workers(study, path, { kind, script })
    try {
      return await interruptible(async (signal, interruptedBy) => {
        const { reason } = await study.optimize(evaluators.evaluate, {
          ...(trials !== undefined && { trials }),
          ...(seconds !== undefined && { seconds }),
          signal,
          parallel: workers,
          failures: 'continue',
          onEnd: ({ number, state, values, error }) => {
            process.stderr.write(
              `trial ${number}: ${state}${values ? ` ${values.map((value) => formatNumber(value)).join(', ')}` : ''}${error ? `: ${error}` : ''}\n`,
            )
          },
        })
        process.stdout.write(`${reason}\n${await standing(study as Study<unknown>)}\n`)
        return interruptedBy()
      })
    } catch (error) {
      if (!(error instanceof ObjectiveFailed)) throw error
      process.stdout.write(`${await standing(study as Study<unknown>)}\n`)
      process.stderr.write(
        `${pc.red('error:')} one trial after the other failed, the last one with: ${error.message}\n`,
      )
      return exitCodes.allFailed
    } finally {
      evaluators.close()
    }
  })
}

async function standing(study: Study<unknown>): Promise<string> {
  const records = await study.trials()
  const counts = new Map<string, number>()
  for (const { state } of records) counts.set(state, (counts.get(state) ?? 0) + 1)
  const counted = [...counts].map(([state, count]) => `${count} ${state}`).join(', ')
  const head = `${study.name}: ${records.length} trials${counted === '' ? '' : `: ${counted}`}`
  if (study.record.objectives.length > 1) {
    const front = await study.front()
    return [head, `front: ${front.map(({ number }) => `trial ${number}`).join(', ')}`].join('\n')
  }
  const best = await study.best()
  if (best === null) return head
  return [
    head,
    `best of ${best.of}: ${best.value}, trial ${best.trial.number}: ${JSON.stringify(best.trial.parameters)}`,
  ].join('\n')
}

function csvOf(study: Study<unknown>, records: readonly TrialRecord[]): string {
  const { space, objectives } = study.record
  const constraints = [...new Set(records.flatMap((record) => Object.keys(record.constraints)))]
  const head = [
    ...['number', 'state', 'attempt'],
    ...objectives.map(({ name }) => name),
    ...space.dimensions.map(({ name }) => `parameter ${name}`),
    ...constraints.map((name) => `constraint ${name}`),
    ...['cost', 'worker', 'started', 'ended', 'error'],
  ]
  const time = (milliseconds: number | null) => (milliseconds === null ? null : new Date(milliseconds).toISOString())
  const rows = records.map((record) => [
    ...[record.number, record.state, record.attempt],
    ...objectives.map((_, index) => record.values?.[index]),
    ...space.dimensions.map(({ name }) => record.parameters[name]),
    ...constraints.map((name) => record.constraints[name]),
    ...[
      record.cost,
      record.worker,
      time(record.startedAt),
      isEnd(record.state) ? time(record.endedAt) : null,
      record.error,
    ],
  ])
  const cell = (value: unknown) => {
    const text = value === null || value === undefined ? '' : String(value)
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  }
  return [head, ...rows].map((row) => `${row.map(cell).join(',')}\n`).join('')
}
