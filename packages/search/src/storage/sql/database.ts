/** A value of a column or a parameter; JSON columns come parsed. */
export type Cell = unknown

/** A row by the names of its columns. */
export type Row = Readonly<Record<string, Cell>>

/** Runs one statement; parameters are `$1`, `$2` and so on. */
export type Query = (text: string, parameters?: readonly Cell[]) => Promise<readonly Row[]>

/** A database that speaks the SQL of PostgreSQL. */
export interface Database {
  /** Runs one statement in a transaction of its own. */
  readonly query: Query
  close(): Promise<void>
}

/** A database that also runs transactions of several statements. */
export interface ServerDatabase extends Database {
  /** Runs several statements in one transaction, which is undone when `work` throws. */
  transaction<T>(work: (query: Query) => Promise<T>): Promise<T>
}

/** A database that cannot be reached any more; whether the last statement was done is not known. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost'
}

/** A disk that is full. */
export class DiskFull extends Error {
  override readonly name = 'DiskFull'
  constructor(where: string, cause: unknown) {
    super(
      `the disk under ${where} is full: the last change was not kept, everything acknowledged before is; make room and run the same again`,
      { cause },
    )
  }
}

const unreachable = new Set(['ECONNREFUSED', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH'])
const lost = new Set(['ECONNRESET', 'EPIPE', ...unreachable])

/** Whether nobody answers where the database was looked for. */
export function isUnreachable({ cause }: ConnectionLost): boolean {
  return unreachable.has((cause as { code?: string } | undefined)?.code ?? '') || /timeout/.test(String(cause))
}

/** Tells apart what a driver threw: a connection that is gone, a full disk, or an error of the statement. */
export function driverError(where: string, error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { code = '' } = error as { code?: string }
  if (code === '53100' || code === 'ENOSPC' || /no space left on device/i.test(error.message)) {
    return new DiskFull(where, error)
  }
  // 08: connection exceptions; 57P01 to 57P03: the server stops, has crashed or is starting.
  const isLost =
    lost.has(code) ||
    /^(08|57P0[123])/.test(code) ||
    /connection (terminated|error|timeout)|timeout (exceeded when trying to connect|expired)|not queryable/i.test(
      error.message,
    )
  return isLost ? new ConnectionLost(`no connection to ${where}: ${error.message || code}`, { cause: error }) : error
}
