import type { Query, ServerDatabase } from './database.ts'

/**
 * The tables, as steps from one version to the next; what has been published is never changed.
 *
 * `version` of a study counts its changes; a trial has the one of its last change, so that what has changed since one is found by an
 * index. `trials`, `ended` and `reports` count the rows that belong to a row. Times are milliseconds since 1970.
 */
const migrations: readonly string[] = [
  `
  create table fallline.studies (
    name text primary key,
    made bigint generated always as identity,
    record json not null,
    attributes json not null,
    version bigint not null default 0,
    trials integer not null default 0,
    ended integer not null default 0,
    sampler_version integer not null default 0,
    sampler_state json
  );
  create table fallline.trials (
    study text not null references fallline.studies on delete cascade,
    number integer not null,
    state text not null,
    version bigint not null,
    attempt integer not null default 0,
    lost integer not null default 0,
    parameters json not null,
    point json not null,
    until double precision,
    "values" json,
    constraints json not null default '{}',
    cost double precision,
    note json,
    seen integer,
    ended integer,
    worker text,
    error text,
    started_at double precision,
    ended_at double precision,
    attributes json not null default '{}',
    reports integer not null default 0,
    token text,
    patience double precision,
    expires double precision,
    primary key (study, number)
  );
  create index trials_by_version on fallline.trials (study, version);
  create index trials_waiting on fallline.trials (study, number) where state = 'waiting';
  create index trials_running on fallline.trials (study, expires) where state = 'running';
  create table fallline.reports (
    study text not null,
    trial integer not null,
    place integer not null,
    step double precision not null,
    value double precision not null,
    primary key (study, trial, place),
    foreign key (study, trial) references fallline.trials on delete cascade
  );
  `,
]

/** The version of the tables that this program makes and needs. */
export const schemaVersion = migrations.length

/** Any number, the same for all who migrate. */
const lockNumber = 417_325

/**
 * Makes the tables, or brings them up to date.
 *
 * @throws Error for tables of a newer version than this program knows
 */
export async function migrate(database: ServerDatabase, where: string): Promise<void> {
  if ((await versionOf(database.query, where)) === schemaVersion) return
  await database.transaction(async (query) => {
    await query('select pg_advisory_xact_lock($1::bigint)', [lockNumber])
    const version = await versionOf(query, where)
    if (version === schemaVersion) return
    if (version === 0) {
      await query('create schema if not exists fallline')
      await query('create table fallline.schema (version integer not null)')
      await query('insert into fallline.schema values (0)')
    }
    for (const migration of migrations.slice(version)) {
      for (const statement of migration.split(';')) if (statement.trim() !== '') await query(statement)
    }
    await query('update fallline.schema set version = $1::integer', [schemaVersion])
  })
}

async function versionOf(query: Query, where: string): Promise<number> {
  // A look into the catalog sees what another transaction has committed just now; `to_regclass` may not.
  const tables = await query(`select from pg_tables where schemaname = 'fallline' and tablename = 'schema'`)
  if (tables.length === 0) return 0
  const [row] = await query('select version from fallline.schema')
  const version = row!.version as number
  if (version > schemaVersion) {
    throw new Error(
      `${where} has version ${version} of the tables of studies, and this program knows them up to version ${schemaVersion}: update @fallline/search`,
    )
  }
  return version
}
