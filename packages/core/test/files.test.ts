import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

/** Calls of the file system that a test lets fail, as a full or broken disk would. */
const broken = vi.hoisted(() => new Set<'write' | 'sync' | 'rename'>())

vi.mock('node:fs/promises', async (importOriginal) => {
  const original = await importOriginal<typeof fs>()
  const diskFull = () => Promise.reject(Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' }))
  return {
    ...original,
    async open(...parameters: Parameters<typeof original.open>) {
      const file = await original.open(...parameters)
      if (broken.has('write')) {
        file.writeFile = async (data) => {
          await file.write((data as Uint8Array).subarray(0, 1))
          return diskFull()
        }
      }
      if (broken.has('sync')) file.sync = diskFull
      return file
    },
    rename: (...parameters: Parameters<typeof original.rename>) =>
      broken.has('rename') ? diskFull() : original.rename(...parameters),
  }
})

// Another file of tests in the same worker may have loaded it with what is mocked here.
vi.resetModules()
const { loadFile, saveFile } = await import('../src/state/files.ts')

let folder: string
beforeEach(async () => {
  folder = await fs.mkdtemp(join(tmpdir(), 'fallline-files-'))
})
afterEach(async () => {
  broken.clear()
  await fs.rm(folder, { recursive: true })
})

const bytesOf = (...values: number[]) => new Uint8Array(values)
const failureOf = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => {
      throw new Error('expected a failure')
    },
    (error) => error,
  )

describe('saveFile and loadFile', () => {
  it('give back what was saved, by name and by URL', async () => {
    const path = join(folder, 'a name with spaces ✓')
    await saveFile(path, bytesOf(1, 2, 255))
    expect(await loadFile(path)).toEqual(bytesOf(1, 2, 255))
    await saveFile(pathToFileURL(path), bytesOf(7))
    expect(await loadFile(pathToFileURL(path))).toEqual(bytesOf(7))
    expect(await fs.readdir(folder)).toEqual(['a name with spaces ✓'])
  })

  it('remove what killed programs left behind an hour ago, and nothing else', async () => {
    const left = (digit: string) => `.fallline-${digit.repeat(8)}-1111-4111-8111-${digit.repeat(12)}.tmp`
    const [old, young, other] = [left('a'), left('b'), '.fallline-notes.tmp']
    for (const name of [old, young, other]) await fs.writeFile(join(folder, name), 'half')
    const before = new Date(Date.now() - 2 * 60 * 60 * 1000)
    for (const name of [old, other]) await fs.utimes(join(folder, name), before, before)
    await saveFile(join(folder, 'model'), bytesOf(1))
    expect((await fs.readdir(folder)).sort()).toEqual([young, other, 'model'].sort())
  })

  it('handle empty files and views into larger buffers', async () => {
    const path = join(folder, 'file')
    await saveFile(path, bytesOf())
    expect(await loadFile(path)).toEqual(bytesOf())
    await saveFile(path, bytesOf(0, 1, 2, 3, 4).subarray(1, 4))
    const loaded = await loadFile(path)
    expect(loaded).toEqual(bytesOf(1, 2, 3))
    expect(Object.getPrototypeOf(loaded)).toBe(Uint8Array.prototype)
  })

  it('save from shared memory', async () => {
    const path = join(folder, 'file')
    const shared = new Uint8Array(new SharedArrayBuffer(3))
    shared.set([4, 5, 6])
    await saveFile(path, shared)
    expect(await loadFile(path)).toEqual(bytesOf(4, 5, 6))
  })

  it('replace a longer file completely', async () => {
    const path = join(folder, 'file')
    await saveFile(path, new Uint8Array(1000).fill(9))
    await saveFile(path, bytesOf(1))
    expect(await loadFile(path)).toEqual(bytesOf(1))
  })

  it('replace the file behind a symbolic link and keep the link', async () => {
    const path = join(folder, 'file')
    const link = join(folder, 'latest')
    await saveFile(path, bytesOf(1))
    await fs.symlink('file', link)
    await saveFile(link, bytesOf(2))
    expect((await fs.lstat(link)).isSymbolicLink()).toBe(true)
    expect(await loadFile(path)).toEqual(bytesOf(2))
  })

  it.skipIf(process.platform === 'win32')('do not widen the permissions of a private file', async () => {
    const path = join(folder, 'file')
    await fs.writeFile(path, 'old', { mode: 0o600 })
    await saveFile(path, bytesOf(1))
    expect((await fs.stat(path)).mode & 0o777).toBe(0o600)
  })

  it('leave one whole file when several saves run at once', async () => {
    const path = join(folder, 'file')
    await Promise.all([1, 2, 3, 4].map((value) => saveFile(path, new Uint8Array(10_000).fill(value))))
    const loaded = await loadFile(path)
    expect(loaded).toEqual(new Uint8Array(10_000).fill(loaded[0]!))
    expect(await fs.readdir(folder)).toEqual(['file'])
  })
})

describe('a save that fails', () => {
  it.each(['write', 'sync', 'rename'] as const)('in %s leaves the old file and no temporary one', async (call) => {
    const path = join(folder, 'file')
    await saveFile(path, bytesOf(1, 2, 3))
    broken.add(call)
    const error = await failureOf(saveFile(path, bytesOf(4, 5, 6)))
    expect(error.message).toBe(`Could not save "${path}": ENOSPC: no space left on device. The file was not changed.`)
    expect((error.cause as NodeJS.ErrnoException).code).toBe('ENOSPC')
    broken.clear()
    expect(await loadFile(path)).toEqual(bytesOf(1, 2, 3))
    expect(await fs.readdir(folder)).toEqual(['file'])
  })

  it('leaves nothing when there was no file before', async () => {
    broken.add('write')
    await failureOf(saveFile(join(folder, 'file'), bytesOf(1, 2)))
    expect(await fs.readdir(folder)).toEqual([])
  })

  it('names the path when the folder is missing or a folder is in the way', async () => {
    const missing = join(folder, 'missing', 'file')
    expect((await failureOf(saveFile(missing, bytesOf(1)))).message).toContain(`Could not save "${missing}": ENOENT`)
    const inTheWay = join(folder, 'folder')
    await fs.mkdir(inTheWay)
    await fs.writeFile(join(inTheWay, 'content'), '')
    expect((await failureOf(saveFile(inTheWay, bytesOf(1)))).message).toContain(`Could not save "${inTheWay}": `)
    expect(await fs.readdir(folder)).toEqual(['folder'])
  })

  it('refuses anything but bytes before touching the file', async () => {
    const path = join(folder, 'file')
    await saveFile(path, bytesOf(1))
    const error = await failureOf(saveFile(path, 'text' as never))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toBe(`Could not save "${path}": expected the bytes as a Uint8Array, got string.`)
    expect(await loadFile(path)).toEqual(bytesOf(1))
  })
})

describe('a load that fails', () => {
  it('names the path', async () => {
    const path = join(folder, 'missing')
    const error = await failureOf(loadFile(path))
    expect(error.message).toContain(`Could not read "${path}": ENOENT`)
    expect((error.cause as NodeJS.ErrnoException).code).toBe('ENOENT')
    expect((await failureOf(loadFile(folder))).message).toContain(`Could not read "${folder}": EISDIR`)
  })
})
