import { performance } from 'node:perf_hooks'
import { setImmediate } from 'node:timers/promises'
import { shuffle } from 'simple-statistics'
import { type Summary, summarize } from './statistics.ts'

/** Something that takes steps and can tell how long each took. */
export interface Contender {
  name: string
  /** Takes that many steps and returns the seconds of each. */
  run(steps: number): readonly number[] | Promise<readonly number[]>
  /** Gives back memory and processes. */
  dispose?(): void | Promise<void>
}

/** What was measured of one contender. */
export interface Measurement {
  name: string
  /** Seconds per step over all measured steps. */
  step: Summary
  /** Median seconds per step of each round, in the order of the rounds: what ratios are made of. */
  rounds: readonly number[]
}

/** How long to measure. */
export interface Effort {
  /** Seconds of measured blocks, all contenders of the group together. */
  seconds: number
  /** Rounds at least, however slow the contenders are. Default 3. */
  minimumRounds?: number
  /** Rounds at most. Default 25. */
  maximumRounds?: number
  /** Seconds that a block of one contender should last. Default 0.03. */
  blockSeconds?: number
}

/** The measurements of one group, and what went wrong with those that have none. */
export interface Group {
  measurements: Map<string, Measurement>
  failures: Map<string, string>
}

/** A clock: milliseconds since some moment. */
export type Clock = () => number

const wallClock: Clock = () => performance.now()

/** What this process has computed, all threads of it together: other programs lengthen it less. In steps of a microsecond. */
export const processorClock: Clock = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** A contender from a plain function that takes one step. */
export function contender(name: string, step: () => unknown, dispose?: () => void, clock = wallClock): Contender {
  const run = (steps: number): number[] => {
    const seconds: number[] = []
    for (let index = 0; index < steps; index++) {
      const start = clock()
      step()
      seconds.push((clock() - start) / 1000)
    }
    return seconds
  }
  return dispose ? { name, run, dispose } : { name, run }
}

/** Seconds that a window of warm-up steps should last. */
const windowSeconds = 0.06

/** How many steps of that length fill the time. */
function stepsIn(seconds: number, step: number): number {
  return Math.min(1000, Math.max(1, Math.ceil(seconds / step)))
}

/**
 * Takes steps until they stop getting faster: engines start with quickly made code and replace it once it has run often.
 *
 * Two windows in a row whose medians agree within 4 % end it, or the limit of time. Returns the seconds of a warm step.
 */
export async function warmUp(candidate: Contender, limitSeconds = 1.5): Promise<number> {
  const start = performance.now()
  let previous = Number.POSITIVE_INFINITY
  let current = (await candidate.run(1))[0]!
  for (;;) {
    // The engine swaps in finished code between tasks.
    await setImmediate()
    current = summarize(await candidate.run(stepsIn(windowSeconds, current))).median
    if (Math.abs(previous - current) <= 0.04 * current) return current
    if ((performance.now() - start) / 1000 > limitSeconds) return current
    previous = current
  }
}

/**
 * Measures contenders against each other: warm-up, then rounds in which every contender runs one block of steps, in a new random
 * order each round, so that whatever disturbs the machine disturbs all of them.
 *
 * A contender that throws is dropped with its message; the others go on.
 */
export async function measure(contenders: readonly Contender[], effort: Effort): Promise<Group> {
  const { seconds, minimumRounds = 3, maximumRounds = 25, blockSeconds = 0.03 } = effort
  const failures = new Map<string, string>()
  const entries: { contender: Contender; steps: number; refill: boolean; seconds: number[]; rounds: number[] }[] = []
  let roundSeconds = 0
  for (const candidate of contenders) {
    try {
      const step = await warmUp(candidate)
      const steps = stepsIn(blockSeconds, step)
      // The first step of a block finds the caches full of the others' data; it matters only where a step is short.
      const refill = step < 0.1
      roundSeconds += step * (steps + (refill ? 1 : 0))
      entries.push({ contender: candidate, steps, refill, seconds: [], rounds: [] })
    } catch (error) {
      failures.set(candidate.name, messageOf(error))
    }
  }
  const rounds = Math.min(maximumRounds, Math.max(minimumRounds, Math.floor(seconds / roundSeconds)))
  for (let round = 0; round < rounds; round++) {
    for (const entry of shuffle(entries)) {
      if (failures.has(entry.contender.name)) continue
      try {
        const times = await entry.contender.run(entry.steps + (entry.refill ? 1 : 0))
        const kept = entry.refill ? times.slice(1) : times
        entry.seconds.push(...kept)
        entry.rounds.push(summarize(kept).median)
      } catch (error) {
        failures.set(entry.contender.name, messageOf(error))
      }
    }
  }
  const measurements = new Map<string, Measurement>()
  for (const entry of entries) {
    const { name } = entry.contender
    if (!failures.has(name)) {
      measurements.set(name, { name, step: summarize(entry.seconds), rounds: entry.rounds })
    }
  }
  return { measurements, failures }
}

/** The first line of an error, for a table. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!.slice(0, 200)
}
