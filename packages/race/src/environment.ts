import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os'
import type { Task } from './task.ts'

const require = createRequire(import.meta.url)

const versionOf = (manifest: string) => (require(manifest) as { version: string }).version

/** Versions of the packages that results come from. */
export function packageVersions(): { fallline: string; race: string } {
  return { fallline: versionOf('fallline/package.json'), race: versionOf('../package.json') }
}

/** The machine that results come from. */
export interface MachineRecord {
  node: string
  platform: string
  architecture: string
  processor: string
  cores: number
  memoryGigabytes: number
  loadAverage: number
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

/** What results say of a task. */
export interface TaskRecord {
  name: string
  title: string
  description: string
  metricName: string
  direction: 'minimize' | 'maximize'
  parameters: Record<string, readonly number[]>
  parameterCount: number
}

export function taskRecord({ name, title, description, metricName, direction, ...task }: Task): TaskRecord {
  const parameters = Object.fromEntries(Object.entries(task.parameters).map(([key, shape]) => [key, [...shape]]))
  const size = (shape: readonly number[]) => shape.reduce((product, length) => product * length, 1)
  const parameterCount = Object.values(parameters).reduce((sum, shape) => sum + size(shape), 0)
  return { name, title, description, metricName, direction, parameters, parameterCount }
}

/** What tells one version of a task's code from another: its module, or the text of its functions. */
export function sourceOf(given: Task | string, task: Task): string[] {
  if (typeof given !== 'string') return [given.initialize, given.gradient, given.loss, given.metric].map(String)
  try {
    return [readFileSync(given.startsWith('file:') ? new URL(given) : given, 'utf8')]
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
