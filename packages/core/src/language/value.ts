import type { Graph } from '../graph/graph.ts'
import type { Dimensions, Node, ReductionAxis } from '../graph/node.ts'

/** What a sum runs over: `inputs` of each output or `outputs` of each input, whatever the layout, or the columns and rows as stored. */
export type Axis = ReductionAxis | 'inputs' | 'outputs'

/** Just below the largest float32. */
const largestFinite = 3.4e38

/** A value or a plain number, which means the same number everywhere. */
export type Operand = Value | number

/**
 * A symbolic value: what a rule computes with. Arithmetic on it builds a graph; nothing is computed while a rule runs.
 *
 * A value has a **shape** (like the parameter, one number per row or column, one per tensor, one for all tensors, or a
 * matrix of its own) and a **space**: values made only of hyperparameters, step counts and numbers are evaluated
 * once per step on the host in float64, all others inside the kernel. Shapes broadcast as in NumPy.
 *
 * ```ts
 * import type { Value } from 'fallline'
 * const rootMeanSquare = (x: Value): Value => x.square().mean().sqrt()
 * ```
 */
export class Value {
  /** @internal */
  readonly graph: Graph
  /** @internal */
  readonly node: Node
  /** @internal names global reductions so that every tensor adds to the same number */
  readonly nameReduction: () => string

  /** @internal */
  constructor(graph: Graph, node: Node, nameReduction: () => string) {
    this.graph = graph
    this.node = node
    this.nameReduction = nameReduction
  }

  /** The matrices in this value (1 for scalars and single matrices). A plain number: usable in `if`. */
  get batch(): number {
    return this.node.dimensions[0]
  }

  /** The rows of each matrix of this value. A plain number: usable in `if`. */
  get rows(): number {
    return this.node.dimensions[1]
  }

  /** The columns of each matrix of this value. A plain number: usable in `if`. */
  get columns(): number {
    return this.node.dimensions[2]
  }

  /** The outputs of each matrix of this value: its rows or its columns, by the layout of the parameter. A plain number. */
  get outputs(): number {
    return this.graph.outputs === 'rows' ? this.rows : this.columns
  }

  /** The inputs of each matrix of this value: its columns or its rows, by the layout of the parameter. A plain number. */
  get inputs(): number {
    return this.graph.outputs === 'rows' ? this.columns : this.rows
  }

  /** Sum. */
  plus(other: Operand): Value {
    return this.wrap(this.graph.element('add', [this.node, this.lift(other)]))
  }

  /** Difference. */
  minus(other: Operand): Value {
    return this.wrap(this.graph.element('subtract', [this.node, this.lift(other)]))
  }

  /** Elementwise product. */
  times(other: Operand): Value {
    return this.wrap(this.graph.element('multiply', [this.node, this.lift(other)]))
  }

  /** Elementwise quotient. */
  over(other: Operand): Value {
    return this.wrap(this.graph.element('divide', [this.node, this.lift(other)]))
  }

  /** The value with the opposite sign. */
  negated(): Value {
    return this.times(-1)
  }

  /** x². */
  square(): Value {
    return this.times(this)
  }

  /** √x. */
  sqrt(): Value {
    return this.wrap(this.graph.element('squareRoot', [this.node]))
  }

  /** 1 / √x. */
  reciprocalSqrt(): Value {
    return this.lifted(1).over(this.sqrt())
  }

  /** |x|. */
  abs(): Value {
    return this.wrap(this.graph.element('absolute', [this.node]))
  }

  /** 1, 0 or -1. */
  sign(): Value {
    return this.wrap(this.graph.element('sign', [this.node]))
  }

  /** The larger of the two, element by element. */
  maximum(other: Operand): Value {
    return this.wrap(this.graph.element('maximum', [this.node, this.lift(other)]))
  }

  /** The smaller of the two, element by element. */
  minimum(other: Operand): Value {
    return this.wrap(this.graph.element('minimum', [this.node, this.lift(other)]))
  }

  /**
   * At most `limit` (default just below the largest float32), so that what float32 cannot hold does not become infinite. The float64
   * reference leaves it out: kernels are compared with what the rule says.
   */
  limited(limit = largestFinite): Value {
    return this.wrap(this.graph.guard('minimum', this.node, limit))
  }

  /** The same for both signs. */
  limitedInSize(limit = largestFinite): Value {
    return this.limited(limit).raised(-limit)
  }

  /** At least `limit`, so that what float32 cannot tell from 0 does not count as if it were told. The float64 reference leaves it out. */
  raised(limit: number): Value {
    return this.wrap(this.graph.guard('maximum', this.node, limit))
  }

  /** ⌊x⌋, the largest whole number that is not above x. */
  floor(): Value {
    return this.wrap(this.graph.element('floor', [this.node]))
  }

  /** x to the given power; in arrays x must not be negative. */
  power(exponent: Operand): Value {
    return this.wrap(this.graph.element('power', [this.node, this.lift(exponent)]))
  }

  /** eˣ. */
  exp(): Value {
    return this.wrap(this.graph.element('exponential', [this.node]))
  }

  /** Natural logarithm. */
  log(): Value {
    return this.wrap(this.graph.element('logarithm', [this.node]))
  }

  /** 1 / (1 + e⁻ˣ). */
  sigmoid(): Value {
    return this.wrap(this.graph.element('sigmoid', [this.node]))
  }

  /** Cosine of an angle in radians, for |x| up to 10⁶. */
  cos(): Value {
    return this.wrap(this.graph.element('cosine', [this.node]))
  }

  /** Arc tangent in radians, from -π/2 to π/2. */
  atan(): Value {
    const size = this.abs()
    const steep = size.isGreaterThan(1)
    // Half the angle twice: then |x| is at most tan(π/16), where the series is short.
    const half = (x: Value) => x.over(x.square().plus(1).sqrt().plus(1))
    const x = half(half(where(steep, this.lifted(1).over(size.maximum(1)), size)))
    const square = x.square()
    let series = square.times(0).plus(1 / 23)
    for (let power = 21; power >= 1; power -= 2)
      series = series
        .times(square)
        .negated()
        .plus(1 / power)
    const angle = series.times(x).times(4)
    return where(steep, angle.negated().plus(Math.PI / 2), angle).times(this.sign())
  }

  /** The angle in radians, from -π to π, of the point whose coordinates are `x` and this: `y.atan2(x)`. 0 where both are 0. */
  atan2(x: Operand): Value {
    const across = typeof x === 'number' ? this.lifted(x) : x
    const upright = across.equals(0)
    const angle = this.over(where(upright, 1, across)).atan()
    const turn = where(this.isLessThan(0), -Math.PI, Math.PI)
    const turned = where(across.isLessThan(0), angle.plus(turn), angle)
    return where(upright, this.sign().times(Math.PI / 2), turned)
  }

  /** Hyperbolic tangent. */
  tanh(): Value {
    return this.wrap(this.graph.element('tanh', [this.node]))
  }

  /** ln(1 + eˣ). */
  softplus(): Value {
    return this.wrap(this.graph.element('softplus', [this.node]))
  }

  /** True where both are equal; for `where`. */
  equals(other: Operand): Value {
    return this.wrap(this.graph.element('equal', [this.node, this.lift(other)]))
  }

  /** True where this is less; for `where`. */
  isLessThan(other: Operand): Value {
    return this.wrap(this.graph.element('less', [this.node, this.lift(other)]))
  }

  /** True where this is less or equal; for `where`. */
  isAtMost(other: Operand): Value {
    return this.wrap(this.graph.element('lessOrEqual', [this.node, this.lift(other)]))
  }

  /** True where this is greater; for `where`. */
  isGreaterThan(other: Operand): Value {
    return this.wrap(this.graph.element('less', [this.lift(other), this.node]))
  }

  /** True where this is greater or equal; for `where`. */
  isAtLeast(other: Operand): Value {
    return this.wrap(this.graph.element('lessOrEqual', [this.lift(other), this.node]))
  }

  /** True where both truth values hold. */
  and(other: Value): Value {
    return this.wrap(this.graph.element('and', [this.node, other.node]))
  }

  /** True where at least one of both truth values holds. */
  or(other: Value): Value {
    return this.not().and(other.not()).not()
  }

  /** True where this truth value does not hold. */
  not(): Value {
    return this.wrap(this.graph.element('not', [this.node]))
  }

  /**
   * The sum over the tensor (default), over the `inputs` (one number per output) or the `outputs` (one per input) of a matrix
   * such as `g.as(shape.matrix)`, over the `columns` (one number per row) or the `rows` (one per column) as they are stored,
   * or over `all` tensors. As precise as the backend sums: on WebAssembly in float32 within short blocks and in float64 across them.
   */
  sum(axis: Axis = 'tensor'): Value {
    return this.wrap(this.graph.reduce('sum', this.node, this.stored(axis), this.name(axis)))
  }

  /** How many elements `sum` adds. */
  count(axis: Axis = 'tensor'): Value {
    const [batch, rows, columns] = this.node.dimensions
    const stored = this.stored(axis)
    if (stored === 'columns' || stored === 'rows') return this.lifted(stored === 'columns' ? columns : rows)
    const size = this.graph.constant(batch * rows * columns)
    return this.wrap(axis === 'all' ? this.graph.reduce('sum', size, 'all', this.name('all')) : size)
  }

  /** The mean over what `sum` adds. */
  mean(axis: Axis = 'tensor'): Value {
    return this.sum(axis).over(this.count(axis).maximum(1))
  }

  /** The Euclidean norm over what `sum` adds. */
  norm(axis: Axis = 'tensor'): Value {
    return this.square().sum(axis).sqrt()
  }

  /** The largest of what `sum` adds: of the tensor (default), of each output (`inputs`), of each row (`columns`) and so on. */
  largest(axis: Axis = 'tensor'): Value {
    return this.wrap(this.graph.reduce('maximum', this.node, this.stored(axis), this.name(axis)))
  }

  /** The matrix product, batch by batch. */
  matmul(other: Value): Value {
    return this.wrap(this.graph.matmul(this.node, other.node))
  }

  /** Rows and columns exchanged. */
  transposed(): Value {
    return this.wrap(this.graph.transpose(this.node))
  }

  /** The rows of each matrix in the opposite order. */
  reversedRows(): Value {
    return this.wrap(this.graph.reverse(this.node))
  }

  /** The first `count` columns of each matrix; all where there are fewer. As a product it costs 2 · rows · columns · count operations. */
  firstColumns(count: number): Value {
    const [batch, , columns] = this.node.dimensions
    if (count >= columns) return this
    const place = this.wrap(this.graph.index([1, 1, count]))
    const from = this.wrap(this.graph.index([1, columns, 1]))
    const chosen = where(from.equals(place), 1, 0)
    return this.matmul(batch === 1 ? chosen : chosen.plus(this.batchIndex().times(0)))
  }

  /** The same numbers seen with other dimensions `[batch, rows, columns]`, or with those of another value. */
  as(dimensions: Dimensions | Value): Value {
    return this.wrap(this.graph.view(this.node, dimensions instanceof Value ? dimensions.node.dimensions : dimensions))
  }

  /** The numbers 0, 1, 2, ... of the matrices, as a value with one element per matrix. */
  batchIndex(): Value {
    return this.wrap(this.graph.index([this.batch, 1, 1]))
  }

  /** The numbers 0, 1, 2, ... of the rows, as a value with one element per row. */
  rowIndex(): Value {
    return this.wrap(this.graph.index([1, this.rows, 1]))
  }

  /** The numbers 0, 1, 2, ... of the columns, as a value with one element per column. */
  columnIndex(): Value {
    return this.wrap(this.graph.index([1, 1, this.columns]))
  }

  /** A truth value like this one in shape: true at every `period`-th element, counted row by row from the first. */
  everyElement(period: number): Value {
    return this.wrap(this.graph.stride(period, this.node.dimensions))
  }

  /**
   * JavaScript asks for this where a number or a text is wanted, as in `x > 0`.
   * @internal
   */
  [Symbol.toPrimitive](): never {
    throw new Error(
      'a value is not known while the rule runs, so it has no number to compare or add: use methods such as ' +
        'x.isGreaterThan(0) and x.plus(1), where(condition, a, b) to choose, and if only for options, shapes and disabled()',
    )
  }

  /** @internal a number as a value of the same graph */
  lifted(value: number): Value {
    return this.wrap(this.graph.constant(value))
  }

  private stored(axis: Axis): ReductionAxis {
    if (axis !== 'inputs' && axis !== 'outputs') return axis
    return (axis === 'inputs') === (this.graph.outputs === 'rows') ? 'columns' : 'rows'
  }

  private name(axis: Axis): string | undefined {
    return axis === 'all' ? this.nameReduction() : undefined
  }

  private lift(operand: Operand): Node {
    return typeof operand === 'number' ? this.graph.constant(operand) : operand.node
  }

  private wrap(node: Node): Value {
    return new Value(this.graph, node, this.nameReduction)
  }
}

/** `chosen` where the condition holds, `otherwise` elsewhere; at least one argument besides the numbers is a value. */
export function where(condition: Value, chosen: Operand, otherwise: Operand): Value {
  const { graph } = condition
  const lift = (operand: Operand) => (typeof operand === 'number' ? graph.constant(operand) : operand.node)
  return new Value(
    graph,
    graph.element('select', [condition.node, lift(chosen), lift(otherwise)]),
    condition.nameReduction,
  )
}

/** An exponential moving average one step on: `beta old + (1 - beta) value`. */
export function ema(old: Value, value: Value, beta: Value): Value {
  return old.times(beta).plus(value.times(beta.lifted(1).minus(beta)))
}

/** `1 - beta^t`: what an average started at zero is divided by (Kingma and Ba 2015, arXiv 1412.6980). */
export function biasCorrection(beta: Value, t: Value): Value {
  return beta.lifted(1).minus(beta.power(t))
}
