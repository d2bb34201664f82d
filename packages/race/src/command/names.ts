import { findOptimizer, type OptimizerFactory, registry } from 'fallline'
import { closest, distance } from 'fastest-levenshtein'
import type { Contender } from '../training/contenders.ts'
import { builtinTasks } from '../task.ts'
import { UsageError } from './exit.ts'

/** The known name that was probably meant, if one is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const lower = name.toLowerCase()
  const candidate = closest(
    lower,
    known.map((other) => other.toLowerCase()),
  )
  const found = known.find((other) => other.toLowerCase() === candidate)
  return found !== undefined && distance(lower, candidate) <= Math.max(2, name.length / 3) ? found : undefined
}

function unknown(what: string, name: string, known: readonly string[], hint: string): UsageError {
  const meant = nearest(name, known)
  const suggestion = meant === undefined ? '' : ` Did you mean '${meant}'?`
  return new UsageError(`unknown ${what} '${name}'.${suggestion} ${hint}`)
}

/**
 * The registered optimizer of a name.
 *
 * @throws UsageError with the nearest name
 */
export function optimizerNamed(name: string): OptimizerFactory {
  try {
    return findOptimizer(name)
  } catch {
    throw unknown(
      'optimizer',
      name,
      registry.map(({ definition }) => definition.name),
      'fallline list shows all.',
    )
  }
}

/**
 * The contenders of a comma-separated list. A name that occurs again enters a second copy, for a race of an optimizer against itself.
 *
 * @throws UsageError for unknown names or an empty list
 */
export function contendersOf(list: string): Contender[] {
  const names = list
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  if (names.length === 0) throw new UsageError('--optimizers needs at least one name, such as --optimizers adamw,lion')
  const seen = new Map<string, number>()
  return names.map((given) => {
    const factory = optimizerNamed(given)
    const { name, title } = factory.definition
    const copy = (seen.get(name) ?? 0) + 1
    seen.set(name, copy)
    return copy === 1
      ? { name, optimizer: factory }
      : { name: `${name}-${copy}`, title: `${title} (${copy})`, optimizer: factory }
  })
}

/** Whether a task is given as a file rather than by the name of a built-in one. */
export function isTaskFile(task: string): boolean {
  return /[\\/]|\.[cm]?[jt]s$/i.test(task)
}

/**
 * Checks the name of a built-in task; files are checked when they are loaded.
 *
 * @throws UsageError with the nearest name
 */
export function checkTaskName(task: string): void {
  const known = builtinTasks.map(({ name }) => name)
  if (isTaskFile(task) || known.some((name) => name.toLowerCase() === task.toLowerCase())) return
  throw unknown(
    'task',
    task,
    known,
    `Known: ${known.join(', ')}. For a task of your own give the path of its module, such as ./task.ts.`,
  )
}
