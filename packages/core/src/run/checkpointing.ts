import type { FloatArray, HostMemory, Place, Readback, WritablePlace } from '../backends/backend.ts'
import { sameDimensions, sizeOf } from '../graph/node.ts'
import { isParameterSlot, type SlotStorage, startOf } from '../program/program.ts'
import { matrixDimensions } from '../program/trace.ts'
import type { Checkpoint, Expected } from '../state/checkpoint.ts'
import { bytesOf, provided } from '../storage/provided.ts'
import type { Conductor, Tensor } from './conductor.ts'

/** One array or number of a checkpoint. */
interface Entry {
  /** Its name in the file. */
  readonly key: string
  /** Absent for a number. */
  readonly shape: readonly number[] | undefined
  /** Absent for a number that the host keeps. */
  readonly place: WritablePlace | undefined
  readonly tensor: Tensor
  /** Absent for a parameter. */
  readonly slot: SlotStorage | undefined
}

/** How much of a run a checkpoint has: also parameters, also the state that lies where programs run, or what the host keeps. */
export type Scope = 'all' | 'state' | 'host'

/** What a checkpoint is made of, shared state once. */
function entriesOf(conductor: Conductor, scope: Scope): Entry[] {
  const entries = new Map<string, Entry>()
  for (const tensor of conductor.tensors) {
    const { index, shape } = tensor
    const key = `parameters/${shape.name}`
    const place = { kind: 'parameter', tensor: index } as const
    const kept = tensor.traced?.slots.find(isParameterSlot)
    const own = kept ? entryOf(tensor, kept) : { key, shape: shape.shape, place, tensor, slot: undefined }
    if (scope === 'all') entries.set(own.key, own)
    for (const slot of slotsOf(tensor)) {
      const entry = entryOf(tensor, slot)
      if (!entry.place || scope !== 'host') entries.set(entry.key, entry)
    }
  }
  return [...entries.values()]
}

function entryOf(tensor: Tensor, slot: SlotStorage): Entry {
  const { space, key, storage } = slot
  const kind = space !== 'array' ? 'number' : storage === 'float32' ? 'array' : 'bytes'
  return {
    key: slotKey(tensor, slot),
    shape: space === 'array' ? shapeOf(tensor, slot) : undefined,
    place: space === 'host' ? undefined : { kind, tensor: tensor.index, key },
    tensor,
    slot,
  }
}

/** The parameter's own shape where the slot is as large. */
function shapeOf({ shape: { shape } }: Tensor, { dimensions, storage }: SlotStorage): readonly number[] {
  if (storage !== 'float32') return [bytesOf(storage, sizeOf(dimensions))]
  return sameDimensions(dimensions, matrixDimensions(shape)) ? shape : dimensions
}

/** Where all that `checkpointOf` wants to be given lies. */
export function checkpointPlaces(conductor: Conductor, scope: Scope): Place[] {
  return entriesOf(conductor, scope).flatMap(({ place }) => place ?? [])
}

/** Where state of the same name lies that two conductors know, but for what belongs to some parameters of the first. */
export function placesInBoth(
  before: Conductor,
  after: Conductor,
  except: readonly string[],
): (readonly [before: Place, after: Place])[] {
  const places = new Map(entriesOf(after, 'state').map(({ key, place }) => [key, place]))
  return entriesOf(before, 'state').flatMap(({ key, place, tensor, slot }) => {
    const other = places.get(key)
    const left = !slot!.shared && except.includes(tensor.shape.name)
    return place && other && !left ? [[place, other] as const] : []
  })
}

/**
 * Parameters, state and counts.
 * @param values what lies in the `checkpointPlaces`, in their order.
 */
export function checkpointOf(conductor: Conductor, scope: Scope, values: readonly FloatArray[]): Checkpoint {
  const arrays: Checkpoint['arrays'] = new Map()
  const numbers: Checkpoint['numbers'] = new Map()
  let next = 0
  for (const { key, shape, place, tensor, slot } of entriesOf(conductor, scope)) {
    if (!place) numbers.set(key, conductor.number(tensor, slot!))
    else {
      const data = values[next++]!
      if (shape) arrays.set(key, { shape, data })
      else numbers.set(key, data[0]!)
    }
  }
  return { ...headOf(conductor), arrays, numbers, skipped: conductor.skipped }
}

/** What a checkpoint must be to fit. */
export function expectedOf(conductor: Conductor): Expected {
  const arrays = new Map<string, { readonly shape: readonly number[]; readonly bytes: boolean }>()
  const numbers = new Map<string, undefined>()
  for (const { key, shape, place } of entriesOf(conductor, 'all')) {
    if (shape) arrays.set(key, { shape, bytes: place?.kind === 'bytes' })
    else numbers.set(key, undefined)
  }
  return { ...headOf(conductor), arrays, numbers }
}

function headOf(conductor: Conductor) {
  const counts: Checkpoint['counts'] = new Map([['', conductor.counts]])
  for (const { shape, counts: own } of conductor.tensors) counts.set(`parameters/${shape.name}`, own)
  return { optimizer: conductor.model.signature(), counts }
}

/** Takes over what a checkpoint has; the rest stays as it is. */
export function restore(conductor: Conductor, to: Pick<Readback, 'write'>, checkpoint: Checkpoint): void {
  const { arrays, numbers, counts, skipped } = checkpoint
  for (const { key, place, tensor, slot } of entriesOf(conductor, 'all')) {
    const array = arrays.get(key)
    const number = numbers.get(key)
    if (place && array) to.write(place, array.data)
    else if (place && number !== undefined) to.write(place, [number])
    else if (number !== undefined) conductor.writeNumber(tensor, slot!, number)
  }
  for (const tensor of conductor.tensors) {
    const own = counts.get(`parameters/${tensor.shape.name}`)
    if (own) tensor.counts = new Map(own)
  }
  conductor.counts = new Map(counts.get('')!)
  conductor.skipped = skipped
}

/** Makes state and counts what they are before the first step. Parameters stay. */
export function restart(conductor: Conductor, to: Pick<Readback, 'write'>): void {
  for (const { shape, place, tensor, slot } of entriesOf(conductor, 'state')) {
    const { start } = slot!
    if (place?.kind === 'bytes') to.write(place, provided().start(slot!))
    else if (place && shape) to.write(place, startOf(slot!))
    else if (place) to.write(place, [start as number])
    else conductor.writeNumber(tensor, slot!, start as number)
  }
  for (const tensor of conductor.tensors) tensor.counts = zeroed(tensor.counts)
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

/** Where a copy of a parameter lies. */
interface Copy {
  readonly kind: 'array'
  readonly tensor: number
  readonly key: string
}

/** The state of some parameters, and where the copies of them lie that have been taken and move along. */
export function copiesOf(
  { tensors }: Conductor,
  names: readonly string[],
): Rebased & { readonly copies: readonly Copy[] } {
  const moved: string[] = []
  const kept: string[] = []
  const copies: Copy[] = []
  for (const { index, shape, traced, counts } of tensors) {
    if (!names.includes(shape.name)) continue
    for (const { start, key } of traced?.slots ?? []) {
      const moves = start === 'parameter'
      ;(moves ? moved : kept).push(`${shape.name}/${key}`)
      // Before the first step there is no copy yet.
      if (moves && counts.get('') !== 0) copies.push({ kind: 'array', tensor: index, key })
    }
  }
  return { moved, kept, copies }
}

/** What becomes of a copy of a parameter that is given another value. */
export function movedAlong(copy: FloatArray, before: ArrayLike<number>, target: ArrayLike<number>): FloatArray {
  return copy.map((value, i) => value + (target[i]! - before[i]!))
}

/** Gives parameters other values and moves the copies of them that are part of the state by the difference. */
export function rebase(
  conductor: Conductor,
  memory: HostMemory,
  given: Readonly<Record<string, ArrayLike<number>>>,
): Rebased {
  const targets = new Map<number, FloatArray>()
  for (const [name, values] of Object.entries(given)) {
    const { tensor, offset } = conductor.partOf('rebase', name)
    const target = targets.get(tensor) ?? memory.parameters[tensor]!.slice()
    targets.set(tensor, target)
    target.set(values, offset)
  }
  const { moved, kept, copies } = copiesOf(
    conductor,
    [...targets.keys()].map((tensor) => conductor.names[tensor]!),
  )
  for (const { tensor, key } of copies) {
    const copy = memory.slotArray(tensor, key)
    copy.set(movedAlong(copy, memory.parameters[tensor]!, targets.get(tensor)!))
  }
  for (const [tensor, target] of targets) memory.parameters[tensor]!.set(target)
  return { moved, kept }
}

/** Where all that `stateOf` wants to be given lies. */
export function statePlaces(tensor: Tensor): Place[] {
  return slotsOf(tensor).flatMap((slot) => {
    const { place } = entryOf(tensor, slot)
    return place?.kind === 'bytes' ? { ...place, kind: 'array' as const } : (place ?? [])
  })
}

/**
 * The state of one parameter by slot name; names that occur twice are prefixed with their path.
 * @param values what lies in the `statePlaces`, in their order.
 */
export function stateOf(conductor: Conductor, tensor: Tensor, values: readonly FloatArray[]) {
  const slots = slotsOf(tensor)
  const result: Record<string, FloatArray | number> = {}
  const arrays = new Map<string, FloatArray>()
  let next = 0
  for (const slot of slots) {
    const { place } = entryOf(tensor, slot)
    if (place) arrays.set(slot.key, values[next++]!)
  }
  for (const slot of slots) {
    if (slot.scales) continue
    const unique = slots.filter((other) => other.name === slot.name).length === 1
    const value = arrays.get(slot.key)
    const { sharesOf } = slot
    if (sharesOf) provided().multiply(value!, arrays.get(sharesOf.rows)!, arrays.get(sharesOf.columns)!)
    result[unique ? slot.name : slot.key] = !value
      ? conductor.number(tensor, slot)
      : slot.space === 'array'
        ? value
        : value[0]!
  }
  return result
}

/** What a checkpoint calls the state of a tensor; the name says how it is kept, because nobody can read it otherwise. */
export function slotKey({ shape }: Tensor, slot: SlotStorage): string {
  if (isParameterSlot(slot)) return keptAs(slot, `parameters/${shape.name}`)
  return slot.shared ? `shared/${slot.key}` : `state/${shape.name}/${keptAs(slot, slot.key)}`
}

/** The name of a slot, with how it is kept where that is not in float32. */
export function keptAs({ storage }: SlotStorage, name: string): string {
  return storage === 'float32' ? name : `${name} as ${storage}`
}

/** What is state. */
function slotsOf({ traced }: Tensor): readonly SlotStorage[] {
  return (traced?.slots ?? []).filter((slot) => !isParameterSlot(slot))
}
