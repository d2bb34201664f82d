import * as library from 'fallline'
import {
  families,
  findOptimizer,
  type HyperValue,
  type Optimizer,
  type OptimizerFactory,
  registry,
  type SearchRange,
  type TransformFactory,
} from 'fallline'
import { closest, distance } from 'fastest-levenshtein'
import { builtinTasks } from '../tasks/index.ts'
import type { Contender } from '../training/contenders.ts'
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

/** Commas that are not inside parentheses separate contenders. */
function split(list: string): string[] {
  const parts = ['']
  let depth = 0
  for (const character of list) {
    if (character === '(') depth++
    if (character === ')') depth--
    if (character === ',' && depth === 0) parts.push('')
    else parts[parts.length - 1] += character
  }
  return parts.map((part) => part.trim()).filter((part) => part !== '')
}

/** The wrappers of the library by name in lower case. */
const transforms = new Map<string, TransformFactory<string>>(
  Object.entries(library).flatMap(([name, value]) => {
    const isTransform = typeof value === 'function' && 'definition' in value && !registry.includes(value as never)
    return isTransform ? [[name.toLowerCase(), value as unknown as TransformFactory<string>] as const] : []
  }),
)

/** What a list of contenders stands for. */
export interface ContenderList {
  contenders: (Contender | string)[]
  /** Whether it names families or all, of which those are left out that the task cannot feed. */
  expands: boolean
}

/**
 * The contenders of a comma-separated list: names of optimizers, wrappers around them such as `cautious(adamW)`, families such as `sign`,
 * or `all`. A name that occurs again enters a second copy, for a race of an optimizer against itself.
 *
 * @param fromModule names may also be those of contenders that the module of a task exports; they are left as they are
 * @throws UsageError for unknown names or an empty list
 */
export function contenderList(list: string, fromModule = false): ContenderList {
  const names = split(list)
  if (names.length === 0) throw new UsageError('--optimizers needs at least one name, such as --optimizers adamw,lion')
  let expands = false
  const seen = new Map<string, number>()
  const contenders = names.flatMap((given): (Contender | string)[] => {
    const family = Object.keys(families).find((key) => key.toLowerCase() === given.toLowerCase())
    if (family !== undefined || given.toLowerCase() === 'all') {
      expands = true
      return registry
        .filter(({ definition }) => family === undefined || definition.family === family)
        .map((factory) => ({ name: factory.definition.name, optimizer: factory }))
    }
    if (fromModule && !isRegistered(given) && !given.includes('(')) return [given]
    const contender = contenderNamed(given)
    const copy = (seen.get(contender.name) ?? 0) + 1
    seen.set(contender.name, copy)
    if (copy === 1) return [contender]
    const title = contender.title ?? contender.name
    return [{ ...contender, name: `${contender.name}-${copy}`, title: `${title} (${copy})` }]
  })
  // A name beside its family is meant once.
  const listed = contenders.map((contender) => (typeof contender === 'string' ? contender : contender.name))
  return { contenders: contenders.filter((_, index) => !expands || listed.indexOf(listed[index]!) === index), expands }
}

/**
 * The contenders of a comma-separated list; see `contenderList`.
 *
 * @throws UsageError for unknown names or an empty list
 */
export function contendersOf(list: string): Contender[] {
  return contenderList(list).contenders as Contender[]
}

function isRegistered(name: string): boolean {
  return registry.some(({ definition }) => definition.name.toLowerCase() === name.toLowerCase())
}

/**
 * The contender of a name or of wrappers around one: `adamW`, `cautious(lookahead(adamW))`. It is tuned over the ranges of the optimizer,
 * with the defaults of the wrappers.
 *
 * @throws UsageError with the nearest name
 */
export function contenderNamed(expression: string): Contender {
  const wrapped = /^\s*([\w$]+)\s*\((.*)\)\s*$/s.exec(expression)
  if (wrapped === null) {
    const factory = optimizerNamed(expression)
    const { name, title } = factory.definition
    return { name, title, optimizer: factory }
  }
  const [, name, inside] = wrapped
  const transform = transforms.get(name!.toLowerCase())
  if (transform === undefined) {
    throw unknown(
      'wrapper',
      name!,
      [...transforms.values()].map(({ definition }) => definition.name),
      'The README lists all.',
    )
  }
  const inner = contenderNamed(inside!)
  const definition = 'definition' in inner.optimizer ? inner.optimizer.definition : undefined
  const build = inner.optimizer as (hyper: Record<string, HyperValue>) => Optimizer
  const search = inner.search ?? (definition?.search as Contender['search'])
  const limits = inner.limits ?? definition?.hyper
  const schedule = inner.schedule ?? definition?.schedule
  const outer = transform.definition.name
  return {
    name: `${outer}(${inner.name})`,
    title: `${inner.title ?? inner.name} with ${transform.definition.title}`,
    optimizer: (hyper: Record<string, HyperValue>) => transform(build(hyper)),
    ...(search === undefined ? {} : { search }),
    ...(limits === undefined ? {} : { limits }),
    ...(schedule === undefined ? {} : { schedule }),
    code: `${outer}(${inner.code ?? `${inner.name}(SETTING)`})`,
  }
}

/**
 * Ranges from the command line: `adamW.learningRate=1e-5..1e-2` (logarithmic where both ends are above 0, linear otherwise, or with
 * `:linear` or `:log` at the end) or `adamW.weightDecay=0|0.01|0.1`.
 *
 * @throws UsageError for anything else
 */
export function rangesOf(texts: readonly string[]): Record<string, Record<string, SearchRange>> {
  const ranges: Record<string, Record<string, SearchRange>> = {}
  for (const text of texts) {
    const match = /^(.+)\.(\w+)=(.+)$/.exec(text.trim())
    const wrong = () =>
      new UsageError(
        `--range ${text} is no range: write CONTENDER.HYPERPARAMETER=MINIMUM..MAXIMUM or =VALUE|VALUE, such as adamW.learningRate=1e-5..1e-2`,
      )
    if (match === null) throw wrong()
    const [, contender, hyperparameter, right] = match
    const [interval, scale] = right!.split(':')
    const numbers = interval!.split(/\.\.|\|/).map((part) => (part.trim() === '' ? Number.NaN : Number(part)))
    if (!numbers.every(Number.isFinite) || (scale !== undefined && scale !== 'log' && scale !== 'linear')) throw wrong()
    const isInterval = interval!.includes('..')
    if (isInterval && numbers.length !== 2) throw wrong()
    const [minimum, maximum] = numbers
    ranges[contender!] = {
      ...ranges[contender!],
      [hyperparameter!]: isInterval
        ? { scale: scale ?? (minimum! > 0 ? 'log' : 'linear'), minimum: minimum!, maximum: maximum! }
        : { scale: 'choice', values: numbers },
    }
  }
  return ranges
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
