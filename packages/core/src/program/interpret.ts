import { callText } from '../graph/call-text.ts'
import type { ElementOperation, Node, NodeOf, Operation } from '../graph/node.ts'
import { findTotal, type Program, routinesOf } from './program.ts'

/** What is neither known on the host nor computed element by element. */
type Structural = Exclude<Operation, ElementOperation | 'constant' | 'hyper' | 'count' | 'routine'>

/** A method for each such operation: one that an algebra lacks does not compile. */
type Methods<Computed> = {
  readonly [O in Structural]: (node: NodeOf<O>, value: (node: Node) => Computed) => Computed
}

/**
 * How the operations of a graph are computed for one tensor; `value` gives the operands. `reduce` over all tensors gives the
 * part of this one.
 */
export interface Algebra<Computed> extends Methods<Computed> {
  /** What the host knows; asked for anew at every use. */
  host(node: Node): Computed
  /** An operation element by element, or on single numbers. */
  element(node: NodeOf<ElementOperation>, value: (node: Node) => Computed, isKnown: (node: Node) => boolean): Computed
  /** All results of a matrix function, which are asked for once however many of them are used. */
  routine(node: NodeOf<'routine'>, value: (node: Node) => Computed): readonly Computed[]
  /** A reduction over all tensors, from their parts in order. */
  total(node: NodeOf<'reduce'>, parts: readonly Computed[]): Computed
}

/** Reductions over all tensors, each computed once. */
export class Totals<Computed> {
  private readonly known = new Map<string, Computed>()
  private readonly partsOf: (node: NodeOf<'reduce'>) => readonly Computed[]

  /** @param partsOf what the tensors of a step give to a reduction. */
  constructor(partsOf: (node: NodeOf<'reduce'>) => readonly Computed[]) {
    this.partsOf = partsOf
  }

  get(node: NodeOf<'reduce'>, algebra: Algebra<Computed>): Computed {
    const { key } = node
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
  private readonly calls = new Map<string, readonly Computed[]>()
  private hasBegun = false

  constructor(program: Program, algebra: Algebra<Computed>, totals: Totals<Computed>) {
    this.program = program
    this.algebra = algebra
    this.totals = totals
  }

  readonly value = (node: Node): Computed => {
    if (node.space === 'host') return this.algebra.host(node)
    const known = this.values.get(node)
    if (known !== undefined) return known
    if (!this.hasBegun) {
      this.hasBegun = true
      // In their order, because an iteration may be longer than a stack of calls can be deep.
      routinesOf(this.program).forEach(this.value)
      return this.value(node)
    }
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
    switch (node.operation) {
      case 'parameter':
        return algebra.parameter(node, value)
      case 'gradient':
        return algebra.gradient(node, value)
      case 'input':
        return algebra.input(node, value)
      case 'slot':
        return algebra.slot(node, value)
      case 'stride':
        return algebra.stride(node, value)
      case 'index':
        return algebra.index(node, value)
      case 'random':
        return algebra.random(node, value)
      case 'view':
        return algebra.view(node, value)
      case 'reduce':
        return node.axis === 'all' ? this.totals.get(node, algebra) : algebra.reduce(node, value)
      case 'routine':
        return this.resultsOf(node)[node.result]!
      case 'constant':
      case 'hyper':
      case 'count':
        return algebra.host(node)
      default:
        return algebra.element(node, value, this.isKnown)
    }
  }

  private resultsOf(node: NodeOf<'routine'>): readonly Computed[] {
    const call = callText(node)
    const results = this.calls.get(call) ?? this.algebra.routine(node, this.value)
    this.calls.set(call, results)
    return results
  }
}

/** Programs of tensors that take a step together. */
export function interpret<Computed>(
  work: readonly { readonly program: Program; readonly algebra: Algebra<Computed> }[],
): Interpreter<Computed>[] {
  const all: Interpreter<Computed>[] = []
  const totals = new Totals<Computed>(({ key }) => {
    const parts = all.map((interpreter) => interpreter.part(key))
    return parts.filter((part) => part !== undefined)
  })
  for (const { program, algebra } of work) all.push(new Interpreter(program, algebra, totals))
  return all
}
