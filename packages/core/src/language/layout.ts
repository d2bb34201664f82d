import type { Dimensions } from '../graph/node.ts'

/**
 * Which dimensions of a parameter are its outputs: the units that each have weights of their own.
 *
 * - `outputFirst`: the first, as in PyTorch: `[out, in]`, `[out, in, height, width]`.
 * - `outputLast`: the last, as in TensorFlow and JAX: `[in, out]`, `[height, width, in, out]`.
 * - `depthwise`: the last two, as in the depthwise kernels of TensorFlow: `[height, width, in, multiplier]`. Three dimensions
 *   at least.
 *
 * What has fewer than two dimensions has no choice.
 */
export type Layout = 'outputFirst' | 'outputLast' | 'depthwise'

/** A layout for all parameters, or one for each by its name and shape. */
export type LayoutChoice = Layout | ((name: string, shape: readonly number[]) => Layout)

/** The facts about a parameter that a rule may look at while it is traced. */
export interface ParameterShape {
  /** The name it was given. */
  readonly name: string
  /** Its dimensions, `[]` for a single number. */
  readonly shape: readonly number[]
  /** How many dimensions it has. */
  readonly rank: number
  /** How many elements it has. */
  readonly size: number
  /** Which of its dimensions are the outputs. */
  readonly layout: Layout
  /** How many outputs it has. A vector or a number counts as the weights of one output. */
  readonly outputs: number
  /** How many weights each output has. */
  readonly inputs: number
  /** Its dimensions in the order of `outputFirst`: output, input, then the rest, whatever the layout. */
  readonly outputFirst: readonly number[]
  /** The dimensions in which it is one matrix of outputs and inputs: `g.as(shape.matrix).mean('inputs')` is one mean per output. */
  readonly matrix: Dimensions
}

const layouts: readonly Layout[] = ['outputFirst', 'outputLast', 'depthwise']

function product(sizes: readonly number[]): number {
  return sizes.reduce((result, size) => result * size, 1)
}

/** @throws Error for what is neither a layout nor a function. */
export function checkLayout(caller: string, choice: unknown): void {
  if (typeof choice === 'function' || layouts.includes(choice as Layout)) return
  throw new Error(
    `${caller}: layout must be ${layouts.join(', ')} or a function of name and shape, not ${String(choice)}`,
  )
}

/**
 * What a rule may know of a parameter.
 * @throws Error when the layout does not fit it, or is none.
 */
export function parameterShape(
  name: string,
  shape: readonly number[],
  choice: LayoutChoice = 'outputFirst',
): ParameterShape {
  const layout = typeof choice === 'function' ? choice(name, shape) : choice
  if (!layouts.includes(layout)) {
    throw new Error(`compile: the layout of parameter '${name}' must be ${layouts.join(', ')}, not ${String(layout)}`)
  }
  const [rank, size] = [shape.length, product(shape)]
  if (layout === 'depthwise' && rank < 3) {
    throw new Error(
      `compile: the layout 'depthwise' of parameter '${name}' needs three dimensions, not [${shape.join(', ')}]`,
    )
  }
  const outputFirst = rank < 2 ? [1, ...shape] : ordered(shape, layout)
  const outputs = outputFirst[0]!
  const inputs = product(outputFirst.slice(1))
  const matrix: Dimensions = outputSide({ rank, layout }) === 'rows' ? [1, outputs, inputs] : [1, inputs, outputs]
  return { name, shape: [...shape], rank, size, layout, outputs, inputs, outputFirst, matrix }
}

/** Where the outputs are in the parameter as a matrix. */
export function outputSide({ rank, layout }: Pick<ParameterShape, 'rank' | 'layout'>): 'rows' | 'columns' {
  return rank < 2 || layout === 'outputFirst' ? 'rows' : 'columns'
}

/** Output, input, then the rest. */
function ordered(shape: readonly number[], layout: Layout): readonly number[] {
  if (layout === 'outputFirst') return [...shape]
  const [rest, [input, output]] = [shape.slice(0, -2), shape.slice(-2) as [number, number]]
  return layout === 'outputLast' ? [output, input, ...rest] : [input * output, 1, ...rest]
}
