import { type ElementOperation, isElement, type Node } from '../graph/node.ts'
import { scalarOperations } from '../graph/scalar.ts'

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

/** Computes host scalars in float64. */
export interface HostComputation {
  /** Writes them, in their order, to `target` from `offset` on. @returns how many there are. */
  evaluate(environment: HostEnvironment, target: Float64Array | number[], offset?: number): number
}

/** One value to compute; inputs are the places of values before it. */
export type HostInstruction =
  | { readonly operation: 'constant'; readonly value: number }
  | { readonly operation: 'hyper'; readonly key: string; readonly clock: string }
  | { readonly operation: 'count'; readonly clock: string; readonly perTensor: boolean }
  | { readonly operation: 'input' | 'slot'; readonly key: string }
  | { readonly operation: ElementOperation; readonly inputs: readonly number[] }

/** Host scalars as plain data: values in an order in which they can be computed, and the places of those asked for. */
export interface HostProgram {
  readonly values: readonly HostInstruction[]
  readonly results: readonly number[]
}

/** The program that computes host nodes. */
export function hostProgram(nodes: readonly Node[]): HostProgram {
  const places = new Map<Node, number>()
  const values: HostInstruction[] = []
  const visit = (node: Node): number => {
    const known = places.get(node)
    if (known !== undefined) return known
    const instruction = instructionOf(node, node.inputs.map(visit))
    places.set(node, values.length)
    return values.push(instruction) - 1
  }
  const results = nodes.map(visit)
  return { values, results }
}

function instructionOf(node: Node, inputs: readonly number[]): HostInstruction {
  if (isElement(node)) return { operation: node.operation, inputs }
  switch (node.operation) {
    case 'constant':
      return { operation: node.operation, value: node.value }
    case 'hyper':
      return { operation: node.operation, key: node.key, clock: node.clock }
    case 'count':
      return { operation: node.operation, clock: node.clock, perTensor: node.perTensor }
    case 'input':
    case 'slot':
      return { operation: node.operation, key: node.key }
    default:
      throw new Error(`${node.operation} is not known on the host`)
  }
}

/** One value with the places of up to three inputs. */
interface Calculation {
  readonly operation: (a: number, b: number, c: number) => number
  readonly place: number
  readonly a: number
  readonly b: number
  readonly c: number
}

/** Evaluates host scalars, each once per step, in an order fixed when it is made. */
export class HostEvaluator implements HostComputation {
  readonly program: HostProgram
  /** Hyperparameters, counts and state: what changes from step to step. */
  private readonly leaves: { readonly place: number; readonly leaf: HostInstruction }[] = []
  private readonly calculations: Calculation[] = []
  /** Every value; constants are written once. */
  private readonly values: Float64Array

  constructor(program: HostProgram) {
    this.program = program
    const { values } = program
    this.values = new Float64Array(values.length)
    values.forEach((instruction, place) => {
      if (instruction.operation === 'constant') this.values[place] = instruction.value
      else if ('inputs' in instruction) {
        const [a = 0, b = 0, c = 0] = instruction.inputs
        this.calculations.push({ operation: scalarOperations[instruction.operation], place, a, b, c })
      } else this.leaves.push({ place, leaf: instruction })
    })
  }

  evaluate(environment: HostEnvironment, target: Float64Array | number[], offset = 0): number {
    const { leaves, calculations, values } = this
    const { results } = this.program
    for (const { leaf, place } of leaves) values[place] = readLeaf(leaf, environment)
    for (const { operation, place, a, b, c } of calculations) {
      values[place] = operation(values[a]!, values[b]!, values[c]!)
    }
    for (let index = 0; index < results.length; index++) target[offset + index] = values[results[index]!]!
    return results.length
  }
}

function readLeaf(leaf: HostInstruction, environment: HostEnvironment): number {
  switch (leaf.operation) {
    case 'hyper':
      return environment.hyper(leaf.key, leaf.clock)
    case 'count':
      return environment.count(leaf.clock, leaf.perTensor)
    case 'input':
      return environment.input(leaf.key)
    case 'slot':
      return environment.slot(leaf.key)
    default:
      throw new Error(`${leaf.operation} is no leaf`)
  }
}
