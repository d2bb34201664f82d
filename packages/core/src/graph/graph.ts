/**
 * The graph a rule is traced into: typed, hash-consed nodes. Equal expressions are one node, so common subexpressions
 * cost nothing, and a few algebraic rules keep host scalars together so that a kernel sees as few of them as possible.
 */

import type { Routine } from '../routines/routine.ts'
import type { RoutineName } from '../routines/table.ts'
import type { StorageName } from '../storage/storage.ts'
import {
  type Dimensions,
  type Distribution,
  type ElementOperation,
  formatDimensions,
  identity,
  type Kind,
  type Node,
  type NodeOf,
  type Operation,
  type ReductionAxis,
  type ReductionKind,
  type Space,
  sameDimensions,
} from './node.ts'
import { applyScalar } from './scalar.ts'

export const scalarDimensions: Dimensions = [1, 1, 1]
const spaceOrder: Record<Space, number> = { host: 0, global: 1, tensor: 2, array: 3 }

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

function isConstant(node: Node | undefined, value: number): boolean {
  return node?.operation === 'constant' && node.value === value
}

/** 1 / k of a host value: never zero for finite k. */
function isReciprocal(node: Node | undefined): boolean {
  return node?.space === 'host' && node.operation === 'divide' && isConstant(node.inputs[0], 1)
}

const conditional = new Set<Operation>(['equal', 'less', 'lessOrEqual', 'and', 'not'])

const commutative = new Set<Operation>(['add', 'multiply', 'maximum', 'minimum', 'equal', 'and'])

/** @throws Error for a truth value where a number is needed. */
export function refuseMask(what: string, node: Node): void {
  if (node.mask) throw new Error(`${what}: this is a truth value; make it a number with where(condition, 1, 0)`)
}

/** What `Graph` has not, and a `WholeGraph` has. */
export class Beyond extends Error {}

/** Builds nodes of what goes element by element; equal requests give the same node. */
export class Graph {
  readonly nodes: Node[] = []
  /** Which side of a matrix the outputs are. */
  readonly outputs: 'rows' | 'columns'
  /** The truth values that something was computed with, also where it turned out not to depend on them. */
  readonly conditions = new Set<Node>()
  /** Nodes by a hash of their operation and inputs, which nodes that are not equal may share. */
  private readonly byHash = new Map<number, Interned>()

  constructor(outputs: 'rows' | 'columns' = 'rows') {
    this.outputs = outputs
  }

  constant(value: number): Node {
    return this.leaf({ operation: 'constant', value }, 'host', scalarDimensions, false)
  }

  /** @param perTensor true when a group of parameters has its own value. */
  hyper(key: string, clock: string, perTensor: boolean): Node {
    return this.leaf({ operation: 'hyper', key, clock }, 'host', scalarDimensions, perTensor)
  }

  /** The number of steps taken, this one included: of one tensor (`perTensor`) or of the optimizer. */
  count(clock: string, perTensor: boolean): Node {
    return this.leaf({ operation: 'count', clock }, 'host', scalarDimensions, perTensor)
  }

  parameter(dimensions: Dimensions): Node {
    return this.leaf({ operation: 'parameter' }, 'array', dimensions, true)
  }

  gradient(dimensions: Dimensions): Node {
    return this.leaf({ operation: 'gradient' }, 'array', dimensions, true)
  }

  slot(key: string, space: Space, dimensions: Dimensions, perTensor: boolean, storage?: StorageName): Node {
    const kept = storage && storage !== 'float32' ? { storage } : {}
    return this.leaf({ operation: 'slot', key, ...kept }, space, dimensions, perTensor)
  }

  /** What the user hands in besides the gradient: an array, or a number that is known before the step. */
  input(key: string, dimensions: Dimensions | undefined): Node {
    const space = dimensions ? 'array' : 'host'
    return this.leaf({ operation: 'input', key }, space, dimensions ?? scalarDimensions, !!dimensions)
  }

  /** The same elements under other dimensions, of which this graph knows none. */
  view(input: Node, dimensions: Dimensions): Node {
    if (input.space !== 'array' || sameDimensions(input.dimensions, dimensions)) return input
    throw new Beyond()
  }

  /** True at the elements whose flat index is a multiple of `period`. */
  stride(_period: number, _dimensions: Dimensions): Node {
    throw new Beyond()
  }

  /** 0, 1, 2, ... over all elements. */
  index(_dimensions: Dimensions): Node {
    throw new Beyond()
  }

  /** Random numbers: seed, step and tensor (host values), the draw and the place of the element decide each. */
  random(_from: Distribution, _draw: number, _stream: readonly [Node, Node, Node], _dimensions: Dimensions): Node {
    throw new Beyond()
  }

  reduce(_reduction: ReductionKind, _input: Node, _axis: ReductionAxis, _key?: string): Node {
    throw new Beyond()
  }

  transpose(_input: Node): Node {
    throw new Beyond()
  }

  reverse(_input: Node): Node {
    throw new Beyond()
  }

  matmul(_left: Node, _right: Node): Node {
    throw new Beyond()
  }

  /**
   * All results of a matrix function.
   * @param declared what the table has of it: who calls brings it along, so that nobody else loads it.
   * @param asked the dimensions of the result, if the operands do not say them.
   * @throws Error when the operands do not fit or are not matrices.
   */
  routine(
    _name: RoutineName,
    _declared: Routine,
    _from: readonly Node[],
    _caller?: string,
    _asked?: Dimensions,
  ): Node[] {
    throw new Beyond()
  }

  /** Keeps a value from what float32 cannot hold. The float64 reference leaves it out. */
  guard(operation: 'minimum' | 'maximum', input: Node, limit: number): Node {
    if (input.space === 'host') return input
    const inputs = [input, this.constant(limit)]
    return this.intern({ operation, guard: true }, inputs, input.space, input.dimensions, false, input.perTensor)
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
    const mask = conditional.has(operation)
    const dimensions = broadcast(operation, inputs)
    const full = inputs.map((input) => this.repeatMask(input, dimensions))
    return this.intern({ operation }, full, space, dimensions, mask, perTensor)
  }

  /** A truth value that is repeated is kept in memory as 1 or 0, and compared where it is used. */
  private repeatMask(node: Node, dimensions: Dimensions): Node {
    if (!node.mask || node.space !== 'array' || sameDimensions(node.dimensions, dimensions)) return node
    const number = this.element('select', [node, this.constant(1), this.constant(0)])
    const repeated = this.intern({ operation: 'less' }, [this.constant(0), number], 'array', dimensions, true, true)
    this.conditions.add(repeated)
    return repeated
  }

  private simplify(operation: ElementOperation, inputs: readonly Node[]): Node | undefined {
    const [a, b, c] = inputs as [Node, Node, Node]
    if (inputs.every(({ operation }) => operation === 'constant')) {
      const [x, y, z] = inputs as readonly NodeOf<'constant'>[]
      return this.constant(applyScalar(operation, x!.value, y?.value as number, z?.value as number))
    }
    const is = isConstant
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
        // where(h > 0, x / h, y) h = where(h > 0, x, y h): a step that has its rate inside is not divided by it in vain.
        const [condition, quotient, other] = a.operation === 'select' ? a.inputs : []
        if (condition?.operation === 'less' && is(condition.inputs[0], 0) && condition.inputs[1] === b) {
          const whole = this.withoutDivisor(quotient!, b)
          if (whole && other!.space !== 'array')
            return this.element('select', [condition, whole, this.element('multiply', [other!, b])])
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
      case 'and':
        if (a.operation === 'constant') return a.value !== 0 ? b : a
        if (b.operation === 'constant') return b.value !== 0 ? a : b
        break
      case 'select':
        if (a.operation === 'constant') return a.value !== 0 ? b : c
        if (b === c) return b
        break
      default:
    }
    return undefined
  }

  /** x of x / h. */
  private withoutDivisor({ operation, inputs }: Node, h: Node): Node | undefined {
    const [x, divisor] = inputs
    if (operation === 'divide') return divisor === h ? x : undefined
    return operation === 'multiply' && isReciprocal(divisor) && divisor!.inputs[1] === h ? x : undefined
  }

  protected leaf(kind: Kind, space: Space, dimensions: Dimensions, perTensor: boolean): Node {
    return this.intern(kind, [], space, dimensions, false, perTensor)
  }

  protected intern(
    kind: Kind,
    inputs: readonly Node[],
    space: Space,
    dimensions: Dimensions,
    mask: boolean,
    perTensor: boolean,
  ): Node {
    const alike = space === 'host' && commutative.has(kind.operation) ? [...inputs].sort((a, b) => a.id - b.id) : inputs
    const hash = hashOf(kind, alike)
    const first = this.byHash.get(hash)
    const node = Object.assign(kind, { id: this.nodes.length, inputs, space, dimensions, mask, perTensor })
    // Most hashes are new, and an identity is asked for only where one is not.
    const text = first && textOf(node, alike)
    for (let one = first; one; one = one.next) {
      one.text ??= textOf(one.node, one.alike)
      if (one.text === text) return one.node
    }
    this.nodes.push(node)
    this.byHash.set(hash, { node, alike, text, next: first })
    return node
  }
}

interface Interned {
  readonly node: Node
  /** Its inputs, in an order of their own where theirs does not matter. */
  readonly alike: readonly Node[]
  text: string | undefined
  /** Another of the same hash. */
  readonly next: Interned | undefined
}

const textOf = (node: Node, inputs: readonly Node[]) => identity(node, { ...node, inputs }, ({ id }) => id, String)

/** What equal nodes have in common, as a small whole number. */
function hashOf(kind: Kind, inputs: readonly Node[]): number {
  const own = 'value' in kind ? kind.value * 1009 : 'key' in kind ? kind.key.length : 0
  let hash = own + kind.operation.length + 31 * kind.operation.charCodeAt(2)
  for (const { id } of inputs) hash = Math.imul(hash, 0x5bd1) + id
  return hash & 0x3fffffff
}
