import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Address } from './channel.ts'

/** Who owns a folder. */
interface Identity {
  readonly pid: number
  /** When the process started, as the system counts; `null` where it does not say. */
  readonly started: string | null
  /** Names the machine, or the container, within which a process has this number. */
  readonly machine: string
  /** The start of the machine; `null` where it does not say. */
  readonly boot: string | null
}

interface Owner extends Identity {
  /** How others reach the database; `null` until it is open. */
  readonly address: Address | null
}

/** The ownership of a folder by this process. */
export interface Ownership {
  /** Tells others of the same user how to reach the database. */
  publish(address: Address): void
  release(): void
}

/**
 * Takes the ownership of a folder, or says how to reach its owner.
 *
 * The lock is the file `owner-N` of the highest N, made exclusively. Who finds that its process is gone, takes the next number, so that
 * of several who find it one wins; who was late sees a higher number and steps back. Age says nothing: an owner that is busy for an
 * hour keeps its folder.
 *
 * @returns `null` while the owner is about to open or to leave: ask again
 * @throws Error when it cannot be known whether the owner still runs
 */
export function takeOwnership(folder: string): Ownership | Address | null {
  mkdirSync(folder, { recursive: true })
  const last = lockNumbers(folder).at(-1) ?? 0
  if (last > 0) {
    const owner = read(lockPath(folder, last))
    if (owner === null) return null
    if (!isGone(owner, folder, last)) return owner.address
  }
  const mine = last + 1
  const path = lockPath(folder, mine)
  if (!make(path, { ...self(), address: null })) return null
  const numbers = lockNumbers(folder)
  // Whoever was found may have been followed by others meanwhile, who began to count anew.
  const isAlone = numbers.every((number) => number === mine || (number < mine && isGoneAt(folder, number)))
  if (!isAlone) {
    rmSync(path, { force: true })
    return null
  }
  for (const number of numbers) if (number < mine) rmSync(lockPath(folder, number), { force: true })
  return {
    publish(address) {
      const next = join(folder, `.${crypto.randomUUID()}`)
      writeFileSync(next, JSON.stringify({ ...self(), address }), { mode: 0o600 })
      renameSync(next, path)
    },
    release: () => rmSync(path, { force: true }),
  }
}

const lockPath = (folder: string, number: number) => join(folder, `owner-${number}`)

/** Numbers of the locks of a folder, in their order. */
export function lockNumbers(folder: string): number[] {
  return readdirSync(folder)
    .flatMap((name) => (/^owner-\d+$/.test(name) ? [Number(name.slice('owner-'.length))] : []))
    .sort((a, b) => a - b)
}

/** Makes a file with its content in one step; `false` when there is one. */
function make(path: string, owner: Owner): boolean {
  const next = `${path}.${crypto.randomUUID()}`
  writeFileSync(next, JSON.stringify(owner), { flag: 'wx', mode: 0o600 })
  try {
    linkSync(next, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(next, { force: true })
  }
}

function read(path: string): Owner | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Owner
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

function isGoneAt(folder: string, number: number): boolean {
  const owner = read(lockPath(folder, number))
  return owner === null || isGone(owner, folder, number)
}

/** @throws Error when that cannot be known */
function isGone({ pid, started, machine, boot }: Owner, folder: string, number: number): boolean {
  const me = self()
  if (machine !== me.machine) {
    throw new Error(
      `${folder} is owned by process ${pid} on another machine or in another container, ${machine}: serve the studies from a PostgreSQL server, or remove ${lockPath(folder, number)} if that process is gone`,
    )
  }
  if (boot !== me.boot) return true
  const now = startOf(pid)
  return now === undefined || (started !== null && now !== null && now !== started)
}

function self(): Identity {
  return {
    pid: process.pid,
    started: startOf(process.pid) ?? null,
    machine: [hostname(), link('/proc/self/ns/pid')].filter((part) => part !== null).join(' '),
    boot: text('/proc/sys/kernel/random/boot_id'),
  }
}

/** When a process started; `null` when the system does not say, `undefined` when there is no such process. */
function startOf(pid: number): string | null | undefined {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return undefined
  }
  // After the name, which is in brackets and may have any character: the state, and 19 fields later the start.
  const line = text(`/proc/${pid}/stat`)
  if (line === null) return null
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
  const [state] = fields
  return state === 'Z' || state === 'X' ? undefined : fields[19]!
}

function text(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return null
  }
}

function link(path: string): string | null {
  try {
    return readlinkSync(path)
  } catch {
    return null
  }
}
