import type { Json } from '../../json.ts'
import { isEnd, type TrialRecord } from '../../study/trial.ts'
import { type Held, type Holder, noStudy, type Storage, type StudyRecord } from '../storage.ts'
import { type Cell, ConnectionLost, type Database, type Row } from './database.ts'
import { channel, watches } from './watches.ts'

/** Milliseconds that a storage waits for a database that cannot be reached, before it gives up. */
export const reconnection = 60_000

/** Milliseconds between two tries to reach a database. */
export const nap = 200

const now = 'floor(extract(epoch from clock_timestamp()) * 1000)'

const columns = [
  'number',
  'state',
  'attempt',
  'lost',
  'parameters',
  'point',
  'until',
  '"values"',
  'constraints',
  'cost',
  'note',
  'seen',
  'ended',
  'worker',
  'error',
  'started_at',
  'ended_at',
  'attributes',
]

const ofTrial = (table: string) => columns.map((column) => `${table}.${column}`).join(', ')

/** What is returned of a trial that is taken, with how many reports it has. */
const held = `${ofTrial('trials')}, trials.reports`

/** Locks the trial that a lease is for, when it is the newest; trials are locked before their study everywhere, so that nobody waits in a circle. */
const leased = `
  trial as (
    select number, reports from fallline.trials
    where study = $1 and number = $2::integer and token = $3 and state = 'running'
    for update
  )`

/** The next version of the study, where a trial was found. */
const counted = `
  study as (
    update fallline.studies set version = version + 1
    where name = $1 and exists (select from trial)
    returning version
  )`

/** What a trial becomes whose holder is $2, with the patience $3 and the token $4. */
const taken = `
  state = 'running', attempt = attempt + 1, worker = $2, patience = $3::double precision, token = $4,
  expires = ${now} + $3::double precision, started_at = coalesce(started_at, ${now})`

/** Says that something has happened that others may wait for. */
const said = `pg_notify('${channel}', md5($1))`

/** Merges the attribute $3 with the value $4. */
const annotated = `
  attributes = (
    select json_object_agg(key, value) from (
      select key, value from json_each(attributes) where key <> $3
      union all select $3, $4::text::json
    ) as merged
  )`

/**
 * Keeps studies in a database that speaks the SQL of PostgreSQL and has the tables of `migrate`. Every method is one statement, and so
 * one transaction; what is lost with a connection is asked for again for up to a minute, without doing anything twice. PostgreSQL has no
 * character 0 in texts: it is kept as U+FFFD.
 */
export function sqlStorage(database: Database, patience: number = reconnection): Storage {
  /** Runs a statement. When the connection is lost, `done` finds out whether it had been done already: then its rows are taken. */
  const run = async (
    text: string,
    parameters: readonly Cell[],
    done?: { readonly text: string; readonly parameters: readonly Cell[] },
  ): Promise<readonly Row[]> => {
    const deadline = Date.now() + patience
    for (let isSure = true; ; ) {
      try {
        if (!isSure && done) {
          const rows = await database.query(done.text, done.parameters)
          if (rows.length > 0) return rows
        }
        isSure = true
        return await database.query(text, parameters)
      } catch (error) {
        if (!(error instanceof ConnectionLost) || Date.now() >= deadline) throw error
        isSure = false
        await new Promise((resolve) => setTimeout(resolve, nap))
      }
    }
  }
  const names = async () =>
    (await run('select name from fallline.studies order by made', [])).map((row) => row.name as string)
  const find = async (name: string) => {
    const [row] = await run('select record, attributes from fallline.studies where name = $1', [name])
    return row ? studyOf(row) : null
  }
  const check = async (name: string) => {
    if ((await find(name)) === null) throw noStudy(name, await names())
  }
  /** Whether a guarded statement changed something. */
  const guarded = async (name: string, rows: readonly Row[]) => {
    if (rows.length > 0) return true
    await check(name)
    return false
  }
  const hold = async (name: string, token: string, rows: readonly Row[]): Promise<Held | null> => {
    const [row] = rows
    if (!row) {
      await check(name)
      return null
    }
    const reports =
      row.reports === 0
        ? []
        : await run(
            'select step, value from fallline.reports where study = $1 and trial = $2::integer order by place',
            [name, row.number],
          )
    const record = trialOf(
      row,
      reports.map(({ step, value }) => [step, value]),
    )
    return { record, lease: { trial: record.number, attempt: record.attempt, token } }
  }
  /** Finds the trial that has been taken with a token. */
  const takenWith = (name: string, token: string) => ({
    text: `select ${held} from fallline.trials where study = $1 and token = $2 and state = 'running'`,
    parameters: [name, token],
  })
  return {
    async create(record) {
      const { attributes } = record
      const [row] = await run(
        `insert into fallline.studies (name, record, attributes) values ($1, $2::text::json, $3::text::json)
        on conflict (name) do update set name = excluded.name returning record, attributes`,
        [record.name, json({ ...record, attributes: {} }), json(attributes)],
      )
      return studyOf(row!)
    },
    find,
    names,
    async remove(name) {
      await check(name)
      await run('delete from fallline.studies where name = $1', [name])
    },
    async changes(name, since) {
      const rows = await run(
        `select studies.version as study_version, studies.trials as count, studies.sampler_version,
          case when row_number() over (order by trials.number) = 1 then studies.sampler_state end as sampler_state,
          exists (
            select from fallline.trials where study = $1 and state = 'running' and expires < ${now}
          ) as late,
          ${ofTrial('trials')},
          case when trials.reports > 0 then (
            select json_agg(json_build_array(step, value) order by place)
            from fallline.reports where reports.study = $1 and reports.trial = trials.number
          ) end as reported
        from fallline.studies
        left join fallline.trials on trials.study = $1 and trials.version > $2::bigint
        where studies.name = $1
        order by trials.number`,
        [name, since],
      )
      const [first] = rows
      if (!first) throw noStudy(name, await names())
      return {
        version: Number(first.study_version),
        trials: rows
          .filter(({ number }) => number !== null)
          .map((row) => trialOf(row, (row.reported ?? []) as readonly [Cell, Cell][])),
        count: first.count as number,
        late: first.late as boolean,
        sampler: { version: first.sampler_version as number, state: (first.sampler_state ?? null) as Json },
      }
    },
    async claim(name, holder) {
      const token = crypto.randomUUID()
      const rows = await run(
        `with trial as (
          select number from fallline.trials where study = $1 and state = 'waiting'
          order by number limit 1 for update skip locked
        ), ${counted}
        update fallline.trials set version = study.version, ${taken}
        from trial, study where trials.study = $1 and trials.number = trial.number
        returning ${held}`,
        [name, ...holderOf(holder), token],
        takenWith(name, token),
      )
      return hold(name, token, rows)
    },
    async start(name, holder, { trial, continues, point, parameters, until, note, seen, sampler }) {
      const token = crypto.randomUUID()
      const proposed = [name, ...holderOf(holder), token, trial, until, json(note), seen]
      const state = sampler === null || sampler.state === null ? null : json(sampler.state)
      const fromSampler = [sampler?.version ?? null, state]
      const advanced = `
        version = version + 1,
        sampler_version = sampler_version + case when $10::text is null then 0 else 1 end,
        sampler_state = coalesce($10::text::json, sampler_state)
        where name = $1 and ($9::integer is null or sampler_version = $9::integer)`
      const rows = continues
        ? await run(
            `with trial as (
              select number from fallline.trials where study = $1 and number = $5::integer and state = 'paused' for update
            ), study as (
              update fallline.studies set ${advanced} and exists (select from trial) returning version
            )
            update fallline.trials
            set version = study.version, until = $6::double precision, note = $7::text::json, seen = $8::integer, ${taken}
            from trial, study where trials.study = $1 and trials.number = trial.number
            returning ${held}`,
            [...proposed, ...fromSampler],
            takenWith(name, token),
          )
        : await run(
            `with study as (
              update fallline.studies set trials = trials + 1, ${advanced} and trials = $5::integer returning version
            )
            insert into fallline.trials (study, number, version, state, attempt, worker, patience, token, expires, started_at,
              until, note, seen, point, parameters)
            select $1, $5::integer, version, 'running', 1, $2, $3::double precision, $4, ${now} + $3::double precision, ${now},
              $6::double precision, $7::text::json, $8::integer, $11::text::json, $12::text::json
            from study
            returning ${held}`,
            [...proposed, ...fromSampler, json(point), json(parameters)],
            takenWith(name, token),
          )
      return hold(name, token, rows)
    },
    async report(name, { trial, token }, { step, value }) {
      const parameters = [name, trial, token, step, value]
      const rows = await run(
        `with ${leased}, ${counted}, report as (
          insert into fallline.reports (study, trial, place, step, value)
          select $1, number, reports, $4::double precision, $5::double precision from trial
        )
        update fallline.trials set version = study.version, reports = trials.reports + 1
        from trial, study where trials.study = $1 and trials.number = trial.number
        returning trials.number`,
        parameters,
        {
          text: `select trial from fallline.reports
            join fallline.trials on trials.study = reports.study and trials.number = trial and place = trials.reports - 1
            where reports.study = $1 and trial = $2::integer and token = $3
              and step = $4::double precision and value = $5::double precision`,
          parameters,
        },
      )
      return guarded(name, rows)
    },
    async end(name, { trial, token }, { state, values, constraints, cost, error }) {
      const ends = isEnd(state)
      const rows = await run(
        `with ${leased}, study as (
          update fallline.studies set version = version + 1, ended = ended + $4::integer
          where name = $1 and exists (select from trial)
          returning version, ended - 1 as ended
        )
        update fallline.trials
        set version = study.version, state = $5, "values" = $6::text::json, constraints = $7::text::json,
          cost = $8::double precision, error = $9, ended = case when $4::integer = 1 then study.ended end,
          ended_at = case when $4::integer = 1 then ${now} end
        from trial, study where trials.study = $1 and trials.number = trial.number
        returning trials.number, ${said}`,
        [name, trial, token, ends ? 1 : 0, state, json(values), json(constraints), cost, plain(error)],
        {
          text: 'select number from fallline.trials where study = $1 and number = $2::integer and token = $3 and state = $4',
          parameters: [name, trial, token, state],
        },
      )
      return guarded(name, rows)
    },
    async giveBack(name, { trial, token }) {
      const rows = await run(
        `with ${leased}, ${counted}
        update fallline.trials set version = study.version, state = 'waiting'
        from trial, study where trials.study = $1 and trials.number = trial.number
        returning trials.number, ${said}`,
        [name, trial, token],
        {
          text: `select number from fallline.trials where study = $1 and number = $2::integer and token = $3 and state = 'waiting'`,
          parameters: [name, trial, token],
        },
      )
      return guarded(name, rows)
    },
    async beat(name, { trial, token }) {
      const rows = await run(
        `update fallline.trials set expires = ${now} + patience
        where study = $1 and number = $2::integer and token = $3 and state = 'running' returning number`,
        [name, trial, token],
      )
      return guarded(name, rows)
    },
    async expire(name, attempts) {
      const rows = await run(
        `with trial as (
          select number, lost + 1 >= $2::integer as is_last from fallline.trials
          where study = $1 and state = 'running' and expires < ${now}
          order by number for update skip locked
        ), ranked as (
          select number, is_last, count(*) filter (where is_last) over (order by number) as rank from trial
        ), study as (
          update fallline.studies
          set version = version + 1, ended = ended + (select count(*) from trial where is_last)
          where name = $1 and exists (select from trial)
          returning version, ended - (select count(*) from trial where is_last) as ended
        ), changed as (
          update fallline.trials
          set version = study.version, lost = lost + 1, state = case when is_last then 'stale' else 'waiting' end,
            ended = case when is_last then study.ended + rank - 1 end,
            ended_at = case when is_last then ${now} end,
            error = case when is_last then 'no sign of life in ' || (lost + 1) || ' attempts' else error end
          from ranked, study where trials.study = $1 and trials.number = ranked.number
          returning trials.number
        )
        select changed.number from fallline.studies left join changed on true where name = $1 order by changed.number`,
        [name, attempts],
      )
      if (rows.length === 0) throw noStudy(name, await names())
      return rows.flatMap(({ number }) => (number === null ? [] : [number as number]))
    },
    async enqueue(name, trials) {
      if (trials.length === 0) {
        await check(name)
        return []
      }
      const given = trials.map(({ point, parameters }) => ({ point, parameters }))
      const rows = await database.query(
        `with study as (
          update fallline.studies set version = version + 1, trials = trials + $2::integer where name = $1
          returning version, trials - $2::integer - 1 as last
        ), given as (
          select value, place from json_array_elements($3::text::json) with ordinality as given (value, place)
        )
        insert into fallline.trials (study, number, version, state, point, parameters)
        select $1, last + place, version, 'waiting', value->'point', value->'parameters' from study, given
        returning number, ${said}`,
        [name, trials.length, json(given)],
      )
      if (rows.length === 0) throw noStudy(name, await names())
      return numbersOf(rows)
    },
    async add(name, records) {
      if (records.length === 0) {
        await check(name)
        return []
      }
      const given = records.map((record) => ({ ...record, worker: plain(record.worker), error: plain(record.error) }))
      const rows = await database.query(
        `with study as (
          update fallline.studies
          set version = version + 1, trials = trials + $2::integer, ended = ended + $2::integer where name = $1
          returning version, trials - $2::integer - 1 as last, ended - $2::integer - 1 as last_ended
        ), given as (
          select value, place from json_array_elements($3::text::json) with ordinality as given (value, place)
        ), added as (
          insert into fallline.trials (study, number, version, state, attempt, lost, parameters, point, until, "values",
            constraints, cost, note, seen, ended, worker, error, started_at, ended_at, attributes, reports)
          select $1, last + place, version, value->>'state', (value->>'attempt')::integer, (value->>'lost')::integer,
            value->'parameters', value->'point', (value->>'until')::double precision, value->'values',
            value->'constraints', (value->>'cost')::double precision, value->'note', (value->>'seen')::integer,
            last_ended + place, value->>'worker', value->>'error', (value->>'startedAt')::double precision,
            coalesce((value->>'endedAt')::double precision, ${now}), value->'attributes', json_array_length(value->'reports')
          from study, given
          returning number
        ), reported as (
          insert into fallline.reports (study, trial, place, step, value)
          select $1, last + given.place, report.place - 1, (report.value->>'step')::double precision,
            (report.value->>'value')::double precision
          from study, given, json_array_elements(given.value->'reports') with ordinality as report (value, place)
        )
        select number from added`,
        [name, records.length, json(given)],
      )
      if (rows.length === 0) throw noStudy(name, await names())
      return numbersOf(rows)
    },
    async annotate(name, trial, attribute, value) {
      if (trial === null) {
        const rows = await run(
          `update fallline.studies set ${annotated} where name = $1 and $2::integer is null returning name`,
          [name, null, plain(attribute), json(value)],
        )
        await guarded(name, rows)
        return
      }
      const rows = await run(
        `with trial as (
          select number from fallline.trials where study = $1 and number = $2::integer for update
        ), ${counted}
        update fallline.trials set version = study.version, ${annotated}
        from trial, study where trials.study = $1 and trials.number = trial.number
        returning trials.number`,
        [name, trial, plain(attribute), json(value)],
      )
      if (await guarded(name, rows)) return
      const [{ trials } = { trials: 0 }] = await run('select trials from fallline.studies where name = $1', [name])
      throw new RangeError(`there is no trial ${trial} in '${name}', which has ${trials}`)
    },
    ...(database.listen && { watch: watches(database.listen) }),
    close: () => database.close(),
  }
}

const holderOf = ({ worker, patience }: Holder): readonly Cell[] => [plain(worker), patience]

const numbersOf = (rows: readonly Row[]) => rows.map(({ number }) => number as number).sort((a, b) => a - b)

/** A text without the character 0. */
function plain(text: string | null): string | null {
  return text?.replaceAll('\0', '\ufffd') ?? null
}

/** JSON in which numbers that it cannot write are texts, and that has no character 0. */
function json(value: unknown): string {
  const text = JSON.stringify(value, (_, part) =>
    typeof part === 'number' && !Number.isFinite(part) ? `${part}` : part,
  )
  return text.replace(/(?<!\\)((?:\\\\)*)\\u0000/g, '$1\\ufffd')
}

function studyOf({ record, attributes }: Row): StudyRecord {
  return { ...(record as StudyRecord), attributes: attributes as StudyRecord['attributes'] }
}

function trialOf(row: Row, reports: readonly (readonly [Cell, Cell])[]): TrialRecord {
  const values = row.values as readonly Cell[] | null
  const constraints = Object.entries(row.constraints as Record<string, Cell>)
  return {
    number: row.number as number,
    state: row.state as TrialRecord['state'],
    attempt: row.attempt as number,
    lost: row.lost as number,
    parameters: row.parameters as TrialRecord['parameters'],
    point: row.point as TrialRecord['point'],
    until: row.until as number | null,
    reports: reports.map(([step, value]) => ({ step: Number(step), value: Number(value) })),
    values: values?.map(Number) ?? null,
    constraints: Object.fromEntries(constraints.map(([name, value]) => [name, Number(value)])),
    cost: row.cost as number | null,
    note: (row.note ?? null) as Json,
    seen: row.seen as number | null,
    ended: row.ended as number | null,
    worker: row.worker as string | null,
    error: row.error as string | null,
    startedAt: row.started_at as number | null,
    endedAt: row.ended_at as number | null,
    attributes: row.attributes as TrialRecord['attributes'],
  }
}
