import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { embedded } from '../../src/storage/sql/embedded.ts'
import { postgres } from '../../src/storage/sql/postgres.ts'
import { migrate } from '../../src/storage/sql/schema.ts'
import { sqlStorage } from '../../src/storage/sql/storage.ts'
import { testStorage } from '../../src/testing/index.ts'
import { hasPostgres, type Server, startServer } from '../support/server.ts'

describe('PGlite in memory', () => {
  let database: Awaited<ReturnType<typeof embedded>>
  beforeAll(async () => {
    database = await embedded()
    await migrate(database, 'memory')
  })
  afterAll(() => database.close())
  testStorage(
    'PGlite',
    async () => {
      await database.query('delete from fallline.studies')
      return { ...sqlStorage(database), close: async () => {} }
    },
    { test, expect },
  )
})

describe.skipIf(!hasPostgres)('PostgreSQL', () => {
  let server: Server
  beforeAll(async () => {
    server = await startServer()
  })
  afterAll(() => server.stop())
  testStorage(
    'PostgreSQL',
    async () => {
      const url = await server.database()
      const database = await postgres(url)
      await migrate(database, url)
      return sqlStorage(database)
    },
    { test, expect },
  )
})
