import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { float, openStudy, type Storage, space } from '../../src/index.ts'
import { studyServer } from '../../src/sql.ts'
import { hasPostgres, type Server, startServer } from '../support/server.ts'

const line = space({ x: float(0, 1) })
const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** A storage that counts how often trials are asked for. */
function counted(storage: Storage): { storage: Storage; asked: () => number } {
  let count = 0
  const expire: Storage['expire'] = (name, attempts) => {
    count++
    return storage.expire(name, attempts)
  }
  return { storage: { ...storage, expire }, asked: () => count }
}

describe.skipIf(!hasPostgres)('those who wait on PostgreSQL', () => {
  let server: Server
  beforeAll(async () => {
    server = await startServer()
  })
  afterAll(() => server.stop())

  test('are woken by what others tell, without asking again and again', async () => {
    const url = await server.database()
    const [mine, theirs] = [await studyServer(url), counted(await studyServer(url))]
    const study = await openStudy({ space: line, storage: mine })
    const held = await study.ask()
    const waiting = (await openStudy({ space: line, storage: theirs.storage })).optimize(() => 1, { trials: 1 })
    await sleep(2000)
    // The first one or two while it connects.
    const before = theirs.asked()
    await sleep(1500)
    expect(theirs.asked() - before).toBeLessThanOrEqual(1)
    const told = Date.now()
    await study.tell(held, 2)
    expect((await waiting).reason).toBe('1 trials have a result')
    expect(Date.now() - told).toBeLessThan(2000)
    await mine.close()
    await theirs.storage.close()
  })

  test('bring exactly what was asked for when nothing is heard any more', async () => {
    const url = await server.database()
    const storages = await Promise.all([1, 2, 3].map(() => studyServer(url)))
    const client = new pg.Client(url)
    await client.connect()
    const cut = setInterval(() => {
      client
        .query(
          `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'fallline listener' and datname = current_database()`,
        )
        .catch(() => {})
    }, 100)
    const work = storages.map(async (storage) =>
      (await openStudy({ space: line, storage })).optimize(
        async ({ parameters }) => {
          await sleep(50)
          return parameters.x
        },
        { trials: 20 },
      ),
    )
    await Promise.all(work)
    clearInterval(cut)
    const { trials } = await storages[0]!.changes('study', 0)
    expect(trials.map(({ state }) => state)).toEqual(new Array(20).fill('complete'))
    await client.end()
    await Promise.all(storages.map((storage) => storage.close()))
  })
})
