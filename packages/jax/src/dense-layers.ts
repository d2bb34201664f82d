import { type Jaxpr, jit, makeJaxpr, numpy as np, valueAndGrad } from '@jax-js/jax'
import type { Layout } from 'fallline'

type Equation = Jaxpr['eqns'][number]
type Variable = Jaxpr['inBinders'][number]

/** A parameter of a loss, as far as layers are concerned. */
export interface Weights {
  readonly name: string
  readonly shape: readonly number[]
  /** Which of its dimensions are the outputs. */
  readonly layout: Layout
}

/** A dense layer in a loss: inputs of every row of the batch, and the derivatives of the loss by what the layer makes of them. */
export interface DenseLayer {
  /** Rows × inputs. */
  readonly inputs: np.Array
  /** Rows × outputs. */
  readonly slopes: np.Array
}

/** What an axis of a view of weights runs over: none of theirs where it repeats them or has length 1. */
type Axis = 'inputs' | 'outputs' | 'none'

/** A value that consists of nothing but the numbers of some weights. */
interface View {
  readonly weights: number
  /** Of its axes; `undefined` where they are mixed up. */
  readonly axes: readonly Axis[] | undefined
}

/** Where weights meet the inputs of their layer. */
interface Product {
  readonly equation: Equation
  /** Which operand the inputs are. */
  readonly inputs: 0 | 1
  /** The axis of the result, counted from its end, that runs over outputs; `undefined` where there is one output. */
  readonly fromEnd: number | undefined
}

/** The loss at some parameters with its derivatives, and the layers that were asked for. */
export interface LayeredLoss {
  readonly loss: np.Array
  readonly gradients: readonly np.Array[]
  readonly layers: readonly DenseLayer[]
}

/**
 * Finds the dense layers of a loss and what goes in and comes back there. jax-js cannot be told to watch a layer, but it says what a loss
 * consists of: the loss is traced, and the one product of each of the asked weights with something that depends on more than parameters is
 * its layer. The loss is computed once more from what was traced, with 0 added to the result of that product; the derivative by this 0 is
 * the one by the outputs of the layer.
 *
 * To be traced itself; borrows its arguments.
 *
 * @param loss of the leaves of parameters and batch.
 * @param weights all parameters, in the order of the first leaves.
 * @param asked names of those whose layers are wanted: matrices.
 * @throws Error for weights that no product or several have, or one that is not of inputs with weights as their layout says.
 */
export function denseLayers(
  loss: (...leaves: np.Array[]) => np.Array,
  weights: readonly Weights[],
  asked: readonly string[],
  leaves: readonly np.Array[],
): LayeredLoss {
  const { jaxpr: closed } = makeJaxpr(loss)(...leaves)
  const traced = closed.jaxpr.flatten()
  const constants = closed.consts as np.Array[]
  const products = productsOf(traced, constants.length, weights, asked)
  // A jitted function is traced apart from all that may be around it, so that all its values are of one kind.
  const watched = jit((zeros: np.Array[], parameters: np.Array[], rest: np.Array[]) => {
    const inputs: np.Array[] = new Array(products.length)
    const held = constants.map((constant) => constant.ref)
    const result = evaluate(traced, [...held, ...parameters, ...rest], (equation, operands, output) => {
      const place = products.findIndex((product) => product.equation === equation)
      if (place < 0) return output
      const product = products[place]!
      inputs[place] = inputsAsRows(product, operands[product.inputs]!.ref, output.shape)
      return np.add(output, zeros[place]!.ref)
    })
    return [result, inputs]
  })
  const zeros = products.map(({ equation }) => np.zeros(equation.outBinders[0]!.aval.shape))
  const [parameters, rest] = [leaves.slice(0, weights.length), leaves.slice(weights.length)]
  const differentiated = valueAndGrad(watched as never, { argnums: [0, 1], hasAux: true }) as unknown as (
    ...given: np.Array[][]
  ) => [[np.Array, np.Array[]], [np.Array[], np.Array[]]]
  const refs = (arrays: readonly np.Array[]) => arrays.map((array) => array.ref)
  const [[value, inputs], [slopes, gradients]] = differentiated(zeros, refs(parameters), refs(rest))
  watched.dispose()
  closed.dispose()
  const layers = products.map((product, place) => ({
    inputs: inputs[place]!,
    slopes: outputsAsRows(product, slopes[place]!),
  }))
  return { loss: value, gradients, layers }
}

/** The products of the asked weights with the inputs of their layers. */
function productsOf(
  { inBinders, eqns }: Jaxpr,
  constants: number,
  weights: readonly Weights[],
  asked: readonly string[],
): Product[] {
  const views = new Map<unknown, View>()
  /** What depends on more than parameters. */
  const data = new Set<unknown>(inBinders)
  inBinders.slice(constants, constants + weights.length).forEach((variable, index) => {
    data.delete(variable)
    views.set(variable, { weights: index, axes: axesOf(weights[index]!) })
  })
  const found = weights.map((): (Product | undefined)[] => [])
  for (const equation of eqns) {
    const { primitive, inputs, outBinders } = equation
    const view = views.get(inputs[0])
    const seen = view && viewOf(equation, view)
    if (seen) views.set(outBinders[0], seen)
    if (inputs.some((input) => data.has(input))) for (const variable of outBinders) data.add(variable)
    if (primitive !== 'dot') continue
    for (const own of [0, 1] as const) {
      const operand = views.get(inputs[own])
      const other = inputs[1 - own]
      if (operand && data.has(other)) {
        found[operand.weights]!.push(productOf(equation, own, operand, weights[operand.weights]!))
      }
    }
  }
  return asked.map((name) => {
    const index = weights.findIndex((each) => each.name === name)
    const [product, ...others] = found[index]!
    if (product && others.length === 0) return product
    throw new Error(notALayer(weights[index]!, found[index]!.length))
  })
}

function notALayer({ name, shape, layout }: Weights, products: number): string {
  const order = layout === 'outputFirst' ? '[out, in]' : '[in, out]'
  const why =
    products === 0
      ? 'the loss multiplies no inputs with them'
      : products > 1
        ? `the loss multiplies them in ${products} places, and statistics are those of one`
        : `the loss does not multiply inputs with them as ${order}, their layout`
  return (
    `the inputs and output gradients of a dense layer with the weights '${name}', [${shape.join(', ')}], cannot be found: ${why}. ` +
    "Give these weights to another optimizer with groups, or pass the statistics as 'inputs'"
  )
}

function axesOf({ shape, layout }: Weights): Axis[] | undefined {
  if (shape.length !== 2) return undefined
  const names: Axis[] = layout === 'outputFirst' ? ['outputs', 'inputs'] : ['inputs', 'outputs']
  return names.map((name, axis) => (shape[axis] === 1 ? 'none' : name))
}

/** What an operation makes of a view of weights; `undefined` where that is no such view. */
function viewOf({ primitive, inputs, params, outBinders }: Equation, { weights, axes }: View): View | undefined {
  const from = (inputs[0] as Variable).aval.shape
  const { shape } = outBinders[0]!.aval
  switch (primitive as string) {
    case 'transpose':
      return { weights, axes: axes && (params.perm as number[]).map((axis) => axes[axis]!) }
    case 'broadcast': {
      const remaining = [...(axes ?? [])]
      const added = new Set(params.axis as number[])
      return { weights, axes: axes && shape.map((_, axis) => (added.has(axis) ? 'none' : remaining.shift()!)) }
    }
    case 'reshape': {
      // Only axes of length 1 may come and go.
      const longer = from.flatMap((length, axis) => (length === 1 ? [] : [{ length, axis: axes?.[axis] ?? 'none' }]))
      const kept = shape.filter((length) => length !== 1)
      const same = kept.length === longer.length && kept.every((length, index) => length === longer[index]!.length)
      if (!axes || !same) return { weights, axes: undefined }
      return { weights, axes: shape.map((length) => (length === 1 ? 'none' : longer.shift()!.axis)) }
    }
    default:
      return undefined
  }
}

/** A product of weights with data, summed over the last axis; `undefined` where it is none of inputs with the weights of outputs. */
function productOf(equation: Equation, own: 0 | 1, { axes }: View, { shape, layout }: Weights): Product | undefined {
  const [outputs, inputs] = layout === 'outputFirst' ? shape : [...shape].reverse()
  if (axes?.at(-1) !== (inputs === 1 ? 'none' : 'inputs')) return undefined
  const place = axes.indexOf('outputs')
  const result = { equation, inputs: (1 - own) as 0 | 1 }
  if (place < 0) return outputs === 1 ? { ...result, fromEnd: undefined } : undefined
  const fromEnd = axes.length - 1 - place
  const other = equation.inputs[1 - own]!.aval.shape
  // Every output has the same inputs.
  return (other.at(-1 - fromEnd) ?? 1) === 1 ? { ...result, fromEnd } : undefined
}

/** Evaluates what was traced, within a trace of which all arguments are; `change` sees every operation. */
function evaluate(
  { inBinders, eqns, outs }: Jaxpr,
  given: readonly np.Array[],
  change: (equation: Equation, operands: readonly np.Array[], output: np.Array) => np.Array,
): np.Array {
  const trace = given.at(-1)!._trace
  const values = new Map<unknown, np.Array>(
    inBinders.map((variable, index) => {
      const value = given[index]!
      return [variable, value._trace === trace ? value : (trace.pure(value as never) as np.Array)]
    }),
  )
  const read = (atom: Jaxpr['outs'][number]): np.Array => {
    if (!('value' in atom)) return values.get(atom)!.ref
    return trace.pure(np.array(atom.value, { dtype: atom.dtype }) as never) as np.Array
  }
  for (const equation of eqns) {
    const operands = equation.inputs.map(read)
    const kept = operands.map((operand) => operand.ref)
    const results = trace.processPrimitive(equation.primitive, operands as never, equation.params) as np.Array[]
    equation.outBinders.forEach((variable, index) => {
      values.set(variable, index === 0 ? change(equation, kept, results[0]!) : results[index]!)
    })
  }
  return read(outs[0]!)
}

/** The inputs of a layer, a row for each of its outputs. */
function inputsAsRows({ fromEnd }: Product, operand: np.Array, result: readonly number[]): np.Array {
  const length = operand.shape.at(-1)!
  const rows = result.map((size, axis) => (axis === result.length - (fromEnd ?? 0) ? 1 : size))
  return np.broadcastTo(operand, [...rows, length]).reshape([-1, length])
}

function outputsAsRows({ fromEnd }: Product, slopes: np.Array): np.Array {
  if (fromEnd === undefined) return slopes.reshape([-1, 1])
  const last = np.moveaxis(slopes, slopes.ndim - fromEnd, -1)
  return last.reshape([-1, last.shape.at(-1)!])
}
