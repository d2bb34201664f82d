import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cpSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { float, openStudy, space } from '../../src/index.ts'
import { DiskFull, studyFolder } from '../../src/sql.ts'
import { everything } from '../support/everything.ts'
import { temporaryFolders } from '../support/folders.ts'

const disk = mkdtempSync(join(tmpdir(), 'fallline-disk-'))

/** A disk of 128 MiB in the memory, where the system lets us mount one. */
function mounts(): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128m', 'tmpfs', disk], { stdio: 'pipe' })
    return true
  } catch {
    console.error('THE TEST OF A FULL DISK IS LEFT OUT: no disk can be mounted here')
    return false
  }
}

const mounted = mounts()
const newFolder = temporaryFolders()
afterAll(() => {
  if (mounted) execFileSync('umount', ['-l', disk])
  rmSync(disk, { recursive: true, force: true })
})

test.runIf(mounted && everything)(
  'a full disk is said, and the study goes on from the last acknowledged result',
  async () => {
    const folder = join(disk, 'studies')
    cpSync(await newFolder(), folder, { recursive: true })
    const line = space({ x: float(0, 10) })
    const first = await studyFolder(folder)
    const study = await openStudy({ space: line, storage: first })
    const filler = join(disk, 'filler')
    let acknowledged = 0
    const tellOne = async () => {
      const trial = await study.ask()
      await trial.annotate('weights', randomBytes(2 ** 20).toString('base64'))
      await study.tell(trial, 1)
      acknowledged++
    }
    await tellOne()
    const { bavail, bsize } = statfsSync(disk)
    writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - 2 ** 21)))
    const filling = async () => {
      for (let trial = 0; trial < 100; trial++) await tellOne()
    }
    const error = await filling().catch((error) => error)
    expect(error).toBeInstanceOf(DiskFull)
    expect(error.message).toMatch(/is full: the last change was not kept, everything acknowledged before is/)
    rmSync(filler)
    await first.close()
    const second = await studyFolder(folder)
    const again = await openStudy({ space: line, storage: second })
    const complete = (await again.trials()).filter(({ state }) => state === 'complete')
    expect(complete.length).toBe(acknowledged)
    await again.tell(await again.ask(), 2)
    expect((await again.best())!.of).toBe(acknowledged + 1)
    await second.close()
  },
)
