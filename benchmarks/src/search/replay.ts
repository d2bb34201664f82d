import { randomSearch, type Sampler, samplers, tpe } from '@fallline/search'
import { endsOf, expectedBest, recordedTable, simulate } from '@fallline/search/testing'
import { readTable } from '../../../packages/race/recording/table.ts'

/** How many configurations of a recorded task are better than the best that was found, in the mean over seeds. */
export interface ReplayedSearch {
  readonly sampler: string
  readonly task: string
  /** Share of all configurations. */
  readonly better: number
}

/** How recorded tasks are searched: side by side, for as long as so many full runs one after the other take. */
export const replays = { workers: 4, runs: 10, seeds: 10 } as const

/** Searches the recorded tasks in simulated time, by samplers that pause trials and those that they are compared with. */
export async function replaySearch(progress: (text: string) => void): Promise<ReplayedSearch[]> {
  const recorded = readTable()
  const replayed: ReplayedSearch[] = []
  for (const { name: task } of recorded.tasks) {
    const table = recordedTable(recorded, task)
    const ends = [...endsOf(table)].sort((a, b) => (table.direction === 'minimize' ? a - b : b - a))
    // Of equals all are as good as the first.
    const betterThan = (best: number) => ends.findIndex((end) => end === best)
    const draws = replays.workers * replays.runs
    const exact = expectedBest(ends.map(betterThan), draws) / ends.length
    replayed.push({ sampler: 'random search, exactly', task, better: exact })
    for (const [sampler, make] of Object.entries(samplers) as [string, () => Sampler][]) {
      if (!make().needsResource && make !== randomSearch && make !== tpe) continue
      progress(`${sampler}: ${task}, replayed`)
      let sum = 0
      for (let seed = 0; seed < replays.seeds; seed++) {
        const { workers, runs } = replays
        const { best } = await simulate(table, { sampler: make(), time: runs * table.resource.maximum, workers, seed })
        sum += Number.isFinite(best) ? betterThan(best) / ends.length : 1
      }
      replayed.push({ sampler, task, better: sum / replays.seeds })
    }
  }
  return replayed
}
