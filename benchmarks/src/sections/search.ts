import { hasPostgres, startServer } from '../../../packages/search/test/support/server.ts'
import {
  type Bookkeeping,
  bookkeepingInMemory,
  bookkeepingInTables,
  compared,
  plainSamplers,
} from '../search/bookkeeping.ts'
import { measureOptuna, type PeerReport } from '../search/optuna.ts'
import { measureRegrets, type Regret } from '../search/regret.ts'
import { type ReplayedSearch, replaySearch } from '../search/replay.ts'

/** Parts of the section. */
export const searchParts = ['memory', 'folder', 'server', 'regret', 'replay'] as const

export type SearchPart = (typeof searchParts)[number]

export interface SearchReport {
  readonly bookkeeping: readonly Bookkeeping[]
  readonly regrets: readonly Regret[]
  readonly replayed: readonly ReplayedSearch[]
  readonly seeds: number
  /** The peer's version, or why there is none. */
  readonly peer?: PeerReport['peer']
  /** Parts that this machine lacks something for. */
  readonly missing: readonly string[]
}

export interface SearchEffort {
  readonly parts: readonly SearchPart[]
  /** Names of samplers; by default all that need nothing but values. */
  readonly samplers?: readonly string[]
  /** Trials that a study has already. */
  readonly counts?: readonly number[]
  readonly seeds?: number
}

const allCounts = [100, 1_000, 10_000, 100_000]

/** Measures samplers, and those that Optuna has too beside it where there are `peers`. */
export async function measureSearch(
  { parts, samplers, counts = allCounts, seeds = 20 }: SearchEffort,
  peers: { python: string | undefined } | undefined,
  progress: (text: string) => void,
): Promise<SearchReport> {
  const names = plainSamplers.map(([name]) => name).filter((name) => samplers?.includes(name) ?? true)
  const beside = names.filter((name) => name in compared)
  const missing = parts.includes('server') && !hasPostgres ? ['server: no initdb and postgres were found'] : []
  const server = parts.includes('server') && hasPostgres ? await startServer() : undefined
  try {
    const bookkeeping: Bookkeeping[] = []
    if (parts.includes('memory')) bookkeeping.push(...(await bookkeepingInMemory(names, counts, progress)))
    if (parts.includes('folder')) bookkeeping.push(...(await bookkeepingInTables(beside, counts, undefined, progress)))
    if (server) bookkeeping.push(...(await bookkeepingInTables(beside, counts, await server.database(), progress)))
    const regrets = parts.includes('regret') ? await measureRegrets(names, seeds, progress) : []
    const replayed = parts.includes('replay') ? await replaySearch(progress) : []
    if (!peers) return { bookkeeping, regrets, replayed, seeds, missing }
    const request = {
      storages: {
        ...(parts.includes('memory') && { memory: null }),
        ...(parts.includes('folder') && { SQLite: 'sqlite' }),
        ...(server && { PostgreSQL: (await server.database()).replace('postgres:', 'postgresql+psycopg2:') }),
      },
      counts,
      samplers: beside.flatMap((name) => compared[name]!),
      seeds: parts.includes('regret') ? seeds : 0,
    }
    const theirs = await measureOptuna(request, peers.python, progress)
    return {
      bookkeeping: [...bookkeeping, ...theirs.bookkeeping],
      regrets: [...regrets, ...theirs.regrets],
      replayed,
      seeds,
      peer: theirs.peer,
      missing,
    }
  } finally {
    await server?.stop()
  }
}
