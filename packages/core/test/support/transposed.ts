import { fileURLToPath } from 'node:url'
import type { Optimizer, Shapes } from 'fallline'
import { Fields } from '../../golden/fields.ts'
import { readGolden } from '../../golden/files.ts'
import { mappings } from '../../golden/mapping.ts'
import { gradientAt, writeEach, writeInitial } from '../../golden/problem.ts'

/** The dimensions of a parameter with its output last, from those with it first: `[h, w, in, out]` of `[out, in, h, w]`. */
export function outputLast(shape: readonly number[]): number[] {
  if (shape.length < 2) return [...shape]
  const [output, input, ...rest] = shape as [number, number, ...number[]]
  return [...rest, input, output]
}

/** The same for the parameters of a model. */
export function outputLastShapes<Name extends string>(shapes: Shapes<Name>): Record<Name, number[]> {
  return Object.fromEntries(
    Object.entries<readonly number[]>(shapes).map(([name, shape]) => [name, outputLast(shape)]),
  ) as Record<Name, number[]>
}

/** Where every element of a parameter with its output first lies when the output is last. */
export function placesOf(shape: readonly number[]): number[] {
  const size = shape.reduce((product, length) => product * length, 1)
  if (shape.length < 2) return Array.from({ length: size }, (_, index) => index)
  const outputs = shape[0]!
  const inputs = shape[1]!
  const rest = size / (outputs * inputs)
  return Array.from({ length: size }, (_, index) => {
    const [output, input, place] = [
      Math.floor(index / (inputs * rest)),
      Math.floor(index / rest) % inputs,
      index % rest,
    ]
    return (place * inputs + input) * outputs + output
  })
}

/** Numbers in the order of `outputFirst`, put into that of `outputLast`. */
export function toOutputLast(values: ArrayLike<number>, shape: readonly number[]): Float64Array {
  const result = new Float64Array(values.length)
  placesOf(shape).forEach((place, index) => {
    result[place] = values[index]!
  })
  return result
}

/** Numbers in the order of `outputLast`, put into that of `outputFirst`. */
export function toOutputFirst(values: ArrayLike<number>, shape: readonly number[]): Float64Array {
  return Float64Array.from(placesOf(shape), (place) => values[place]!)
}

/** A trajectory of the authors' code with every parameter kept with its output last. */
export interface TransposedRun {
  readonly optimizer: Optimizer
  readonly title: string
  readonly shapes: readonly (readonly number[])[]
  readonly initial: readonly Float64Array[]
  /** The gradients at step `t`, from 1, of parameters with outputs last. */
  gradients(parameters: readonly ArrayLike<number>[], t: number): Float64Array[]
  /** The parameters after some steps, by step. */
  readonly expected: ReadonlyMap<number, readonly Float64Array[]>
}

/** The first trajectory of each configuration of matrices in a file of the authors' trajectories. */
export async function transposedRuns(name: string): Promise<TransposedRun[]> {
  const file = (await readGolden(fileURLToPath(new URL(`../golden-data/${name}.json.gz`, import.meta.url))))!
  const { salt } = file
  return file.runs
    .filter(({ shapes }) => shapes.every(({ length }) => length === 2))
    .map(({ config, layout, hyper, shapes, checkpoints }): TransposedRun => {
      const kept = shapes.map(outputLast)
      return {
        optimizer: mappings[file.optimizer]!.optimizer(
          new Fields(hyper),
          shapes.map(({ length }) => length),
        ),
        title: `${config} ${layout}`,
        shapes: kept,
        initial: shapes.map((shape, k) => {
          const values = new Float64Array(sizeOf(shape))
          writeInitial(values, k, salt)
          return toOutputLast(values, shape)
        }),
        gradients: (parameters, t) =>
          shapes.map((shape, k) => {
            const values = new Float64Array(sizeOf(shape))
            writeEach(values, gradientAt, toOutputFirst(parameters[k]!, shape), k, t, salt)
            return toOutputLast(values, shape)
          }),
        expected: new Map(
          checkpoints.map(({ step, params }) => [step, params.map((values, k) => toOutputLast(values, shapes[k]!))]),
        ),
      }
    })
}

/** The largest difference, relative to the largest element. */
export function relativeDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  const scale = Math.max(...Array.from(expected, Math.abs), Number.MIN_VALUE)
  return Math.max(0, ...Array.from(expected, (value, index) => Math.abs(actual[index]! - value))) / scale
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1)
}
