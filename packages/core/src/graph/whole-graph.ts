/** All that a rule can be traced into: the graph of elements with reductions, matrix functions, views, random numbers, and places of elements. */

import { gram } from '../routines/gram.ts'
import { product } from '../routines/product.ts'
import { reversal } from '../routines/reversal.ts'
import type { Routine } from '../routines/routine.ts'
import type { RoutineName } from '../routines/table.ts'
import { transposition } from '../routines/transposition.ts'
import { Graph, refuseMask, scalarDimensions } from './graph.ts'
import {
  type Dimensions,
  type Distribution,
  formatDimensions,
  isElement,
  type Kind,
  type Node,
  type ReductionAxis,
  type ReductionKind,
  type Space,
  sameDimensions,
  sizeOf,
} from './node.ts'

/** Builds nodes of all kinds. */
export class WholeGraph extends Graph {
  /** True at the elements whose flat index is a multiple of `period`. */
  override stride(period: number, dimensions: Dimensions): Node {
    return this.intern({ operation: 'stride', period }, [], 'array', dimensions, true, true)
  }

  /** Random numbers: seed, step and tensor (host values), the draw and the place of the element decide each. */
  override random(
    distribution: Distribution,
    draw: number,
    from: readonly [seed: Node, step: Node, tensor: Node],
    dimensions: Dimensions,
  ): Node {
    return this.intern({ operation: 'random', distribution, draw }, from, 'array', dimensions, false, true)
  }

  /** 0, 1, 2, ... over all elements. */
  override index(dimensions: Dimensions): Node {
    return this.leaf({ operation: 'index' }, 'array', dimensions, true)
  }

  override view(input: Node, dimensions: Dimensions): Node {
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
    return this.intern({ operation: 'view' }, [source], 'array', dimensions, source.mask, true)
  }

  override reduce(reduction: ReductionKind, input: Node, axis: ReductionAxis, key?: string): Node {
    const { space: from } = input
    refuseMask(reduction, input)
    if (from !== 'array' && !(axis === 'all' && (from === 'tensor' || from === 'host'))) {
      throw new Error(`${reduction}: a ${from} scalar has nothing to reduce; reduce an array value`)
    }
    // A scalar factor leaves the sum: one multiplication instead of one per element.
    if (
      reduction === 'sum' &&
      from === 'array' &&
      input.operation === 'multiply' &&
      input.inputs[1]!.space !== 'array'
    ) {
      const [rest, factor] = input.inputs as [Node, Node]
      // A factor may differ between tensors, so it enters before their sums meet.
      if (axis === 'all' && factor.operation !== 'constant') {
        return this.reduce(
          reduction,
          this.element('multiply', [this.reduce(reduction, rest, 'tensor'), factor]),
          axis,
          key,
        )
      }
      return this.element('multiply', [this.reduce(reduction, rest, axis, key), factor])
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
    // Kept as two factors, so that a backend can take a sum in float64 where squares overflow float32 or vanish in it.
    const product =
      reduction === 'sum' &&
      from === 'array' &&
      input.operation === 'multiply' &&
      sameDimensions(input.inputs[0]!.dimensions, input.inputs[1]!.dimensions)
    const inputs = product ? input.inputs : [input]
    const kind: Kind = { operation: 'reduce', reduction, axis, key: axis === 'all' ? (key ?? '') : '' }
    return this.intern(kind, inputs, space, dimensions, false, axis !== 'all')
  }

  override transpose(input: Node): Node {
    if (input.operation === 'routine' && input.routine === 'transposition') return input.inputs[0]!
    if (isSymmetric(input)) return input
    return this.routine('transposition', transposition, [input], 'transposed')[0]!
  }

  override reverse(input: Node): Node {
    if (input.operation === 'routine' && input.routine === 'reversal') return input.inputs[0]!
    return this.routine('reversal', reversal, [input], 'reversed')[0]!
  }

  override matmul(left: Node, right: Node): Node {
    const transposes = left === right ? isSymmetric(left) : isTransposition(left, right) || isTransposition(right, left)
    return transposes
      ? this.routine('gram', gram, [left], 'matmul')[0]!
      : this.routine('product', product, [left, right], 'matmul')[0]!
  }

  /**
   * All results of a matrix function.
   * @param declared what the table has of it: who calls brings it along, so that nobody else loads it.
   * @param asked the dimensions of the result, if the operands do not say them.
   * @throws Error when the operands do not fit or are not matrices.
   */
  override routine(
    routine: RoutineName,
    declared: Routine,
    operands: readonly Node[],
    caller: string = routine,
    asked: Dimensions = scalarDimensions,
  ): Node[] {
    for (const operand of operands) {
      refuseMask(caller, operand)
      if (operand.space !== 'array') throw new Error(`${caller}: a ${operand.space} scalar is not a matrix`)
    }
    const shapes = operands.map(({ dimensions }) => dimensions)
    const results = declared.results(shapes, asked)
    return results.map((dimensions, result) =>
      this.intern({ operation: 'routine', routine, result }, operands, 'array', dimensions, false, true),
    )
  }
}

function isTransposition(node: Node, of: Node): boolean {
  return node.operation === 'routine' && node.routine === 'transposition' && node.inputs[0] === of
}

const symmetric = new WeakMap<Node, boolean>()

/** True for what is known to be symmetric to the bit: Gram matrices, and what is made of them and numbers element by element. */
function isSymmetric(node: Node): boolean {
  const known = symmetric.get(node)
  if (known !== undefined) return known
  const { dimensions, inputs } = node
  const arrays = inputs.filter(({ space }) => space === 'array')
  const found =
    node.operation === 'routine'
      ? node.routine === 'gram' || node.routine === 'symmetricProduct'
      : isElement(node) &&
        arrays.length > 0 &&
        arrays.every((input) => sameDimensions(input.dimensions, dimensions) && isSymmetric(input))
  symmetric.set(node, found)
  return found
}
