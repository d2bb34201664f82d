import { nn, numpy as np } from '@jax-js/jax'
import {
  type Dimensions,
  type ElementOperation,
  findTotal,
  type Node,
  type NodeOf,
  type Program,
  type RoutineName,
  type SlotStorage,
  sizeOf,
  type VariantTree,
} from 'fallline/internal'
import type { Host, ModelParameter } from './host.ts'

/** The state of an optimizer as jax-js arrays: what `init` gives and `update` takes. */
export type State = {
  /** Steps taken. */
  count: np.Array
  /** Arrays and numbers of each parameter, by slot. */
  slots: { [parameter: string]: { [slot: string]: np.Array } }
  /** Numbers that all parameters share. */
  shared: { [slot: string]: np.Array }
}

/** What the host gives to one step: which step it is, and its numbers. */
export type Scalars = { step: np.Array; values: np.Array }

type Operand = np.Array | number

/**
 * The shape in which a value of some dimensions lies beside a parameter: the parameter's own if it has them, else
 * without the leading dimensions that the parameter lacks. So values broadcast as they are: a reshape would make jax-js
 * copy what several kernels read.
 */
function naturalShape([batch, rows, columns]: Dimensions, parameter: readonly number[]): number[] {
  const outer = parameter.slice(0, -2).reduce((product, length) => product * length, 1)
  if (batch === outer && rows === (parameter.at(-2) ?? 1) && columns === (parameter.at(-1) ?? 1)) return [...parameter]
  if (batch > 1 || parameter.length > 2) return [batch, rows, columns]
  return rows > 1 || parameter.length === 2 ? [rows, columns] : [columns]
}

/** The shape of a slot's array; numbers have none. */
export function slotShape(slot: SlotStorage, parameter: readonly number[]): number[] {
  return slot.residency === 'array' ? naturalShape(slot.dimensions, parameter) : []
}

/** One step in jax-js operations. It borrows all arrays that it is given; what it gives belongs to the caller. */
export class StepReplay {
  private readonly host: Host
  private readonly gradients: readonly np.Array[]
  private readonly parameters: readonly np.Array[]
  private readonly state: State
  private readonly values: np.Array
  private readonly replays = new Map<Program, ProgramReplay>()
  /** Every array made on the way, released at the end. */
  private readonly owned: np.Array[] = []
  private readonly totals = new Map<string, Operand>()

  constructor(
    host: Host,
    gradients: readonly np.Array[],
    parameters: readonly np.Array[],
    state: State,
    values: np.Array,
  ) {
    this.host = host
    this.gradients = gradients
    this.parameters = parameters
    this.state = state
    this.values = values
  }

  /** The parameters and the slots after the step. */
  run(): { parameters: np.Array[]; slots: State['slots']; shared: State['shared'] } {
    const slots: State['slots'] = {}
    const shared: State['shared'] = {}
    const parameters = this.host.parameters.map((parameter, tensor) => {
      const { traced, name, shape } = parameter
      const old = this.parameters[tensor]!
      if (!traced) return old.ref
      const own: Record<string, np.Array> = {}
      for (const slot of traced.slots) {
        if (slot.residency === 'host' || (slot.shared && slot.key in shared)) continue
        const target = slot.shared ? shared : own
        target[slot.key] = this.output(
          parameter,
          tensor,
          (program) => program.outputs.find(({ target }) => target.kind === 'slot' && target.key === slot.key)?.node,
          this.slot(tensor, slot.key),
          slotShape(slot, shape),
        )
      }
      if (traced.slots.some((slot) => slot.residency !== 'host' && !slot.shared)) slots[name] = own
      return this.output(
        parameter,
        tensor,
        (program) => program.outputs.find(({ target }) => target.kind === 'parameter')?.node,
        old,
        [...shape],
      )
    })
    this.release()
    return { parameters, slots, shared }
  }

  /** What to evaluate with. */
  evaluate(): np.Array[] {
    const result = this.host.parameters.map(({ traced, shape }, tensor) => {
      const old = this.parameters[tensor]!
      const program = traced?.evaluation
      return program ? shaped(this.replay(program, tensor).take(program.outputs[0]!.node), [...shape]) : old.ref
    })
    this.release()
    return result
  }

  /** Keeps an array until the end of the step. */
  own<T extends Operand>(value: T): T {
    if (typeof value !== 'number') this.owned.push(value)
    return value
  }

  /** A number of the host, for an operation that consumes it. */
  scalar(node: Node): Operand {
    if (node.operation === 'constant') return node.value
    const value = this.valueAt(this.host.place(node))
    // A truth value arrives as 1 or 0.
    return node.mask ? value.greater(0) : value
  }

  gradient(tensor: number): np.Array {
    return this.gradients[tensor]!
  }

  parameter(tensor: number): np.Array {
    return this.parameters[tensor]!
  }

  shape(tensor: number): readonly number[] {
    return this.host.parameters[tensor]!.shape
  }

  slot(tensor: number, key: string): np.Array {
    return this.state.slots[this.host.parameters[tensor]!.name]?.[key] ?? this.state.shared[key]!
  }

  /** A reduction over all tensors: what the program of each gives to it. */
  total({ key, reduction }: NodeOf<'reduce'>): Operand {
    const known = this.totals.get(key)
    if (known !== undefined) return known
    const nothing = reduction === 'maximum' ? Number.NEGATIVE_INFINITY : 0
    const combine = reduction === 'maximum' ? np.maximum : np.add
    const parts = this.host.parameters.flatMap(({ traced }, tensor) => {
      const part = (program: Program) => this.replay(program, tensor).contribution(key) ?? nothing
      const value = traced ? this.choose(traced.variants, part) : nothing
      return value === nothing ? [] : [value]
    })
    const total = parts.length > 0 ? parts.reduce((sum, part) => this.own(combine(take(sum), take(part)))) : nothing
    this.totals.set(key, total)
    return total
  }

  /** A view of one number; each use has its own, because jax-js copies a view that several kernels share. */
  private valueAt(place: number): np.Array {
    return this.values.ref.slice(place)
  }

  private replay(program: Program, tensor: number): ProgramReplay {
    const known = this.replays.get(program)
    if (known) return known
    const replay = new ProgramReplay(this, tensor, program)
    this.replays.set(program, replay)
    return replay
  }

  /** One output of a parameter's programs, `old` where a program does not store it. */
  private output(
    { traced }: ModelParameter,
    tensor: number,
    find: (program: Program) => Node | undefined,
    old: np.Array,
    shape: number[],
  ): np.Array {
    const value = this.choose(traced!.variants, (program) => {
      const node = find(program)
      if (!node) return old
      return this.own(shaped(this.replay(program, tensor).take(node), shape))
    })
    return shaped(take(value), shape)
  }

  /** What the program that this step takes gives: both branches are computed where the step decides between them. */
  private choose(tree: VariantTree, of: (program: Program) => Operand): Operand {
    if ('program' in tree) return of(tree.program)
    const held = this.choose(tree.held, of)
    const fired = this.choose(tree.fired, of)
    if (held === fired) return held
    const fires = this.valueAt(this.host.choicePlace(tree)).greater(0)
    return this.own(np.where(fires, take(fired), take(held)))
  }

  private release(): void {
    for (const array of this.owned) array.dispose()
    this.owned.length = 0
  }
}

/** One program for one tensor; every node is computed once. */
class ProgramReplay {
  private readonly step: StepReplay
  private readonly tensor: number
  private readonly program: Program
  private readonly values = new Map<Node, Operand>()

  constructor(step: StepReplay, tensor: number, program: Program) {
    this.step = step
    this.tensor = tensor
    this.program = program
  }

  /** A reference of a node's value, for an operation that consumes it. */
  take(node: Node): Operand {
    return node.space === 'host' ? this.step.scalar(node) : take(this.value(node))
  }

  /** What this tensor gives to a reduction over all tensors; nothing if its program has none of that name. */
  contribution(key: string): Operand | undefined {
    const node = findTotal(this.program, key)
    if (!node) return undefined
    return this.step.own(node.inputs[0]!.space === 'array' ? this.reduce(node) : this.take(node.inputs[0]!))
  }

  private value(node: Node): Operand {
    const known = this.values.get(node)
    if (known !== undefined) return known
    const value = this.compute(node)
    this.values.set(node, value)
    return value
  }

  private compute(node: Node): Operand {
    if (node.operation === 'reduce' && node.axis === 'all') return this.step.total(node)
    return this.step.own(this.array(node))
  }

  private array(node: Node): Operand {
    const { inputs, dimensions } = node
    const [first] = inputs as [Node]
    switch (node.operation) {
      case 'parameter':
        return this.step.parameter(this.tensor).ref
      case 'gradient':
        return this.step.gradient(this.tensor).ref
      case 'slot':
        return this.step.slot(this.tensor, node.key).ref
      case 'stride':
        return shaped(np.arange(sizeOf(dimensions)).mod(node.period).equal(0), this.shapeOf(dimensions))
      case 'index':
        return shaped(np.arange(sizeOf(dimensions)), this.shapeOf(dimensions))
      case 'view':
        return shaped(this.take(first), this.shapeOf(dimensions))
      case 'reduce':
        return this.reduce(node)
      case 'routine':
        return routineOf[node.routine](inputs.map((input) => this.matrix(input)))[node.result]!
      case 'constant':
      case 'hyper':
      case 'count':
      case 'input':
      case 'random':
        throw new Error(`${node.operation} is no array in jax-js`)
      default:
        return element(node.operation, this.operands(node))
    }
  }

  private shapeOf(dimensions: Dimensions): number[] {
    return naturalShape(dimensions, this.step.shape(this.tensor))
  }

  /** The inputs of an elementwise operation, as three dimensions where they would not broadcast as they are. */
  private operands({ inputs }: Node): Operand[] {
    const values = inputs.map((input) => this.take(input))
    const arrays = values.filter((value) => typeof value !== 'number' && value.size !== 1) as np.Array[]
    const many = arrays.some((array) => array.ndim > 3)
    if (!many || arrays.every((array) => array.shape.join() === arrays[0]!.shape.join())) return values
    return values.map((value, index) =>
      arrays.includes(value as np.Array) ? shaped(value, inputs[index]!.dimensions) : value,
    )
  }

  private reduce({ reduction, axis, inputs, space }: NodeOf<'reduce'>): Operand {
    const inTensor = axis === 'tensor' || axis === 'all'
    const factors = inputs.map((input) => (inTensor ? this.take(input) : this.matrix(input)))
    const value = factors.length === 2 ? np.multiply(factors[0]!, factors[1]!) : factors[0]!
    const over = inTensor ? null : axis === 'columns' ? -1 : -2
    const options = { keepdims: space === 'array' }
    return reduction === 'maximum' ? np.max(value, over, options) : np.sum(value, over, options)
  }

  /** A value as a matrix, or as a batch of several. */
  private matrix(node: Node): np.Array {
    const [batch, ...matrix] = node.dimensions
    return shaped(this.take(node), batch === 1 ? matrix : node.dimensions)
  }
}

/** The results of a matrix function; consumes its operands. */
const routineOf: Readonly<Record<RoutineName, (operands: np.Array[]) => np.Array[]>> = {
  product: ([left, right]) => [np.matmul(left!, right!)],
  transposition: ([operand]) => [np.swapaxes(operand!, -1, -2)],
}

/** An elementwise operation; consumes its operands. */
function element(operation: ElementOperation, [a, b, c]: Operand[]): np.Array {
  switch (operation) {
    case 'add':
      return np.add(a!, b!)
    case 'subtract':
      return np.subtract(a!, b!)
    case 'multiply':
      return np.multiply(a!, b!)
    case 'divide':
      return np.divide(a!, b!)
    case 'maximum':
      return np.maximum(a!, b!)
    case 'minimum':
      return np.minimum(a!, b!)
    case 'absolute':
      return np.absolute(a!)
    case 'sign':
      return np.sign(a!)
    case 'squareRoot':
      return np.sqrt(a!)
    case 'select':
      return np.where(condition(a!), b!, c!)
    case 'equal':
      return np.equal(a!, b!)
    case 'less':
      return np.less(a!, b!)
    case 'lessOrEqual':
      return np.lessEqual(a!, b!)
    case 'and':
      return np.logicalAnd(condition(a!), condition(b!))
    case 'not':
      return np.logicalNot(condition(a!))
    case 'floor':
      return np.floor(a!)
    case 'power':
      return np.power(a!, b!)
    case 'exponential':
      return np.exp(a!)
    case 'logarithm':
      return np.log(a!)
    case 'sigmoid':
      return nn.sigmoid(a!)
    case 'tanh':
      return np.tanh(a!)
    case 'softplus':
      return softplus(a!)
    case 'cosine':
      return np.cos(a!)
    default:
      return unknown(operation)
  }
}

/** max(x, 0) + ln(1 + e^-|x|): that of jax-js is infinite from 89 on. */
function softplus(x: Operand): np.Array {
  const again = typeof x === 'number' ? x : x.ref
  const remainder = np.log1p(np.exp(np.negative(np.absolute(again))))
  return np.add(np.maximum(x, 0), remainder)
}

/** A truth value; rules may write 1 or 0 for it. */
function condition(value: Operand): np.Array {
  return typeof value === 'number' ? np.array(value !== 0) : value
}

function unknown(operation: never): never {
  throw new Error(`${String(operation)} has no counterpart in jax-js`)
}

function take(value: Operand): Operand {
  return typeof value === 'number' ? value : value.ref
}

/** An array of the given shape; a number is repeated. Consumes the value. */
function shaped(value: Operand, shape: Dimensions | number[]): np.Array {
  const size = shape.reduce((product, length) => product * length, 1)
  if (typeof value === 'number') return np.full([...shape], value)
  if (value.ndim === shape.length && value.shape.every((length, axis) => length === shape[axis])) return value
  return value.size === size ? value.reshape([...shape]) : np.broadcastTo(value, [...shape])
}
