import { applyScalar, type Node } from '../program/graph.ts'

/** What host scalars are made of at one step of one tensor. */
export interface HostEnvironment {
  /** The value of a hyperparameter at this step of its clock. */
  hyper(key: string, clock: string): number
  /** Steps counted, this one included. */
  count(clock: string, perTensor: boolean): number
  /** A number that the host keeps as state. */
  slot(key: string): number
}

/** Evaluates host scalars in float64, each once per step, in an order fixed when it is made. */
export class HostEvaluator {
  private readonly order: Node[] = []
  private readonly position = new Map<Node, number>()
  private readonly operands: number[][]
  private readonly scratch: Float64Array
  private readonly results: number[]

  constructor(nodes: readonly Node[]) {
    const visit = (node: Node): void => {
      if (this.position.has(node)) return
      for (const input of node.inputs) visit(input)
      this.position.set(node, this.order.length)
      this.order.push(node)
    }
    for (const node of nodes) visit(node)
    this.operands = this.order.map((node) => node.inputs.map((input) => this.position.get(input)!))
    this.scratch = new Float64Array(this.order.length)
    this.results = nodes.map((node) => this.position.get(node)!)
  }

  /** Writes the values of the nodes given to the constructor, in their order, to `target` from `offset` on. */
  evaluate(environment: HostEnvironment, target: Float64Array | number[], offset = 0): void {
    const { order, operands, scratch, results } = this
    for (let index = 0; index < order.length; index++) {
      const node = order[index]!
      const inputs = operands[index]!
      scratch[index] =
        this.leaf(node, environment) ??
        applyScalar(node.operation, scratch[inputs[0]!]!, scratch[inputs[1]!]!, scratch[inputs[2]!]!)
    }
    for (let index = 0; index < results.length; index++) target[offset + index] = scratch[results[index]!]!
  }

  private leaf(node: Node, environment: HostEnvironment): number | undefined {
    const { value, key, clock } = node.attributes
    switch (node.operation) {
      case 'constant':
        return value!
      case 'hyper':
        return environment.hyper(key!, clock!)
      case 'count':
        return environment.count(clock!, node.perTensor)
      case 'slot':
        return environment.slot(key!)
      default:
        return undefined
    }
  }
}
