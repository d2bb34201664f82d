import { existsSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type RaceResults, resultsVersion } from '../results.ts'
import { fileNames } from '../store.ts'

/** Reads the results of races in a folder that has a folder for each, again when they have changed. */
export class RaceReader {
  readonly #folder: string
  readonly #kept = new Map<string, { readonly version: string; readonly results: RaceResults | null }>()

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Names of the folders with results, in their order. */
  async names(): Promise<readonly string[]> {
    if (!existsSync(this.#folder)) return []
    const entries = await readdir(this.#folder, { withFileTypes: true })
    return entries
      .filter((entry) => entry.isDirectory() && existsSync(this.#path(entry.name)))
      .map(({ name }) => name)
      .sort()
  }

  /** What tells the results from an earlier state. */
  async version(name: string): Promise<string> {
    const { mtimeMs, size } = await stat(this.#path(name))
    return `${mtimeMs}-${size}`
  }

  /** The results; `null` for what is no race, or one of another version of this program. */
  async read(name: string): Promise<RaceResults | null> {
    const version = await this.version(name)
    const kept = this.#kept.get(name)
    if (kept?.version === version) return kept.results
    const results = resultsIn(await readFile(this.#path(name), 'utf8'))
    this.#kept.set(name, { version, results })
    return results
  }

  #path(name: string): string {
    return join(this.#folder, name, fileNames.results)
  }
}

function resultsIn(text: string): RaceResults | null {
  try {
    const parsed = JSON.parse(text) as Partial<RaceResults> | null
    const isRace = parsed?.format === 'fallline race results' && parsed.version === resultsVersion
    return isRace ? (parsed as RaceResults) : null
  } catch {
    return null
  }
}
