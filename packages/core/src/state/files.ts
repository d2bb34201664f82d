import { randomUUID } from 'node:crypto'
import { open, readdir, readFile, realpath, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Writes `bytes` to the file `path`, all or nothing (Node only).
 *
 * The bytes go to a temporary file in the same folder, are flushed to the disk, and then take the place of the old file
 * in one move. A reader, a crash or a full disk therefore meets the old file or the new one, never half of one. When
 * something fails, the old file is untouched and the temporary one is removed; one that a killed program left behind
 * (`.fallline-….tmp`) is removed by a later save in that folder, once it is an hour old. A symbolic link stays one: the file
 * it points to is replaced. The new file never has wider permissions than the old one.
 *
 * @param path file name or file: URL; its folder must exist.
 * @param bytes the whole content, such as the result of `optimizer.save()`.
 * @throws Error that names the path, with the system's error as its cause; a TypeError when `bytes` is not a Uint8Array.
 */
export async function saveFile(path: string | URL, bytes: Uint8Array): Promise<void> {
  const name = nameOf(path)
  if (!(bytes instanceof Uint8Array)) {
    throw new TypeError(`Could not save "${name}": expected the bytes as a Uint8Array, got ${typeof bytes}.`)
  }
  try {
    await replace(name, bytes)
  } catch (cause) {
    throw new Error(`Could not save "${name}": ${reasonOf(cause)}. The file was not changed.`, { cause })
  }
}

/**
 * Reads the whole file `path` (Node only).
 *
 * @param path file name or file: URL.
 * @throws Error that names the path, with the system's error as its cause.
 */
export async function loadFile(path: string | URL): Promise<Uint8Array> {
  const name = nameOf(path)
  try {
    const buffer = await readFile(name)
    return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length)
  } catch (cause) {
    throw new Error(`Could not read "${name}": ${reasonOf(cause)}.`, { cause })
  }
}

async function replace(path: string, bytes: Uint8Array): Promise<void> {
  const target = (await unlessMissing(realpath(path))) ?? path
  const mode = (await unlessMissing(stat(target)))?.mode ?? 0o666
  const folder = dirname(target)
  const temporary = join(folder, `.fallline-${randomUUID()}.tmp`)
  const file = await open(temporary, 'wx', mode & 0o777)
  try {
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, target)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {})
    throw error
  }
  await flushFolder(folder)
  await removeStale(folder)
}

/** No file is written for as long as this, in milliseconds. */
const staleAfter = 60 * 60 * 1000

const temporaryName = /^\.fallline-[0-9a-f-]{36}\.tmp$/

/** Removes temporary files of programs that were killed while they saved; what cannot be removed stays. */
async function removeStale(folder: string): Promise<void> {
  try {
    for (const name of await readdir(folder)) {
      if (!temporaryName.test(name)) continue
      const path = join(folder, name)
      if (Date.now() - (await stat(path)).mtimeMs > staleAfter) await rm(path, { force: true })
    }
  } catch {
    // The folder may not be read, or another program was faster: the file itself is saved.
  }
}

/** Makes the move itself outlive a power failure, where the system can flush a folder (Windows cannot). */
async function flushFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r')
    await handle.sync().finally(() => handle.close())
  } catch {
    // The file is already in place and whole; only the moment at which the move reaches the disk is left to the system.
  }
}

async function unlessMissing<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function nameOf(path: string | URL): string {
  return path instanceof URL ? fileURLToPath(path) : path
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
