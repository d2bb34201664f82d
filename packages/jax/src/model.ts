import { numpy as np, tree, valueAndGrad } from '@jax-js/jax'
import { type Input, type LayoutChoice, layerStatistics } from 'fallline'
import { curvatureInput, didYouMean, parameterShape } from 'fallline/internal'
import { type DenseLayer, denseLayers, type Weights } from './dense-layers.ts'
import { directionalDerivative } from './directional-derivative.ts'
import { type NamedArrays, nameArrays, shapesOf, type Tree } from './parameters.ts'
import { signs } from './probe.ts'

/** The mean loss of a batch, a scalar: a pure function, traced once for each set of batch shapes. */
export type Loss<Params extends Tree = Tree, Batch extends Tree[] = Tree[]> = (
  params: Params,
  ...batch: Batch
) => np.Array

/** A loss in two parts, for methods that want the outputs of the model. Either may leave out the last arrays of the batch. */
export interface LossInParts<
  Params extends Tree = Tree,
  OfOutputs extends Tree[] = Tree[],
  OfLoss extends Tree[] = OfOutputs,
> {
  /** What the model gives for a batch, examples along the first axis; those of an example depend on that example alone. */
  readonly outputs: (params: Params, ...batch: OfOutputs) => np.Array
  /** The loss of these outputs, the mean of the examples' losses. */
  readonly lossOfOutputs: (outputs: np.Array, ...batch: OfLoss) => np.Array
}

/** Of two lists of arrays that begin alike the longer one. */
export type Longer<A extends Tree[], B extends Tree[]> = A extends [...B, ...unknown[]] ? A : B

/** What is computed for inputs that do not follow from the loss. */
export interface ModelOptions<Params extends Tree = Tree, Batch extends Tree[] = Tree[]> {
  /**
   * Functions for what an optimizer declares as inputs, by name: of parameters and batch, like the loss, to a tree of arrays with the
   * keys of the parameters that take it, or to a scalar. They come before what is computed from the loss.
   */
  readonly inputs?: { readonly [name: string]: (params: Params, ...batch: Batch) => Tree }
  /** Chooses the random signs that products with the Hessian are taken with; default 0. */
  readonly seed?: number
}

/** The inputs that a step wants, with the parameters that each is wanted for; of a number there are none. */
export type Asked = Readonly<Record<string, readonly string[]>>

/** Arrays of inputs, by name and parameter. */
export type Inputs = Readonly<Record<string, Readonly<Record<string, np.Array>>>>

/** What one evaluation of a model gives. */
export type Evaluated = {
  readonly loss: np.Array
  readonly gradients: Tree
  readonly inputs: Inputs
}

/** The name under which a function gives the one number that an input is. */
const asNumber = 'parameter'

/**
 * A loss with what follows from it: gradients, products with the Hessian, statistics of dense layers, and inputs by functions of the user.
 * Its functions are to be traced; they consume their arguments, as everywhere in jax-js.
 */
export class Model {
  readonly loss: Loss
  readonly names: readonly string[]
  readonly structure: tree.JsTreeDef
  readonly weights: readonly Weights[]
  private readonly options: ModelOptions

  /** @throws Error for a loss, a seed or inputs that are none. */
  constructor(
    caller: string,
    loss: Loss | LossInParts,
    named: NamedArrays,
    layout: LayoutChoice,
    options: ModelOptions,
  ) {
    const { seed = 0, inputs = {} } = options
    if (!(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32)) {
      throw new Error(`${caller}: seed must be a whole number from 0 to below 2 ** 32, not ${String(seed)}`)
    }
    for (const [name, give] of Object.entries(inputs)) {
      if (typeof give === 'function') continue
      throw new Error(`${caller}: inputs.${name} must be a function of parameters and batch, not ${String(give)}`)
    }
    this.loss = joinedLoss(caller, loss)
    this.names = named.names
    this.structure = named.structure
    this.options = options
    const shapes = shapesOf(named)
    this.weights = named.names.map((name) => parameterShape(name, shapes[name]!, layout))
  }

  /** @throws Error when an optimizer needs what neither follows from the loss nor is given, or does not take what is given. */
  check(caller: string, needs: Readonly<Record<string, Input>>): void {
    const given = Object.keys(this.options.inputs ?? {})
    const unknown = given.find((name) => !Object.hasOwn(needs, name))
    if (unknown !== undefined) {
      const names = Object.keys(needs)
      const takes = names.length > 0 ? `takes ${names.join(', ')}` : 'takes none'
      throw new Error(`${caller}: the optimizer has no input '${unknown}'; it ${takes}${didYouMean(unknown, names)}`)
    }
    for (const [name, { description }] of Object.entries(needs)) {
      if (name === 'loss' || given.includes(name) || curvatureInput(name) || name in layerStatistics) continue
      throw new Error(
        `${caller}: the optimizer needs '${name}', ${description}, which does not follow from the loss: pass the option inputs: ` +
          `{ ${name}: (params, ...batch) => a tree of arrays with the keys of params }`,
      )
    }
  }

  /** A probe for products with the Hessian, where something asks for one: signs for parameters that take part, else 0. */
  probe(asked: Asked, step: number): Tree {
    const moved = new Set(
      Object.entries(asked).flatMap(([name, parameters]) => (this.isCurvature(name) ? parameters : [])),
    )
    if (moved.size === 0) return []
    const arrays = this.weights.map(({ name, shape }) => {
      if (!moved.has(name)) return np.zeros([...shape])
      const length = shape.reduce((product, size) => product * size, 1)
      return np.array(signs(length, name, this.options.seed ?? 0, step), { shape: [...shape] })
    })
    return tree.unflatten(this.structure, arrays)
  }

  /** Loss, gradients and inputs where the parameters are. */
  evaluate(asked: Asked, params: Tree, probe: Tree, batch: readonly Tree[]): Evaluated {
    const inputs: Record<string, Record<string, np.Array>> = {}
    for (const name of Object.keys(asked)) {
      if (this.isOwn(name)) inputs[name] = this.ownInput(name, asked[name]!, tree.ref(params), refs(batch))
    }
    const statistics = Object.keys(asked).filter((name) => !this.isOwn(name) && name in layerStatistics)
    const curvature = Object.keys(asked).filter((name) => this.isCurvature(name))
    let found: Omit<Evaluated, 'inputs'> | undefined
    if (statistics.length > 0) {
      const layered = this.layered(asked, statistics, params, batch)
      Object.assign(inputs, layered.inputs)
      found = layered
    }
    if (curvature.length > 0) {
      const { loss, gradients, products } = this.productWith(tree.ref(params), tree.ref(probe), batch)
      const [z, product] = [probe, products].map((each) => tree.leaves(each) as np.Array[])
      for (const name of curvature) {
        const entries = asked[name]!.map((parameter): [string, np.Array] => {
          const place = this.names.indexOf(parameter)
          return [parameter, curvatures[curvatureInput(name)!](z![place]!.ref, product![place]!.ref)]
        })
        inputs[name] = Object.fromEntries(entries)
      }
      found ??= { loss, gradients }
    }
    if (!found) {
      const [loss, gradients] = valueAndGrad(this.loss)(tree.ref(params), ...refs(batch)) as [np.Array, Tree]
      found = { loss, gradients }
    }
    tree.dispose([params, probe, ...batch])
    return { loss: found.loss, gradients: found.gradients, inputs }
  }

  /** The Hessian at the parameters times a vector. */
  product(params: Tree, vector: Tree, batch: readonly Tree[]): Tree {
    const { products } = this.productWith(params, vector, batch)
    tree.dispose([...batch])
    return products
  }

  /** The derivatives of ⟨∇L, v⟩, which is the derivative of L along v, by both: H v and ∇L. */
  private productWith(params: Tree, vector: Tree, batch: readonly Tree[]) {
    const along = (at: Tree, direction: Tree) =>
      directionalDerivative((point) => this.loss(point, ...refs(batch)), at, direction)
    const differentiated = valueAndGrad(along as never, { argnums: [0, 1], hasAux: true }) as unknown as (
      ...given: Tree[]
    ) => [[np.Array, np.Array], [Tree, Tree]]
    const [[, loss], [products, gradients]] = differentiated(params, vector)
    return { loss, gradients, products }
  }

  private isOwn(name: string): boolean {
    return Object.hasOwn(this.options.inputs ?? {}, name)
  }

  private isCurvature(name: string): boolean {
    return !this.isOwn(name) && curvatureInput(name) !== undefined
  }

  private ownInput(name: string, wanted: readonly string[], params: Tree, batch: Tree[]): Record<string, np.Array> {
    const caller = `inputs.${name}`
    const given = nameArrays(caller, this.options.inputs![name]!(params, ...batch))
    const own = wanted.length === 0 ? [asNumber] : wanted
    return Object.fromEntries(
      own.map((parameter) => {
        const place = given.names.indexOf(parameter)
        if (place >= 0) return [parameter, given.arrays[place]!]
        throw new Error(`${caller}: there is no array for '${parameter}', only for ${given.names.join(', ')}`)
      }),
    )
  }

  private layered(asked: Asked, names: readonly string[], params: Tree, batch: readonly Tree[]): Evaluated {
    const wanted = [...new Set(names.flatMap((name) => asked[name]!))]
    const [leaves, structure] = tree.flatten([params, ...batch] as Tree[])
    const loss = (...given: np.Array[]) => this.loss(...(tree.unflatten(structure, given) as [Tree, ...Tree[]]))
    const { loss: value, gradients, layers } = denseLayers(loss, this.weights, wanted, leaves)
    const inputs = Object.fromEntries(
      names.map((name) => [
        name,
        Object.fromEntries(asked[name]!.map((each) => [each, statistic(name, layers[wanted.indexOf(each)]!)])),
      ]),
    )
    return { loss: value, gradients: tree.unflatten(this.structure, gradients), inputs }
  }
}

/** The inputs of curvature of a probe z and of H z; consume both. */
const curvatures: Readonly<Record<'probe' | 'product' | 'diagonal', (z: np.Array, product: np.Array) => np.Array>> = {
  probe: (z, product) => {
    product.dispose()
    return z
  },
  product: (z, product) => {
    z.dispose()
    return product
  },
  diagonal: (z, product) => z.mul(product),
}

/** A statistic of a layer: see `layerStatistics`. The loss is a mean over the rows, so a row's own slope is as many times as large. */
function statistic(name: string, { inputs, slopes }: DenseLayer): np.Array {
  const [rows] = inputs.shape as [number]
  const values = name.startsWith('activation') ? inputs.ref : slopes.ref.mul(rows)
  if (name.endsWith('Moment')) return np.matmul(values.ref.transpose(), values).div(rows)
  return np.mean(name.endsWith('Squares') ? np.square(values) : values, 0)
}

/** The loss as one function. @throws Error for what is no loss. */
function joinedLoss(caller: string, loss: Loss | LossInParts): Loss {
  if (typeof loss === 'function') return loss
  const { outputs, lossOfOutputs } = (loss ?? {}) as Partial<LossInParts>
  if (typeof outputs !== 'function' || typeof lossOfOutputs !== 'function') {
    throw new Error(
      `${caller}: the loss must be a function of parameters and batch, or two functions { outputs, lossOfOutputs }`,
    )
  }
  return (params, ...batch) => lossOfOutputs(outputs(params, ...refs(batch)), ...batch)
}

/** @throws Error when an array of an input has another number of elements than it should. */
export function checkSize(input: string, parameter: string, found: number, right: number): void {
  if (found === right) return
  throw new Error(`inputs.${input}: the array for '${parameter}' must have ${right} numbers, not ${found}`)
}

/** One more reference to every array of some trees. */
export function refs(trees: readonly Tree[]): Tree[] {
  return trees.map((each) => tree.ref(each))
}
