/** Which state can never be below 0, found from the programs that write it. */

import { isElement, type Node } from '../graph/node.ts'
import type { HyperStore } from '../program/hyper-store.ts'
import type { Program, SlotStorage } from '../program/program.ts'

/** All numbers that a value may be. */
type Range = readonly [least: number, most: number]

const infinity = Number.POSITIVE_INFINITY
const all: Range = [-infinity, infinity]
const upwards: Range = [0, infinity]

/** Products with 0 are 0, whatever the other factor is. */
const product = (a: number, b: number) => (a === 0 || b === 0 ? 0 : a * b)

function hull(values: readonly number[]): Range {
  return [Math.min(...values), Math.max(...values)]
}

/** The ranges of the nodes of a program, as far as arithmetic of ranges tells. */
class Ranges {
  private readonly known = new Map<Node, Range>()
  private readonly assumed: ReadonlySet<string>
  private readonly hyper: HyperStore

  constructor(assumed: ReadonlySet<string>, hyper: HyperStore) {
    this.assumed = assumed
    this.hyper = hyper
  }

  of(node: Node): Range {
    const known = this.known.get(node)
    if (known) return known
    const range = this.find(node)
    this.known.set(node, range)
    return range
  }

  private find(node: Node): Range {
    if (isElement(node)) return this.element(node)
    switch (node.operation) {
      case 'constant':
        return [node.value, node.value]
      case 'hyper': {
        const [path, name] = this.hyper.placeOf(node.key)
        const { minimum, maximum } = this.hyper.owner(path).hyper[name]!
        return [minimum, maximum]
      }
      case 'count':
        return [1, infinity]
      case 'index':
        return upwards
      case 'stride':
        return [0, 1]
      case 'random':
        return node.distribution === 'normal' ? all : node.distribution === 'uniform' ? [0, 1] : [-1, 1]
      case 'slot':
        return this.assumed.has(node.key) ? upwards : all
      case 'view':
        return this.of(node.inputs[0]!)
      case 'reduce': {
        const [a, b] = node.inputs as [Node, Node | undefined]
        if (a === b) return upwards
        const [least, most] = b ? this.product(a, b) : this.of(a)
        return node.reduction === 'maximum' ? [least, most] : [least >= 0 ? 0 : -infinity, most <= 0 ? 0 : infinity]
      }
      case 'routine':
        return node.routine === 'transposition' || node.routine === 'reversal' ? this.of(node.inputs[0]!) : all
      case 'parameter':
      case 'gradient':
      case 'input':
        return all
    }
  }

  private product(a: Node, b: Node): Range {
    const [x, y] = [this.of(a), this.of(b)]
    return hull(x.flatMap((one) => y.map((other) => product(one, other))))
  }

  private element({ operation, inputs }: Node & { readonly inputs: readonly Node[] }): Range {
    const [a, b, c] = inputs as [Node, Node, Node]
    const [least, most] = this.of(a)
    const second = () => this.of(b)
    switch (operation) {
      case 'add':
        return [least + second()[0], most + second()[1]]
      case 'subtract':
        return [least - second()[1], most - second()[0]]
      case 'multiply':
        return a === b ? upwards : this.product(a, b)
      case 'divide':
        if (least < 0 || second()[0] < 0) return all
        return second()[0] > 0 ? [0, most / second()[0]] : upwards
      case 'maximum':
        return [Math.max(least, second()[0]), Math.max(most, second()[1])]
      case 'minimum':
        return [Math.min(least, second()[0]), Math.min(most, second()[1])]
      case 'absolute':
        return [Math.max(0, least, -most), Math.max(-least, most)]
      case 'sign':
        return [least >= 0 ? 0 : -1, most <= 0 ? 0 : 1]
      case 'squareRoot':
        return [0, Math.sqrt(Math.max(most, 0))]
      case 'select':
        return hull([...second(), ...this.of(c)])
      case 'floor':
        return [Math.floor(least), Math.floor(most)]
      case 'power':
        if (least < 0) return all
        return (most <= 1 && second()[0] >= 0) || (least >= 1 && second()[1] <= 0) ? [0, 1] : upwards
      case 'exponential':
      case 'softplus':
        return upwards
      case 'sigmoid':
      case 'equal':
      case 'less':
      case 'lessOrEqual':
      case 'and':
      case 'not':
        return [0, 1]
      case 'tanh':
      case 'cosine':
        return [-1, 1]
      default:
        return all
    }
  }
}

/**
 * The keys of the arrays that start at 0 or above and of which no program can bring any below 0 when all of them are not. A
 * slot that says so itself is believed.
 */
export function nonNegative(
  slots: readonly SlotStorage[],
  programs: readonly Program[],
  hyper: HyperStore,
): ReadonlySet<string> {
  const arrays = slots.filter(({ space, start }) => space === 'array' && typeof start === 'number' && start >= 0)
  const keys = new Set(arrays.map(({ key }) => key))
  const said = new Set(arrays.flatMap(({ key, nonNegative }) => (nonNegative ? [key] : [])))
  for (;;) {
    const before = keys.size
    for (const { outputs } of programs) {
      const ranges = new Ranges(keys, hyper)
      for (const { target, node } of outputs) {
        if (target.kind === 'slot' && !said.has(target.key) && !(ranges.of(node)[0] >= 0)) keys.delete(target.key)
      }
    }
    if (keys.size === before) return keys
  }
}
