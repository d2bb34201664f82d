import { join, parse } from 'node:path'
import { InvalidArgumentError } from 'commander'
import { loadTaskModule } from '../load-task.ts'
import { isTaskFile } from '../names.ts'
import { builtinTasks } from '../tasks/index.ts'

/** Reads a whole number of an option. */
export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isSafeInteger(value) || value < least) {
      throw new InvalidArgumentError(`It must be a whole number from ${least} on.`)
    }
    return value
  }
}

/** The built-in tasks for `--help`. */
export const tasksHelp = `Built-in tasks:
${builtinTasks.map(({ name, description }) => `  ${name.padEnd(22)} ${description}`).join('\n')}`

/**
 * Where results go unless a directory is given: under the name that the task gives itself; under that of its file, as long as it cannot
 * be loaded.
 */
export async function directoryOf(task: string): Promise<string> {
  return join('.fallline', isTaskFile(task) ? await nameOf(task) : task.toLowerCase())
}

async function nameOf(path: string): Promise<string> {
  try {
    const { task } = await loadTaskModule(path)
    task.dispose?.()
    return task.name
  } catch {
    return parse(path).name
  }
}

/** Reads a number of seconds above 0. */
export function seconds(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value > 0)) throw new InvalidArgumentError('It must be a number above 0.')
  return value
}
