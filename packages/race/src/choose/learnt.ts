import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { metricAt } from '../search/policies/measure.ts'
import type { CandidateRun } from '../search/policy.ts'
import type { SearchSpace } from '../search/space.ts'
import { StorageError } from '../store.ts'
import { candidateSetting, settingsPerContender } from './candidates.ts'
import { merged, nothing, type ScoresByTask, scoreOf } from './prior.ts'
import { type ChooseResults, candidateRun } from './results.ts'

/** What `learnt.json` and its copies say that they are. */
const format = 'fallline prior'

/**
 * What a study has learnt: a score of every setting that it tried, by the share of the first candidates that were better. These were
 * spread over all contenders, so that settings which were tried because they were expected to be good are not held to a harder standard.
 * Two candidates are compared where the one that got less far stands, on the seed that all share.
 *
 * @param searches the ranges of each contender
 */
export function learntFrom(results: ChooseResults, searches: ReadonlyMap<string, SearchSpace>): ScoresByTask {
  const { candidates, contenders, decisions, task } = results
  const runs = new Map<number, CandidateRun>()
  for (const run of results.runs) if (run.seed === 0) runs.set(run.candidate, candidateRun(run, task.direction))
  const first = (decisions[0]?.alive ?? []).flatMap((candidate) => runs.get(candidate) ?? [])
  const isBetter = (one: CandidateRun, other: CandidateRun) => {
    const there = Math.min(one.gradients, other.gradients)
    return metricAt(one, there) < metricAt(other, there)
  }
  const scoreOfCandidate = (candidate: number) => {
    const run = runs.get(candidate)
    if (run === undefined || first.length === 0) return null
    return scoreOf(first.filter((other) => isBetter(other, run)).length / first.length)
  }
  const optimizers = contenders.flatMap(({ name }) => {
    const search = searches.get(name)!
    const scores = Array.from({ length: settingsPerContender }, (_, index) => {
      const setting = JSON.stringify(candidateSetting(search, index))
      const place = candidates.findIndex((one) => one.group === name && JSON.stringify(one.setting) === setting)
      return place < 0 ? null : scoreOfCandidate(place)
    })
    return scores.every((score) => score === null) ? [] : [[name, { search, scores: [scores] }] as const]
  })
  return optimizers.length === 0 ? nothing : { tasks: [task.name], optimizers: Object.fromEntries(optimizers) }
}

/**
 * What was learnt in earlier studies, from a file; nothing where there is none yet.
 *
 * @throws StorageError for a file that cannot be read, or is something else
 */
export function readLearnt(path: string): ScoresByTask {
  if (!existsSync(path)) return nothing
  try {
    const read = JSON.parse(readFileSync(path, 'utf8')) as Partial<ScoresByTask> & { format?: string }
    if (read.format !== format || !read.tasks || !read.optimizers) throw new Error(`its format is not '${format}'`)
    return { tasks: read.tasks, optimizers: read.optimizers }
  } catch (error) {
    throw new StorageError(`${path} is no prior that choose has written: ${(error as Error).message}`, { cause: error })
  }
}

/**
 * Adds what a study has learnt to a file, in the place of what an earlier one learnt on the same task.
 *
 * @throws StorageError when the file cannot be read or written
 */
export function addLearnt(path: string, learnt: ScoresByTask): void {
  if (learnt.tasks.length === 0) return
  const text = writtenLearnt(merged(learnt, readLearnt(path)))
  try {
    mkdirSync(dirname(path), { recursive: true })
    writeFileAtomic.sync(path, text)
  } catch (error) {
    throw new StorageError(`${path} cannot be written: ${(error as Error).message}`, { cause: error })
  }
}

/** What was learnt as the text of a file. */
export function writtenLearnt(learnt: ScoresByTask): string {
  return `${JSON.stringify({ format, ...learnt })}\n`
}
