import { type LayoutChoice, layerStatistics } from 'fallline'
import { checkLayout } from 'fallline/internal'

/** Which mini-batch a gradient is taken on: the data order follows from the seed, and steps count from 1. */
export interface BatchPosition {
  seed: number
  step: number
}

/**
 * The part of the data a metric is measured on: `validation` chooses settings and decides targets, `test` is reported.
 */
export type Split = 'validation' | 'test'

/** Arrays for statistics of layers, by the statistic's name and the parameter's, for parameters that are asked for. */
export type Statistics = Readonly<Record<string, Readonly<Record<string, Float32Array>>>>

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
  /**
   * Which dimensions of the parameters are outputs, for optimizers that treat outputs and inputs unlike, such as Muon:
   * `outputFirst` (default), `outputLast` for `[in, out]` and `[height, width, in, out]`, or a function of name and shape.
   */
  layout?: LayoutChoice
  /** Writes the initial values for a seed into the given arrays. */
  initialize(parameters: Record<string, Float32Array>, seed: number): void
  /**
   * Writes the gradient of the mean loss over one mini-batch into `gradients` and returns that loss. The batch is a
   * pure function of (seed, step), so that trials with one seed see the same batches whatever their optimizer. Given arrays for
   * statistics of the layers, which some optimizers need, writes these too.
   */
  gradient(
    parameters: Record<string, Float32Array>,
    gradients: Record<string, Float32Array>,
    batch: BatchPosition,
    statistics?: Statistics,
  ): number | Promise<number>
  /**
   * The statistics of layers (`layerStatistics` of fallline) that `gradient` writes, by name, for the weights of every dense layer.
   * An optimizer that needs others cannot be raced on the task.
   */
  statistics?: readonly string[]
  /**
   * The loss of a mini-batch without its gradient, where that is cheaper: what optimizers ask for that only compare losses.
   * It must be the loss that `gradient` returns. Counts as a third of a gradient; without it a gradient is computed instead.
   */
  loss?(parameters: Record<string, Float32Array>, batch: BatchPosition): number | Promise<number>
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
  if (task.layout !== undefined) checkLayout(of, task.layout)
  for (const field of ['initialize', 'gradient', 'metric'] as const) {
    if (typeof task[field] !== 'function') fail(field, of, task[field], `a function, ${signatures[field]}`)
  }
  text(task, 'metricName')
  if (task.direction !== 'minimize' && task.direction !== 'maximize') {
    fail('direction', of, task.direction, `'minimize' or 'maximize'`)
  }
  checkTargets(task, of)
  checkBudget(task.budget, of)
  if (task.loss !== undefined && typeof task.loss !== 'function') {
    fail(
      'loss',
      of,
      task.loss,
      'a function, loss(parameters, { seed, step }), that returns the loss of a batch, or absent',
    )
  }
  const { statistics } = task
  if (statistics !== undefined && !(Array.isArray(statistics) && statistics.every((name) => name in layerStatistics))) {
    fail('statistics', of, statistics, `an array of names among ${Object.keys(layerStatistics).join(', ')}, or absent`)
  }
  if (task.dispose !== undefined && typeof task.dispose !== 'function') {
    fail('dispose', of, task.dispose, 'a function without arguments, or absent')
  }
  return task
}

/** The layout of a task as an option of `compile`. */
export function layoutOf({ layout }: Task): { layout?: LayoutChoice } {
  return layout === undefined ? {} : { layout }
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
