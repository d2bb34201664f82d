import { existsSync, statSync } from 'node:fs'
import { extname, isAbsolute, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createJiti } from 'jiti'
import type { SearchSpace } from './search/space.ts'
import { defineTask, type Task } from './task.ts'
import { builtinTasks } from './tasks/index.ts'
import type { Contender } from './training/contenders.ts'

const moduleExtensions = ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs']

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
 * @throws Error as `loadTask`, and for exports of other kinds
 */
export async function loadTaskModule(nameOrPath: string, directory: string = process.cwd()): Promise<TaskModule> {
  const builtin = builtinTasks.find(({ name }) => name.toLowerCase() === nameOrPath.toLowerCase())
  if (builtin) return { task: await builtin.load(), contenders: [], ranges: {} }
  const module = await importModule(nameOrPath, pathOf(nameOrPath, directory))
  const { contenders = [], ranges = {} } = exportsOf(module)
  if (!Array.isArray(contenders)) {
    throw new Error(`the export 'contenders' of task module '${nameOrPath}' must be an array of contenders`)
  }
  if (typeof ranges !== 'object' || ranges === null) {
    throw new Error(
      `the export 'ranges' of task module '${nameOrPath}' must be an object, { adamW: { learningRate: logUniform(1e-4, 1) } }`,
    )
  }
  return { task: await taskFrom(module, nameOrPath), contenders, ranges: ranges as TaskModule['ranges'] }
}

/** CommonJS modules have their exports as the default export. */
function exportsOf(module: Record<string, unknown>): Record<string, unknown> {
  const { default: exported } = module
  return typeof exported === 'object' && exported !== null && 'default' in exported
    ? (exported as Record<string, unknown>)
    : module
}

/**
 * Finds a task: a built-in by its name (upper and lower case alike), otherwise a TypeScript or JavaScript module by its
 * path or file URL. A module has a Task as its default export, or a function that returns one (or a promise of one).
 * Inside it, `@fallline/race`, `fallline` and `@jax-js/jax` are the ones this package runs with, wherever the module
 * lies.
 *
 * @param directory What a relative path is relative to; the working directory by default.
 * @throws Error that names the module and what is wrong with it, with the original error as its `cause`.
 */
export async function loadTask(nameOrPath: string, directory: string = process.cwd()): Promise<Task> {
  return (await loadTaskModule(nameOrPath, directory)).task
}

function pathOf(nameOrPath: string, directory: string): string {
  const isPath = /[\\/]/.test(nameOrPath) || moduleExtensions.includes(extname(nameOrPath).toLowerCase())
  if (!isPath) {
    const names = builtinTasks.map(({ name }) => name).join(', ')
    throw new Error(
      `unknown task '${nameOrPath}': the built-in tasks are ${names}; for a task of your own give the path of its module, such as ./task.ts`,
    )
  }
  const given = nameOrPath.startsWith('file:') ? fileURLToPath(nameOrPath) : nameOrPath
  const path = isAbsolute(given) ? given : resolve(directory, given)
  if (!existsSync(path) || !statSync(path).isFile()) {
    throw new Error(`task module '${nameOrPath}' is not a file (looked at ${path})`)
  }
  if (!moduleExtensions.includes(extname(path).toLowerCase())) {
    throw new Error(`task module '${nameOrPath}' must end in one of ${moduleExtensions.join(', ')}`)
  }
  return path
}

async function importModule(shown: string, path: string): Promise<Record<string, unknown>> {
  const [race, core] = await Promise.all([import('@fallline/race'), import('fallline')])
  const jiti = createJiti(import.meta.url, {
    fsCache: false,
    interopDefault: false,
    virtualModules: { '@fallline/race': race, fallline: core },
    // An alias rather than a loaded module, so that jax-js is only loaded by tasks that import it.
    alias: { '@jax-js/jax': fileURLToPath(import.meta.resolve('@jax-js/jax')) },
  })
  try {
    return await jiti.import<Record<string, unknown>>(path)
  } catch (error) {
    throw new Error(`task module '${shown}' could not be imported: ${messageOf(error)}`, { cause: error })
  }
}

async function taskFrom(module: Record<string, unknown>, shown: string): Promise<Task> {
  let exported = module.default
  // CommonJS modules have their exports as the default export, and among these perhaps one called `default`.
  if (typeof exported === 'object' && exported !== null && 'default' in exported) exported = exported.default
  if (exported === undefined) {
    const names = Object.keys(module)
    throw new Error(
      `task module '${shown}' has no default export${names.length ? ` (it exports ${names.join(', ')})` : ''}; ` +
        'write `export default defineTask({ ... })`',
    )
  }
  if (typeof exported === 'function') {
    try {
      exported = await (exported as () => unknown)()
    } catch (error) {
      throw new Error(`the default-exported function of task module '${shown}' failed: ${messageOf(error)}`, {
        cause: error,
      })
    }
  }
  try {
    return defineTask(exported as Task)
  } catch (error) {
    throw new Error(`the default export of task module '${shown}' is not a task: ${messageOf(error)}`, { cause: error })
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.trim() : String(error)
}
