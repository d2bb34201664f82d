import { type Coordinate, coordinateOf, type Dimension, numberAt, type Point, size, valueAt } from './dimension.ts'
import type { Definition, Parameter, ParameterValue, ValuesOf } from './domain.ts'

/** Values of the parameters that exist, by their names with dots. */
export type Parameters = Readonly<Record<string, ParameterValue>>

/** A condition that values have to meet. */
export interface Constraint<Values> {
  /** In a few words, for messages: `at most 1e6 weights`. */
  readonly name: string
  allows(values: Values): boolean
}

/** A space as plain data. */
export interface SpaceRecord {
  readonly dimensions: readonly Dimension[]
  /** Names of the constraints, which are functions and stay where they were written. */
  readonly constraints: readonly string[]
}

/** The values that a study chooses among. */
export interface Space<Values = unknown> extends SpaceRecord {
  /** The values at a point as they were written: groups and variants are objects. */
  values(point: Point): Values
  /** The values at a point by their names with dots. */
  parameters(point: Point): Parameters
  /**
   * The point at which given values stand.
   *
   * @throws RangeError for a parameter that is missing, unknown or not there under these variants, and for a value outside its domain
   */
  point(parameters: Parameters): Point
  /**
   * The point of a cube's coordinates, one in [0, 1) for every dimension: choices take equal shares of theirs, numbers with steps stand
   * in the middle of their parts, dimensions that do not exist become `null`.
   */
  fromCube(cube: ArrayLike<number>): Point
  /** The point with numbers put where their values stand, choices inside their domains and `null` where nothing exists. */
  settle(point: readonly (number | null)[]): Point
  /** Whether a dimension exists at a point, as far as the dimensions before it say. */
  exists(dimension: number, point: readonly Coordinate[]): boolean
  /** The name of the first constraint that a point does not meet; `null` when it meets all. */
  violated(point: Point): string | null
  /** How many points there are, without regard to constraints: Infinity with a number that has no step. */
  readonly size: number
}

/**
 * Makes a space of parameters.
 *
 * ```ts
 * import { choice, float, integer, space, variant } from '@fallline/search'
 *
 * const network = space({
 *   learningRate: float(1e-5, 1, { scale: 'log' }),
 *   layers: integer(1, 4),
 *   optimizer: variant({ sgd: { momentum: float(0, 0.99) }, adam: { beta2: choice([0.99, 0.999]) } }),
 * })
 * ```
 *
 * @param constraints conditions on several parameters; a sampler's point that breaks one is drawn again
 * @throws RangeError for a space without parameters, and for a name that is empty or has a dot
 */
export function space<const D extends Definition>(
  definition: D,
  constraints: readonly Constraint<ValuesOf<D>>[] = [],
): Space<ValuesOf<D>> {
  const dimensions: Dimension[] = []
  flatten(definition, '', null, dimensions)
  if (dimensions.length === 0) throw new RangeError('space: needs at least one parameter')
  return make(dimensions, definition, constraints)
}

/** The space of a record, whose values are given by their names with dots and whose constraints are left to those who wrote them. */
export function spaceOf(record: SpaceRecord): Space<Parameters> {
  return make<Parameters>(record.dimensions, null, [], record.constraints)
}

function isParameter(entry: Parameter | Definition): entry is Parameter {
  const { domain } = entry
  return domain !== undefined && 'kind' in domain && typeof domain.kind === 'string'
}

function flatten(definition: Definition, prefix: string, condition: Dimension['condition'], into: Dimension[]): void {
  for (const [name, entry] of Object.entries(definition)) {
    if (name === '' || name.includes('.')) {
      throw new RangeError(
        `space: a parameter cannot be called '${name}': names have at least one character and no dot`,
      )
    }
    const path = prefix + name
    if (!isParameter(entry)) {
      flatten(entry, `${path}.`, condition, into)
      continue
    }
    const dimension = into.length
    into.push({ name: path, domain: entry.domain, condition })
    for (const [value, inner] of Object.entries(entry.variants ?? {})) {
      flatten(inner, `${path}.${value}.`, { dimension, value }, into)
    }
  }
}

function nested(definition: Definition, prefix: string, parameters: Parameters): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(definition).map(([name, entry]) => {
      const path = prefix + name
      if (!isParameter(entry)) return [name, nested(entry, `${path}.`, parameters)]
      const value = parameters[path]
      if (!entry.variants) return [name, value]
      return [name, { kind: value, ...nested(entry.variants[value as string]!, `${path}.${value}.`, parameters) }]
    }),
  )
}

function make<Values>(
  dimensions: readonly Dimension[],
  definition: Definition | null,
  constraints: readonly Constraint<Values>[],
  names: readonly string[] = constraints.map(({ name }) => name),
): Space<Values> {
  const indexOf = new Map(dimensions.map(({ name }, index) => [name, index]))
  const exists = (dimension: number, point: readonly Coordinate[]): boolean => {
    const { condition } = dimensions[dimension]!
    if (condition === null) return true
    const chosen = point[condition.dimension]
    if (chosen === null || chosen === undefined) return false
    const { domain } = dimensions[condition.dimension]!
    return domain.kind === 'choice' && domain.values[chosen] === condition.value
  }
  const settle = (point: readonly (number | null)[]): Point => {
    const settled: Coordinate[] = []
    for (const [index, dimension] of dimensions.entries()) {
      const coordinate = exists(index, settled) ? point[index] : null
      if (coordinate === null || coordinate === undefined) settled.push(null)
      else if (dimension.domain.kind === 'choice') {
        settled.push(Math.min(dimension.domain.values.length - 1, Math.max(0, Math.floor(coordinate))))
      } else if (dimension.domain.step === null) settled.push(Math.min(1, Math.max(0, coordinate)))
      else settled.push(coordinateOf(dimension, numberAt(dimension.domain, coordinate)))
    }
    return settled
  }
  const parametersAt = (point: Point): Parameters => {
    const parameters: Record<string, ParameterValue> = {}
    for (const [index, { name, domain }] of dimensions.entries()) {
      const coordinate = point[index]
      if (coordinate !== null && coordinate !== undefined) parameters[name] = valueAt(domain, coordinate)
    }
    return parameters
  }
  const values = (point: Point) => {
    const parameters = parametersAt(point)
    return (definition === null ? parameters : nested(definition, '', parameters)) as Values
  }
  return {
    dimensions,
    constraints: names,
    // Variants exclude each other, so the points of each are added and those of parameters beside each other multiplied.
    size: sizeUnder(dimensions, null),
    values,
    parameters: parametersAt,
    exists,
    settle,
    point(parameters) {
      const unknown = Object.keys(parameters).find((name) => !indexOf.has(name))
      if (unknown !== undefined) {
        throw new RangeError(`'${unknown}' is no parameter of this space: ${[...indexOf.keys()].join(', ')}`)
      }
      const point: Coordinate[] = []
      for (const [index, dimension] of dimensions.entries()) {
        const value = parameters[dimension.name]
        if (exists(index, point)) {
          if (value === undefined) throw new RangeError(`${dimension.name}: a value is missing`)
          point.push(coordinateOf(dimension, value))
        } else {
          if (value !== undefined) {
            const { condition } = dimension
            const parent = dimensions[condition!.dimension]!.name
            throw new RangeError(`${dimension.name}: exists only where ${parent} is '${condition!.value}'`)
          }
          point.push(null)
        }
      }
      return point
    },
    fromCube: (cube) =>
      settle(
        dimensions.map(({ domain }, index) => {
          const coordinate = cube[index]!
          return domain.kind === 'choice' ? Math.floor(coordinate * domain.values.length) : coordinate
        }),
      ),
    violated(point) {
      if (constraints.length === 0) return null
      const settled = values(point)
      return constraints.find((constraint) => !constraint.allows(settled))?.name ?? null
    },
  }
}

function sizeUnder(dimensions: readonly Dimension[], parent: Dimension['condition']): number {
  let product = 1
  for (const [index, { domain, condition }] of dimensions.entries()) {
    if (condition?.dimension !== parent?.dimension || condition?.value !== parent?.value) continue
    const isParent = dimensions.some((other) => other.condition?.dimension === index)
    if (domain.kind !== 'choice' || !isParent) product *= size(domain)
    else {
      product *= domain.values.reduce<number>(
        (sum, value) => sum + sizeUnder(dimensions, { dimension: index, value }),
        0,
      )
    }
  }
  return product
}
