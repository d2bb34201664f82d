import { type HyperValue, isSchedule } from '../schedules/schedule.ts'
import { groups, type Optimizer, type ParameterGroup, type ParameterMatch } from './definition.ts'
import { switchAfter } from './switch-after.ts'
import { visit } from './walk.ts'

/** What JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

type MadeBy<Settings extends readonly unknown[], Result> = (...settings: Settings) => Result

/** What makes the optimizers, wrappers and schedules that descriptions name. */
export interface Factories {
  readonly schedules: Readonly<Record<string, unknown>>
  /**
   * The factory of an optimizer or a wrapper.
   * @throws Error for an unknown name.
   */
  readonly factoryOf: (name: string) => unknown
}

/**
 * What an optimizer is made of, hyperparameters included, as plain data.
 * @throws Error for a function as schedule or as the match of a group, and for a schedule that `schedules` does not have.
 */
export function describeOptimizer(optimizer: Optimizer, { schedules }: Pick<Factories, 'schedules'>): Json {
  const describe = (part: Optimizer) => describeOptimizer(part, { schedules })
  const hyperOf = (owner: string, hyper: Readonly<Record<string, HyperValue>>) =>
    Object.fromEntries(
      Object.entries(hyper).map(([name, value]) => [name, describeValue(`${owner}: ${name}`, value, schedules)]),
    )
  return visit<Json>(optimizer, {
    base: ({ definition, hyper, options, decay, maximize, fallback }) => ({
      optimizer: definition.name,
      hyper: hyperOf(definition.title, hyper),
      options,
      ...(decay === definition.decay ? {} : { decay }),
      ...(maximize ? { maximize } : {}),
      ...(fallback ? { fallback: describe(fallback) } : {}),
    }),
    wrapped: ({ definition, hyper, options, inner, earlier }) => ({
      wrapper: definition.name,
      hyper: hyperOf(definition.title, hyper),
      options,
      ...(earlier ? { earlier: describe(earlier) } : {}),
      inner: describe(inner),
    }),
    grouped: ({ base, groups }) => ({
      base: describe(base),
      groups: groups.map(({ name, match, hyper, optimizer: own, frozen }) => ({
        name,
        match: describeMatch(name, match),
        ...(hyper ? { hyper: hyperOf(`group ${name}`, hyper) } : {}),
        ...(own ? { optimizer: describe(own) } : {}),
        ...(frozen ? { frozen } : {}),
      })),
    }),
  })
}

interface Description {
  readonly optimizer?: string
  readonly wrapper?: string
  readonly hyper: Readonly<Record<string, Json>>
  readonly options: Readonly<Record<string, boolean | number | string>>
  readonly decay?: string
  readonly maximize?: boolean
  readonly fallback?: Json
  readonly earlier?: Json
  readonly inner: Json
  readonly base: Json
  readonly groups: readonly {
    readonly name: string
    readonly match: Json
    readonly hyper?: Readonly<Record<string, Json>>
    readonly optimizer?: Json
    readonly frozen?: boolean
  }[]
}

/**
 * The optimizer that was described.
 * @throws Error when a factory is unknown, or for a setting that its factory refuses.
 */
export function reviveOptimizer(described: Json, factories: Factories): Optimizer {
  const description = described as unknown as Description
  const { optimizer, wrapper, options, decay, maximize, fallback, earlier } = description
  const { schedules, factoryOf } = factories
  const revive = (part: Json) => reviveOptimizer(part, factories)
  const hyperOf = (hyper: Readonly<Record<string, Json>>) =>
    Object.fromEntries(
      Object.entries(hyper).map(([name, value]) => [name, reviveValue(value, schedules) as HyperValue]),
    )
  if (optimizer !== undefined) {
    const make = factoryOf(optimizer) as MadeBy<[settings: object], Optimizer>
    return make({
      ...hyperOf(description.hyper),
      ...options,
      ...(decay === undefined ? {} : { decay }),
      ...(maximize === undefined ? {} : { maximize }),
      ...(fallback ? { fallback: revive(fallback) } : {}),
    })
  }
  if (wrapper !== undefined) {
    const inner = revive(description.inner)
    const settings = { ...hyperOf(description.hyper), ...options }
    if (earlier) return switchAfter(revive(earlier), inner, settings)
    const wrap = factoryOf(wrapper) as MadeBy<[inner: Optimizer, settings: object], Optimizer>
    return wrap(inner, settings)
  }
  const list = description.groups.map(
    ({ name, match, hyper, optimizer: own, frozen }): ParameterGroup => ({
      name,
      match: reviveMatch(match),
      ...(hyper ? { hyper: hyperOf(hyper) } : {}),
      ...(own ? { optimizer: revive(own) } : {}),
      ...(frozen ? { frozen } : {}),
    }),
  )
  return groups(revive(description.base), list)
}

/** A number, a schedule, or what schedules are made of. */
function describeValue(what: string, value: unknown, schedules: Factories['schedules']): Json {
  const describe = (part: unknown) => describeValue(what, part, schedules)
  if (typeof value === 'number')
    return Number.isFinite(value) && !Object.is(value, -0) ? value : { number: String(value) }
  if (Array.isArray(value)) return value.map(describe)
  if (isSchedule(value)) {
    if (Object.hasOwn(schedules, value.kind) && value.arguments) {
      return { schedule: value.kind, arguments: value.arguments.map(describe) }
    }
  } else if (typeof value === 'object' && value !== null) {
    return { object: Object.fromEntries(Object.entries(value).map(([key, item]) => [key, describe(item)])) }
  } else if (typeof value === 'string' || typeof value === 'boolean') return value
  throw new Error(
    `${what} is a schedule of your own, which cannot be saved with the model; use one of ` +
      `${Object.keys(schedules).join(', ')}, or set a number before saving and the schedule after loading`,
  )
}

function reviveValue(value: Json, schedules: Factories['schedules']): unknown {
  const revive = (part: Json) => reviveValue(part, schedules)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(revive)
  const { number, schedule, arguments: given, object } = value as Readonly<Record<string, Json>>
  if (typeof number === 'string') return Number(number)
  if (typeof schedule === 'string') {
    return (schedules[schedule] as MadeBy<unknown[], HyperValue>)(...(given as readonly Json[]).map(revive))
  }
  return Object.fromEntries(Object.entries(object as object).map(([key, item]) => [key, revive(item)]))
}

function describeMatch(name: string, match: ParameterMatch): Json {
  if (typeof match === 'string') return match
  if (match instanceof RegExp) return { source: match.source, flags: match.flags }
  throw new Error(
    `groups: ${name}: match is a function, which cannot be saved with the model; use a name or an expression`,
  )
}

function reviveMatch(match: Json): ParameterMatch {
  if (typeof match === 'string') return match
  const { source, flags } = match as { source: string; flags: string }
  return new RegExp(source, flags)
}
