/** The value of a parameter. */
export type ParameterValue = number | string | boolean

/** Numbers between two bounds. */
export interface NumberDomain {
  /** `float` gives any number, `integer` whole ones. */
  readonly kind: 'float' | 'integer'
  readonly minimum: number
  readonly maximum: number
  /** Whether equal differences (`linear`) or equal ratios (`log`) are equally likely. */
  readonly scale: 'linear' | 'log'
  /** Distance between the values that are allowed, counted from the minimum; `null` where every number is. Integers have 1 or more. */
  readonly step: number | null
  /** Significant digits that values are rounded to; absent: all there are. */
  readonly digits?: number
}

/** Values without an order. */
export interface ChoiceDomain {
  readonly kind: 'choice'
  readonly values: readonly ParameterValue[]
}

/** The values that a parameter can have. */
export type Domain = NumberDomain | ChoiceDomain

declare const typeOfValue: unique symbol

/** One parameter of a space; `Value` is the type of its values. */
export interface Parameter<Value = unknown> {
  readonly domain: Domain
  /** Parameters that exist only where a variant has been chosen, by its name. */
  readonly variants?: { readonly [name: string]: Definition }
  readonly [typeOfValue]?: Value
}

/** A space as it is written: parameters by name, in groups where that reads better. */
export interface Definition {
  readonly [name: string]: Parameter | Definition
}

/** The values that a definition describes. */
export type ValuesOf<D extends Definition> = {
  -readonly [Name in keyof D]: D[Name] extends Parameter<infer Value>
    ? Value
    : D[Name] extends Definition
      ? ValuesOf<D[Name]>
      : never
}

/** What can be said about a range. */
export interface RangeOptions {
  /** Default: `linear`. `log` needs a minimum above 0. */
  readonly scale?: 'linear' | 'log'
  /** Distance of the allowed values from each other. Default: every number, or every integer. Only with `linear`. */
  readonly step?: number
  /** Significant digits that values are rounded to, so that the one that is printed is the one that was tried. Default: all. Not with `step`. */
  readonly digits?: number
}

/**
 * A number from `minimum` to `maximum`, both included.
 *
 * @throws RangeError for bounds that are not finite or not in order, for a `log` scale that does not begin above 0, and for a `step`
 * that is not above 0 or comes with `log`, for `digits` that are not a whole number from 1 to 17, or come with `step`
 */
export function float(minimum: number, maximum: number, options: RangeOptions = {}): Parameter<number> {
  return { domain: numberDomain('float', minimum, maximum, options, null) }
}

/**
 * A whole number from `minimum` to `maximum`, both included.
 *
 * @throws RangeError as `float` does, and for bounds or a step that are not whole
 */
export function integer(minimum: number, maximum: number, options: RangeOptions = {}): Parameter<number> {
  for (const [name, value] of Object.entries({ minimum, maximum, step: options.step ?? 1 })) {
    if (!Number.isSafeInteger(value)) throw new RangeError(`integer: ${name} must be a whole number, not ${value}`)
  }
  return { domain: numberDomain('integer', minimum, maximum, options, 1) }
}

/**
 * One of several values without an order.
 *
 * @throws RangeError for no value, and for one that is there twice
 */
export function choice<const Value extends ParameterValue>(values: readonly Value[]): Parameter<Value> {
  if (values.length === 0) throw new RangeError('choice: needs at least one value')
  for (const value of values) {
    const fits = typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value)
    if (!fits) throw new RangeError(`choice: values are strings, booleans and finite numbers, not ${String(value)}`)
  }
  const twice = values.find((value, index) => values.indexOf(value) !== index)
  if (twice !== undefined) throw new RangeError(`choice: ${JSON.stringify(twice)} is there twice`)
  return { domain: { kind: 'choice', values: [...values] } }
}

/** The values of a parameter with variants: the name of the variant as `kind`, and its own parameters. */
export type VariantOf<V extends { readonly [name: string]: Definition }> = {
  [Name in keyof V]: { kind: Name } & ValuesOf<V[Name]>
}[keyof V]

/**
 * One of several variants, each with parameters of its own, which exist only where it is chosen.
 *
 * @throws RangeError for no variant, and for one with a parameter named `kind`
 */
export function variant<const V extends { readonly [name: string]: Definition }>(variants: V): Parameter<VariantOf<V>> {
  const names = Object.keys(variants)
  if (names.length === 0) throw new RangeError('variant: needs at least one variant')
  for (const name of names) {
    if ('kind' in variants[name]!) {
      throw new RangeError(`variant: the parameter 'kind' of ${name} needs another name, because 'kind' is the variant`)
    }
  }
  return { domain: { kind: 'choice', values: names }, variants }
}

function numberDomain(
  kind: 'float' | 'integer',
  minimum: number,
  maximum: number,
  { scale = 'linear', step, digits }: RangeOptions,
  defaultStep: number | null,
): NumberDomain {
  if (!Number.isFinite(minimum) || !Number.isFinite(maximum) || minimum > maximum) {
    throw new RangeError(
      `${kind}: from ${minimum} to ${maximum} is no range; it needs finite bounds, the smaller one first`,
    )
  }
  if (scale !== 'linear' && scale !== 'log') {
    throw new RangeError(`${kind}: scale must be 'linear' or 'log', not '${String(scale)}'`)
  }
  if (scale === 'log' && minimum <= 0) {
    throw new RangeError(`${kind}: a log scale needs a minimum above 0, not ${minimum}`)
  }
  if (step !== undefined && !(step > 0)) throw new RangeError(`${kind}: step must be above 0, not ${step}`)
  if (step !== undefined && step !== defaultStep && scale === 'log') {
    throw new RangeError(`${kind}: a log scale has no step, ${step} was given`)
  }
  if (digits !== undefined) {
    if (!Number.isInteger(digits) || digits < 1 || digits > 17) {
      throw new RangeError(`${kind}: digits must be a whole number from 1 to 17, not ${digits}`)
    }
    if ((step ?? defaultStep) !== null)
      throw new RangeError(`${kind}: values with a step have no digits, ${digits} were given`)
  }
  return { kind, minimum, maximum, scale, step: step ?? defaultStep, ...(digits !== undefined && { digits }) }
}
