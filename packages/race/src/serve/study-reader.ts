import type { Storage, StudyRecord, TrialRecord } from '@fallline/search'
import { fingerprintOf } from '../store.ts'

/** A study as it is shown. */
export interface Shown {
  readonly record: StudyRecord
  readonly trials: readonly TrialRecord[]
}

/** Reads studies again and again, and of each only what has changed. */
export class StudyReader {
  readonly #storage: Storage
  readonly #kept = new Map<string, { readonly version: number; readonly trials: readonly TrialRecord[] }>()

  constructor(storage: Storage) {
    this.#storage = storage
  }

  names(): Promise<readonly string[]> {
    return this.#storage.names()
  }

  /** A study as it is now, with what tells it from another state; `null` when there is none of that name. */
  async read(name: string): Promise<(Shown & { readonly version: string }) | null> {
    const record = await this.#storage.find(name)
    if (record === null) {
      this.#kept.delete(name)
      return null
    }
    let kept = this.#kept.get(name)
    let changes = await this.#storage.changes(name, kept?.version ?? 0)
    if (kept && changes.version < kept.version) {
      // It was removed and made anew.
      kept = undefined
      changes = await this.#storage.changes(name, 0)
    }
    const { version } = changes
    const trials = [...(kept?.trials ?? [])]
    for (const trial of changes.trials) trials[trial.number] = trial
    this.#kept.set(name, { version, trials })
    return { record, trials, version: fingerprintOf([version, record.attributes]) }
  }
}
