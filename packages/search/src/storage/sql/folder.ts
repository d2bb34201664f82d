import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Storage } from '../storage.ts'
import { ConnectionLost, type Database } from './database.ts'
import { embedded } from './embedded.ts'
import { optional } from './optional.ts'
import { takeOwnership } from './owner.ts'
import { postgres } from './postgres.ts'
import { migrate } from './schema.ts'
import { sqlStorage } from './storage.ts'

/** Milliseconds between two looks at who owns a folder. */
const nap = 100

/** Milliseconds that an owner may take to open, or not answer: a new database takes seconds, and a busy machine many times that. */
const patience = 600_000

/** Connections that an owner serves at the same time. */
const connections = 200

/**
 * Studies in a folder, which is made when it is not there: in PostgreSQL inside this process (the package `@electric-sql/pglite`). The
 * process that opens a folder first owns it and serves it to other processes of this machine, which connect to it on their own
 * (`@electric-sql/pglite-socket`, `pg`); when it ends or dies, one of them becomes the owner and goes on. Close it when all is done:
 * a process that serves others does not end on its own.
 *
 * @throws Error for a folder that holds something else, an owner on another machine, tables of a newer version and a full disk
 */
export async function studyFolder(path: string): Promise<Storage> {
  const folder = resolve(path)
  checkFolder(folder, path)
  const database = folderDatabase(folder)
  try {
    // The first statement opens it.
    await database.query('select 1')
  } catch (error) {
    await database.close()
    throw error
  }
  return sqlStorage(database)
}

function checkFolder(folder: string, path: string): void {
  if (!existsSync(folder)) return
  if (!statSync(folder).isDirectory()) throw new Error(`${path} is a file; studies need a folder`)
  const names = readdirSync(folder).filter((name) => !name.startsWith('.'))
  const foreign = names.find((name) => name !== 'database' && !name.startsWith('owner-'))
  if (foreign !== undefined) {
    throw new Error(`${path} is no folder of studies: it has ${foreign}; name a folder that is empty or not there yet`)
  }
}

/** The database of a folder, opened anew whenever the connection to it is lost. */
function folderDatabase(folder: string): Database {
  let opening: Promise<Database> | undefined
  let closed = false
  const using = async <T>(work: (database: Database) => Promise<T>): Promise<T> => {
    if (closed) throw new Error(`the studies in ${folder} have been closed`)
    opening ??= open(folder)
    const current = opening
    try {
      return await work(await current)
    } catch (error) {
      const failed =
        error instanceof ConnectionLost ||
        !(await current.then(
          () => true,
          () => false,
        ))
      if (failed && opening === current) {
        opening = undefined
        await current.then((database) => database.close()).catch(() => {})
      }
      throw error
    }
  }
  return {
    query: (text, parameters) => using((database) => database.query(text, parameters)),
    transaction: (work) => using((database) => database.transaction(work)),
    async close() {
      closed = true
      await opening?.then((database) => database.close()).catch(() => {})
    },
  }
}

/** Becomes the owner of a folder, or connects to its owner. */
async function open(folder: string): Promise<Database> {
  const deadline = Date.now() + patience
  for (;;) {
    const owned = takeOwnership(folder)
    if (owned !== null && typeof owned !== 'string') return own(folder, owned)
    if (typeof owned === 'string') {
      const database = await postgres(owned, 2)
      try {
        await migrate(database, folder)
        return database
      } catch (error) {
        await database.close()
        // An owner that dies is noticed at the next look.
        if (!(error instanceof ConnectionLost) || Date.now() >= deadline) throw error
      }
    }
    if (Date.now() >= deadline) throw new ConnectionLost(`the owner of ${folder} does not answer`)
    await new Promise((resolve) => setTimeout(resolve, nap))
  }
}

async function own(
  folder: string,
  ownership: Exclude<ReturnType<typeof takeOwnership>, string | null>,
): Promise<Database> {
  let database: Awaited<ReturnType<typeof embedded>> | undefined
  try {
    const { PGLiteSocketServer } = await optional(
      '@electric-sql/pglite-socket',
      () => import('@electric-sql/pglite-socket'),
    )
    const directory = join(folder, 'database')
    mkdirSync(directory, { recursive: true })
    database = await embedded(directory)
    await migrate(database, folder)
    const server = new PGLiteSocketServer({
      db: database.pglite,
      host: '127.0.0.1',
      port: 0,
      maxConnections: connections,
    })
    await server.start()
    ownership.publish(`postgres://postgres@${server.getServerConn()}/postgres`)
    const { query, transaction, close } = database
    return {
      query,
      transaction,
      async close() {
        await server.stop()
        await close()
        ownership.release()
      },
    }
  } catch (error) {
    await database?.close().catch(() => {})
    ownership.release()
    throw error
  }
}
