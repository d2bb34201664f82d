import * as tf from '@tensorflow/tfjs-core'
import {
  type BackendTensor,
  type Dimensions,
  type Distribution,
  type ElementOperation,
  findTotal,
  HostEvaluator,
  type Node,
  type Place,
  type RandomStream,
  randomNumber,
  sizeOf,
  type Work,
  type WritablePlace,
} from 'fallline/internal'
import { type Bound, checkInputs, type Execution, type VariableInstance } from './instance.ts'

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
      for (const { key, residency, initial, shared } of list) {
        const owner = shared ? sharedOwner : name
        if (residency === 'device' && !slots.get(owner, key)) slots.set(owner, key, tf.scalar(initial as number))
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
    const filled = tensors.filter((index) => this.tensors[index]!.size > 0 && this.bound.get(index)!.gradient)
    if (filled.length === 0) return []
    // x times 0 is 0 for finite x, else not a number, and so is any sum that it enters.
    const sums = tf.tidy(() =>
      tf.stack(filled.map((index) => tf.sum(tf.mul(this.bound.get(index)!.gradient!, 0)))).dataSync(),
    )
    return filled.filter((_, position) => sums[position] !== 0)
  }

  run(work: readonly Work[]): void {
    checkInputs(work, [...this.bound.values()], this.tensors)
    tf.tidy(() => {
      const commits: (() => void)[] = []
      const committed = new Set<string>()
      for (const replay of this.replays(work)) {
        const { tensor, program } = replay.work
        const { name } = this.tensors[tensor]!
        const computed = program.outputs.map(({ node }) => {
          const value = replay.value(node)
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
      this.replays(work, variables).map((replay) => {
        const { tensor, program } = replay.work
        return tf.clone(owned(replay.value(program.outputs[0]!.node), variables[tensor]!.shape))
      }),
    )
  }

  /** Ends what the instance itself holds; the state belongs to the store. */
  dispose(): void {
    this.reported.dispose()
    this.draws.dispose()
  }

  private replays(work: readonly Work[], variables?: readonly tf.Variable[]): Replay[] {
    const all: Replay[] = []
    for (const item of work) {
      const bound = this.bound.get(item.tensor)
      const leaves = {
        parameter: variables?.[item.tensor] ?? bound?.variable,
        gradient: bound?.gradient,
        inputs: bound?.inputs,
        slot: (key: string) =>
          item.program.arraySlots.has(key)
            ? this.slotTensor(item.tensor, key)
            : this.slots.get(this.owner(item.tensor, key), key)!,
      }
      all.push(new Replay(item, leaves, all, this.draws, this.fuse))
    }
    return all
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
    if (!this.slots.get(name, key)) this.slots.set(name, key, tf.zeros([...this.slot(tensor, key).dimensions]))
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

/** Evaluates the nodes of one program for one variable. */
class Replay {
  readonly work: Work
  private readonly values = new Map<Node, Computed>()
  private readonly leaves: Leaves
  /** The replays of all variables of this step, for reductions over all of them. */
  private readonly all: readonly Replay[]
  private readonly draws: Draws
  private readonly fuse: Fuser | undefined

  constructor(work: Work, leaves: Leaves, all: readonly Replay[], draws: Draws, fuse: Fuser | undefined) {
    this.work = work
    this.leaves = leaves
    this.all = all
    this.draws = draws
    this.fuse = fuse
  }

  readonly value = (node: Node): Computed => {
    const known = this.values.get(node)
    if (known !== undefined) return known
    const value = this.compute(node)
    this.values.set(node, value)
    return value
  }

  private readonly isKnown = (node: Node): boolean => this.values.has(node)

  private compute(node: Node): Computed {
    if (node.space === 'host') return this.host(node)
    const { operation, dimensions, attributes } = node
    switch (operation) {
      case 'parameter':
        return tf.reshape(this.leaves.parameter!, [...dimensions])
      case 'gradient':
        return tf.reshape(this.leaves.gradient!, [...dimensions])
      case 'slot':
        return this.leaves.slot(attributes.key!)
      case 'stride':
        return tf.cast(tf.tensor(strideOf(node), [...dimensions]), 'bool')
      case 'view':
        return tf.reshape(this.tensor(node.inputs[0]!), [...dimensions])
      case 'reduce':
        return this.reduce(node)
      case 'transpose':
        return tf.transpose(this.tensor(node.inputs[0]!), [0, 2, 1])
      case 'matmul':
        // The wasm backend has no product of nothing.
        if (sizeOf(node.dimensions) === 0) return tf.zeros([...dimensions])
        return tf.matMul(this.tensor(node.inputs[0]!), this.tensor(node.inputs[1]!))
      case 'input':
        return tf.reshape(this.leaves.inputs!.get(attributes.key!)!, [...dimensions])
      case 'index':
        return tf.reshape(tf.range(0, sizeOf(dimensions)), [...dimensions])
      case 'random':
        return this.random(node)
      case 'constant':
      case 'hyper':
      case 'count':
        throw new Error(`${operation} is known on the host`)
      default:
        // The wasm backend divides by zero when it repeats what is empty.
        if (node.space === 'array' && sizeOf(dimensions) === 0)
          return tf.zeros([...dimensions], node.mask ? 'bool' : 'float32')
        return (
          (node.space === 'array' ? this.fuse?.(node, this.value, this.isKnown) : undefined) ??
          element(operation, node.inputs.map(this.value))
        )
    }
  }

  private random({ inputs, dimensions, attributes }: Node): tf.Tensor {
    const [seed, step, tensor] = inputs.map(this.value) as [number, number, number]
    const kind = attributes.kind as Distribution
    return this.draws.get(kind, { seed, step, tensor, draw: attributes.draw! }, dimensions)
  }

  private host(node: Node): number {
    const evaluator = hostEvaluators.get(node) ?? new HostEvaluator([node])
    hostEvaluators.set(node, evaluator)
    const result = [0]
    evaluator.evaluate(this.work.environment, result)
    return result[0]!
  }

  /** The value as an array of its node's dimensions. */
  private tensor(node: Node): tf.Tensor3D {
    const value = this.value(node)
    return spread(value, node.dimensions) as tf.Tensor3D
  }

  private reduce(node: Node): Computed {
    const { kind, axis, key } = node.attributes
    if (axis === 'all') {
      const parts = this.all.map((replay) => replay.contribution(key!)).filter((part) => part !== undefined)
      if (parts.length === 1) return parts[0]!
      return kind === 'maximum' ? tf.max(tf.stack(parts)) : tf.addN(parts)
    }
    return this.reduceOwn(node, kind === 'maximum')
  }

  private reduceOwn(node: Node, maximum: boolean): tf.Tensor {
    const { axis } = node.attributes
    // The wasm backend leaves the sum of nothing unwritten.
    if (sizeOf(node.inputs[0]!.dimensions) === 0) {
      return tf.fill(node.space === 'array' ? [...node.dimensions] : [], maximum ? Number.NEGATIVE_INFINITY : 0)
    }
    const [first, second] = node.inputs.map((input) => this.tensor(input))
    const input = second ? tf.mul(first!, second) : first!
    const along = axis === 'columns' ? 2 : axis === 'rows' ? 1 : undefined
    return maximum ? tf.max(input, along, along !== undefined) : tf.sum(input, along, along !== undefined)
  }

  /** What this variable adds to a reduction over all. */
  private contribution(key: string): tf.Tensor | undefined {
    const node = findTotal(this.work.program, key)
    if (!node) return undefined
    const input = node.inputs[0]!
    if (input.space === 'array') return this.reduceOwn(node, node.attributes.kind === 'maximum')
    const value = this.value(input)
    return typeof value === 'number' ? tf.scalar(value) : value
  }
}

/** 1 at every `period`-th element. */
function strideOf(node: Node): Float32Array {
  const known = strides.get(node)
  if (known) return known
  const { period } = node.attributes
  const values = Float32Array.from({ length: sizeOf(node.dimensions as Dimensions) }, (_, i) =>
    i % period! === 0 ? 1 : 0,
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
