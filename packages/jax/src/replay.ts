import { lax, nn, numpy as np } from '@jax-js/jax'
import {
  type Algebra,
  type Dimensions,
  type ElementOperation,
  Interpreter,
  type Node,
  type NodeOf,
  type Output,
  type Program,
  type RoutineName,
  type SlotStorage,
  sizeOf,
  Totals,
  type VariantTree,
} from 'fallline/internal'
import type { Host, ModelParameter } from './host.ts'
import { checkSize, type Inputs } from './model.ts'
import { packed, packedLength, type Rounding, unpacked } from './packed-state.ts'

/** The state of an optimizer as jax-js arrays: what `init` gives and `update` takes. */
export type State = {
  /** Steps taken. */
  count: np.Array
  /** Arrays and numbers of each parameter, by slot; what is kept in fewer bits is `uint32`, four bytes in each element. */
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
export function slotShape({ space, storage, dimensions }: SlotStorage, parameter: readonly number[]): number[] {
  if (space !== 'array') return []
  if (storage !== 'float32') return [packedLength(storage, sizeOf(dimensions))]
  return naturalShape(dimensions, parameter)
}

/** One step in jax-js operations. It borrows all arrays that it is given; what it gives belongs to the caller. */
export class StepReplay {
  private readonly host: Host
  private readonly gradients: readonly np.Array[]
  private readonly parameters: readonly np.Array[]
  private readonly state: State
  private readonly values: np.Array
  private readonly inputs: Inputs
  private readonly interpreters = new Map<Program, Interpreter<Operand>>()
  /** Every array made on the way, released at the end. */
  private readonly owned: np.Array[] = []
  /** Reductions over all tensors: what the program of each gives to them. */
  private readonly totals = new Totals<Operand>(({ key, reduction }) => {
    const none = nothing(reduction === 'maximum')
    return this.host.parameters.flatMap(({ traced }, tensor) => {
      const part = (program: Program) => this.interpreter(program, tensor).part(key) ?? none
      const value = traced ? this.choose(traced.variants, part) : none
      return value === none ? [] : [value]
    })
  })

  constructor(
    host: Host,
    gradients: readonly np.Array[],
    parameters: readonly np.Array[],
    state: State,
    values: np.Array,
    inputs: Inputs = {},
  ) {
    this.host = host
    this.gradients = gradients
    this.parameters = parameters
    this.state = state
    this.values = values
    this.inputs = inputs
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
        if (slot.space === 'host' || (slot.shared && slot.key in shared)) continue
        const target = slot.shared ? shared : own
        target[slot.key] = this.output(
          parameter,
          tensor,
          (program) => program.outputs.find(({ target }) => target.kind === 'slot' && target.key === slot.key),
          this.slot(tensor, slot.key),
          slotShape(slot, shape),
        )
      }
      if (traced.slots.some((slot) => slot.space !== 'host' && !slot.shared)) slots[name] = own
      return this.output(
        parameter,
        tensor,
        (program) => program.outputs.find(({ target }) => target.kind === 'parameter'),
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
      const program = traced?.average
      return program
        ? shaped(take(this.interpreter(program, tensor).value(program.outputs[0]!.node)), [...shape])
        : old.ref
    })
    this.release()
    return result
  }

  /** Keeps an array until the end of the step. */
  own<T extends Operand>(value: T): T {
    if (typeof value !== 'number') this.owned.push(value)
    return value
  }

  /** A number of the host. */
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

  /** An input of this step; 0 where it is not asked for, so that nothing of it is selected. */
  input(tensor: number, name: string, dimensions: Dimensions): Operand {
    const parameter = this.host.parameters[tensor]!.name
    const array = this.inputs[name]?.[parameter]
    if (array) checkSize(name, parameter, array.size, sizeOf(dimensions))
    return array?.ref ?? 0
  }

  shape(tensor: number): readonly number[] {
    return this.host.parameters[tensor]!.shape
  }

  slot(tensor: number, key: string): np.Array {
    return this.state.slots[this.host.parameters[tensor]!.name]?.[key] ?? this.state.shared[key]!
  }

  /** A view of one number; each use has its own, because jax-js copies a view that several kernels share. */
  private valueAt(place: number): np.Array {
    return this.values.ref.slice(place)
  }

  private interpreter(program: Program, tensor: number): Interpreter<Operand> {
    const known = this.interpreters.get(program)
    if (known) return known
    const interpreter = new Interpreter(program, new JaxAlgebra(this, tensor), this.totals)
    this.interpreters.set(program, interpreter)
    return interpreter
  }

  /** One output of a parameter's programs, `old` where a program does not store it. */
  private output(
    { traced }: ModelParameter,
    tensor: number,
    find: (program: Program) => Output | undefined,
    old: np.Array,
    shape: number[],
  ): np.Array {
    const value = this.choose(traced!.variants, (program) => {
      const output = find(program)
      if (!output) return old
      const { node, storage = 'float32', stream } = output
      const computed = take(this.interpreter(program, tensor).value(node))
      if (storage === 'float32') return this.own(shaped(computed, shape))
      const slot = traced!.slots.find(({ key }) => output.target.kind === 'slot' && key === output.target.key)!
      return this.own(packed(shaped(computed, [sizeOf(slot.dimensions)]), storage, stream && this.rounding(stream)))
    })
    return shaped(take(value), shape)
  }

  private rounding([seed, step, tensor]: NonNullable<Output['stream']>): Rounding {
    const constant = (node: Node) => (node as NodeOf<'constant'>).value
    return { seed: constant(seed), step: this.own(this.scalar(step)), tensor: constant(tensor) }
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

type Value = (node: Node) => Operand

/**
 * Operations of jax-js, for one parameter. Every value belongs to the step, which frees it at its end: operations are given
 * references.
 */
class JaxAlgebra implements Algebra<Operand> {
  private readonly step: StepReplay
  private readonly tensor: number

  constructor(step: StepReplay, tensor: number) {
    this.step = step
    this.tensor = tensor
  }

  host(node: Node): Operand {
    return this.step.own(this.step.scalar(node))
  }

  parameter(): Operand {
    return this.step.own(this.step.parameter(this.tensor).ref)
  }

  gradient(): Operand {
    return this.step.own(this.step.gradient(this.tensor).ref)
  }

  slot({ key, storage = 'float32', dimensions }: NodeOf<'slot'>): Operand {
    const { ref } = this.step.slot(this.tensor, key)
    if (storage === 'float32') return this.step.own(ref)
    return this.step.own(shaped(unpacked(ref, storage, sizeOf(dimensions)), this.shapeOf(dimensions)))
  }

  input({ key, dimensions }: NodeOf<'input'>): Operand {
    return this.step.own(shaped(this.step.input(this.tensor, key, dimensions), this.shapeOf(dimensions)))
  }

  random(): never {
    throw new Error('an update of jax-js draws no random numbers')
  }

  stride({ dimensions, period }: NodeOf<'stride'>): Operand {
    const every = np.arange(sizeOf(dimensions)).mod(period).equal(0)
    return this.step.own(shaped(every, this.shapeOf(dimensions)))
  }

  index({ dimensions }: Node): Operand {
    return this.step.own(shaped(np.arange(sizeOf(dimensions)), this.shapeOf(dimensions)))
  }

  view({ inputs, dimensions }: Node, value: Value): Operand {
    return this.step.own(shaped(take(value(inputs[0]!)), this.shapeOf(dimensions)))
  }

  routine({ routine, inputs, dimensions }: NodeOf<'routine'>, value: Value): readonly Operand[] {
    const operands = inputs.map((input) => matrix(input, value))
    return routineOf[routine](operands, dimensions).map((result) => this.step.own(result))
  }

  reduce({ reduction, axis, inputs, space }: NodeOf<'reduce'>, value: Value): Operand {
    const inTensor = axis === 'tensor' || axis === 'all'
    const factors = inputs.map((input) => (inTensor ? take(value(input)) : matrix(input, value)))
    const product = factors.length === 2 ? np.multiply(factors[0]!, factors[1]!) : factors[0]!
    const over = inTensor ? null : axis === 'columns' ? -1 : -2
    const options = { keepdims: space === 'array' }
    return this.step.own(reduction === 'maximum' ? np.max(product, over, options) : np.sum(product, over, options))
  }

  total({ reduction }: NodeOf<'reduce'>, parts: readonly Operand[]): Operand {
    const maximum = reduction === 'maximum'
    if (parts.length === 0) return nothing(maximum)
    const combine = maximum ? np.maximum : np.add
    return parts.reduce((sum, part) => this.step.own(combine(take(sum), take(part))))
  }

  element(node: NodeOf<ElementOperation>, value: Value): Operand {
    return this.step.own(element(node.operation, this.operands(node, value)))
  }

  private shapeOf(dimensions: Dimensions): number[] {
    return naturalShape(dimensions, this.step.shape(this.tensor))
  }

  /** The inputs of an elementwise operation, as three dimensions where they would not broadcast as they are. */
  private operands({ inputs }: Node, value: Value): Operand[] {
    const values = inputs.map((input) => take(value(input)))
    const arrays = values.filter((value) => typeof value !== 'number' && value.size !== 1) as np.Array[]
    const many = arrays.some((array) => array.ndim > 3)
    if (!many || arrays.every((array) => array.shape.join() === arrays[0]!.shape.join())) return values
    return values.map((value, index) =>
      arrays.includes(value as np.Array) ? shaped(value, inputs[index]!.dimensions) : value,
    )
  }
}

/** The results of a matrix function; consumes its operands. */
const routineOf: Readonly<Record<RoutineName, (operands: np.Array[], asked: Dimensions) => np.Array[]>> = {
  cholesky: ([operand]) => [np.linalg.cholesky(operand!)],
  eigen: ([operand]) => {
    const [values, vectors] = np.linalg.eigh(operand!)
    return [np.expandDims(values, -2), oriented(vectors)]
  },
  gather: ([operand, places]) => [gather(operand!, places!)],
  gram: ([operand]) => [gram(operand!)],
  householder: ([operand]) => householder(operand!),
  largestPlaces: ([operand], [, , count]) => [largestPlaces(operand!, count)],
  orthonormalization: ([operand, marks]) => [orthonormalized(operand!, marks!)],
  product: ([left, right]) => [np.matmul(left!, right!)],
  qr: ([operand]) => qr(operand!),
  resized: ([operand], asked) => [resized(operand!, asked)],
  scatter: ([values, places], [, , columns]) => [scatter(values!, places!, columns)],
  reversal: ([operand]) => [np.flip(operand!, -2)],
  solveLower: ([matrix, right]) => [solution(matrix!, right!, true)],
  solveUpper: ([matrix, right]) => [solution(matrix!, right!, false)],
  svd: ([operand]) => svd(operand!),
  symmetricProduct: ([left, right]) => [np.matmul(left!, right!)],
  transposition: ([operand]) => [swapped(operand!)],
}

/** A stable sort: of equal ones the lower place comes first. What is not a number comes last there, so it is made infinite before. */
function largestPlaces(operand: np.Array, count: number): np.Array {
  const sizes = np.absolute(operand)
  const known = np.where(np.isnan(sizes.ref), Number.POSITIVE_INFINITY, sizes)
  const [first, rest] = np.split(np.argsort(np.negative(known), -1), [count], -1)
  rest!.dispose()
  return first!.astype(np.float32)
}

function gather(operand: np.Array, places: np.Array): np.Array {
  const columns = operand.shape.at(-1)!
  const has = np.logicalAnd(np.greaterEqual(places.ref, 0), np.less(places.ref, columns))
  const found = np.takeAlongAxis(operand, np.clip(places, 0, columns - 1).astype(np.int32), -1)
  return np.where(has, found, 0)
}

/** jax-js has no counterpart: the product with a matrix of ones at the places. */
function scatter(values: np.Array, places: np.Array, columns: number): np.Array {
  const at = np.equal(np.expandDims(places, -1), np.arange(columns))
  return np.squeeze(np.matmul(np.expandDims(values, -2), at.astype(np.float32)), -2)
}

function resized(operand: np.Array, asked: Dimensions): np.Array {
  const [given, size] = [operand.size, sizeOf(asked)]
  const flat = operand.reshape([given])
  if (given <= size) return np.pad(flat, [[0, size - given]]).reshape([...asked])
  const [first, rest] = np.split(flat, [size], 0)
  rest!.dispose()
  return first!.reshape([...asked])
}

const swapped = (operand: np.Array): np.Array => np.swapaxes(operand, -1, -2)
const gram = (operand: np.Array): np.Array => np.matmul(operand.ref, swapped(operand))

/** The solution of a triangular system, as the routine of jax-js itself takes it: upper triangles, right sides as rows. */
function solution(matrix: np.Array, right: np.Array, lower: boolean): np.Array {
  const upper = inMemory(lower ? np.flip(matrix, [-2, -1]) : matrix)
  const rows = inMemory(swapped(lower ? np.flip(right, -2) : right))
  const found = swapped(lax.linalg.triangularSolve(upper, rows, { leftSide: false, transposeA: true }))
  return lower ? np.flip(found, -2) : found
}

/** The same numbers as a result that lies in memory, which inside of jit routines need and elementwise expressions are not. */
const inMemory = (operand: np.Array): np.Array => np.matmul(np.eye(operand.shape.at(-2)!), operand)

/** 1 or -1 for each column: the sign of its largest number. */
function signs(vectors: np.Array): np.Array {
  const places = np.expandDims(np.argmax(np.abs(vectors.ref), -2), -2)
  return np.where(np.less(np.takeAlongAxis(vectors, places, -2), 0), -1, 1)
}

const oriented = (vectors: np.Array): np.Array => np.multiply(vectors.ref, signs(vectors))

function svd(operand: np.Array): np.Array[] {
  const wide = operand.shape.at(-2)! <= operand.shape.at(-1)!
  const [left, values, right] = lax.linalg.svd(operand, { fullMatrices: false }) as [np.Array, np.Array, np.Array]
  const sign = signs(wide ? left.ref : swapped(right.ref))
  return [np.multiply(left, sign.ref), np.expandDims(values, -2), np.multiply(right, swapped(sign))]
}

/**
 * From the Cholesky factor of the Gram matrix of columns, twice, since the first is no better than the square of the condition
 * (Yamamoto, Nakatsukasa, Yanagisawa, Fukaya 2015): jax-js has no reflections. Not a number where columns depend on each other.
 */
function qr(operand: np.Array): np.Array[] {
  const rank = Math.min(operand.shape.at(-2)!, operand.shape.at(-1)!)
  const columns = np.split(operand.ref, [rank], -1)
  for (const unused of columns.slice(1)) unused.dispose()
  const orthogonal = (columns: np.Array) => {
    const factor = np.linalg.cholesky(gram(swapped(columns.ref)))
    return swapped(solution(factor, swapped(columns), true))
  }
  const q = orthogonal(orthogonal(columns[0]!))
  return [q, np.triu(np.matmul(swapped(q.ref), operand))]
}

/**
 * What `qr` gives with the signs of reflections, which an elimination on Q finds one after the other (Ballard, Demmel, Grigori, Jacquelin,
 * Knight, Nguyen 2015).
 */
function householder(operand: np.Array): np.Array[] {
  const [rows, columns] = operand.shape.slice(-2) as [number, number]
  const [q, r] = qr(operand) as [np.Array, np.Array]
  const rank = Math.min(rows, columns)
  const at = (size: number, k: number) => np.where(np.equal(np.arange(size), k), 1, 0)
  let left = q.ref
  let signs = np.zeros([1, rank])
  for (let k = 0; k < rank; k++) {
    const [across, down] = [at(rank, k).reshape([1, rank]), at(rows, k).reshape([rows, 1])]
    const column = np.sum(np.multiply(left.ref, across.ref), -1, { keepdims: true })
    const row = np.sum(np.multiply(left.ref, down.ref), -2, { keepdims: true })
    const pivot = np.sum(np.multiply(column.ref, down.ref), -2, { keepdims: true })
    // Below the last number of a square there is nothing to reflect.
    const against = rows === rank && k === rank - 1 ? -1 : 1
    const sign = np.where(np.less(pivot.ref, 0), against, -against)
    signs = np.add(signs, np.multiply(sign.ref, across.ref))
    const changed = np.subtract(column, np.multiply(sign.ref, down))
    const product = np.matmul(changed, np.subtract(row, np.multiply(sign.ref, across)))
    const divisor = against < 0 ? np.add(np.absolute(pivot), np.absolute(sign)) : np.subtract(pivot, sign)
    left = np.subtract(left, np.divide(product, divisor))
  }
  left.dispose()
  return [np.multiply(q, signs.ref), np.multiply(r, swapped(signs))]
}

/** As `qr`, of the columns whose marks are from 0 to 1, in the order of these, beside those with marks below 0. */
function orthonormalized(operand: np.Array, marks: np.Array): np.Array {
  const size = operand.shape.at(-1)!
  const own = swapped(marks.ref)
  const index = np.arange(size).reshape([1, size])
  const equalBefore = np.multiply(np.equal(marks.ref, own.ref), np.less(index.ref, swapped(index.ref)))
  const rank = np.sum(np.add(np.less(marks.ref, own), equalBefore), -1, { keepdims: true })
  // Columns are put into the order of their marks, and back.
  const order = np.where(np.equal(rank, index), 1, 0)
  const ordered = np.matmul(marks, order.ref)
  const now = np.where(np.logicalAnd(np.less(ordered.ref, 1), np.logicalNot(np.less(ordered.ref, 0))), 1, 0)
  const all = np.matmul(operand, order.ref)
  const before = np.multiply(all.ref, np.where(np.less(ordered, 0), 1, 0))
  let columns = np.multiply(all.ref, now.ref)
  for (let pass = 0; pass < 2; pass++) {
    columns = np.subtract(columns.ref, np.matmul(before.ref, np.matmul(swapped(before.ref), columns)))
    // Columns that are not meant are 0; with 1 on the diagonal they are left alone.
    const others = np.multiply(np.eye(size), np.subtract(1, now.ref))
    const factor = np.linalg.cholesky(np.add(gram(swapped(columns.ref)), others))
    columns = swapped(solution(factor, swapped(columns), true))
  }
  before.dispose()
  return np.matmul(np.where(np.equal(now, 1), columns, all), swapped(order))
}

/** What a reduction over nothing gives. */
function nothing(maximum: boolean): number {
  return maximum ? Number.NEGATIVE_INFINITY : 0
}

/** A value as a matrix, or as a batch of several. */
function matrix(node: Node, value: Value): np.Array {
  const [batch, ...dimensions] = node.dimensions
  return shaped(take(value(node)), batch === 1 ? dimensions : node.dimensions)
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
