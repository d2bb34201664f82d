import type { LeafOperation, Node } from '../graph/graph.ts'
import { findTotal, type Program } from './program.ts'

/** What is neither known on the host nor computed element by element. */
type Structural = Exclude<LeafOperation, 'constant' | 'hyper' | 'count'> | 'view' | 'reduce' | 'matmul' | 'transpose'

type Compute<Computed> = (node: Node, value: (node: Node) => Computed) => Computed

/**
 * How the operations of a graph are computed for one tensor; `value` gives the operands. `reduce` over all tensors gives the
 * part of this one.
 */
export interface Algebra<Computed> extends Readonly<Record<Structural, Compute<Computed>>> {
  /** What the host knows; asked for anew at every use. */
  host(node: Node): Computed
  /** An operation element by element, or on single numbers. */
  element(node: Node, value: (node: Node) => Computed, isKnown: (node: Node) => boolean): Computed
  /** A reduction over all tensors, from their parts in order. */
  total(node: Node, parts: readonly Computed[]): Computed
}

/** Reductions over all tensors, each computed once. */
export class Totals<Computed> {
  private readonly known = new Map<string, Computed>()
  private readonly partsOf: (node: Node) => readonly Computed[]

  /** @param partsOf what the tensors of a step give to a reduction. */
  constructor(partsOf: (node: Node) => readonly Computed[]) {
    this.partsOf = partsOf
  }

  get(node: Node, algebra: Algebra<Computed>): Computed {
    const key = node.attributes.key!
    const known = this.known.get(key)
    if (known !== undefined) return known
    const total = algebra.total(node, this.partsOf(node))
    this.known.set(key, total)
    return total
  }
}

/** The values of one program for one tensor: every node is computed once, when it is first asked for. */
export class Interpreter<Computed> {
  private readonly program: Program
  private readonly algebra: Algebra<Computed>
  private readonly totals: Totals<Computed>
  private readonly values = new Map<Node, Computed>()

  constructor(program: Program, algebra: Algebra<Computed>, totals: Totals<Computed>) {
    this.program = program
    this.algebra = algebra
    this.totals = totals
  }

  readonly value = (node: Node): Computed => {
    if (node.space === 'host') return this.algebra.host(node)
    const known = this.values.get(node)
    if (known !== undefined) return known
    const value = this.compute(node)
    this.values.set(node, value)
    return value
  }

  private readonly isKnown = (node: Node): boolean => this.values.has(node)

  /** What this tensor gives to a reduction over all tensors; nothing when its program has none of that name. */
  part(key: string): Computed | undefined {
    const node = findTotal(this.program, key)
    if (!node) return undefined
    const input = node.inputs[0]!
    return input.space === 'array' ? this.algebra.reduce(node, this.value) : this.value(input)
  }

  private compute(node: Node): Computed {
    const { algebra, value } = this
    const { operation } = node
    if (operation === 'reduce' && node.attributes.axis === 'all') return this.totals.get(node, algebra)
    switch (operation) {
      case 'parameter':
      case 'gradient':
      case 'input':
      case 'slot':
      case 'stride':
      case 'index':
      case 'random':
      case 'view':
      case 'reduce':
      case 'matmul':
      case 'transpose':
        return algebra[operation](node, value)
      default:
        return algebra.element(node, value, this.isKnown)
    }
  }
}

/** Programs of tensors that take a step together. */
export function interpret<Computed>(
  work: readonly { readonly program: Program; readonly algebra: Algebra<Computed> }[],
): Interpreter<Computed>[] {
  const all: Interpreter<Computed>[] = []
  const totals = new Totals<Computed>(({ attributes }) => {
    const parts = all.map((interpreter) => interpreter.part(attributes.key!))
    return parts.filter((part) => part !== undefined)
  })
  for (const { program, algebra } of work) all.push(new Interpreter(program, algebra, totals))
  return all
}
