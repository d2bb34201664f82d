import { type Dimensions, type Node, type NodeOf, type Space, sizeOf } from '../graph/node.ts'
import type { SlotStart } from '../language/slots.ts'
import type { StorageName } from '../storage/storage.ts'
import { type HostComputation, HostEvaluator, hostProgram } from './host.ts'

/** Where a computed value goes. */
export type Target =
  | { readonly kind: 'parameter' }
  | { readonly kind: 'slot'; readonly key: string /** One number for all tensors. */; readonly shared: boolean }
  | { readonly kind: 'telemetry'; readonly name: TelemetryName }
  | { readonly kind: 'average' }

/** What a step can report of a tensor. */
export const telemetryNames = [
  'gradientNorm',
  'updateNorm',
  'parameterNorm',
  'nonFinite',
  'failedFactorizations',
] as const

export type TelemetryName = (typeof telemetryNames)[number]

export interface Output {
  readonly target: Target
  readonly node: Node
  /** For an array of state: how its elements are kept, where that is not float32. */
  readonly storage?: StorageName
  /** Seed, step and tensor of the random numbers that rounding follows, host values. */
  readonly stream?: readonly [Node, Node, Node]
}

/** What one update of one tensor computes: a graph and where its results go. Knows nothing of loops or backends. */
export interface Program {
  /** The dimensions in which the parameter is seen: rows and columns are its last two, the others are the batch. */
  readonly dimensions: Dimensions
  /** Results on the device: arrays and scalars that come after a reduction. */
  readonly outputs: readonly Output[]
  /** The keys of the slots that are arrays. */
  readonly arraySlots: ReadonlySet<string>
  /** State that the host keeps. */
  readonly host: HostUpdate
  readonly leaves: Leaves
}

/** The keys of slots that the host keeps, and how it computes their new values, in the same order. */
export interface HostUpdate {
  readonly keys: readonly string[]
  readonly computation: HostComputation
}

/** How a piece of state is kept. */
export interface SlotStorage {
  /** Unique within the parameter: path of the optimizer and name of the slot. */
  readonly key: string
  /** The slot's own name. */
  readonly name: string
  /** Where it lives; one number that all tensors share is `host` or `global`. */
  readonly space: Space
  /** True for one number that all tensors share. */
  readonly shared: boolean
  readonly dimensions: Dimensions
  readonly start: SlotStart
  readonly storage: StorageName
  /** True for what rounding would spoil. */
  readonly exact?: boolean
  /** For a matrix that waits for the next refresh to be decomposed: the key of the number that says whether there is one yet. */
  readonly delayed?: string
  /** True for what is known to be never below 0. */
  readonly nonNegative?: boolean
  /** Where random numbers decide how it is rounded: their seed, and what tells it apart from other state. */
  readonly rounding?: { readonly seed: number; readonly stream: number }
  /**
   * For elements that are kept as shares of the smaller of a number for their row and one for their column: the slots of
   * these, and the matrix that rows and columns are of.
   */
  readonly sharesOf?: { readonly rows: string; readonly columns: string; readonly matrix: Dimensions }
  /** For the numbers of rows and columns: the slot whose elements are shares of them. */
  readonly scales?: string
}

/** The key of the slot that a parameter is kept in where that is not float32: then no program reads or writes a parameter besides. */
export const parameterSlot = 'parameter'

/** Whether a slot is the parameter itself, and no state. */
export const isParameterSlot = ({ key }: Pick<SlotStorage, 'key'>): boolean => key === parameterSlot

/** What an array of state starts with, as an array of its own. */
export function startOf(slot: SlotStorage): Float32Array<ArrayBuffer> {
  const array = new Float32Array(sizeOf(slot.dimensions))
  writeStart(slot, array)
  return array
}

/** Writes what an array of state starts with; a copy of the parameter comes right before the first step. */
export function writeStart({ start, dimensions }: SlotStorage, array: Float32Array | Float64Array): void {
  if (typeof start === 'number') array.fill(start)
  if (start !== 'identity') return
  const [batch, rows, columns] = dimensions
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < Math.min(rows, columns); i++) array[(b * rows + i) * columns + i] = 1
  }
}

/** When a clock's reading makes a branch fire: on multiples of a count, on all readings up to it, or on all after it. */
export type Firing = 'multiples' | 'fromFirst' | 'upTo' | 'after'

/** Which of two programs runs is decided on the host before the step, by the count of a clock. */
export type VariantTree =
  | { readonly program: Program }
  | {
      readonly clock: string
      readonly fires: Firing
      /** A number or the key of a hyperparameter. */
      readonly count: number | string
      /** The clock that advances when this fires. */
      readonly opens: string | undefined
      readonly held: VariantTree
      readonly fired: VariantTree
    }

/** True when a tree's fired branch runs at this reading of its clock; `count` is the number it compares with. */
export function firesAt(reading: number, fires: Firing, count: number): boolean {
  if (fires === 'multiples') return reading % Math.max(1, Math.round(count)) === 0
  if (fires === 'fromFirst') return (reading - 1) % Math.max(1, Math.round(count)) === 0
  return reading <= Math.round(count) === (fires === 'upTo')
}

/** All programs of a tree. */
export function programsOf(tree: VariantTree): Program[] {
  return 'program' in tree ? [tree.program] : [...programsOf(tree.held), ...programsOf(tree.fired)]
}

/** Every node that the outputs depend on, each after its inputs. */
export function nodesOf(outputs: readonly { readonly node: Node }[]): Set<Node> {
  const found = new Set<Node>()
  const visit = (node: Node): void => {
    if (found.has(node)) return
    node.inputs.forEach(visit)
    found.add(node)
  }
  for (const { node } of outputs) visit(node)
  return found
}

const totals = new WeakMap<Program, ReadonlyMap<string, NodeOf<'reduce'>>>()

/** The sum or maximum over all tensors that has this key. */
export function findTotal(program: Program, key: string): NodeOf<'reduce'> | undefined {
  let found = totals.get(program)
  if (!found) {
    const overAll = [...nodesOf(program.outputs)].filter(
      (node): node is NodeOf<'reduce'> => node.operation === 'reduce' && node.axis === 'all',
    )
    found = new Map(overAll.map((node) => [node.key, node]))
    totals.set(program, found)
  }
  return found.get(key)
}

const routines = new WeakMap<Program, readonly Node[]>()

/** The results of matrix functions in a program, each after those that it depends on. */
export function routinesOf(program: Program): readonly Node[] {
  let found = routines.get(program)
  if (!found) {
    found = [...nodesOf(program.outputs)].filter(({ operation }) => operation === 'routine')
    routines.set(program, found)
  }
  return found
}

/** What a program reads that the user supplies: the gradient, and inputs by name. */
export interface Leaves {
  readonly gradient: boolean
  /** True when something is summed over all tensors. */
  readonly collective: boolean
  readonly numbers: readonly string[]
  readonly arrays: readonly ArrayLeaf[]
}

/** An array that the user supplies besides the gradient. */
export interface ArrayLeaf {
  readonly name: string
  readonly dimensions: Dimensions
}

/** A program of these results. */
export function makeProgram(
  results: Pick<Program, 'dimensions' | 'outputs' | 'arraySlots'>,
  host: readonly { readonly key: string; readonly node: Node }[],
): Program {
  const keys = host.map(({ key }) => key)
  const computation = new HostEvaluator(hostProgram(host.map(({ node }) => node)))
  return { ...results, host: { keys, computation }, leaves: leavesOf(results.outputs, host) }
}

function leavesOf(outputs: readonly Output[], host: readonly { readonly node: Node }[]): Leaves {
  // What is only reported asks nothing of the user.
  const asking = outputs.filter(({ target }) => target.kind !== 'telemetry')
  const nodes = [...nodesOf([...asking, ...host])]
  const inputs = nodes.filter((node): node is NodeOf<'input'> => node.operation === 'input')
  return {
    gradient: nodes.some((node) => node.operation === 'gradient'),
    collective: nodes.some((node) => node.operation === 'reduce' && node.space === 'global'),
    numbers: inputs.flatMap(({ space, key }) => (space === 'array' ? [] : [key])),
    arrays: inputs.flatMap(({ space, key: name, dimensions }) => (space === 'array' ? [{ name, dimensions }] : [])),
  }
}
