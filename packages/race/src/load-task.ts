import { extname } from 'node:path'
import { defaultExport, importModule, type ModuleKind, messageOf, moduleExtensions } from './import-module.ts'
import type { SearchSpace } from './search/space.ts'
import { defineTask, type Task } from './task.ts'
import { builtinTasks } from './tasks/index.ts'
import type { Contender } from './training/contenders.ts'

/** A task could not be found or loaded, or is none. */
export class TaskLoadError extends Error {
  override readonly name = 'TaskLoadError'
}

const taskModules: ModuleKind = { what: 'task module', example: 'defineTask({ ... })', Failure: TaskLoadError }

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
  checkPath(nameOrPath)
  const module = await importModule(taskModules, nameOrPath, directory)
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

/** @throws TaskLoadError for what looks like the name of a built-in task. */
function checkPath(nameOrPath: string): void {
  if (/[\\/]/.test(nameOrPath) || moduleExtensions.includes(extname(nameOrPath).toLowerCase())) return
  const names = builtinTasks.map(({ name }) => name).join(', ')
  throw new TaskLoadError(
    `unknown task '${nameOrPath}': the built-in tasks are ${names}; for a task of your own give the path of its module, such as ./task.ts`,
  )
}

async function taskFrom(module: Record<string, unknown>, shown: string): Promise<Task> {
  let exported = defaultExport(module, taskModules, shown)
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
