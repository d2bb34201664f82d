import { jit, numpy as np, tree } from '@jax-js/jax'
import type { EvaluationRequest, FloatArray } from 'fallline'
import { type Asked, checkSize, type Evaluated, type Model, refs } from './model.ts'
import { type NamedArrays, shapesOf, type Tree } from './parameters.ts'

/** Numbers by parameter name. */
type Values = Readonly<Record<string, ArrayLike<number>>>

/** A function that jax-js compiled. */
type Jitted = ((...given: Tree[]) => Tree) & { dispose(): void }

/** What an evaluation gives besides gradients and arrays: the loss, and inputs that are numbers. */
export interface Found {
  readonly loss: np.Array
  readonly numbers: Readonly<Record<string, number>>
}

/** Computes what a model gives where arrays of the host say, and writes it into others. Every function is compiled once. */
export class Evaluator {
  readonly model: Model
  private readonly shapes: Readonly<Record<string, readonly number[]>>
  private readonly functions = new Map<string, Jitted>()

  constructor(model: Model, named: NamedArrays) {
    this.model = model
    this.shapes = shapesOf(named)
  }

  /**
   * What a request wants on a batch, which stays: gradients and arrays of inputs are written where it says.
   * @param step chooses the probe of products with the Hessian.
   * @returns the loss, and inputs that are numbers.
   */
  evaluate(
    request: Pick<EvaluationRequest, 'parameters' | 'gradients' | 'inputs' | 'wants'>,
    batch: readonly Tree[],
    step: number,
  ): Promise<Found> {
    const take = (gradients: Tree) => this.write(gradients, request.gradients)
    return this.evaluateAt(this.tree(request.parameters), request, batch, step, take)
  }

  /**
   * The same where arrays of jax-js say.
   * @param params consumed.
   * @param take what to do with gradients; what it leaves is freed.
   */
  async evaluateAt(
    params: Tree,
    { wants, inputs }: Pick<EvaluationRequest, 'inputs' | 'wants'>,
    batch: readonly Tree[],
    step: number,
    take: (gradients: Tree) => void | Promise<void>,
  ): Promise<Found> {
    const others = [...wants].filter((want) => want !== 'gradient' && want !== 'loss')
    if (!wants.has('gradient') && others.length === 0) {
      const loss = this.call('loss', () => this.model.loss, [params, ...refs(batch)]) as np.Array
      return { loss, numbers: {} }
    }
    const asked: Asked = Object.fromEntries(others.map((name) => [name, Object.keys(inputs[name] ?? {})]))
    const traced = (at: Tree, probe: Tree, ...rest: Tree[]) => this.model.evaluate(asked, at, probe, rest)
    const given = [params, this.model.probe(asked, step), ...refs(batch)]
    const found = this.call(JSON.stringify(asked), () => traced as never, given) as Evaluated
    try {
      if (wants.has('gradient')) await take(found.gradients)
      const numbers: Record<string, number> = {}
      for (const [name, arrays] of Object.entries(found.inputs)) {
        for (const [parameter, array] of Object.entries(arrays)) {
          const target = inputs[name]?.[parameter]
          if (target) checkSize(name, parameter, array.size, target.length)
          const values = await read(array)
          if (target) target.set(values)
          else numbers[name] = values[0]!
        }
      }
      return { loss: found.loss.ref, numbers }
    } finally {
      release([found])
    }
  }

  /** Calls a function of the model, which consumes what it is given; what the key says is compiled once. */
  call(key: string, make: () => (...given: never[]) => Tree, given: Tree[]): Tree {
    let compiled = this.functions.get(key)
    if (!compiled) {
      compiled = jit(make() as never) as unknown as Jitted
      this.functions.set(key, compiled)
    }
    try {
      return compiled(...given)
    } catch (error) {
      // It threw while it was traced: nothing was consumed.
      release(given)
      throw error
    }
  }

  /** Arrays of jax-js with the numbers of the parameters. */
  tree(values: Values): Tree {
    return tree.unflatten(this.model.structure, this.arrays(values))
  }

  arrays(values: Values): np.Array[] {
    return this.model.names.map((name) => {
      const value = values[name]!
      // The reference backend computes in float64.
      const numbers = value instanceof Float32Array ? value : Float32Array.from(value)
      // Its types leave out memory that threads share, which it copies like any other.
      return np.array(numbers as Float32Array<ArrayBuffer>, { shape: [...this.shapes[name]!] })
    })
  }

  /** Numbers of a tree with the keys of the parameters; consumes it. */
  async write(from: Tree, to: Readonly<Record<string, FloatArray>>): Promise<void> {
    for (const [index, array] of (tree.leaves(from) as np.Array[]).entries()) {
      to[this.model.names[index]!]!.set(await read(array))
    }
  }

  dispose(): void {
    for (const compiled of this.functions.values()) compiled.dispose()
    this.functions.clear()
  }
}

/** Frees what is left of the arrays of some trees. */
export function release(trees: readonly Tree[]): void {
  for (const array of tree.leaves(trees as Tree[]) as np.Array[]) if (array.refCount > 0) array.dispose()
}

/** The numbers of an array, which is consumed. Waiting lets jax-js use its threads, which only some pages have. */
export function read(array: np.Array): Promise<Float32Array> | Float32Array {
  const threads = globalThis.crossOriginIsolated === true && typeof Worker === 'function'
  const synchronous = !threads && (array.device === 'wasm' || array.device === 'cpu')
  return (synchronous ? array.dataSync() : array.data()) as Promise<Float32Array> | Float32Array
}
