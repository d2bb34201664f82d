import { type ElementOperation, type Node, type NodeOf, sameDimensions, sizeOf } from '../../graph/node.ts'
import { randomNumber } from '../../graph/philox.ts'
import { applyScalar } from '../../graph/scalar.ts'
import { type HostEnvironment, HostEvaluator, hostProgram } from '../../program/host.ts'
import { type Algebra, type Interpreter, interpret } from '../../program/interpret.ts'
import { parameterSlot, type TelemetryName, writeStart } from '../../program/program.ts'
import { references } from '../../routines/references.ts'
import type { GradientMemory } from '../../run/step.ts'
import { provided } from '../../storage/provided.ts'
import type { StagedStorage } from '../../storage/storage.ts'
import {
  arrayInputs,
  type Backend,
  type BackendTensor,
  type HostExecutor,
  onHost,
  programsOfTensor,
  viewPlace,
  type Work,
} from '../backend.ts'

type Computed = number | Float64Array

/**
 * The reference backend: interprets a Program node by node in float64. Slow and obvious, it is the oracle that every
 * other backend is checked against.
 */
export function reference(): Backend {
  return {
    name: 'reference',
    create: async (tensors, memory) => onHost(new ReferenceInstance(tensors, memory?.gradients), precision),
  }
}

const precision = { arrays: 'float64', scalars: 'float64', sums: 'float64' } as const

interface StoredBytes {
  readonly storage: StagedStorage
  readonly size: number
  readonly bytes: Uint8Array
}

interface TensorMemory {
  readonly parameter: Float64Array
  readonly gradient: Float64Array
  readonly inputs: Map<string, Float64Array>
  readonly arrays: Map<string, Float64Array>
  /** State that is kept otherwise, as the bytes that it is kept in. */
  readonly bytes: Map<string, StoredBytes>
  readonly scalars: Map<string, number>
  readonly telemetry: Map<TelemetryName, number>
}

class ReferenceInstance implements HostExecutor {
  readonly parameters: readonly Float64Array[]
  readonly gradients: readonly Float64Array[]
  readonly inputs: readonly ReadonlyMap<string, Float64Array>[]
  private readonly memory: TensorMemory[]
  private readonly shared = new Map<string, number>()
  private readonly sharedKeys = new Set<string>()

  constructor(tensors: readonly BackendTensor[], gradients: GradientMemory = 'together') {
    const largest = new Float64Array(gradients === 'together' ? 0 : Math.max(0, ...tensors.map(({ size }) => size)))
    const gradientOf = (size: number) => (gradients === 'together' ? new Float64Array(size) : largest.subarray(0, size))
    this.memory = tensors.map((tensor) => {
      const { size, slots } = tensor
      const arrays = new Map<string, Float64Array>()
      const bytes = new Map<string, StoredBytes>()
      const scalars = new Map<string, number>()
      for (const slot of slots) {
        const { storage } = slot
        if (slot.space === 'array' && storage !== 'float32') {
          const length = sizeOf(slot.dimensions)
          bytes.set(slot.key, {
            storage,
            size: length,
            bytes: provided().start(slot),
          })
        } else if (slot.space === 'array') {
          const array = new Float64Array(sizeOf(slot.dimensions))
          writeStart(slot, array)
          arrays.set(slot.key, array)
        } else if (slot.shared) {
          this.sharedKeys.add(slot.key)
          this.shared.set(slot.key, slot.start as number)
        } else scalars.set(slot.key, slot.start as number)
      }
      const parameter = new Float64Array(bytes.has(parameterSlot) ? 0 : size)
      const memory = { parameter, gradient: gradientOf(size), arrays, bytes, scalars }
      const sizes = arrayInputs(programsOfTensor(tensor))
      const inputs = new Map([...sizes].map(([name, size]) => [name, new Float64Array(size)]))
      return { ...memory, inputs, telemetry: new Map() }
    })
    this.parameters = this.memory.map((memory) => memory.parameter)
    this.gradients = this.memory.map((memory) => memory.gradient)
    this.inputs = this.memory.map((memory) => memory.inputs)
  }

  slotArray(tensor: number, key: string): Float64Array {
    const { arrays, bytes } = this.memory[tensor]!
    return arrays.get(key) ?? decoded(bytes.get(key)!)
  }

  slotBytes(tensor: number, key: string): Uint8Array {
    return this.memory[tensor]!.bytes.get(key)!.bytes
  }

  copyParameter(tensor: number, key: string): void {
    this.slotArray(tensor, key).set(viewPlace(this, { kind: 'parameter', tensor }))
  }

  parameterStorage(tensor: number): StagedStorage | undefined {
    return this.memory[tensor]!.bytes.get(parameterSlot)?.storage
  }

  readScalar(tensor: number, key: string): number {
    return (this.sharedKeys.has(key) ? this.shared : this.memory[tensor]!.scalars).get(key)!
  }

  writeScalar(tensor: number, key: string, value: number): void {
    const target = this.sharedKeys.has(key) ? this.shared : this.memory[tensor]!.scalars
    target.set(key, value)
  }

  findNonFinite(tensors: readonly number[]): number[] {
    return tensors.filter((tensor) => !this.gradients[tensor]!.every(Number.isFinite))
  }

  run(work: readonly Work[]): void {
    const commits: (() => void)[] = []
    const committed = new Set<string>()
    for (const [interpreter, { program, tensor }] of this.interpreters(work)) {
      const memory = this.memory[tensor]!
      memory.telemetry.clear()
      for (const { target, node, stream } of program.outputs) {
        const computed = interpreter.value(node)
        // A copy, because the value may be an array that another output of this step overwrites.
        const value = typeof computed === 'number' ? computed : computed.slice()
        if (target.kind === 'telemetry') memory.telemetry.set(target.name, value as number)
        else if (target.kind === 'parameter') commits.push(() => fill(memory.parameter, value))
        else if (target.kind === 'slot') {
          const { key } = target
          // Every tensor computes the same shared state; the first one stores it.
          if (this.sharedKeys.has(key) && committed.has(key)) continue
          committed.add(key)
          const stored = memory.bytes.get(key)
          if (stored) {
            const [seed, step, tensor] = (stream ?? []).map((number) => interpreter.value(number) as number)
            const values = typeof value === 'number' ? new Float64Array(stored.size).fill(value) : value
            const drawn = seed === undefined ? undefined : { seed, step: step!, tensor: tensor! }
            const encoded = provided().codecs[stored.storage].encode(values, drawn)
            commits.push(() => stored.bytes.set(encoded))
            continue
          }
          const array = memory.arrays.get(key)
          commits.push(() => (array ? fill(array, value) : this.writeScalar(tensor, key, value as number)))
        }
      }
    }
    for (const commit of commits) commit()
  }

  telemetry(tensor: number, name: TelemetryName): number | undefined {
    return this.memory[tensor]!.telemetry.get(name)
  }

  compute(work: readonly Work[]): Float64Array[] {
    return this.interpreters(work).map(([interpreter, { program, tensor }]) => {
      const result = new Float64Array(this.memory[tensor]!.parameter.length)
      fill(result, interpreter.value(program.outputs[0]!.node))
      return result
    })
  }

  dispose(): void {}

  private interpreters(work: readonly Work[]): [Interpreter<Computed>, Work][] {
    const all = interpret(
      work.map(({ tensor, program, environment }) => ({
        program,
        algebra: new Float64Algebra(environment, this.memory[tensor]!, this.shared),
      })),
    )
    return all.map((interpreter, index) => [interpreter, work[index]!])
  }
}

function decoded({ storage, size, bytes }: StoredBytes): Float64Array {
  return provided().codecs[storage].decode(bytes, size)
}

function fill(target: Float64Array, value: Computed): void {
  if (typeof value === 'number') target.fill(value)
  else target.set(value)
}

type Value = (node: Node) => Computed

/** Arithmetic in float64, on the memory of one tensor. */
class Float64Algebra implements Algebra<Computed> {
  private readonly environment: HostEnvironment
  private readonly memory: TensorMemory
  private readonly shared: ReadonlyMap<string, number>
  private readonly known = new Map<Node, number>()

  constructor(environment: HostEnvironment, memory: TensorMemory, shared: ReadonlyMap<string, number>) {
    this.environment = environment
    this.memory = memory
    this.shared = shared
  }

  host(node: Node): number {
    const known = this.known.get(node)
    if (known !== undefined) return known
    const result = [0]
    new HostEvaluator(hostProgram([node])).evaluate(this.environment, result)
    this.known.set(node, result[0]!)
    return result[0]!
  }

  parameter(): Float64Array {
    return this.memory.parameter
  }

  gradient(): Float64Array {
    return this.memory.gradient
  }

  input({ key }: NodeOf<'input'>): Float64Array {
    return this.memory.inputs.get(key)!
  }

  slot({ key }: NodeOf<'slot'>): Computed {
    const { arrays, bytes, scalars } = this.memory
    const stored = bytes.get(key)
    return stored ? decoded(stored) : (arrays.get(key) ?? scalars.get(key) ?? this.shared.get(key)!)
  }

  stride({ dimensions, period }: NodeOf<'stride'>): Float64Array {
    return Float64Array.from({ length: sizeOf(dimensions) }, (_, index) => (index % period === 0 ? 1 : 0))
  }

  index({ dimensions }: Node): Float64Array {
    return Float64Array.from({ length: sizeOf(dimensions) }, (_, index) => index)
  }

  view({ inputs }: Node, value: Value): Computed {
    return value(inputs[0]!)
  }

  random({ inputs, dimensions, distribution, draw }: NodeOf<'random'>, value: Value): Float64Array {
    const [seed, step, tensor] = inputs.map(value) as [number, number, number]
    const stream = { seed, step, tensor, draw }
    return Float64Array.from({ length: sizeOf(dimensions) }, (_, index) => randomNumber(distribution, stream, index))
  }

  total({ reduction }: NodeOf<'reduce'>, parts: readonly Computed[]): number {
    const numbers = parts as readonly number[]
    if (reduction === 'maximum') return Math.max(...numbers)
    return numbers.reduce((sum, part) => sum + part, 0)
  }

  reduce(node: NodeOf<'reduce'>, value: Value): Computed {
    const { reduction, axis } = node
    const [values, others] = node.inputs.map(value) as Float64Array[]
    const [batch, rows, columns] = node.inputs[0]!.dimensions
    const sums = new Float64Array(sizeOf(node.dimensions)).fill(reduction === 'maximum' ? Number.NEGATIVE_INFINITY : 0)
    for (let index = 0; index < batch * rows * columns; index++) {
      const target =
        axis === 'columns'
          ? Math.floor(index / columns)
          : axis === 'rows'
            ? Math.floor(index / (rows * columns)) * columns + (index % columns)
            : 0
      const value = others ? values![index]! * others[index]! : values![index]!
      sums[target] = reduction === 'maximum' ? Math.max(sums[target]!, value) : sums[target]! + value
    }
    return node.space === 'array' ? sums : sums[0]!
  }

  routine({ routine, inputs, dimensions }: NodeOf<'routine'>, value: Value): readonly Float64Array[] {
    const operands = inputs.map((input) => ({ values: value(input) as Float64Array, dimensions: input.dimensions }))
    return references[routine](operands, dimensions)
  }

  element(node: NodeOf<ElementOperation>, value: Value): Computed {
    if (node.guard) return value(node.inputs[0]!)
    const [first, second, third] = node.inputs.map((input) => {
      const { dimensions } = input
      return { value: value(input), dimensions, repeats: !sameDimensions(dimensions, node.dimensions) }
    })
    const at = (operand: typeof first, index: number): number => {
      if (operand === undefined) return 0
      if (typeof operand.value === 'number') return operand.value
      return operand.value[operand.repeats ? broadcastIndex(index, node.dimensions, operand.dimensions) : index]!
    }
    const compute = (index: number) =>
      applyScalar(node.operation, at(first, index), at(second, index), at(third, index))
    if (node.space !== 'array') return compute(0)
    const result = new Float64Array(sizeOf(node.dimensions))
    for (let index = 0; index < result.length; index++) result[index] = compute(index)
    return result
  }
}

/** Where in an array of dimensions `from` the element `index` of an array of dimensions `to` comes from. */
function broadcastIndex(index: number, to: Node['dimensions'], from: Node['dimensions']): number {
  const column = index % to[2]
  const row = Math.floor(index / to[2]) % to[1]
  const batch = Math.floor(index / (to[1] * to[2]))
  return ((from[0] > 1 ? batch : 0) * from[1] + (from[1] > 1 ? row : 0)) * from[2] + (from[2] > 1 ? column : 0)
}
