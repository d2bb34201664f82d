import {
  cosine,
  defineOptimizer,
  describe,
  findOptimizer,
  type HyperValue,
  type Optimizer,
  type OptimizerDefinition,
  type OptimizerFactory,
  type Schedule,
  warmup,
} from 'fallline'
import { type BaseOptimizer, isRelativeRate, visit } from 'fallline/internal'
import type { ContenderRecord } from '../results.ts'
import { checkSpace, type Limits, type SearchSpace, type Setting } from '../search/space.ts'

/** A contender of your own: an optimizer with a name and the ranges it is tuned over. */
export interface Contender {
  /** Unique in the race. */
  name: string
  /** For tables and charts. Default: the title of the optimizer when it has the same name, else `name`. */
  title?: string
  /**
   * The factory of an optimizer, or any function from hyperparameters to an optimizer, for example
   * `(hyper) => cautious(adamW({ ...hyper, amsgrad: true }))`.
   */
  optimizer: OptimizerFactory | ((hyper: Record<string, HyperValue>) => Optimizer)
  /** Ranges to tune over; `learningRate` at least. Default: those the factory declares. */
  search?: SearchSpace
  /** Learning rate after the warm-up. Default: `cosine` to zero, or `constant` where the definition of the optimizer says so. */
  schedule?: 'cosine' | 'constant'
  /** Valid values of the hyperparameters, which growing ranges never leave. Default: those of the factory. */
  limits?: Limits
  /** The contender as code, for a setting that is written in braces: `cautious(adamW(SETTING))`. Default: the name called with it. */
  code?: string
}

/** What `race` takes for a contender: the name of a registered optimizer, a factory, a definition, or a contender of your own. */
export type ContenderLike = string | Contender | OptimizerFactory | OptimizerDefinition

/** Share of the steps that every contender warms its learning rate up for. */
export const warmupShare = 0.05

/** A contender that is ready to race. @internal */
export interface Entry {
  readonly name: string
  readonly title: string
  readonly search: SearchSpace
  readonly schedule: 'cosine' | 'constant'
  readonly definition: OptimizerFactory['definition'] | undefined
  readonly limits: Limits
  /** See `Contender.code`. */
  readonly code: string
  /** The optimizer with a setting, its learning rate scheduled over `steps`. */
  create(setting: Setting, steps: number): Optimizer
}

/**
 * The schedule that every contender gets: linear warm-up over 5 % of the steps, then cosine to zero at the last step, or constant
 * for methods that need no schedule.
 */
export function raceSchedule(peak: number, steps: number, then: 'cosine' | 'constant'): Schedule {
  const warm = Math.max(1, Math.round(warmupShare * steps))
  if (then === 'constant' || steps <= warm) return warmup({ steps: warm }, peak)
  return warmup({ steps: warm }, cosine({ from: peak, to: 0, steps: steps - warm }))
}

/**
 * Makes contenders ready to race.
 *
 * @throws RangeError for an unknown optimizer, a name that occurs twice, or a search range that makes no sense
 * @throws TypeError for something that is no contender
 */
export function enter(contenders: readonly ContenderLike[]): Entry[] {
  const entries = contenders.map((contender) => entryOf(contenderOf(contender)))
  if (entries.length === 0) throw new RangeError('a race needs at least one optimizer')
  for (const [index, { name }] of entries.entries()) {
    const before = entries.findIndex((other) => other.name === name)
    if (before < index) throw new RangeError(`'${name}' is entered twice: give each contender a name of its own`)
  }
  return entries
}

const example =
  "{ name: 'mine', optimizer: (hyper) => adamW({ ...hyper, amsgrad: true }), search: { learningRate: logUniform(1e-4, 1e-2) } }"

function contenderOf(given: ContenderLike): Contender {
  if (typeof given === 'string') {
    try {
      return registered(findOptimizer(given))
    } catch (error) {
      throw new RangeError((error as Error).message, { cause: error })
    }
  }
  if (typeof given === 'function') {
    if ('definition' in given && 'search' in given.definition) return registered(given)
    const what =
      'definition' in given
        ? 'a transform without an optimizer'
        : `the function ${(given as { name: string }).name || 'without a name'}`
    throw new TypeError(`${what} is no contender: give a factory such as adamW, or ${example}`)
  }
  if (typeof given !== 'object' || given === null) {
    throw new TypeError(`${String(given)} is no contender: give the name of an optimizer, its factory, or ${example}`)
  }
  if ('rule' in given && 'hyper' in given) return registered(defineOptimizer(given as OptimizerDefinition))
  if ('kind' in given) {
    throw new TypeError(
      'a configured optimizer is no contender, because its learning rate is tuned: give its factory (adamW rather than adamW()), ' +
        `or ${example}`,
    )
  }
  if (typeof given.name !== 'string' || given.name.trim() === '' || typeof given.optimizer !== 'function') {
    throw new TypeError(
      `a contender needs a name and an optimizer, which is a factory or a function from hyperparameters, such as ${example}`,
    )
  }
  return given
}

function registered(factory: OptimizerFactory): Contender {
  return { name: factory.definition.name, optimizer: factory }
}

function entryOf(contender: Contender): Entry {
  const { name, optimizer } = contender
  const definition = 'definition' in optimizer ? optimizer.definition : undefined
  const search = contender.search ?? (definition?.search as SearchSpace | undefined)
  if (search === undefined) {
    throw new TypeError(`${name}: search ranges are missing; only factories of optimizers declare their own`)
  }
  checkSpace(name, search)
  const schedule = contender.schedule ?? definition?.schedule ?? 'cosine'
  return {
    name,
    title: contender.title ?? (definition?.name === name ? definition.title : name),
    search,
    schedule,
    definition,
    limits: contender.limits ?? definition?.hyper ?? {},
    code: contender.code ?? `${definition?.name ?? name}(SETTING)`,
    create(setting, steps) {
      const hyper: Record<string, HyperValue> = { ...setting }
      hyper.learningRate = raceSchedule(setting.learningRate!, steps, schedule)
      return (optimizer as (hyper: Record<string, HyperValue>) => Optimizer)(hyper)
    },
  }
}

/** Ranges of a task module, of which those of absent contenders mean nothing here. @internal */
export function presentRanges(ranges: Readonly<Record<string, SearchSpace>>, entries: readonly Entry[]) {
  const names = entries.map(({ name }) => name.toLowerCase())
  return Object.fromEntries(Object.entries(ranges).filter(([name]) => names.includes(name.toLowerCase())))
}

/**
 * Contenders with the given ranges instead of their own; later ones win.
 *
 * @throws RangeError for ranges of somebody else, unknown hyperparameters, and ranges that make no sense
 * @internal
 */
export function withRanges(
  entries: readonly Entry[],
  ...given: readonly Readonly<Record<string, SearchSpace>>[]
): Entry[] {
  for (const name of given.flatMap((ranges) => Object.keys(ranges))) {
    if (!entries.some((entry) => entry.name.toLowerCase() === name.toLowerCase())) {
      throw new RangeError(
        `ranges are given for '${name}', which is not in the race: ${entries.map((entry) => entry.name).join(', ')}`,
      )
    }
  }
  return entries.map((entry) => {
    const own = given.flatMap((ranges) =>
      Object.entries(ranges).flatMap(([name, space]) =>
        name.toLowerCase() === entry.name.toLowerCase() ? [space] : [],
      ),
    )
    const search: SearchSpace = Object.assign({ ...entry.search }, ...own)
    const valid = Object.keys(entry.limits)
    const wrong = Object.keys(search).find((name) => valid.length > 0 && !valid.includes(name))
    if (wrong !== undefined) {
      throw new RangeError(`${entry.name} has no hyperparameter '${wrong}'; it has ${valid.join(', ')}`)
    }
    checkSpace(entry.name, search)
    return { ...entry, search }
  })
}

/** What tells one contender from another by what it does: plain data for a fingerprint. @internal */
export function identityOf({ name, search, schedule, definition, create, code }: Entry) {
  const { hyper, options, decay, rule } = definition ?? {}
  return { name, search, schedule, hyper, options, decay, code, rule: String(rule ?? create) }
}

function fallbackInWords(optimizer: Optimizer): string {
  const own = () => 'an optimizer of its own; not tuned'
  return visit(optimizer, { base: ruleInWords, wrapped: own, grouped: own })
}

function ruleInWords({ definition, hyper }: BaseOptimizer): string {
  const rate = hyper.learningRate
  if (rate !== undefined && isRelativeRate(rate)) {
    const share = rate.factor === 1 ? 'the same learning rate' : `${rate.factor} times the learning rate`
    return `${definition.title} at ${share}, schedule included; nothing else of it is tuned`
  }
  return `${definition.title}${typeof rate === 'number' ? ` at a constant learning rate of ${rate}` : ''}; not tuned`
}

/** What the results say about a contender. @internal */
export function recordOf(entry: Entry, steps: number): ContenderRecord {
  const { name, title, search, schedule, definition } = entry
  const record: ContenderRecord = {
    name,
    title,
    search,
    schedule: scheduleInWords(schedule, steps),
    code: entry.code,
    gradientsPerStep: 1,
    compileMilliseconds: [],
  }
  if (definition) record.paper = { ...definition.paper }
  if (definition?.fallback) record.fallback = fallbackInWords(definition.fallback())
  try {
    const middle: Record<string, number> = {}
    for (const [key, range] of Object.entries(search)) {
      middle[key] = range.scale === 'choice' ? range.values[0]! : range.minimum
    }
    const { kind, stateBytesPerParameter, bytesPerParameter } = describe(entry.create(middle, steps))
    return { ...record, kind, stateBytesPerParameter, bytesPerParameter }
  } catch {
    // An optimizer that cannot even be described will fail in its first trial, which says why.
    return record
  }
}

function scheduleInWords(schedule: 'cosine' | 'constant', steps: number): string {
  const warm = Math.max(1, Math.round(warmupShare * steps))
  const after = schedule === 'cosine' ? `then cosine to zero at step ${steps}` : 'then constant'
  return `linear warm-up over ${warm} ${warm === 1 ? 'step' : 'steps'}, ${after}`
}
