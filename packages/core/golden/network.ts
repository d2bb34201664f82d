/**
 * The network that trajectories of optimizers with statistics of layers are made on: z = W2 tanh(W1 x + b1) + b2 on six examples that
 * change with the step. Files have a tensor for each W and b; here a layer is one parameter [W b], whose inputs end in a 1.
 */

import type { GoldenRun } from './files.ts'
import type { Numbers } from './problem.ts'

export const examples = 6

/** What a layer saw of every example: its inputs, with the 1 of a bias, and the gradients of the example's own loss in its outputs. */
interface Seen {
  readonly activations: readonly (readonly number[])[]
  readonly outputGradients: readonly (readonly number[])[]
}

/** What a reference does with the numbers that its statistics are of. */
export interface Recording {
  readonly activation?: (a: number) => number
  readonly outputGradient?: (s: number) => number
}

const indices = (count: number) => Array.from({ length: count }, (_, index) => index)
/** The inputs of an example at a step. */
export const exampleAt = (t: number, b: number, salt: number) =>
  indices(4).map((i) => Math.sin(0.7 * i + 1.1 * b + 0.3 * t + 0.2 + salt))
/** What the network should say to it. */
export const wantedAt = (t: number, b: number, salt: number) =>
  indices(3).map((o) => Math.cos(0.9 * o + 0.6 * b + salt) + 0.2 * Math.sin(0.37 * t + o + 2 * b))

/** The initial weights of the two layers. */
export const weights = [
  (o: number, i: number, salt: number) => 0.6 * Math.sin(1.3 * o + 0.7 * i + 0.4 + salt),
  (o: number, i: number, salt: number) => 0.6 * Math.cos(0.9 * o - 0.5 * i + 0.1 + salt),
] as const
/** Their initial biases. */
export const biases = [
  (o: number, salt: number) => 0.3 * Math.cos(0.8 * o + salt),
  (o: number, salt: number) => 0.2 * Math.sin(1.9 * o + 0.5 + salt),
] as const
const widths = [4, 5] as const

/** The run with the weights and the bias of each layer as one tensor. */
export function joinLayers(run: GoldenRun): GoldenRun {
  if (run.shapes.length === 2) return run
  const join = (tensors: readonly (readonly number[])[]) =>
    [0, 2].map((first, layer) => {
      const [w, b] = [tensors[first]!, tensors[first + 1]!]
      const width = widths[layer]!
      return b.flatMap((bias, o) => [...w.slice(o * width, (o + 1) * width), bias])
    })
  const checkpoints = run.checkpoints.map((checkpoint) => ({ ...checkpoint, params: join(checkpoint.params) }))
  const shapes = [0, 2].map((first) => [run.shapes[first]![0]!, run.shapes[first]![1]! + 1])
  return { ...run, shapes, checkpoints }
}

/** Writes the initial values of a layer. */
export function writeInitialLayer(target: Numbers, layer: number, [, columns]: readonly number[], salt: number): void {
  for (let index = 0; index < target.length; index++) {
    const [o, i] = [Math.floor(index / columns!), index % columns!]
    target[index] = i < widths[layer]! ? weights[layer]!(o, i, salt) : biases[layer]!(o, salt)
  }
}

/** Loss, gradients and what the layers saw at step `t` (from 1), in float64. */
export function evaluateNetwork(
  layers: readonly Numbers[],
  t: number,
  salt: number,
): { readonly loss: number; readonly gradients: readonly number[][]; readonly seen: readonly Seen[] } {
  const columns = layers.map(({ length }, layer) => length / [5, 3][layer]!)
  const extended = (values: readonly number[], layer: number) =>
    columns[layer]! > widths[layer]! ? [...values, 1] : [...values]
  const outputs = (layer: number, a: readonly number[]) =>
    indices([5, 3][layer]!).map((o) =>
      a.reduce((sum, value, i) => sum + layers[layer]![o * columns[layer]! + i]! * value, 0),
    )
  const gradients = layers.map(({ length }) => new Array<number>(length).fill(0))
  const seen = layers.map(() => ({ activations: [] as number[][], outputGradients: [] as number[][] }))
  let loss = 0
  for (const b of indices(examples)) {
    const first = extended(exampleAt(t, b, salt), 0)
    const hidden = outputs(0, first).map(Math.tanh)
    const second = extended(hidden, 1)
    const wanted = wantedAt(t, b, salt)
    const differences = outputs(1, second).map((z, o) => z - wanted[o]!)
    for (const difference of differences) loss += difference ** 2 / 12
    // The loss is a mean of squares over two: an example's own is (z - y)² / 2.
    const below = hidden.map(
      (h, i) => differences.reduce((sum, s, o) => sum + s * layers[1]![o * columns[1]! + i]!, 0) * (1 - h * h),
    )
    for (const [layer, a, s] of [[0, first, below] as const, [1, second, differences] as const]) {
      seen[layer]!.activations.push(a)
      seen[layer]!.outputGradients.push(s)
      for (const [o, gradient] of s.entries()) {
        for (const [i, value] of a.entries())
          gradients[layer]![o * columns[layer]! + i]! += (gradient * value) / examples
      }
    }
  }
  return { loss, gradients, seen }
}

/** A statistic of a layer by its name. */
export function statisticOf(name: string, { activations, outputGradients }: Seen, recording: Recording): number[] {
  const [of, change] = name.startsWith('activation')
    ? [activations, recording.activation]
    : [outputGradients, recording.outputGradient]
  const rows = change ? of.map((row) => row.map(change)) : of
  const mean = (values: readonly (readonly number[])[]) =>
    values[0]!.map((_, index) => values.reduce((sum, row) => sum + row[index]!, 0) / examples)
  if (name.endsWith('Mean')) return mean(rows)
  if (name.endsWith('Squares')) return mean(rows.map((row) => row.map((x) => x * x)))
  if (name.endsWith('Moment')) return mean(rows.map((row) => row.flatMap((x) => row.map((y) => x * y))))
  throw new Error(`the network has no statistic '${name}'`)
}
