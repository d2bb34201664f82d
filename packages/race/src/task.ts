import { existsSync, statSync } from 'node:fs'
import { extname, isAbsolute, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createJiti } from 'jiti'
import { builtinTasks } from './tasks/index.ts'

/** Which mini-batch a gradient is taken on: the data order follows from the seed, and steps count from 1. */
export interface BatchPosition {
  seed: number
  step: number
}

/**
 * The part of the data a metric is measured on: `validation` chooses settings and decides targets, `test` is reported.
 */
export type Split = 'validation' | 'test'

/**
 * What optimizers race on: a model with its data. A task keeps no parameters of its own; it reads and writes the arrays
 * it is given, so that many trials can take turns. All functions must be deterministic: the same arguments give the
 * same result.
 */
export interface Task {
  /** Short name, used on the command line and in file names: letters, digits, `-`, `_` and `.`. */
  name: string
  /** A few words for headings. */
  title: string
  /** Data, model and loss in a sentence or two. */
  description: string
  /** Shape of every parameter by name; `[]` is a scalar. */
  parameters: Readonly<Record<string, readonly number[]>>
  /** Writes the initial values for a seed into the given arrays. */
  initialize(parameters: Record<string, Float32Array>, seed: number): void
  /**
   * Writes the gradient of the mean loss over one mini-batch into `gradients` and returns that loss. The batch is a
   * pure function of (seed, step), so that trials with one seed see the same batches whatever their optimizer.
   */
  gradient(
    parameters: Record<string, Float32Array>,
    gradients: Record<string, Float32Array>,
    batch: BatchPosition,
  ): number | Promise<number>
  /** The metric over a whole part of the data that is not trained on. */
  metric(parameters: Record<string, Float32Array>, split: Split): number | Promise<number>
  /** What the metric measures, for tables and axes. */
  metricName: string
  /** Whether a smaller or a larger metric is better. */
  direction: 'minimize' | 'maximize'
  /** Metric values to be reached on the validation data, chosen before the race, easiest first. */
  targets: readonly number[]
  /** Steps of one trial, and after how many steps the metric is measured each time. */
  budget: { steps: number; evaluateEvery: number }
  /** Frees what the task holds. It may be used again afterwards. */
  dispose?(): void
}

/**
 * Checks a task and returns it unchanged.
 *
 * @throws TypeError or RangeError that names the field, its value and what would be right.
 */
export function defineTask(task: Task): Task {
  if (typeof task !== 'object' || task === null || Array.isArray(task)) {
    throw new TypeError(`a task must be an object with the fields of Task, not ${show(task)}`)
  }
  text(task, 'name')
  if (!/^[A-Za-z0-9][\w.-]*$/.test(task.name)) {
    throw new RangeError(
      `task field 'name' is ${show(task.name)}; it must start with a letter or digit and hold only letters, digits, '-', '_' and '.'`,
    )
  }
  const of = `of task '${task.name}'`
  text(task, 'title')
  text(task, 'description')
  checkShapes(task.parameters, of)
  for (const field of ['initialize', 'gradient', 'metric'] as const) {
    if (typeof task[field] !== 'function') fail(field, of, task[field], `a function, ${signatures[field]}`)
  }
  text(task, 'metricName')
  if (task.direction !== 'minimize' && task.direction !== 'maximize') {
    fail('direction', of, task.direction, `'minimize' or 'maximize'`)
  }
  checkTargets(task, of)
  checkBudget(task.budget, of)
  if (task.dispose !== undefined && typeof task.dispose !== 'function') {
    fail('dispose', of, task.dispose, 'a function without arguments, or absent')
  }
  return task
}

const signatures = {
  initialize: 'initialize(parameters, seed), that writes initial values',
  gradient: 'gradient(parameters, gradients, { seed, step }), that writes gradients and returns the loss',
  metric: `metric(parameters, split), that returns a number`,
}

function text(task: Task, field: 'name' | 'title' | 'description' | 'metricName'): void {
  const value: unknown = task[field]
  const of = field === 'name' || typeof task.name !== 'string' ? 'of the task' : `of task '${task.name}'`
  if (typeof value !== 'string' || value.trim() === '') fail(field, of, value, 'a string that is not empty')
}

function checkShapes(parameters: unknown, of: string): void {
  if (typeof parameters !== 'object' || parameters === null || Array.isArray(parameters)) {
    fail('parameters', of, parameters, `an object from parameter names to shapes, such as { 'dense/kernel': [64, 10] }`)
  }
  const entries = Object.entries(parameters as object)
  if (entries.length === 0) fail('parameters', of, parameters, 'an object with at least one parameter')
  for (const [name, shape] of entries) {
    if (!Array.isArray(shape) || !shape.every((size) => Number.isInteger(size) && size > 0)) {
      fail(
        `parameters['${name}']`,
        of,
        shape,
        'an array of whole numbers above 0, such as [64, 10], or [] for a scalar',
      )
    }
  }
}

function checkTargets(task: Task, of: string): void {
  const { targets, direction } = task
  if (!Array.isArray(targets) || targets.length === 0 || !targets.every((target) => Number.isFinite(target))) {
    fail('targets', of, targets, 'an array of at least one finite number')
  }
  for (let index = 1; index < targets.length; index++) {
    const harder =
      direction === 'minimize' ? targets[index]! < targets[index - 1]! : targets[index]! > targets[index - 1]!
    if (!harder) {
      const order = direction === 'minimize' ? 'falling' : 'rising'
      fail(`targets`, of, targets, `easiest first, so strictly ${order} with direction '${direction}'`)
    }
  }
}

function checkBudget(budget: unknown, of: string): void {
  if (typeof budget !== 'object' || budget === null) {
    fail('budget', of, budget, 'an object { steps, evaluateEvery }')
  }
  const { steps, evaluateEvery } = budget as Record<string, unknown>
  if (!Number.isInteger(steps) || (steps as number) < 1) fail('budget.steps', of, steps, 'a whole number of at least 1')
  if (
    !Number.isInteger(evaluateEvery) ||
    (evaluateEvery as number) < 1 ||
    (evaluateEvery as number) > (steps as number)
  ) {
    fail('budget.evaluateEvery', of, evaluateEvery, `a whole number from 1 to budget.steps (${steps})`)
  }
}

function fail(field: string, of: string, value: unknown, right: string): never {
  const error = value === undefined || typeof value === 'function' ? TypeError : RangeError
  throw new error(`field '${field}' ${of} is ${value === undefined ? 'missing' : show(value)}; it must be ${right}`)
}

/** A short rendering of any value for error messages. */
function show(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`
  if (typeof value === 'function') return value.name ? `the function ${value.name}` : 'a function'
  if (typeof value === 'object' && value !== null) {
    const json = JSON.stringify(value, (_, inner) =>
      typeof inner === 'number' && !Number.isFinite(inner) ? String(inner) : inner,
    )
    return json.length > 80 ? `${json.slice(0, 77)}...` : json
  }
  return String(value)
}

const moduleExtensions = ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs']

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
  const builtin = builtinTasks.find(({ name }) => name.toLowerCase() === nameOrPath.toLowerCase())
  if (builtin) return builtin.load()
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
  return taskFrom(await importModule(nameOrPath, path), nameOrPath)
}

async function importModule(shown: string, path: string): Promise<Record<string, unknown>> {
  const [race, core] = await Promise.all([import('./index.ts'), import('fallline')])
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

export { builtinTasks }
