import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { float, openStudy, space } from '../../src/index.ts'
import { studiesAt } from '../../src/sql.ts'
import { everything } from '../support/everything.ts'
import { temporaryFolders } from '../support/folders.ts'
import { startWorker, type Worker } from '../support/processes.ts'
import { hasPostgres, type Server, startServer } from '../support/server.ts'

/** Kills on each kind of storage; in all 50 with everything. */
const kills = everything ? 25 : 2
const trialsPerKill = 20
const workerCount = 3

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))
const whole = (below: number) => Math.floor(Math.random() * below)

/**
 * Works on a study with several processes and kills them at random moments, then checks that what was acknowledged is there, once.
 *
 * @param also what is killed besides, after so many kills
 */
async function survives(place: string, also?: (kill: number) => Promise<void>): Promise<void> {
  const count = kills * trialsPerKill
  const storage = await studiesAt(place)
  const study = await openStudy({ space: space({ x: float(0, count) }), storage })
  await study.enqueue(...Array.from({ length: count }, (_, x) => ({ x })))
  await storage.close()
  const workers: Worker[] = Array.from({ length: workerCount }, () => startWorker(place, 'drain'))
  const all = [...workers]
  await Promise.race(workers.map(({ first }) => first))
  for (let kill = 0; kill < kills; kill++) {
    await sleep(50 + whole(250))
    const victim = whole(workerCount)
    workers[victim]!.child.kill('SIGKILL')
    // Who has no connection yet is right to say that there is no server.
    if (also) await Promise.all(workers.map(({ first, ended }) => Promise.race([first, ended])))
    await also?.(kill)
    workers[victim] = startWorker(place, 'drain')
    all.push(workers[victim]!)
  }
  await Promise.all(all.map(({ ended }) => ended))
  const again = await studiesAt(place)
  const { trials } = await again.changes('study', 0)
  await again.close()
  const acknowledged = all.flatMap(({ lines }) => lines.map(Number))
  expect(new Set(acknowledged).size).toBe(acknowledged.length)
  expect(trials.map(({ number, state, values }) => [number, state, values])).toEqual(
    Array.from({ length: count }, (_, x) => [x, 'complete', [x * x]]),
  )
  expect(trials.map(({ ended }) => ended!).sort((a, b) => a - b)).toEqual(trials.map((_, index) => index))
}

/** Milliseconds that a busy machine may take for it. */
const slow = 600_000

describe('kill -9', { timeout: slow }, () => {
  const newFolder = temporaryFolders()
  // On a server it is tried every day.
  test.runIf(everything || !hasPostgres)(
    'of workers and owners of a folder loses no result and counts none twice',
    async () => {
      await survives(await newFolder())
    },
  )
  describe.skipIf(!hasPostgres)('on PostgreSQL', () => {
    let server: Server
    beforeAll(async () => {
      server = await startServer()
    })
    afterAll(() => server.stop())
    test('of workers and the server loses no result and counts none twice', async () => {
      await survives(await server.database(), async (kill) => {
        if (kill % 3 !== 1) return
        await server.kill()
        await server.start()
      })
    })
  })
})
