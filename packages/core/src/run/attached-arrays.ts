import type { FloatArray } from '../backends/backend.ts'

/** Plain arrays by parameter name. */
export type ArraysByName<Name extends string = string> = {
  readonly [name in Name]?: Float32Array | Float64Array | number[]
}

/** Attached arrays, without those that were left undefined. */
export type GivenArrays = Readonly<Record<string, Float32Array | Float64Array | number[]>>

type Views = Readonly<Record<string, FloatArray>>

interface Pair {
  readonly view: FloatArray
  readonly array: GivenArrays[string]
}

/** Arrays of the user's that parameters and gradients are kept in, instead of the views of the optimizer's memory. */
export class AttachedArrays {
  /** By name: attached arrays where there are any, else the views. */
  readonly shown: { readonly parameters: Views; readonly gradients: Views }
  private readonly parameters: readonly Pair[]
  private readonly gradients: readonly Pair[]

  /** @throws Error when two of the arrays share memory: what is written for one would be lost. */
  constructor(views: AttachedArrays['shown'], parameters: GivenArrays = {}, gradients: GivenArrays = {}) {
    checkSeparateMemory('attach', parameters, gradients, stretchOf, 'an array of its own')
    const pairs = (arrays: GivenArrays, own: Views) =>
      Object.entries(arrays).map(([name, array]) => ({ view: own[name]!, array }))
    this.parameters = pairs(parameters, views.parameters)
    this.gradients = pairs(gradients, views.gradients)
    this.shown = {
      parameters: replaced(views.parameters, parameters),
      gradients: replaced(views.gradients, gradients),
    }
  }

  /** Brings the arrays to where the kernels read them. */
  read(): void {
    for (const { view, array } of this.parameters) view.set(array)
    this.readGradients()
  }

  readGradients(): void {
    for (const { view, array } of this.gradients) view.set(array)
  }

  /** Brings parameters to the arrays. */
  write(): void {
    for (const { view, array } of this.parameters) copy(view, array)
  }
}

/** The arrays that were given. */
export function givenArrays(arrays: ArraysByName = {}): GivenArrays {
  return Object.fromEntries(Object.entries(arrays).flatMap(([name, array]) => (array ? [[name, array]] : [])))
}

/** The views, with the attached arrays in place of those that follow them. */
function replaced(views: Views, arrays: GivenArrays): Views {
  return Object.freeze(Object.assign(Object.create(null), views, arrays))
}

/** A stretch of a memory, in bytes. */
export interface Stretch {
  readonly memory: object
  readonly first: number
  readonly end: number
}

const stretchOf = (array: GivenArrays[string]): Stretch =>
  Array.isArray(array)
    ? { memory: array, first: 0, end: 1 }
    : { memory: array.buffer, first: array.byteOffset, end: array.byteOffset + array.byteLength }

/** @throws Error when two of what is attached share memory: what is written for one would be lost. */
export function checkSeparateMemory<T>(
  caller: string,
  parameters: Readonly<Record<string, T>>,
  gradients: Readonly<Record<string, T>>,
  stretchOf: (given: T) => Stretch,
  instead: string,
): void {
  const all = [
    ...Object.entries(parameters).map(([name, given]) => ({ what: `the parameter '${name}'`, ...stretchOf(given) })),
    ...Object.entries(gradients).map(([name, given]) => ({ what: `the gradient of '${name}'`, ...stretchOf(given) })),
  ]
  const seen = new Map<object, (typeof all)[number][]>()
  for (const entry of all) {
    const others = seen.get(entry.memory) ?? []
    const other = others.find(({ first, end }) => first < entry.end && entry.first < end)
    if (other) {
      throw new Error(`${caller}: ${other.what} and ${entry.what} are given the same memory; each needs ${instead}`)
    }
    seen.set(entry.memory, [...others, entry])
  }
}

function copy(from: FloatArray, to: GivenArrays[string]): void {
  if (Array.isArray(to)) for (let index = 0; index < from.length; index++) to[index] = from[index]!
  else to.set(from)
}
