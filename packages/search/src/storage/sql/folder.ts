import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Storage } from '../storage.ts'
import { connect, serve } from './channel.ts'
import { ConnectionLost, type Database, type ServerDatabase } from './database.ts'
import { embedded } from './embedded.ts'
import { type Ownership, takeOwnership } from './owner.ts'
import { migrate, schemaVersion } from './schema.ts'
import { sqlStorage } from './storage.ts'

/** Milliseconds between two looks at who owns a folder. */
const nap = 100

/**
 * Milliseconds after which a statement gives up that found no owner to the end: a new database takes seconds, a busy machine many times
 * that, and owners that have done their work may leave one after the other.
 */
const patience = 600_000

/**
 * Studies in a folder, which is made when it is not there: in PostgreSQL inside this process (the package `@electric-sql/pglite`). The
 * process that opens a folder first owns it and serves it to other processes of this user and machine, which connect to it on their own;
 * when it ends or dies, one of them becomes the owner and goes on. Close it when all is done: a process that
 * serves others does not end on its own.
 *
 * @throws Error for a folder that holds something else, an owner on another machine, tables of a newer version and a full disk
 */
export async function studyFolder(path: string): Promise<Storage> {
  const folder = resolve(path)
  checkFolder(folder, path)
  const storage = sqlStorage(folderDatabase(folder), patience)
  try {
    // The first statement opens it.
    await storage.names()
  } catch (error) {
    await storage.close()
    throw error
  }
  return storage
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
    if (owned !== null && 'publish' in owned) return own(folder, owned)
    if (owned !== null) {
      try {
        const connection = await connect(folder, owned)
        checkVersion(connection.greeting.version, folder)
        return connection
      } catch (error) {
        // An owner that dies is noticed at the next look.
        if (!(error instanceof ConnectionLost) || Date.now() >= deadline) throw error
      }
    }
    if (Date.now() >= deadline) throw new ConnectionLost(`the owner of ${folder} does not answer`)
    await new Promise((resolve) => setTimeout(resolve, nap))
  }
}

/** @throws Error when the owner of a folder has tables of another version than this program knows */
function checkVersion(version: number, folder: string): void {
  if (version === schemaVersion) return
  const why = `the process that owns ${folder} has version ${version} of the tables of studies, and this program version ${schemaVersion}`
  throw new Error(
    version > schemaVersion
      ? `${why}: update @fallline/search here`
      : `${why}: end that process, so that one with a newer @fallline/search opens the folder`,
  )
}

async function own(folder: string, ownership: Ownership): Promise<Database> {
  let database: ServerDatabase | undefined
  try {
    const directory = join(folder, 'database')
    mkdirSync(directory, { recursive: true })
    database = await embedded(directory)
    await migrate(database, folder)
    const { query } = database
    const token = randomBytes(32).toString('hex')
    let closing: Promise<void> | undefined
    const close = () => {
      closing ??= channel
        .close()
        .then(() => database!.close())
        .finally(() => ownership.release())
      return closing
    }
    const channel = await serve(query, { version: schemaVersion }, token, () => close().catch(() => {}))
    ownership.publish({ port: channel.port, token })
    return { query, close }
  } catch (error) {
    await database?.close().catch(() => {})
    ownership.release()
    throw error
  }
}
