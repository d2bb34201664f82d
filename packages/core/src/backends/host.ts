import { applyScalar, type Node } from '../graph/graph.ts'

/** What host scalars are made of at one step of one tensor. */
export interface HostEnvironment {
  /** The value of a hyperparameter at this step of its clock. */
  hyper(key: string, clock: string): number
  /** Steps counted, this one included. */
  count(clock: string, perTensor: boolean): number
  /** A number that the user supplied for this step. */
  input(key: string): number
  /** A number that the host keeps as state. */
  slot(key: string): number
}

/** One value to compute: its operation and the places of its operands. */
interface Calculation {
  readonly node: Node
  readonly place: number
  readonly a: number
  readonly b: number
  readonly c: number
}

/** Evaluates host scalars in float64, each once per step, in an order fixed when it is made. */
export class HostEvaluator {
  /** Hyperparameters, counts and state: what changes from step to step. */
  private readonly leaves: Calculation[] = []
  private readonly operations: Calculation[] = []
  /** The value of every node; constants are written once. */
  private readonly values: Float64Array
  private readonly results: number[]

  constructor(nodes: readonly Node[]) {
    const places = new Map<Node, number>()
    const constants: Calculation[] = []
    const visit = (node: Node): number => {
      const known = places.get(node)
      if (known !== undefined) return known
      const [a = 0, b = 0, c = 0] = node.inputs.map(visit)
      const place = places.size
      places.set(node, place)
      const list = node.operation === 'constant' ? constants : node.inputs.length > 0 ? this.operations : this.leaves
      list.push({ node, place, a, b, c })
      return place
    }
    this.results = nodes.map(visit)
    this.values = new Float64Array(places.size)
    for (const { node, place } of constants) this.values[place] = node.attributes.value!
  }

  /** Writes the values of the nodes given to the constructor, in their order, to `target` from `offset` on. */
  evaluate(environment: HostEnvironment, target: Float64Array | number[], offset = 0): void {
    const { leaves, operations, values, results } = this
    for (const { node, place } of leaves) values[place] = readLeaf(node, environment)
    for (const { node, place, a, b, c } of operations) {
      values[place] = applyScalar(node.operation, values[a]!, values[b]!, values[c]!)
    }
    for (let index = 0; index < results.length; index++) target[offset + index] = values[results[index]!]!
  }
}

function readLeaf({ operation, perTensor, attributes }: Node, environment: HostEnvironment): number {
  if (operation === 'hyper') return environment.hyper(attributes.key!, attributes.clock!)
  if (operation === 'count') return environment.count(attributes.clock!, perTensor)
  if (operation === 'input') return environment.input(attributes.key!)
  return environment.slot(attributes.key!)
}
