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
    checkSeparateMemory(parameters, gradients)
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

/** @throws Error when two of the arrays share memory: what is written for one would be lost. */
function checkSeparateMemory(parameters: GivenArrays, gradients: GivenArrays): void {
  const all = [
    ...Object.entries(parameters).map(([name, array]) => ({ what: `the parameter '${name}'`, array })),
    ...Object.entries(gradients).map(([name, array]) => ({ what: `the gradient of '${name}'`, array })),
  ]
  const seen = new Map<object, (typeof all)[number][]>()
  for (const entry of all) {
    const key = Array.isArray(entry.array) ? entry.array : entry.array.buffer
    const others = seen.get(key) ?? []
    const other = others.find((candidate) => overlap(candidate.array, entry.array))
    if (other) {
      throw new Error(
        `attach: ${other.what} and ${entry.what} are given the same memory; each needs an array of its own`,
      )
    }
    seen.set(key, [...others, entry])
  }
}

function overlap(a: GivenArrays[string], b: GivenArrays[string]): boolean {
  if (Array.isArray(a) || Array.isArray(b)) return a === b
  return a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength
}

function copy(from: FloatArray, to: GivenArrays[string]): void {
  if (Array.isArray(to)) for (let index = 0; index < from.length; index++) to[index] = from[index]!
  else to.set(from)
}
