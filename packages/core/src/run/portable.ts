import type { FloatArray, Readback } from '../backends/backend.ts'
import { checkNames } from '../language/definition.ts'
import {
  type Checkpoint,
  decodeCheckpoint,
  decodeFitting,
  encodeCheckpoint,
  type Loaded,
  type LoadOptions,
} from '../state/checkpoint.ts'
import { checkpointOf, expectedOf, restart, restore, slotKey } from './checkpointing.ts'
import type { Conductor } from './conductor.ts'

interface Contents<Array, Number> extends Pick<Checkpoint, 'counts'> {
  readonly arrays: ReadonlyMap<string, Array>
  readonly numbers: ReadonlyMap<string, Number>
}

/**
 * The bytes of a file with parameters, state and counts.
 * @param values what lies in the `checkpointPlaces`, in their order.
 */
export function encodeRun(conductor: Conductor, values: readonly FloatArray[]): Uint8Array {
  const { skipped } = conductor
  const contents = checkpointOf(conductor, 'all', values)
  return encodeCheckpoint({ ...new PortableNames(conductor).shorten(contents), skipped })
}

/**
 * Takes what such a file holds.
 * @throws Error when it does not fit or is damaged; nothing is changed then.
 */
export function takeRun(
  conductor: Conductor,
  to: Pick<Readback, 'write'>,
  bytes: Uint8Array,
  options: LoadOptions,
): Loaded {
  checkNames('load', options, ['take'])
  const { take = 'everything' } = options
  if (!['everything', 'fitting', 'parameters'].includes(take)) {
    throw new Error(`load: take must be everything, fitting or parameters, not ${String(take)}`)
  }
  const names = new PortableNames(conductor)
  const expected = names.shorten(expectedOf(conductor))
  const { checkpoint, ...result } =
    take === 'everything' ? decodeCheckpoint(bytes, expected) : decodeFitting(bytes, expected, take)
  if (take !== 'everything') restart(conductor, to)
  conductor.names.forEach((name, tensor) => {
    const found = checkpoint.arrays.get(`parameters/${name}`)
    if (found) to.write({ kind: 'parameter', tensor }, found.data)
  })
  restore(conductor, to, names.restore(checkpoint))
  return result
}

/**
 * How checkpoints name things in files: without what has no state, so that wrapping clipping around an optimizer or taking it
 * away changes no name.
 */
export class PortableNames {
  /** What the optimizer is made of as far as its state goes. */
  readonly optimizer: string
  private readonly slots: ReadonlyMap<string, string>
  private readonly without: ReadonlySet<string>
  private readonly conductor: Conductor

  constructor(conductor: Conductor) {
    this.conductor = conductor
    const stateless = statelessWrappers(conductor)
    const slots = namesOf(conductor, stateless)
    const distinct = new Set(slots.values()).size === slots.size
    this.without = distinct ? stateless : new Set()
    this.slots = distinct ? slots : namesOf(conductor, this.without)
    this.optimizer = conductor.model.signature(this.without)
  }

  /** Path and name of a slot in files. */
  slot(key: string): string {
    return withoutSegments(key, this.without)
  }

  /** A checkpoint, or what one must be, with the names of files. */
  shorten<Array, Number>(checkpoint: Contents<Array, Number>) {
    const rename = <T>(entries: ReadonlyMap<string, T>): Map<string, T> =>
      new Map([...entries].map(([key, value]) => [this.slots.get(key) ?? key, value]))
    const counts = new Map(
      [...checkpoint.counts].map(([key, clocks]) => [
        key,
        new Map([...clocks].map(([clock, count]) => [withoutSegments(clock, this.without), count] as const)),
      ]),
    )
    const { arrays, numbers } = checkpoint
    return { optimizer: this.optimizer, arrays: rename(arrays), numbers: rename(numbers), counts }
  }

  /** The other way round; clocks that the checkpoint lacks are as they are here. */
  restore(checkpoint: Checkpoint): Checkpoint {
    const arrays: Checkpoint['arrays'] = new Map()
    const numbers: Checkpoint['numbers'] = new Map()
    for (const [key, short] of this.slots) {
      const array = checkpoint.arrays.get(short)
      const number = checkpoint.numbers.get(short)
      if (array) arrays.set(key, array)
      if (number !== undefined) numbers.set(key, number)
    }
    const { counts: total, tensors } = this.conductor
    const own = [
      ['', total] as const,
      ...tensors.map(({ shape, counts }) => [`parameters/${shape.name}`, counts] as const),
    ]
    const counts = new Map(
      own.map(([key, clocks]) => {
        const found = checkpoint.counts.get(key)
        const count = (clock: string, here: number) => found?.get(withoutSegments(clock, this.without)) ?? here
        return [key, new Map([...clocks].map(([clock, here]) => [clock, count(clock, here)] as const))] as const
      }),
    )
    return { ...checkpoint, arrays, numbers, counts }
  }
}

/** The names of all state in files, by what it is called here. */
function namesOf({ tensors }: Conductor, without: ReadonlySet<string>): Map<string, string> {
  const names = new Map<string, string>()
  for (const tensor of tensors) {
    for (const slot of tensor.traced?.slots ?? []) {
      const key = slotKey(tensor, slot)
      const at = key.lastIndexOf(slot.key)
      const after = key.slice(at + slot.key.length)
      names.set(key, key.slice(0, at) + withoutSegments(slot.key, without) + after)
    }
  }
  return names
}

const withoutSegments = (path: string, without: ReadonlySet<string>): string =>
  path
    .split('/')
    .filter((segment) => !without.has(segment))
    .join('/')

/** The names of the wrappers that have neither state nor a clock of their own here. */
function statelessWrappers({ model, tensors }: Conductor): ReadonlySet<string> {
  const names = new Set(model.wrappers.map(({ name }) => name))
  // What runs first in a switch has no other sign than the wrapper's path.
  for (const { name, switches } of model.wrappers) if (switches) names.delete(name)
  for (const { traced, counts } of tensors) {
    for (const { key, name } of traced?.slots ?? [])
      names.delete(
        key
          .slice(0, -name.length - 1)
          .split('/')
          .at(-1)!,
      )
    for (const clock of counts.keys()) names.delete(clock.split('/').at(-1)!)
  }
  return names
}
