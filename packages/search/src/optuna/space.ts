import type { Dimension } from '../space/dimension.ts'
import { choice, type Domain, float, integer, type ParameterValue } from '../space/domain.ts'
import type { Parameters } from '../space/space.ts'
import type { Distribution, OptunaTrial } from './studies.ts'

/** The space that trials of Optuna come from, and what their parameters are in it. */
export interface RebuiltSpace {
  readonly dimensions: readonly Dimension[]
  /** @throws RangeError for a trial whose parameters are not all there */
  parametersOf(trial: OptunaTrial): Parameters
}

interface Range {
  readonly name: string
  readonly domain: Domain
}

/** Before Optuna 3 a class for every kind of range. */
const isInteger = (name: string) => name.startsWith('Int')
const isLog = ({ name, attributes: { log } }: Distribution) => log === true || name.includes('LogUniform')

/**
 * Rebuilds a space from the ranges that the trials of a study were suggested. A range that changed from trial to trial is as wide as all
 * of them. A parameter that some trials do not have exists where another one has the one value that all trials with it share and no other
 * trial has; where there is no such value, a choice `NAME is used` is added.
 *
 * @param trials whose objective has come to its end
 */
export function rebuildSpace(trials: readonly OptunaTrial[]): RebuiltSpace {
  const names = [...new Set(trials.flatMap(({ parameters }) => [...parameters.keys()]))]
  const ranges = new Map(
    names.map((name): [string, Range] => {
      const found = trials.flatMap(({ parameters }) => parameters.get(name)?.distribution ?? [])
      return [name, { name, domain: domainOf(name, found) }]
    }),
  )
  const valueIn = (trial: OptunaTrial, name: string): ParameterValue | undefined => {
    const kept = trial.parameters.get(name)
    const range = ranges.get(name)
    if (kept === undefined || range === undefined) return undefined
    return range.domain.kind === 'choice' ? range.domain.values[kept.value] : kept.value
  }
  const dimensions: Dimension[] = []
  const places = new Map<string, number>()
  const used = new Map<string, string>()
  const add = (name: string, domain: Domain, condition: Dimension['condition']) => {
    places.set(name, dimensions.length)
    dimensions.push({ name, domain, condition })
  }
  // Those that every trial has come first, so that the others can depend on them.
  const countOf = (name: string) => trials.filter(({ parameters }) => parameters.has(name)).length
  for (const name of names.toSorted((a, b) => countOf(b) - countOf(a))) {
    const { domain } = ranges.get(name)!
    const having = trials.filter(({ parameters }) => parameters.has(name))
    if (having.length === trials.length) {
      add(name, domain, null)
      continue
    }
    const condition = [...places].flatMap(([parent, dimension]) => {
      const value = valueIn(having[0]!, parent)
      const tells =
        value !== undefined &&
        dimensions[dimension]!.domain.kind === 'choice' &&
        trials.every((trial) => trial.parameters.has(name) === (valueIn(trial, parent) === value))
      return tells ? [{ dimension, value }] : []
    })[0]
    if (condition) add(name, domain, condition)
    else {
      const question = `${name} is used`
      used.set(name, question)
      add(question, { kind: 'choice', values: [false, true] }, null)
      add(name, domain, { dimension: places.get(question)!, value: true })
    }
  }
  return {
    dimensions,
    parametersOf(trial) {
      const parameters: Record<string, ParameterValue> = {}
      for (const name of trial.parameters.keys()) {
        const value = valueIn(trial, name)
        if (value !== undefined) parameters[name] = value
      }
      for (const [name, question] of used) parameters[question] = trial.parameters.has(name)
      return parameters
    },
  }
}

function domainOf(name: string, found: readonly Distribution[]): Domain {
  const [first] = found
  if (first!.name === 'CategoricalDistribution') {
    const choices = first!.attributes.choices as readonly (ParameterValue | null)[]
    return choice(choices.map((value) => value ?? 'None')).domain
  }
  const numbers = (key: string) => found.map(({ attributes }) => attributes[key] as number)
  const [minimum, maximum] = [Math.min(...numbers('low')), Math.max(...numbers('high'))]
  const steps = new Set(found.map(({ attributes: { step, q } }) => (step ?? q ?? null) as number | null))
  const isEven = steps.size === 1 && new Set(numbers('low')).size === 1
  const step = isEven ? [...steps][0]! : null
  const scale = isLog(first!) ? 'log' : 'linear'
  if (!(minimum <= maximum)) throw new RangeError(`${name}: Optuna's range from ${minimum} to ${maximum} is none`)
  if (isInteger(first!.name)) return integer(minimum, maximum, { scale, ...(step !== null && { step }) }).domain
  return float(minimum, maximum, { scale, ...(step !== null && { step }) }).domain
}
