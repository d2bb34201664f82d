/** Plans programs that are one pass over elements, as most are. All others need `planner.ts`, which plans by levels. */

import { type Dimensions, type ElementOperation, isElement, type Node, sameDimensions } from '../graph/node.ts'
import type { Output } from '../program/program.ts'
import type { StorageName } from '../storage/storage.ts'
import type { CanonicalProgram } from './canonical.ts'
import type { ArraySource, Extent, Instruction, Loop, NumberReference, Plan, PlannedArray } from './plan.ts'

/** Arrays of the parameter, its gradient, inputs and state: where a leaf is kept. */
export function leafSource(node: Node): ArraySource | undefined {
  if (node.space !== 'array') return undefined
  if (node.operation === 'parameter' || node.operation === 'gradient') return { kind: node.operation }
  return node.operation === 'input' || node.operation === 'slot' ? { kind: node.operation, key: node.key } : undefined
}

/** How the array of a leaf is kept. */
export function storageOfLeaf(node: Node): StorageName {
  return (node.operation === 'slot' && node.storage) || 'float32'
}

/** True for a program that is one pass over float32 arrays of the parameter's dimensions, element by element. */
export function isFlat({ nodes, program: { dimensions, outputs, arraySlots } }: CanonicalProgram): boolean {
  return (
    nodes.every(
      (node) =>
        node.space === 'host' ||
        (sameDimensions(node.dimensions, dimensions) &&
          (leafSource(node) ? storageOfLeaf(node) === 'float32' : node.space === 'array' && isElement(node))),
    ) &&
    outputs.every(({ target, storage }) => {
      const array = target.kind === 'slot' ? arraySlots.has(target.key) : target.kind !== 'telemetry'
      return array && storage === undefined
    })
  )
}

/** A value that a loop stores to an array. */
export interface Store {
  readonly array: number
  readonly node: Node
  readonly stream?: Output['stream'] | undefined
}

/** An array of a plan that is being made. */
interface Draft {
  readonly source: ArraySource
  readonly extent: Extent
  readonly storage: StorageName
  from: number
  to: number
}

export class FlatPlanner {
  protected readonly nodes: readonly Node[]
  protected readonly program: CanonicalProgram
  /** All arrays, by the place that the plan gives them. */
  protected readonly arrays: Draft[] = []
  /** How many nodes and outputs use a node. */
  readonly uses = new Map<Node, number>()
  protected readonly hostNodes: readonly Node[]
  /** The places of arrays by what they are. */
  private readonly places = new Map<string, number>()
  private readonly leafPlaces = new Map<Node, number | undefined>()

  constructor(program: CanonicalProgram) {
    this.program = program
    this.nodes = program.nodes
    this.hostNodes = this.nodes.filter((node) => node.space === 'host')
    const users = [...this.nodes.flatMap(({ inputs }) => inputs), ...program.program.outputs.map(({ node }) => node)]
    for (const node of users) this.uses.set(node, (this.uses.get(node) ?? 0) + 1)
  }

  plan(): Plan {
    const { dimensions, outputs } = this.program.program
    const writer = new LoopWriter(this, 0)
    const stored = outputs.flatMap((output) => {
      const array = this.outputArray(output)
      return array === undefined ? [] : [{ ...output, array }]
    })
    const stores = stored.map((output) => writer.store(output))
    const { body } = writer
    const extent = this.extentOf(dimensions)
    const loops: Loop[] =
      stores.length > 0 ? [{ level: 0, extent, elementwise: false, body, stores, reductions: [] }] : []
    return {
      levels: 1,
      arrays: this.plannedArrays(),
      loops,
      routines: [],
      scalars: [],
      scalarOutputs: [],
      arguments: this.plannedArguments(),
      stages: loops.length > 0 ? [{ kind: 'loops', level: 0, loops: [0] }] : [],
    }
  }

  protected plannedArrays(): PlannedArray[] {
    return this.arrays.map(({ source, extent, storage, from, to }): PlannedArray => {
      const kept = source.kind === 'scratch' ? { kind: source.kind, from, to } : source
      return { ...kept, extent, storage }
    })
  }

  protected plannedArguments(): Plan['arguments'] {
    return this.hostNodes.map(({ mask }) => ({ mask }))
  }

  extentOf([batch, rows, columns]: Dimensions): Extent {
    const { sizes } = this.program
    return [sizes.indexOf(batch), sizes.indexOf(rows), sizes.indexOf(columns)]
  }

  /** The place of an array of the plan. */
  protected arrayOf(source: ArraySource, dimensions: Dimensions, storage: StorageName = 'float32'): number {
    const text = JSON.stringify(source)
    const known = this.places.get(text)
    if (known !== undefined && source.kind !== 'scratch') return known
    this.places.set(text, this.arrays.length)
    const { from, to } = source.kind === 'scratch' ? source : { from: 0, to: 0 }
    return this.arrays.push({ source, extent: this.extentOf(dimensions), storage, from, to }) - 1
  }

  protected leafArray(node: Node): number | undefined {
    if (this.leafPlaces.has(node)) return this.leafPlaces.get(node)
    const source = leafSource(node)
    const place = source && this.arrayOf(source, node.dimensions, storageOfLeaf(node))
    this.leafPlaces.set(node, place)
    return place
  }

  /** The array of an output; `undefined` for what stays as it is, which needs no store. */
  protected outputArray({ target, node, storage }: Output): number | undefined {
    const dimensions = node.space === 'array' ? node.dimensions : this.program.program.dimensions
    const source = target.kind === 'slot' ? { kind: target.kind, key: target.key } : target
    const array = this.arrayOf(source as ArraySource, dimensions, storage)
    return this.leafArray(node) === array ? undefined : array
  }

  /** The array that holds a node's value when a loop of this level runs; `undefined` when it must be computed. */
  arrayFor(node: Node, _level: number): number | undefined {
    return this.leafArray(node)
  }

  /** True for what a loop of this level computes for one use in it only. */
  isAlone(node: Node, level: number): boolean {
    return this.uses.get(node) === 1 && this.arrayFor(node, level) === undefined
  }

  reference(node: Node): NumberReference {
    return { kind: 'argument', index: this.hostNodes.indexOf(node) }
  }
}

/** Writes the body of a loop: each value once, what it is made of first. */
export class LoopWriter {
  readonly body: Instruction[] = []
  private readonly registers = new Map<Node, number>()
  private readonly planner: FlatPlanner
  private readonly level: number

  constructor(planner: FlatPlanner, level: number) {
    this.planner = planner
    this.level = level
  }

  store({ node, array, stream }: Store): Loop['stores'][number] {
    return { array, register: this.register(node), ...(stream ? { stream: this.stream(stream) } : {}) }
  }

  /** The register of a value. */
  readonly register = (node: Node): number => {
    const known = this.registers.get(node)
    if (known !== undefined) return known
    const register = this.take(node)
    this.registers.set(node, register)
    return register
  }

  protected emit(instruction: Instruction): number {
    return this.body.push(instruction) - 1
  }

  /** Seed, step and tensor of random numbers. */
  protected stream(nodes: readonly Node[]): [NumberReference, NumberReference, NumberReference] {
    return nodes.map((node) => this.planner.reference(node)) as [NumberReference, NumberReference, NumberReference]
  }

  /** The register of what a node computes with. */
  protected operand(_node: Node, input: Node): number {
    return this.register(input)
  }

  private take(node: Node): number {
    const { planner, level } = this
    if (node.space !== 'array') return this.emit({ operation: 'scalar', inputs: [], value: planner.reference(node) })
    // Before a view is seen through: its new value may be stored, and what it was made from overwritten.
    const array = planner.arrayFor(node, level)
    return array === undefined ? this.compute(node) : this.emit({ operation: 'load', inputs: [], array })
  }

  protected compute(node: Node): number {
    const { planner } = this
    const [quotient, factor] = node.inputs
    if (node.operation === 'multiply' && factor!.space === 'host' && this.isOnlyFactor(quotient!)) {
      // (x / y) h = (x h) / y: the product is done while y is still awaited. Numbers that the device finds, such as the
      // first step sizes of parameter-free methods, may be so small that x h underflows.
      const [x, y] = quotient!.inputs as [Node, Node]
      const inputs = [this.operand(quotient!, x), this.register(factor!)]
      const product = this.emit({ operation: 'multiply', inputs })
      return this.emit({ operation: 'divide', inputs: [product, this.operand(quotient!, y)] })
    }
    const scaling = this.scaling(node)
    if (scaling) {
      const [times, over] = [scaling.times, scaling.over].map((numbers) =>
        numbers.map((each) => planner.reference(each)),
      )
      const inputs = [this.operand(scaling.first, scaling.first.inputs[0]!)] as const
      return this.emit({ operation: 'scale', inputs, times: times!, over: over! })
    }
    const inputs = node.inputs.map((input) => this.operand(node, input))
    return this.emit({ operation: node.operation as ElementOperation, inputs })
  }

  /** A quotient of arrays that is computed for one product only. */
  private isOnlyFactor(node: Node): boolean {
    const { planner, level } = this
    const quotient = node.operation === 'divide' && node.inputs[1]!.space === 'array'
    return quotient && planner.arrayFor(node, level) === undefined && planner.uses.get(node) === 1
  }

  /**
   * The numbers that a value is multiplied with and divided by, one after the other, and the first of these operations;
   * `undefined` where it is a single product.
   */
  private scaling(node: Node): { first: Node; times: Node[]; over: Node[] } | undefined {
    const [times, over]: [Node[], Node[]] = [[], []]
    const scales = ({ operation, space, inputs }: Node) =>
      (operation === 'multiply' || operation === 'divide') && space === 'array' && inputs[1]!.space !== 'array'
    if (!scales(node)) return undefined
    for (let first = node; ; first = first.inputs[0]!) {
      const list = first.operation === 'multiply' ? times : over
      list.unshift(first.inputs[1]!)
      const next = first.inputs[0]!
      if (!this.planner.isAlone(next, this.level) || !scales(next))
        return times.length > 1 || over.length > 0 ? { first, times, over } : undefined
    }
  }
}
