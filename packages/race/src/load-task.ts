import { extname } from 'node:path'
import { importModule, moduleExtensions, modulePath } from './import-module.ts'
import type { SearchSpace } from './search/space.ts'
import { defineTask, type Task } from './task.ts'
import { builtinTasks } from './tasks/index.ts'
import type { Contender } from './training/contenders.ts'

/** A task could not be found or loaded, or is none. */
export class TaskLoadError extends Error {
  override readonly name = 'TaskLoadError'
}

/** A task with what its module says about racing on it. */
export interface TaskModule {
  readonly task: Task
  /** Contenders of the module's own, from its export `contenders`. */
  readonly contenders: readonly Contender[]
  /** Ranges by contender and hyperparameter, from its export `ranges`. */
  readonly ranges: Readonly<Record<string, SearchSpace>>
}

/**
 * Finds a task with what its module exports besides: `contenders`, an array of contenders, and `ranges`, by contender and hyperparameter.
 *
 * @throws TaskLoadError as `loadTask`, and for exports of other kinds
 */
export async function loadTaskModule(nameOrPath: string, directory: string = process.cwd()): Promise<TaskModule> {
  const builtin = builtinTasks.find(({ name }) => name.toLowerCase() === nameOrPath.toLowerCase())
  if (builtin) return { task: await builtin.load(), contenders: [], ranges: {} }
  const module = await importTask(nameOrPath, pathOf(nameOrPath, directory))
  const { contenders = [], ranges = {} } = module
  if (!Array.isArray(contenders)) {
    throw new TaskLoadError(`the export 'contenders' of task module '${nameOrPath}' must be an array of contenders`)
  }
  if (typeof ranges !== 'object' || ranges === null) {
    throw new TaskLoadError(
      `the export 'ranges' of task module '${nameOrPath}' must be an object, { adamW: { learningRate: logUniform(1e-4, 1) } }`,
    )
  }
  return { task: await taskFrom(module, nameOrPath), contenders, ranges: ranges as TaskModule['ranges'] }
}

/**
 * Finds a task: a built-in by its name (upper and lower case alike), otherwise a TypeScript or JavaScript module by its
 * path or file URL. A module has a Task as its default export, or a function that returns one (or a promise of one).
 * Inside it, `@fallline/race`, `fallline` and `@jax-js/jax` are the ones this package runs with, wherever the module
 * lies.
 *
 * @param directory What a relative path is relative to; the working directory by default.
 * @throws TaskLoadError that names the module and what is wrong with it, with the original error as its `cause`.
 */
export async function loadTask(nameOrPath: string, directory: string = process.cwd()): Promise<Task> {
  return (await loadTaskModule(nameOrPath, directory)).task
}

function pathOf(nameOrPath: string, directory: string): string {
  const isPath = /[\\/]/.test(nameOrPath) || moduleExtensions.includes(extname(nameOrPath).toLowerCase())
  if (!isPath) {
    const names = builtinTasks.map(({ name }) => name).join(', ')
    throw new TaskLoadError(
      `unknown task '${nameOrPath}': the built-in tasks are ${names}; for a task of your own give the path of its module, such as ./task.ts`,
    )
  }
  try {
    return modulePath('task module', nameOrPath, directory)
  } catch (error) {
    throw new TaskLoadError(messageOf(error))
  }
}

async function importTask(shown: string, path: string): Promise<Record<string, unknown>> {
  try {
    return await importModule(path)
  } catch (error) {
    throw new TaskLoadError(`task module '${shown}' could not be imported: ${messageOf(error)}`, { cause: error })
  }
}

async function taskFrom(module: Record<string, unknown>, shown: string): Promise<Task> {
  let exported = module.default
  if (exported === undefined) {
    const names = Object.keys(module)
    throw new TaskLoadError(
      `task module '${shown}' has no default export${names.length ? ` (it exports ${names.join(', ')})` : ''}; ` +
        'write `export default defineTask({ ... })`',
    )
  }
  if (typeof exported === 'function') {
    try {
      exported = await (exported as () => unknown)()
    } catch (error) {
      throw new TaskLoadError(`the default-exported function of task module '${shown}' failed: ${messageOf(error)}`, {
        cause: error,
      })
    }
  }
  try {
    return defineTask(exported as Task)
  } catch (error) {
    throw new TaskLoadError(`the default export of task module '${shown}' is not a task: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.trim() : String(error)
}
