import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { type RaceResults, resultsVersion } from './results.ts'

/** Names of the files in the output directory of a race. */
export const fileNames = { results: 'results.json', report: 'report.html', previous: 'results.previous.json' } as const

/** An output directory or a file in it could not be read or written. */
export class StorageError extends Error {
  override readonly name = 'StorageError'
}

/** SHA-256 of the JSON of a value, in hexadecimal. */
export function fingerprintOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex')
}

/** Where a race keeps its results: every write replaces the whole file at once, so an interruption never leaves half a file. */
export class Store {
  readonly directory: string

  /** @throws StorageError when the directory cannot be made */
  constructor(directory: string) {
    this.directory = directory
    try {
      mkdirSync(directory, { recursive: true })
    } catch (error) {
      throw new StorageError(`the output directory ${directory} cannot be made: ${(error as Error).message}`, {
        cause: error,
      })
    }
  }

  path(file: keyof typeof fileNames): string {
    return join(this.directory, fileNames[file])
  }

  /**
   * The results of an earlier race with the same fingerprint, or `null` when there are none. Results of other settings, or a file that
   * is no results file, are moved aside to `results.previous.json`.
   *
   * @throws StorageError when the file exists but cannot be read or moved
   */
  resume(fingerprint: string): RaceResults | null {
    const results = this.read()
    if (results === null) return null
    if (results !== 'unreadable' && results.version === resultsVersion && results.fingerprint === fingerprint)
      return results
    this.moveAside()
    return null
  }

  private read(): RaceResults | 'unreadable' | null {
    let text: string
    try {
      text = readFileSync(this.path('results'), 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
      throw new StorageError(`${this.path('results')} cannot be read: ${(error as Error).message}`, { cause: error })
    }
    try {
      const parsed = JSON.parse(text) as Partial<RaceResults> | null
      return parsed?.format === 'fallline race results' && Array.isArray(parsed.runs)
        ? (parsed as RaceResults)
        : 'unreadable'
    } catch {
      return 'unreadable'
    }
  }

  /** Keeps earlier results beside the new ones. */
  moveAside(): void {
    try {
      renameSync(this.path('results'), this.path('previous'))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      throw new StorageError(`${this.path('results')} cannot be moved aside: ${(error as Error).message}`, {
        cause: error,
      })
    }
  }

  /** @throws StorageError when the file cannot be written */
  write(file: 'results' | 'report', text: string): void {
    try {
      writeFileAtomic.sync(this.path(file), text)
    } catch (error) {
      throw new StorageError(`${this.path(file)} cannot be written: ${(error as Error).message}`, { cause: error })
    }
  }
}
