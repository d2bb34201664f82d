import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { StorageError } from '../store.ts'
import { type ChooseResults, chooseVersion, restoredState } from './results.ts'

/** Names of the files in the output directory of a study. */
export const chooseFiles = {
  results: 'choose.json',
  report: 'choose.html',
  previous: 'choose.previous.json',
  checkpoints: 'checkpoints',
} as const

/** Bytes of checkpoints that are kept when a study ends, for `more`. */
const keptBytes = 256 * 2 ** 20

/** Keeps a study: results and the checkpoints of paused runs. */
export interface StudyStore {
  /** Keeps the results; what they refer to has been kept before. */
  write(results: ChooseResults): void
  /** Keeps a checkpoint under a name that was never used before. */
  save(name: string, bytes: Uint8Array): void
  /** A checkpoint, or `null` when it is gone. */
  load(name: string): Uint8Array | null
  /** Removes a checkpoint that the results no longer refer to, once the results that say so have been written. */
  discard(name: string): void
}

/** Keeps a study in memory, for as long as it runs. */
export class MemoryStore implements StudyStore {
  readonly #checkpoints = new Map<string, Uint8Array>()

  write(): void {}

  save(name: string, bytes: Uint8Array): void {
    this.#checkpoints.set(name, bytes)
  }

  load(name: string): Uint8Array | null {
    return this.#checkpoints.get(name) ?? null
  }

  discard(name: string): void {
    this.#checkpoints.delete(name)
  }
}

/**
 * Keeps a study in a directory. A killed process leaves a study that can be taken up again: a checkpoint is on disk before the results
 * refer to it, and is removed after they no longer do.
 */
export class DirectoryStore implements StudyStore {
  readonly directory: string
  #discarded: string[] = []

  /** @throws StorageError when the directory cannot be made */
  constructor(directory: string) {
    this.directory = directory
    this.#attempt('cannot be made', directory, () =>
      mkdirSync(join(directory, chooseFiles.checkpoints), { recursive: true }),
    )
  }

  path(file: keyof typeof chooseFiles): string {
    return join(this.directory, chooseFiles[file])
  }

  /** The study that lies here, `null` when there is none that can be read. */
  read(): ChooseResults | null {
    const path = this.path('results')
    if (!existsSync(path)) return null
    const text = this.#attempt('cannot be read', path, () => readFileSync(path, 'utf8'))
    try {
      const parsed = JSON.parse(text) as Partial<ChooseResults> | null
      const right = parsed?.format === 'fallline choose results' && parsed.version === chooseVersion
      return right ? restored(parsed as ChooseResults) : null
    } catch {
      return null
    }
  }

  /** Keeps an earlier study beside the new one; its checkpoints go. */
  moveAside(): void {
    const path = this.path('results')
    if (existsSync(path)) this.#attempt('cannot be moved aside', path, () => renameSync(path, this.path('previous')))
    this.keepOnly([])
  }

  write(results: ChooseResults): void {
    const path = this.path('results')
    this.#attempt('cannot be written', path, () => writeFileAtomic.sync(path, JSON.stringify(results)))
    for (const name of this.#discarded.splice(0)) rmSync(join(this.path('checkpoints'), name), { force: true })
  }

  report(text: string): void {
    const path = this.path('report')
    this.#attempt('cannot be written', path, () => writeFileAtomic.sync(path, text))
  }

  save(name: string, bytes: Uint8Array): void {
    const path = join(this.path('checkpoints'), name)
    this.#attempt('cannot be written', path, () => writeFileSync(path, bytes))
  }

  load(name: string): Uint8Array | null {
    const path = join(this.path('checkpoints'), name)
    if (!existsSync(path)) return null
    return this.#attempt('cannot be read', path, () => readFileSync(path))
  }

  discard(name: string): void {
    this.#discarded.push(name)
  }

  /** Removes all checkpoints but these. */
  keepOnly(names: readonly string[]): void {
    const folder = this.path('checkpoints')
    const kept = new Set(names)
    for (const name of readdirSync(folder)) if (!kept.has(name)) rmSync(join(folder, name), { force: true })
  }

  /** Whether these checkpoints together are small enough to be kept for a study that has ended. */
  canKeep(names: readonly string[]): boolean {
    const sizes = names.map(
      (name) => statSync(join(this.path('checkpoints'), name), { throwIfNoEntry: false })?.size ?? 0,
    )
    return sizes.reduce((sum, size) => sum + size, 0) <= keptBytes
  }

  #attempt<T>(what: string, path: string, action: () => T): T {
    try {
      return action()
    } catch (error) {
      throw new StorageError(`${path} ${what}: ${(error as Error).message}`, { cause: error })
    }
  }
}

function restored(results: ChooseResults): ChooseResults {
  for (const run of [...results.runs, ...(results.fresh?.runs ?? [])]) run.state = restoredState(run.state)
  return results
}
