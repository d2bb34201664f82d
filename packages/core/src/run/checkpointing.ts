import type { BackendInstance, FloatArray } from '../backends/backend.ts'
import { signatureOf } from '../language/signature.ts'
import { type SlotStorage, writeStart } from '../program/program.ts'
import { matrixDimensions } from '../program/trace.ts'
import type { Checkpoint } from '../state/checkpoint.ts'
import type { Conductor, Tensor } from './conductor.ts'

/** Where parameters and state lie. */
export type StateMemory = Pick<BackendInstance, 'parameters' | 'slotArray' | 'writeSlot' | 'readScalar' | 'writeScalar'>

/** Parameters, state and counts; without a memory the counts and numbers that the host keeps. Arrays are views. */
export function checkpointOf(conductor: Conductor, memory?: StateMemory): Checkpoint {
  const arrays: Checkpoint['arrays'] = new Map()
  const numbers: Checkpoint['numbers'] = new Map()
  const counts: Checkpoint['counts'] = new Map([['', conductor.counts]])
  for (const tensor of conductor.tensors) {
    const { name, shape } = tensor.shape
    if (memory) arrays.set(`parameters/${name}`, { shape, data: memory.parameters[tensor.index]! })
    counts.set(`parameters/${name}`, tensor.counts)
    const full = matrixDimensions(shape)
    for (const slot of tensor.traced?.slots ?? []) {
      if (!memory && slot.residency !== 'host') continue
      const value = slotValue(conductor, memory, tensor, slot)
      const key = slotKey(tensor, slot)
      if (typeof value === 'number') numbers.set(key, value)
      else {
        const whole = slot.dimensions.every((size, axis) => size === full[axis])
        arrays.set(key, { shape: whole ? shape : slot.dimensions, data: value })
      }
    }
  }
  const { skipped } = conductor
  return { optimizer: signatureOf(conductor.model.optimizer), arrays, numbers, counts, skipped }
}

/** Takes over the state, the numbers and the counts that a checkpoint has; others stay as they are, and so do parameters. */
export function restore(conductor: Conductor, memory: StateMemory, checkpoint: Checkpoint): void {
  const { arrays, numbers, counts, skipped } = checkpoint
  for (const tensor of conductor.tensors) {
    const { name } = tensor.shape
    for (const slot of tensor.traced?.slots ?? []) {
      const key = slotKey(tensor, slot)
      const array = arrays.get(key)
      const number = numbers.get(key)
      if (array) memory.writeSlot(tensor.index, slot.key, array.data)
      if (number === undefined) continue
      if (slot.residency === 'device') memory.writeScalar(tensor.index, slot.key, number)
      else conductor.writeNumber(tensor, slot, number)
    }
    const own = counts.get(`parameters/${name}`)
    if (own) tensor.counts = new Map(own)
  }
  conductor.counts = new Map(counts.get('')!)
  conductor.skipped = skipped
}

/** Makes state and counts what they are before the first step. Parameters stay. */
export function restart(conductor: Conductor, memory: StateMemory): void {
  for (const tensor of conductor.tensors) {
    for (const slot of tensor.traced?.slots ?? []) {
      if (slot.residency === 'array') writeStart(slot, memory.slotArray(tensor.index, slot.key).fill(0))
      else if (slot.residency === 'device') memory.writeScalar(tensor.index, slot.key, slot.start as number)
      else conductor.writeNumber(tensor, slot, slot.start as number)
    }
    tensor.counts = zeroed(tensor.counts)
  }
  conductor.counts = zeroed(conductor.counts)
  conductor.skipped = 0
}

const zeroed = (counts: ReadonlyMap<string, number>) => new Map([...counts.keys()].map((clock) => [clock, 0] as const))

/** State of the parameters that `rebase` was given, as `NAME/SLOT`. */
export interface Rebased {
  /** Copies of the parameter, which moved along. */
  readonly moved: readonly string[]
  /** All other state, which stayed. */
  readonly kept: readonly string[]
}

/** Gives parameters other values and moves the copies of them that are part of the state by the difference. */
export function rebase(
  conductor: Conductor,
  memory: StateMemory,
  given: Readonly<Record<string, ArrayLike<number>>>,
): Rebased {
  const moved: string[] = []
  const kept: string[] = []
  for (const tensor of conductor.tensors) {
    const { name } = tensor.shape
    const target = given[name]
    if (target === undefined) continue
    const parameter = memory.parameters[tensor.index]!
    for (const slot of tensor.traced?.slots ?? []) {
      const moves = slot.start === 'parameter'
      ;(moves ? moved : kept).push(`${name}/${slot.key}`)
      // Before the first step there is no copy yet.
      if (!moves || tensor.counts.get('') === 0) continue
      const copy = memory.slotArray(tensor.index, slot.key)
      for (let i = 0; i < copy.length; i++) copy[i]! += target[i]! - parameter[i]!
    }
    parameter.set(target)
  }
  return { moved, kept }
}

/** The state of one parameter by slot name; names that occur twice are prefixed with their path. */
export function stateOf(conductor: Conductor, memory: StateMemory, tensor: Tensor) {
  const slots = tensor.traced?.slots ?? []
  const result: Record<string, FloatArray | number> = {}
  for (const slot of slots) {
    const unique = slots.filter((other) => other.name === slot.name).length === 1
    result[unique ? slot.name : slot.key] = slotValue(conductor, memory, tensor, slot)
  }
  return result
}

/** What a checkpoint calls the state of a tensor. */
export function slotKey({ shape }: Tensor, { shared, key }: SlotStorage): string {
  return shared ? `shared/${key}` : `state/${shape.name}/${key}`
}

function slotValue(conductor: Conductor, memory: StateMemory | undefined, tensor: Tensor, slot: SlotStorage) {
  if (slot.residency === 'array') return memory!.slotArray(tensor.index, slot.key)
  if (slot.residency === 'device') return memory!.readScalar(tensor.index, slot.key)
  return conductor.number(tensor, slot)
}
