import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Storage } from '../../src/index.ts'
import type { ServerDatabase } from '../../src/storage/sql/database.ts'
import { embedded } from '../../src/storage/sql/embedded.ts'
import { postgres } from '../../src/storage/sql/postgres.ts'
import { migrate } from '../../src/storage/sql/schema.ts'
import { sqlStorage } from '../../src/storage/sql/storage.ts'
import { testStorage } from '../../src/testing/index.ts'
import { hasPostgres, type Server, startServer } from '../support/server.ts'

/** Storages on a database that each test finds without studies. */
function emptied(database: ServerDatabase): Storage {
  return { ...sqlStorage(database), close: async () => {} }
}

describe('PGlite in memory', () => {
  let database: ServerDatabase
  beforeAll(async () => {
    database = await embedded()
    await migrate(database, 'memory')
  })
  afterAll(() => database.close())
  testStorage(
    'PGlite',
    async () => {
      await database.query('delete from fallline.studies')
      return emptied(database)
    },
    { test, expect },
  )
})

describe.skipIf(!hasPostgres)('PostgreSQL', () => {
  let server: Server
  let database: ServerDatabase
  beforeAll(async () => {
    server = await startServer()
    const url = await server.database()
    database = await postgres(url)
    await migrate(database, url)
  })
  afterAll(async () => {
    await database.close()
    await server.stop()
  })
  testStorage(
    'PostgreSQL',
    async () => {
      await database.query('delete from fallline.studies')
      return emptied(database)
    },
    { test, expect },
  )
})
