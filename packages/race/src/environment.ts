import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os'
import type { MachineRecord } from './results.ts'
import type { Task } from './task.ts'

const require = createRequire(import.meta.url)

const versionOf = (manifest: string) => (require(manifest) as { version: string }).version

/** Versions of the packages that results come from. */
export function packageVersions(): { fallline: string; race: string } {
  return { fallline: versionOf('fallline/package.json'), race: versionOf('../package.json') }
}

/** The machine that this process runs on. */
export function machineRecord(): MachineRecord {
  return {
    node: process.version,
    platform: process.platform,
    architecture: process.arch,
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGigabytes: Math.round(totalmem() / 2 ** 30),
    loadAverage: loadavg()[0] ?? 0,
  }
}

/** What tells one version of a task's code from another: its module, or the text of its functions. */
export function sourceOf(given: Task | string, task: Task): string[] {
  if (typeof given !== 'string') return [given.initialize, given.gradient, given.loss, given.metric].map(String)
  try {
    return [readFileSync(given, 'utf8')]
  } catch {
    return [task.name]
  }
}

/**
 * Checks a whole number of an option.
 *
 * @throws RangeError that names the option, its value and what would be right
 */
export function wholeNumber(name: string, value: number, least: number, most: number): number {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`${name} is ${value}; it must be a whole number from ${least} to ${most}`)
  }
  return value
}
