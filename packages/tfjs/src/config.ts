import {
  groups,
  type HyperValue,
  type Optimizer,
  type OptimizerFactory,
  type ParameterGroup,
  type ParameterMatch,
  relativeRate,
  switchAfter,
  type TransformFactory,
} from 'fallline'
import { isSchedule } from 'fallline/internal'
import { schedules as lists } from './schedules.ts'

const schedules = { ...lists, relativeRate }

/** Makes optimizers or wraps them, and says which. */
export type NamedFactory = Pick<OptimizerFactory, 'definition'> | Pick<TransformFactory<string>, 'definition'>

const factories = new Map<string, NamedFactory>()

/** Lets descriptions name what this makes. */
export function remember(factory: NamedFactory): void {
  factories.set(factory.definition.name, factory)
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/**
 * What an optimizer is made of as text, for `getConfig`.
 * @throws Error for a function as schedule or as the match of a group, which no file can hold.
 */
export function describe(optimizer: Optimizer): string {
  return JSON.stringify(describeOptimizer(optimizer))
}

/** @throws Error when the text names a factory that this program does not know. */
export function revive(text: string): Optimizer {
  return reviveOptimizer(JSON.parse(text))
}

function describeOptimizer(optimizer: Optimizer): Json {
  if (optimizer.kind === 'grouped') {
    const list = optimizer.groups.map(({ name, match, hyper, optimizer: own, frozen }) => ({
      name,
      match: describeMatch(name, match),
      ...(hyper ? { hyper: describeHyper(`group ${name}`, hyper) } : {}),
      ...(own ? { optimizer: describeOptimizer(own) } : {}),
      ...(frozen ? { frozen } : {}),
    }))
    return { base: describeOptimizer(optimizer.base), groups: list }
  }
  const { definition, options } = optimizer
  const hyper = describeHyper(definition.title, optimizer.hyper)
  if (optimizer.kind === 'wrapped') {
    const { inner, earlier } = optimizer
    return {
      wrapper: definition.name,
      hyper,
      options,
      ...(earlier ? { earlier: describeOptimizer(earlier) } : {}),
      inner: describeOptimizer(inner),
    }
  }
  const { decay, maximize, fallback } = optimizer
  return {
    optimizer: definition.name,
    hyper,
    options,
    ...(decay === definition.decay ? {} : { decay }),
    ...(maximize ? { maximize } : {}),
    ...(fallback ? { fallback: describeOptimizer(fallback) } : {}),
  }
}

interface Description {
  readonly optimizer?: string
  readonly wrapper?: string
  readonly hyper: Readonly<Record<string, Json>>
  readonly options: Readonly<Record<string, boolean | number | string>>
  readonly decay?: string
  readonly maximize?: boolean
  readonly fallback?: Description
  readonly earlier?: Description
  readonly inner: Description
  readonly base: Description
  readonly groups: readonly {
    readonly name: string
    readonly match: Json
    readonly hyper?: Readonly<Record<string, Json>>
    readonly optimizer?: Description
    readonly frozen?: boolean
  }[]
}

function reviveOptimizer(description: Description): Optimizer {
  const { optimizer, wrapper, options, decay, maximize, fallback } = description
  if (optimizer !== undefined) {
    const make = factoryOf(optimizer) as unknown as (settings: object) => Optimizer
    return make({
      ...reviveHyper(description.hyper),
      ...options,
      ...(decay === undefined ? {} : { decay }),
      ...(maximize === undefined ? {} : { maximize }),
      ...(fallback ? { fallback: reviveOptimizer(fallback) } : {}),
    })
  }
  if (wrapper !== undefined) {
    const inner = reviveOptimizer(description.inner)
    const settings = { ...reviveHyper(description.hyper), ...options }
    if (description.earlier) return switchAfter(reviveOptimizer(description.earlier), inner, settings)
    const wrap = factoryOf(wrapper) as unknown as (inner: Optimizer, settings: object) => Optimizer
    return wrap(inner, settings)
  }
  const list = description.groups.map(
    ({ name, match, hyper, optimizer: own, frozen }): ParameterGroup => ({
      name,
      match: reviveMatch(match),
      ...(hyper ? { hyper: reviveHyper(hyper) } : {}),
      ...(own ? { optimizer: reviveOptimizer(own) } : {}),
      ...(frozen ? { frozen } : {}),
    }),
  )
  return groups(reviveOptimizer(description.base), list)
}

function factoryOf(name: string): NamedFactory {
  const found = factories.get(name)
  if (found) return found
  throw new Error(
    `the saved optimizer uses '${name}', which this program has not used yet; before loading: ` +
      `import { ${name}, registerOptimizers } from '@fallline/tfjs' and call registerOptimizers(${name})`,
  )
}

function describeHyper(owner: string, hyper: Readonly<Record<string, HyperValue>>): { [name: string]: Json } {
  const entries = Object.entries(hyper).map(
    ([name, value]) => [name, describeValue(`${owner}: ${name}`, value)] as const,
  )
  return Object.fromEntries(entries)
}

function reviveHyper(hyper: Readonly<Record<string, Json>>): Record<string, HyperValue> {
  return Object.fromEntries(Object.entries(hyper).map(([name, value]) => [name, reviveValue(value) as HyperValue]))
}

/** A number, a schedule, or what schedules are made of. */
function describeValue(what: string, value: unknown): Json {
  if (typeof value === 'number')
    return Number.isFinite(value) && !Object.is(value, -0) ? value : { number: String(value) }
  if (Array.isArray(value)) return value.map((item) => describeValue(what, item))
  if (isSchedule(value)) {
    if (Object.hasOwn(schedules, value.kind) && value.arguments) {
      return { schedule: value.kind, arguments: value.arguments.map((item) => describeValue(what, item)) }
    }
  } else if (typeof value === 'object' && value !== null) {
    return { object: Object.fromEntries(Object.entries(value).map(([key, item]) => [key, describeValue(what, item)])) }
  } else if (typeof value === 'string' || typeof value === 'boolean') return value
  throw new Error(
    `${what} is a schedule of your own, which cannot be saved with the model; use one of ` +
      `${Object.keys(schedules).join(', ')}, or set a number before saving and the schedule after loading`,
  )
}

function reviveValue(value: Json): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(reviveValue)
  const { number, schedule, arguments: given, object } = value as Readonly<Record<string, Json>>
  if (typeof number === 'string') return Number(number)
  if (typeof schedule === 'string') {
    const make = schedules[schedule as keyof typeof schedules] as (...given: unknown[]) => HyperValue
    return make(...(given as readonly Json[]).map(reviveValue))
  }
  return Object.fromEntries(Object.entries(object as object).map(([key, item]) => [key, reviveValue(item)]))
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
