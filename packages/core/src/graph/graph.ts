/**
 * The graph a rule is traced into: typed, hash-consed nodes. Equal expressions are one node, so common subexpressions
 * cost nothing, and a few algebraic rules keep host scalars together so that a kernel sees as few of them as possible.
 */

/**
 * Where a value lives.
 * - `host`: known before the step, evaluated once per step in float64 (hyperparameters, bias corrections).
 * - `global`: one number for all tensors, known after a reduction over all of them.
 * - `tensor`: one number per parameter tensor, known after a reduction over it.
 * - `array`: many numbers, laid out as `[batch, rows, columns]`.
 */
export type Space = 'host' | 'global' | 'tensor' | 'array'

/** The shape of a value seen as a batch of matrices; size-one dimensions broadcast. */
export type Dimensions = readonly [batch: number, rows: number, columns: number]

/** What a reduction runs over: the columns of each row, the rows of each column, the tensor, or all tensors. */
export type ReductionAxis = 'columns' | 'rows' | 'tensor' | 'all'

export type ReductionKind = 'sum' | 'maximum'

export type LeafOperation =
  | 'constant'
  | 'hyper'
  | 'count'
  | 'parameter'
  | 'gradient'
  | 'input'
  | 'slot'
  | 'stride'
  | 'index'
  | 'random'

export type ElementOperation =
  | 'add'
  | 'subtract'
  | 'multiply'
  | 'divide'
  | 'maximum'
  | 'minimum'
  | 'absolute'
  | 'sign'
  | 'squareRoot'
  | 'select'
  | 'equal'
  | 'less'
  | 'lessOrEqual'
  | 'and'
  | 'not'
  | 'floor'
  | 'power'
  | 'exponential'
  | 'logarithm'
  | 'sigmoid'
  | 'tanh'
  | 'softplus'
  | 'cosine'

/** What random numbers are drawn from: N(0, 1), U(0, 1), or -1 and 1 alike. */
export type Distribution = 'normal' | 'uniform' | 'sign'

export type Operation = LeafOperation | ElementOperation | 'view' | 'reduce' | 'matmul' | 'transpose'

export interface Attributes {
  /** `constant`: the value. */
  readonly value?: number
  /** `hyper`, `input`, `slot`, global `reduce`: the name under which host, state and kernels find it. `guard`: see there. */
  readonly key?: string
  /** `hyper`, `count`: which clock counts its steps; '' counts calls of `step`. */
  readonly clock?: string
  /** `stride`: true for every how many-th element. */
  readonly period?: number
  readonly axis?: ReductionAxis
  readonly kind?: ReductionKind | Distribution
  /** `random`: which of the draws of a step. */
  readonly draw?: number
}

export interface Node {
  readonly id: number
  readonly operation: Operation
  readonly inputs: readonly Node[]
  readonly space: Space
  readonly dimensions: Dimensions
  /** True when the value is a truth value. */
  readonly mask: boolean
  /** For host and global values: true when it may differ from tensor to tensor. */
  readonly perTensor: boolean
  readonly attributes: Attributes
}

const scalarDimensions: Dimensions = [1, 1, 1]
const spaceOrder: Record<Space, number> = { host: 0, global: 1, tensor: 2, array: 3 }

export function sizeOf(dimensions: Dimensions): number {
  return dimensions[0] * dimensions[1] * dimensions[2]
}

export function sameDimensions(a: Dimensions, b: Dimensions): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2]
}

export function formatDimensions(dimensions: Dimensions): string {
  return `[${dimensions.join(', ')}]`
}

function broadcast(operation: string, inputs: readonly Node[]): Dimensions {
  const result: [number, number, number] = [1, 1, 1]
  for (const input of inputs) {
    if (input.space !== 'array') continue
    for (let axis = 0; axis < 3; axis++) {
      const size = input.dimensions[axis]!
      if (size === 1 || size === result[axis]) continue
      if (result[axis] !== 1) {
        const shapes = inputs.filter((node) => node.space === 'array').map((node) => formatDimensions(node.dimensions))
        throw new Error(
          `${operation}: shapes ${shapes.join(' and ')} (batch, rows, columns) do not fit; dimensions must be equal or 1. ` +
            'Use .as([batch, rows, columns]) or .as(other) to view both alike.',
        )
      }
      result[axis] = size
    }
  }
  return result
}

/** 1 / k of a host value: never zero for finite k. */
function isReciprocal(node: Node | undefined): boolean {
  return node?.space === 'host' && node.operation === 'divide' && node.inputs[0]!.attributes.value === 1
}

const commutative = new Set<Operation>(['add', 'multiply', 'maximum', 'minimum', 'equal', 'and'])

/** Float64 meaning of every scalar operation; the host evaluator and the reference backend share it. */
export function applyScalar(operation: Operation, a: number, b: number, c: number): number {
  switch (operation) {
    case 'add':
      return a + b
    case 'subtract':
      return a - b
    case 'multiply':
      return a * b
    case 'divide':
      return a / b
    case 'maximum':
      // As the SIMD instructions, unlike Math.max when one is not a number.
      return a < b ? b : a
    case 'minimum':
      // As the SIMD instructions, unlike Math.min when one is not a number.
      return b < a ? b : a
    case 'absolute':
      return Math.abs(a)
    case 'sign':
      return a > 0 ? 1 : a < 0 ? -1 : 0
    case 'squareRoot':
      return Math.sqrt(a)
    case 'select':
      return a !== 0 ? b : c
    case 'equal':
      return a === b ? 1 : 0
    case 'less':
      return a < b ? 1 : 0
    case 'lessOrEqual':
      return a <= b ? 1 : 0
    case 'and':
      return a !== 0 && b !== 0 ? 1 : 0
    case 'not':
      return a === 0 ? 1 : 0
    case 'floor':
      return Math.floor(a)
    case 'power':
      return a ** b
    case 'exponential':
      return Math.exp(a)
    case 'logarithm':
      return Math.log(a)
    case 'sigmoid':
      return 1 / (1 + Math.exp(-a))
    case 'tanh':
      return Math.tanh(a)
    case 'cosine':
      return Math.cos(a)
    case 'softplus':
      return Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)))
    default:
      throw new Error(`${operation} is not a scalar operation`)
  }
}

/** @throws Error for a truth value where a number is needed. */
export function refuseMask(what: string, node: Node): void {
  if (node.mask) throw new Error(`${what}: this is a truth value; make it a number with where(condition, 1, 0)`)
}

/** The key of operations that float32 alone needs. */
export const guardKey = 'guard'

/** Builds nodes; equal requests give the same node. */
export class Graph {
  readonly nodes: Node[] = []
  /** Which side of a matrix the outputs are. */
  readonly outputs: 'rows' | 'columns'
  /** The truth values that something was computed with, also where it turned out not to depend on them. */
  readonly conditions = new Set<Node>()
  private readonly byKey = new Map<string, Node>()

  constructor(outputs: 'rows' | 'columns' = 'rows') {
    this.outputs = outputs
  }

  constant(value: number): Node {
    return this.intern('constant', [], 'host', scalarDimensions, false, false, { value })
  }

  /** @param perTensor true when a group of parameters has its own value. */
  hyper(key: string, clock: string, perTensor: boolean): Node {
    return this.intern('hyper', [], 'host', scalarDimensions, false, perTensor, { key, clock })
  }

  /** The number of steps taken, this one included: of one tensor (`perTensor`) or of the optimizer. */
  count(clock: string, perTensor: boolean): Node {
    return this.intern('count', [], 'host', scalarDimensions, false, perTensor, { clock })
  }

  parameter(dimensions: Dimensions): Node {
    return this.intern('parameter', [], 'array', dimensions, false, true, {})
  }

  gradient(dimensions: Dimensions): Node {
    return this.intern('gradient', [], 'array', dimensions, false, true, {})
  }

  slot(key: string, space: Space, dimensions: Dimensions, perTensor: boolean): Node {
    return this.intern('slot', [], space, dimensions, false, perTensor, { key })
  }

  /** True at the elements whose flat index is a multiple of `period`. */
  stride(period: number, dimensions: Dimensions): Node {
    return this.intern('stride', [], 'array', dimensions, true, true, { period })
  }

  /** What the user hands in besides the gradient: an array, or a number that is known before the step. */
  input(key: string, dimensions: Dimensions | undefined): Node {
    return this.intern(
      'input',
      [],
      dimensions ? 'array' : 'host',
      dimensions ?? scalarDimensions,
      false,
      !!dimensions,
      {
        key,
      },
    )
  }

  /** Random numbers: seed, step and tensor (host values), the draw and the place of the element decide each. */
  random(
    kind: Distribution,
    draw: number,
    from: readonly [seed: Node, step: Node, tensor: Node],
    dimensions: Dimensions,
  ): Node {
    return this.intern('random', from, 'array', dimensions, false, true, { kind, draw })
  }

  /** 0, 1, 2, ... over all elements. */
  index(dimensions: Dimensions): Node {
    return this.intern('index', [], 'array', dimensions, false, true, {})
  }

  view(input: Node, dimensions: Dimensions): Node {
    if (input.space !== 'array' || sameDimensions(input.dimensions, dimensions)) return input
    if (sizeOf(input.dimensions) !== sizeOf(dimensions)) {
      throw new Error(
        `as: ${formatDimensions(input.dimensions)} has ${sizeOf(input.dimensions)} elements and cannot be seen as ` +
          `${formatDimensions(dimensions)}, which has ${sizeOf(dimensions)}`,
      )
    }
    if (input.mask) this.conditions.add(input)
    const source = input.operation === 'view' ? input.inputs[0]! : input
    if (sameDimensions(source.dimensions, dimensions)) return source
    return this.intern('view', [source], 'array', dimensions, source.mask, true, {})
  }

  reduce(kind: ReductionKind, input: Node, axis: ReductionAxis, key?: string): Node {
    const { space: from } = input
    refuseMask(kind, input)
    if (from !== 'array' && !(axis === 'all' && (from === 'tensor' || from === 'host'))) {
      throw new Error(`${kind}: a ${from} scalar has nothing to reduce; reduce an array value`)
    }
    // A scalar factor leaves the sum: one multiplication instead of one per element.
    if (kind === 'sum' && from === 'array' && input.operation === 'multiply' && input.inputs[1]!.space !== 'array') {
      const [rest, factor] = input.inputs as [Node, Node]
      // A factor may differ between tensors, so it enters before their sums meet.
      if (axis === 'all' && factor.operation !== 'constant') {
        return this.reduce(kind, this.element('multiply', [this.reduce(kind, rest, 'tensor'), factor]), axis, key)
      }
      return this.element('multiply', [this.reduce(kind, rest, axis, key), factor])
    }
    const [batch, rows, columns] = input.dimensions
    if ((axis === 'columns' && columns === 1) || (axis === 'rows' && rows === 1)) return input
    const scalar = axis === 'tensor' || axis === 'all'
    const dimensions: Dimensions = scalar
      ? scalarDimensions
      : axis === 'columns'
        ? [batch, rows, 1]
        : [batch, 1, columns]
    const space: Space = axis === 'all' ? 'global' : axis === 'tensor' ? 'tensor' : 'array'
    // Products are summed in float64 from their float32 factors, so squares neither overflow nor vanish.
    const product =
      kind === 'sum' &&
      from === 'array' &&
      input.operation === 'multiply' &&
      sameDimensions(input.inputs[0]!.dimensions, input.inputs[1]!.dimensions)
    const inputs = product ? input.inputs : [input]
    return this.intern('reduce', inputs, space, dimensions, false, axis !== 'all', {
      kind,
      axis,
      ...(axis === 'all' ? { key: key ?? '' } : {}),
    })
  }

  transpose(input: Node): Node {
    refuseMask('transposed', input)
    if (input.space !== 'array') throw new Error(`transposed: a ${input.space} scalar is not a matrix`)
    if (input.operation === 'transpose') return input.inputs[0]!
    const [batch, rows, columns] = input.dimensions
    return this.intern('transpose', [input], 'array', [batch, columns, rows], false, true, {})
  }

  matmul(left: Node, right: Node): Node {
    if (left.space !== 'array' || right.space !== 'array') throw new Error('matmul: both values must be matrices')
    refuseMask('matmul', left)
    refuseMask('matmul', right)
    const [leftBatch, rows, inner] = left.dimensions
    const [rightBatch, rightRows, columns] = right.dimensions
    if (leftBatch !== rightBatch || inner !== rightRows) {
      throw new Error(
        `matmul: ${formatDimensions(left.dimensions)} times ${formatDimensions(right.dimensions)} (batch, rows, columns): ` +
          'the columns of the first must be the rows of the second, and the batches equal',
      )
    }
    return this.intern('matmul', [left, right], 'array', [leftBatch, rows, columns], false, true, {})
  }

  /** Keeps a value from what float32 cannot hold. The float64 reference leaves it out. */
  guard(operation: 'minimum' | 'maximum', input: Node, limit: number): Node {
    if (input.space === 'host') return input
    const inputs = [input, this.constant(limit)]
    return this.intern(operation, inputs, input.space, input.dimensions, false, input.perTensor, { key: guardKey })
  }

  /** An elementwise operation with broadcasting; simplifies what it can. */
  element(operation: ElementOperation, inputs: readonly Node[]): Node {
    const logical = operation === 'and' || operation === 'not'
    inputs.forEach((input, index) => {
      if (!logical && !(operation === 'select' && index === 0)) refuseMask(operation, input)
      else if (!input.mask && input.operation !== 'constant') {
        const what = logical ? operation : 'where'
        throw new Error(
          `${what}: the condition must be a truth value such as x.isGreaterThan(0), as in where(x.isGreaterThan(0), 1, 0)`,
        )
      }
    })
    for (const input of inputs) if (input.mask) this.conditions.add(input)
    const simplified = this.simplify(operation, inputs)
    if (simplified) return simplified
    let space: Space = 'host'
    let perTensor = false
    for (const input of inputs) {
      if (spaceOrder[input.space] > spaceOrder[space]) space = input.space
      perTensor ||= input.perTensor
    }
    if (space === 'global' && perTensor) space = 'tensor'
    const mask = ['equal', 'less', 'lessOrEqual', 'and', 'not'].includes(operation)
    const dimensions = broadcast(operation, inputs)
    const full = inputs.map((input) => this.repeatMask(input, dimensions))
    return this.intern(operation, full, space, dimensions, mask, perTensor, {})
  }

  /** A truth value that is repeated is kept in memory as 1 or 0, and compared where it is used. */
  private repeatMask(node: Node, dimensions: Dimensions): Node {
    if (!node.mask || node.space !== 'array' || sameDimensions(node.dimensions, dimensions)) return node
    const number = this.element('select', [node, this.constant(1), this.constant(0)])
    const repeated = this.intern('less', [this.constant(0), number], 'array', dimensions, true, true, {})
    this.conditions.add(repeated)
    return repeated
  }

  private simplify(operation: Operation, inputs: readonly Node[]): Node | undefined {
    const [a, b, c] = inputs as [Node, Node, Node]
    if (inputs.every((node) => node.operation === 'constant')) {
      const values = inputs.map((node) => node.attributes.value!)
      return this.constant(applyScalar(operation, values[0]!, values[1]!, values[2]!))
    }
    const is = (node: Node | undefined, value: number) =>
      node?.operation === 'constant' && node.attributes.value === value
    switch (operation) {
      case 'add':
        if (is(a, 0)) return b
        if (is(b, 0)) return a
        break
      case 'subtract':
        if (is(b, 0)) return a
        break
      case 'multiply': {
        if (is(a, 1)) return b
        if (is(b, 1)) return a
        // The scalar factor goes last, and factors known on the host meet: (x h) k = x (h k).
        if (a.space !== 'array' && b.space === 'array') return this.element('multiply', [b, a])
        if (b.space === 'host' && a.operation === 'multiply' && a.space !== 'host' && a.inputs[1]!.space === 'host') {
          return this.element('multiply', [a.inputs[0]!, this.element('multiply', [a.inputs[1]!, b])])
        }
        break
      }
      case 'divide':
        if (is(b, 1)) return a
        if (b.space === 'host' && a.space !== 'host') {
          return this.element('multiply', [a, this.element('divide', [this.constant(1), b])])
        }
        // x / (y / k + e) = x / (y + e k) k: one multiplication less for every bias-corrected root.
        if (b.operation === 'add' && b.inputs[1]!.space === 'host' && isReciprocal(b.inputs[0]!.inputs[1])) {
          const [scaled, epsilon] = b.inputs as [Node, Node]
          if (scaled.operation === 'multiply' && scaled.space === 'array') {
            const factor = scaled.inputs[1]!.inputs[1]!
            const shifted = this.element('add', [scaled.inputs[0]!, this.element('multiply', [epsilon, factor])])
            return this.element('multiply', [this.element('divide', [a, shifted]), factor])
          }
        }
        // (x h) / y = (x / y) h, so that h meets the learning rate.
        if (a.operation === 'multiply' && a.space === 'array' && a.inputs[1]!.space === 'host' && b.space !== 'host') {
          return this.element('multiply', [this.element('divide', [a.inputs[0]!, b]), a.inputs[1]!])
        }
        break
      case 'power':
        if (is(b, 1)) return a
        if (is(b, 2)) return this.element('multiply', [a, a])
        if (is(b, 0.5) && a.space !== 'host') return this.element('squareRoot', [a])
        if (is(b, -1)) return this.element('divide', [this.constant(1), a])
        break
      case 'select':
        if (a.operation === 'constant') return a.attributes.value !== 0 ? b : c
        if (b === c) return b
        break
      default:
    }
    return undefined
  }

  private intern(
    operation: Operation,
    inputs: readonly Node[],
    space: Space,
    dimensions: Dimensions,
    mask: boolean,
    perTensor: boolean,
    attributes: Attributes,
  ): Node {
    const ids = inputs.map((node) => node.id)
    if (commutative.has(operation) && space === 'host') ids.sort((x, y) => x - y)
    const { value, key, clock, period, axis, kind, draw } = attributes
    // Object.is tells -0 from 0, a template string does not.
    const literal = Object.is(value, -0) ? '-0' : value
    const text = `${operation}|${ids}|${space}|${dimensions}|${perTensor}|${literal}|${key}|${clock}|${period}|${axis}|${kind}|${draw}`
    const known = this.byKey.get(text)
    if (known) return known
    const node: Node = { id: this.nodes.length, operation, inputs, space, dimensions, mask, perTensor, attributes }
    this.nodes.push(node)
    this.byKey.set(text, node)
    return node
  }
}
