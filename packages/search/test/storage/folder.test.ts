import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Storage } from '../../src/index.ts'
import { studiesAt, studyFolder, studyServer } from '../../src/sql.ts'
import { connect, serve } from '../../src/storage/sql/channel.ts'
import { checkFileSystem } from '../../src/storage/sql/file-system.ts'
import { lockNumbers, type Ownership, takeOwnership } from '../../src/storage/sql/owner.ts'
import { schemaVersion } from '../../src/storage/sql/schema.ts'
import { testStorage } from '../../src/testing/index.ts'
import { everything } from '../support/everything.ts'
import { temporaryFolders } from '../support/folders.ts'
import { startWorker, type Worker } from '../support/processes.ts'
import { freePort, hasPostgres, type Server, startServer } from '../support/server.ts'

const newFolder = temporaryFolders()

/** Milliseconds that a busy machine may take for what opens a database again and again. */
const slow = 600_000

/** The storage, emptied for each test. */
async function emptied(storage: Storage): Promise<Storage> {
  for (const name of await storage.names()) await storage.remove(name)
  return { ...storage, close: async () => {} }
}

describe('a folder', () => {
  let storage: Storage
  beforeAll(async () => {
    storage = await studyFolder(await newFolder())
  })
  afterAll(() => storage.close())
  testStorage('a folder', () => emptied(storage), { test, expect })
})

describe('a folder that another process owns', () => {
  let storage: Storage
  let owner: Worker
  beforeAll(async () => {
    const folder = await newFolder()
    owner = startWorker(folder, 'serve')
    await owner.first
    storage = await studyFolder(folder)
  })
  afterAll(async () => {
    await storage.close()
    owner.child.kill()
  })
  testStorage("another's folder", () => emptied(storage), { test, expect })
})

describe('several processes', () => {
  const completes = async (storage: Storage) => {
    const { trials } = await storage.changes('study', 0)
    expect(trials.map(({ number }) => number)).toEqual(trials.map((_, index) => index))
    for (const { state, reports, parameters, values } of trials) {
      const x = parameters.x as number
      expect({ state, reports, values }).toEqual({
        state: 'complete',
        reports: [{ step: 1, value: x }],
        values: [x * x],
      })
    }
    return trials.length
  }
  const eightTimesTwenty = async (place: string) => {
    await Promise.all(Array.from({ length: 8 }, () => startWorker(place, 'count', '20', '600000').ended))
    const storage = await studiesAt(place)
    expect(await completes(storage)).toBe(160)
    await storage.close()
  }
  // A folder takes half a minute for it, a server a few seconds.
  test.runIf(everything || !hasPostgres)(
    '8 x 20 trials in a folder are 160 complete',
    async () => eightTimesTwenty(await newFolder()),
    slow,
  )
  describe.skipIf(!hasPostgres)('on PostgreSQL', () => {
    let server: Server
    beforeAll(async () => {
      server = await startServer()
    })
    afterAll(() => server.stop())
    test('8 x 20 trials on PostgreSQL are 160 complete', async () => eightTimesTwenty(await server.database()))
    test('a database of a newer version is refused', async () => {
      const url = await server.database()
      await (await studyServer(url)).close()
      const { default: pg } = await import('pg')
      const client = new pg.Client(url)
      await client.connect()
      await client.query('update fallline.schema set version = 99')
      await client.end()
      await expect(studyServer(url)).rejects.toThrow(
        /has version 99 of the tables of studies.*update @fallline\/search/,
      )
    })
    test('a database that is not there is refused', async () => {
      const url = (await server.database()).replace(/\w+$/, 'nowhere')
      await expect(studyServer(url)).rejects.toThrow(/database "nowhere" does not exist/)
    })
  })
})

describe('the owner of a folder', () => {
  /** Owns a folder without a database: what is asked of it is answered by `query`. */
  const ownWithout = async (folder: string, query: () => Promise<never>, version: number = schemaVersion) => {
    const ownership = takeOwnership(folder) as Ownership
    const channel = await serve(query, { version }, 'token', () => {})
    ownership.publish({ port: channel.port, token: 'token' })
    return async () => {
      await channel.close()
      ownership.release()
    }
  }

  test('that leaves between the greeting and the first answer is followed by who asked', async () => {
    const folder = await newFolder()
    const leave = await ownWithout(folder, () => {
      void leave()
      return new Promise(() => {})
    })
    const storage = await studyFolder(folder)
    expect(await storage.names()).toEqual([])
    expect(lockNumbers(folder)).toEqual([1])
    await storage.close()
  })

  test('is reached with its token alone, which only its user may read', async () => {
    const folder = await newFolder()
    const storage = await studyFolder(folder)
    const lock = join(folder, 'owner-1')
    expect(statSync(lock).mode & 0o777).toBe(0o600)
    const { port, token } = JSON.parse(readFileSync(lock, 'utf8')).address
    const connection = await connect(folder, { port, token })
    expect(await connection.query('select $1::integer as x', [7])).toEqual([{ x: 7 }])
    await connection.close()
    const other = `${token.slice(1)}${token[0] === '0' ? 1 : 0}`
    await expect(connect(folder, { port, token: other })).rejects.toThrow(/no connection to the owner of .*closed/)
    await storage.close()
  })

  test('with tables of another version says which program is too old', async () => {
    for (const [version, who] of [
      [schemaVersion + 1, /update @fallline\/search here/],
      [schemaVersion - 1, /end that process/],
    ] as const) {
      const folder = await newFolder()
      const leave = await ownWithout(folder, () => Promise.reject(new Error('it was asked')), version)
      await expect(studyFolder(folder)).rejects.toThrow(who)
      await leave()
    }
  })

  test('answers big statements of several at once to those who asked, in any pieces', async () => {
    const folder = await newFolder()
    const storage = await studyFolder(folder)
    const address = JSON.parse(readFileSync(join(folder, 'owner-1'), 'utf8')).address
    const connections = await Promise.all([1, 2, 3].map(() => connect(folder, address)))
    await Promise.all(
      connections.map(async (connection, index) => {
        for (const size of [1, 300_000, 10, 1_000_000]) {
          const text = `${index}`.repeat(size)
          expect(await connection.query('select $1::text as text, $2::integer as size', [text, size])).toEqual([
            { text, size },
          ])
        }
      }),
    )
    for (const connection of connections) await connection.close()
    await storage.close()
  })
})

describe('what is refused', () => {
  test('what is no folder of studies', async () => {
    const folder = await newFolder()
    writeFileSync(join(folder, 'thesis.tex'), '')
    await expect(studyFolder(folder)).rejects.toThrow(/is no folder of studies: it has thesis.tex/)
    await expect(studyFolder(join(folder, 'thesis.tex'))).rejects.toThrow(/is a file; studies need a folder/)
    await expect(studiesAt('mysql://localhost/studies')).rejects.toThrow(/begins with postgres:, not at mysql/)
  })
  test('a folder on a network file system, and what may be one with a warning', async () => {
    const folder = join(await newFolder(), 'not', 'there')
    // NFS; CIFS as Linux gives it; FUSE; ext4.
    expect(() => checkFileSystem(folder, () => 0x6969)).toThrow(/there is on a network file system \(NFS\).*PostgreSQL/)
    expect(() => checkFileSystem(folder, () => 0xff534d42 - 2 ** 32)).toThrow(/\(CIFS\)/)
    expect(checkFileSystem(folder, () => 0x65735546)).toMatch(/of the kind FUSE/)
    expect(checkFileSystem(folder, () => 0xef53)).toBeNull()
    expect(checkFileSystem(folder)).toBeNull()
  })
  test('a URL without a server, its password left out', async () => {
    const url = `postgres://me:secret@127.0.0.1:${await freePort()}/studies`
    await expect(studyServer(url)).rejects.toThrow(
      /no connection to postgres:\/\/me:\*\*\*@127.0.0.1:\d+\/studies: .*ECONNREFUSED/,
    )
  })
  test.runIf(everything)('a URL of what never answers', async () => {
    const silent = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => silent.once('listening', resolve))
    const { port } = silent.address() as AddressInfo
    await expect(studyServer(`postgres://me@127.0.0.1:${port}/studies`)).rejects.toThrow(
      /no connection to postgres:\/\/me@127.0.0.1:\d+\/studies: .*time/,
    )
    silent.close()
  })
  test('the folder of an owner that may still run elsewhere, and not that of one that is gone', async () => {
    const folder = await newFolder()
    const gone = startWorker(folder, 'serve')
    await gone.first
    gone.child.kill('SIGKILL')
    await gone.ended
    expect(lockNumbers(folder)).toEqual([1])
    const heir = await studyFolder(folder)
    expect(lockNumbers(folder)).toEqual([2])
    await heir.close()
    expect(lockNumbers(folder)).toEqual([])
    writeFileSync(
      join(folder, 'owner-1'),
      JSON.stringify({ pid: 1, started: '1', machine: 'elsewhere', boot: null, address: null }),
    )
    await expect(studyFolder(folder)).rejects.toThrow(
      /is owned by process 1 on another machine.*elsewhere.*remove .*owner-1/,
    )
  })
})
