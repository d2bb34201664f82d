import * as tf from '@tensorflow/tfjs-core'
import {
  type Algebra,
  type BackendTensor,
  type Dimensions,
  type Distribution,
  type ElementOperation,
  type HostEnvironment,
  HostEvaluator,
  hostProgram,
  type Interpreter,
  interpret,
  type Node,
  type NodeOf,
  type Place,
  type RandomStream,
  type RoutineName,
  randomNumber,
  references,
  routineOf,
  sizeOf,
  startOf,
  type Work,
  type WritablePlace,
} from 'fallline/internal'
import { type Bound, checkInputs, type Execution, nonFiniteGradients, type VariableInstance } from './instance.ts'

/** A value while a program runs: what the host knows is a number (truth values 1 or 0), everything else a tensor. */
export type Computed = number | tf.Tensor

/** State as tensors, by variable name and slot key. It outlives an instance when variables join later. */
export class SlotStore {
  private readonly tensors = new Map<string, tf.Tensor>()

  get(name: string, key: string): tf.Tensor | undefined {
    return this.tensors.get(`${name}\n${key}`)
  }

  /** Keeps a tensor that the caller no longer needs, whatever scope it was made in. */
  set(name: string, key: string, tensor: tf.Tensor): void {
    this.get(name, key)?.dispose()
    this.tensors.set(`${name}\n${key}`, tf.keep(tensor))
  }

  /** Disposes the state of one variable. */
  release(name: string): void {
    for (const [key, tensor] of this.tensors) {
      if (!key.startsWith(`${name}\n`)) continue
      tensor.dispose()
      this.tensors.delete(key)
    }
  }

  dispose(): void {
    for (const tensor of this.tensors.values()) tensor.dispose()
    this.tensors.clear()
  }
}

/** Computes a whole expression of elementwise operations at once; `undefined` when it cannot. */
export type Fuser = (
  node: Node,
  value: (node: Node) => Computed,
  known: (node: Node) => boolean,
) => tf.Tensor | undefined

const sharedOwner = ''

const nothing = new Float32Array(0)

/**
 * Replays programs as operations of TensorFlow.js: works on any backend, and is what the fused ways are checked against.
 * Numbers that come after a reduction are tensors of rank 0, so nothing is read back during a step.
 */
export class OperationInstance implements VariableInstance {
  readonly execution: Execution
  readonly readback: VariableInstance['readback'] = {
    read: (places) => Promise.all(places.map((place) => this.tensorAt(place)?.data<'float32'>() ?? nothing)),
    readSync: (places) => places.map((place) => this.tensorAt(place)?.dataSync<'float32'>() ?? nothing),
    write: (place, values) => this.write(place, values),
  }
  private readonly tensors: readonly BackendTensor[]
  private readonly slots: SlotStore
  private readonly reported: SlotStore
  private readonly draws = new Draws()
  private readonly fuse: Fuser | undefined
  private readonly sharedKeys: ReadonlySet<string>
  private bound = new Map<number, Bound>()

  constructor(tensors: readonly BackendTensor[], slots: SlotStore, execution: Execution, fuse?: Fuser) {
    this.tensors = tensors
    this.slots = slots
    this.reported = new SlotStore()
    this.execution = execution
    this.fuse = fuse
    this.sharedKeys = new Set(tensors.flatMap((tensor) => tensor.slots.filter((s) => s.shared).map((s) => s.key)))
    for (const { name, slots: list } of tensors) {
      for (const { key, space, start, shared } of list) {
        const owner = shared ? sharedOwner : name
        if ((space === 'tensor' || space === 'global') && !slots.get(owner, key))
          slots.set(owner, key, tf.scalar(start as number))
      }
    }
  }

  bind(bound: readonly Bound[]): void {
    this.bound = new Map(bound.map((item) => [item.index, item]))
  }

  copyParameter(tensor: number, key: string): void {
    const { dimensions } = this.slot(tensor, key)
    this.slots.set(this.tensors[tensor]!.name, key, tf.reshape(this.bound.get(tensor)!.variable, [...dimensions]))
  }

  findNonFinite(tensors: readonly number[]): number[] {
    return nonFiniteGradients(tensors.map((index) => this.bound.get(index)!))
  }

  run(work: readonly Work[]): void {
    checkInputs(work, [...this.bound.values()], this.tensors)
    tf.tidy(() => {
      const commits: (() => void)[] = []
      const committed = new Set<string>()
      for (const [interpreter, { tensor, program }] of this.interpreters(work)) {
        const { name } = this.tensors[tensor]!
        const computed = program.outputs.map(({ node }) => {
          const value = interpreter.value(node)
          return node.space === 'array' ? spread(value, node.dimensions) : value
        })
        program.outputs.forEach(({ target, node }, index) => {
          const value = computed[index]!
          if (target.kind === 'telemetry') this.reported.set(name, target.name, owned(value, []))
          else if (target.kind === 'parameter') {
            if (node.operation === 'parameter') return
            const { variable } = this.bound.get(tensor)!
            const next = owned(value, variable.shape)
            commits.push(() => variable.assign(next))
          } else if (target.kind === 'slot') {
            // Every tensor computes the same shared state; the first one stores it.
            if (target.shared && committed.has(target.key)) return
            committed.add(target.key)
            const shape = program.arraySlots.has(target.key) ? this.slot(tensor, target.key).dimensions : []
            const owner = target.shared ? sharedOwner : name
            // Now, because the value may be the state of another slot, which its own commit disposes.
            const kept = owned(value, shape)
            commits.push(() => this.slots.set(owner, target.key, kept))
          }
        })
      }
      for (const commit of commits) commit()
    })
  }

  finish(): void {}

  compute(work: readonly Work[], variables: readonly tf.Variable[]): tf.Tensor[] {
    return tf.tidy(() =>
      this.interpreters(work, variables).map(([interpreter, { tensor, program }]) => {
        return tf.clone(owned(interpreter.value(program.outputs[0]!.node), variables[tensor]!.shape))
      }),
    )
  }

  /** Ends what the instance itself holds; the state belongs to the store. */
  dispose(): void {
    this.reported.dispose()
    this.draws.dispose()
  }

  private interpreters(work: readonly Work[], variables?: readonly tf.Variable[]): [Interpreter<Computed>, Work][] {
    const all = interpret(
      work.map(({ tensor, program, environment }) => {
        const bound = this.bound.get(tensor)
        const leaves = {
          parameter: variables?.[tensor] ?? bound?.variable,
          gradient: bound?.gradient,
          inputs: bound?.inputs,
          slot: (key: string) =>
            program.arraySlots.has(key) ? this.slotTensor(tensor, key) : this.slots.get(this.owner(tensor, key), key)!,
        }
        return { program, algebra: new TensorAlgebra(environment, leaves, this.draws, this.fuse) }
      }),
    )
    return all.map((interpreter, index) => [interpreter, work[index]!])
  }

  /** The tensor of state or of a report, if there is one. */
  private tensorAt(place: Place): tf.Tensor | undefined {
    const { kind, tensor } = place
    if (kind === 'array') return this.slotTensor(tensor, place.key)
    if (kind === 'number') return this.slots.get(this.owner(tensor, place.key), place.key)
    if (kind === 'telemetry') return this.reported.get(this.tensors[tensor]!.name, place.key)
    throw new Error(`the ${kind} of a variable lies in TensorFlow.js`)
  }

  private write(place: WritablePlace, values: ArrayLike<number>): void {
    const { kind, tensor } = place
    if (kind === 'array') {
      const { dimensions } = this.slot(tensor, place.key)
      this.slots.set(this.tensors[tensor]!.name, place.key, tf.tensor(Float32Array.from(values), [...dimensions]))
    } else if (kind === 'number') this.slots.set(this.owner(tensor, place.key), place.key, tf.scalar(values[0]!))
    else throw new Error(`the ${kind} of a variable lies in TensorFlow.js`)
  }

  /** The tensor of an array slot; it is made when it is first needed. */
  private slotTensor(tensor: number, key: string): tf.Tensor {
    const { name } = this.tensors[tensor]!
    if (!this.slots.get(name, key)) {
      const slot = this.slot(tensor, key)
      const dimensions = [...slot.dimensions]
      this.slots.set(name, key, slot.start === 0 ? tf.zeros(dimensions) : tf.tensor(startOf(slot), dimensions))
    }
    return this.slots.get(name, key)!
  }

  private slot(tensor: number, key: string) {
    return this.tensors[tensor]!.slots.find((slot) => slot.key === key)!
  }

  private owner(tensor: number, key: string): string {
    return this.sharedKeys.has(key) ? sharedOwner : this.tensors[tensor]!.name
  }
}

/** A tensor of that shape that shares no object with anything that will be disposed. */
function owned(value: Computed, shape: readonly number[]): tf.Tensor {
  return typeof value === 'number' ? tf.fill([...shape], value) : tf.clone(tf.reshape(value, [...shape]))
}

/** The value repeated to all dimensions of its node: what `where` chose may be a number or one row. */
function spread(value: Computed, dimensions: readonly number[]): tf.Tensor {
  if (typeof value === 'number') return tf.fill([...dimensions], value)
  return value.size === dimensions.reduce((product, size) => product * size, 1)
    ? value
    : tf.broadcastTo(value, [...dimensions])
}

interface Leaves {
  readonly parameter: tf.Tensor | undefined
  readonly gradient: tf.Tensor | undefined
  readonly inputs: ReadonlyMap<string, tf.Tensor> | undefined
  readonly slot: (key: string) => tf.Tensor
}

/**
 * Random arrays, drawn on the host: the numbers are those of every other backend. The last one of each owner is kept, because
 * the programs that lead to a point, away from it and to the update draw the same.
 */
class Draws {
  private readonly last = new Map<number, { readonly text: string; readonly values: tf.Tensor }>()

  /** An array for the caller to dispose, or its scope. */
  get(kind: Distribution, stream: RandomStream, dimensions: Dimensions): tf.Tensor {
    const text = JSON.stringify([kind, stream, dimensions])
    const known = this.last.get(stream.tensor)
    if (known?.text === text) return tf.clone(known.values)
    known?.values.dispose()
    const numbers = new Float32Array(sizeOf(dimensions))
    for (let index = 0; index < numbers.length; index++) numbers[index] = randomNumber(kind, stream, index)
    const values = tf.keep(tf.tensor(numbers, [...dimensions]))
    this.last.set(stream.tensor, { text, values })
    return tf.clone(values)
  }

  dispose(): void {
    for (const { values } of this.last.values()) values.dispose()
    this.last.clear()
  }
}

const hostEvaluators = new WeakMap<Node, HostEvaluator>()
const strides = new WeakMap<Node, Float32Array>()

type Value = (node: Node) => Computed

/** The value as an array of its node's dimensions. */
const arrayOf = (node: Node, value: Value): tf.Tensor3D => spread(value(node), node.dimensions) as tf.Tensor3D

/** Operations of TensorFlow.js, for one variable. */
class TensorAlgebra implements Algebra<Computed> {
  private readonly environment: HostEnvironment
  private readonly leaves: Leaves
  private readonly draws: Draws
  private readonly fuse: Fuser | undefined
  private readonly known = new Map<Node, number>()

  constructor(environment: HostEnvironment, leaves: Leaves, draws: Draws, fuse: Fuser | undefined) {
    this.environment = environment
    this.leaves = leaves
    this.draws = draws
    this.fuse = fuse
  }

  host(node: Node): number {
    const known = this.known.get(node)
    if (known !== undefined) return known
    const evaluator = hostEvaluators.get(node) ?? new HostEvaluator(hostProgram([node]))
    hostEvaluators.set(node, evaluator)
    const result = [0]
    evaluator.evaluate(this.environment, result)
    this.known.set(node, result[0]!)
    return result[0]!
  }

  parameter({ dimensions }: Node): tf.Tensor {
    return tf.reshape(this.leaves.parameter!, [...dimensions])
  }

  gradient({ dimensions }: Node): tf.Tensor {
    return tf.reshape(this.leaves.gradient!, [...dimensions])
  }

  input({ dimensions, key }: NodeOf<'input'>): tf.Tensor {
    return tf.reshape(this.leaves.inputs!.get(key)!, [...dimensions])
  }

  slot({ key }: NodeOf<'slot'>): tf.Tensor {
    return this.leaves.slot(key)
  }

  stride(node: NodeOf<'stride'>): tf.Tensor {
    return tf.cast(tf.tensor(strideOf(node), [...node.dimensions]), 'bool')
  }

  index({ dimensions }: Node): tf.Tensor {
    return tf.reshape(tf.range(0, sizeOf(dimensions)), [...dimensions])
  }

  random({ inputs, dimensions, distribution, draw }: NodeOf<'random'>, value: Value): tf.Tensor {
    const [seed, step, tensor] = inputs.map(value) as [number, number, number]
    return this.draws.get(distribution, { seed, step, tensor, draw }, dimensions)
  }

  view({ inputs, dimensions }: Node, value: Value): tf.Tensor {
    return tf.reshape(arrayOf(inputs[0]!, value), [...dimensions])
  }

  routine({ routine, inputs, dimensions: asked }: NodeOf<'routine'>, value: Value): readonly tf.Tensor[] {
    const given = inputs.map(({ dimensions }) => dimensions)
    const shapes = routineOf(routine).results(given, asked)
    // The wasm backend has no product of nothing.
    if (shapes.every((shape) => sizeOf(shape) === 0)) return shapes.map((shape) => tf.zeros([...shape]))
    const operands = inputs.map((input) => arrayOf(input, value))
    return (matrixFunctions[routine] ?? onHost(routine))(operands, asked)
  }

  reduce({ inputs, space, dimensions, reduction, axis }: NodeOf<'reduce'>, value: Value): tf.Tensor {
    const maximum = reduction === 'maximum'
    // The wasm backend leaves the sum of nothing unwritten.
    if (sizeOf(inputs[0]!.dimensions) === 0) {
      return tf.fill(space === 'array' ? [...dimensions] : [], maximum ? Number.NEGATIVE_INFINITY : 0)
    }
    const [first, second] = inputs.map((input) => arrayOf(input, value))
    const input = second ? tf.mul(first!, second) : first!
    const along = axis === 'columns' ? 2 : axis === 'rows' ? 1 : undefined
    return maximum ? tf.max(input, along, along !== undefined) : tf.sum(input, along, along !== undefined)
  }

  total({ reduction }: NodeOf<'reduce'>, parts: readonly Computed[]): Computed {
    const tensors = parts.map((part) => (typeof part === 'number' ? tf.scalar(part) : part))
    if (tensors.length === 1) return tensors[0]!
    return reduction === 'maximum' ? tf.max(tf.stack(tensors)) : tf.addN(tensors)
  }

  element(node: NodeOf<ElementOperation>, value: Value, isKnown: (node: Node) => boolean): Computed {
    const { operation, space, dimensions, mask } = node
    // The wasm backend divides by zero when it repeats what is empty.
    if (space === 'array' && sizeOf(dimensions) === 0) return tf.zeros([...dimensions], mask ? 'bool' : 'float32')
    const fused = space === 'array' ? this.fuse?.(node, value, isKnown) : undefined
    return fused ?? element(operation, node.inputs.map(value))
  }
}

type MatrixFunction = (operands: readonly tf.Tensor3D[], asked: Dimensions) => readonly tf.Tensor[]

/** The matrix functions that TensorFlow.js has for every backend. */
const matrixFunctions: Readonly<Partial<Record<RoutineName, MatrixFunction>>> = {
  gram: ([operand]) => [tf.matMul(operand!, operand!, false, true)],
  product: ([left, right]) => [tf.matMul(left!, right!)],
  reversal: ([operand]) => [tf.reverse(operand!, 1)],
  symmetricProduct: ([left, right]) => [tf.matMul(left!, right!)],
  transposition: ([operand]) => [tf.transpose(operand!, [0, 2, 1])],
}

/** Factorizations and selections are computed here, in float64; what they need is read from the backend, and waited for. */
const onHost =
  (routine: RoutineName): MatrixFunction =>
  (operands, asked) => {
    const dimensions = operands.map(({ shape }) => shape)
    const values = operands.map((operand) => Float64Array.from(operand.dataSync()))
    const shapes = routineOf(routine).results(dimensions, asked)
    const results = references[routine](
      values.map((given, index) => ({ values: given, dimensions: dimensions[index]! })),
      asked,
    )
    return results.map((result, index) => tf.tensor(Float32Array.from(result), [...shapes[index]!], 'float32'))
  }

/** 1 at every `period`-th element. */
function strideOf(node: NodeOf<'stride'>): Float32Array {
  const known = strides.get(node)
  if (known) return known
  const { period } = node
  const values = Float32Array.from({ length: sizeOf(node.dimensions as Dimensions) }, (_, i) =>
    i % period === 0 ? 1 : 0,
  )
  strides.set(node, values)
  return values
}

/** A truth value of the host as a tensor. */
const condition = (value: Computed): tf.Tensor => (typeof value === 'number' ? tf.scalar(value !== 0, 'bool') : value)

/** One elementwise operation; at least one input is a tensor. */
function element(operation: ElementOperation, inputs: readonly Computed[]): Computed {
  const [a, b, c] = inputs as [tf.Tensor, tf.Tensor, tf.Tensor]
  switch (operation) {
    case 'add':
      return tf.add(a, b)
    case 'subtract':
      return tf.sub(a, b)
    case 'multiply':
      return tf.mul(a, b)
    case 'divide':
      return tf.div(a, b)
    case 'maximum':
      return tf.maximum(a, b)
    case 'minimum':
      return tf.minimum(a, b)
    case 'absolute':
      return tf.abs(a)
    case 'sign':
      return tf.sign(a)
    case 'squareRoot':
      return tf.sqrt(a)
    case 'select':
      // A host value decides without a kernel.
      if (typeof a === 'number') return a !== 0 ? b : c
      return tf.where(a, b, c)
    case 'equal':
      return tf.equal(a, b)
    case 'less':
      return tf.less(a, b)
    case 'lessOrEqual':
      return tf.lessEqual(a, b)
    case 'and':
      return tf.logicalAnd(condition(a), condition(b))
    case 'not':
      return tf.logicalNot(a)
    case 'floor':
      return tf.floor(a)
    case 'power':
      return tf.pow(a, b)
    case 'exponential':
      return tf.exp(a)
    case 'logarithm':
      return tf.log(a)
    case 'sigmoid':
      return tf.sigmoid(a)
    case 'tanh':
      return tf.tanh(a)
    case 'softplus':
      return tf.softplus(a)
    case 'cosine':
      return tf.cos(a)
    default:
      throw new Error(`no operation of TensorFlow.js for ${String(operation satisfies never)}`)
  }
}
