import * as tf from '@tensorflow/tfjs-core'
import { type Checkpoint, type FloatArray, keptAs, type PortableNames, type TracedModel } from 'fallline/internal'

/** The state of one variable, as it is saved. */
export interface SavedVariable {
  readonly name: string
  /** The name that its random numbers follow, where it was renamed since its first step. */
  readonly stream?: string
  readonly shape: readonly number[]
  readonly counts: readonly (readonly [clock: string, count: number])[]
  /** State of one number, by slot. */
  readonly numbers: Readonly<Record<string, number | string>>
  readonly arrays: ReadonlyMap<string, SavedArray>
}

/** State that is an array: its numbers, or, where it is not kept in float32, as its name says then, its bytes. */
interface SavedArray {
  readonly shape: readonly number[]
  readonly data: FloatArray | Uint8Array
}

/** The state of an optimizer, as it is saved with a model. */
export interface SavedState {
  readonly optimizer: string
  readonly steps: number
  readonly counts: readonly (readonly [clock: string, count: number])[]
  readonly shared: Readonly<Record<string, number | string>>
  readonly skipped: number
  readonly variables: readonly SavedVariable[]
}

/** As TensorFlow.js has it, which does not export it. */
export type NamedTensor = { name: string; tensor: tf.Tensor }

const version = 1
const headerName = 'fallline'

/** Who reads and writes state takes bytes for arrays. */
type Checkpointed = { readonly shape: readonly number[]; readonly data: FloatArray }

/** JSON has no infinities. */
const encodeNumber = (value: number): number | string => (Number.isFinite(value) ? value : String(value))

/** What a checkpoint of Fallline, with the names of files, holds besides the parameters, variable by variable. */
export function savedFrom(
  checkpoint: Omit<Checkpoint, 'skipped'>,
  skipped: number,
  names: PortableNames,
  model: TracedModel,
  streams: ReadonlyMap<string, string>,
): SavedState {
  const { numbers, arrays, counts } = checkpoint
  const shared: Record<string, number | string> = {}
  const variables = model.parameters.map(({ shape: { name, shape }, traced }) => {
    const own: Record<string, number | string> = {}
    const ownArrays = new Map<string, SavedArray>()
    for (const slot of traced?.slots ?? []) {
      const short = keptAs(slot, names.slot(slot.key))
      const key = slot.shared ? `shared/${short}` : `state/${name}/${short}`
      const number = numbers.get(key)
      const array = arrays.get(key)
      if (number !== undefined) (slot.shared ? shared : own)[short] = encodeNumber(number)
      if (array) ownArrays.set(short, { shape: array.shape, data: array.data.slice() })
    }
    const stream = streams.get(name)
    const state = { shape, counts: [...counts.get(`parameters/${name}`)!], numbers: own, arrays: ownArrays }
    return stream === undefined ? { name, ...state } : { name, stream, ...state }
  })
  const own = counts.get('')!
  return {
    optimizer: checkpoint.optimizer,
    steps: own.get('')!,
    counts: [...own],
    shared,
    skipped,
    variables,
  }
}

/** A checkpoint for the variables that have taken over a saved state; the names are theirs. */
export function checkpointFrom(saved: SavedState, taken: ReadonlyMap<string, SavedVariable>): Checkpoint {
  const arrays: Checkpoint['arrays'] = new Map()
  const numbers: Checkpoint['numbers'] = new Map()
  const counts: Checkpoint['counts'] = new Map([['', new Map(saved.counts)]])
  // What all variables share is theirs as long as one of them goes on.
  if (taken.size > 0)
    for (const [key, value] of Object.entries(saved.shared)) numbers.set(`shared/${key}`, Number(value))
  for (const [name, variable] of taken) {
    counts.set(`parameters/${name}`, new Map(variable.counts))
    for (const [key, value] of Object.entries(variable.numbers)) numbers.set(`state/${name}/${key}`, Number(value))
    for (const [key, array] of variable.arrays) arrays.set(`state/${name}/${key}`, array as Checkpointed)
  }
  return { optimizer: saved.optimizer, arrays, numbers, counts, skipped: saved.skipped }
}

/** The same with variables of a saved state that nobody has taken over yet. */
export function withVariables(saved: SavedState, more: readonly SavedVariable[]): SavedState {
  return { ...saved, variables: [...saved.variables, ...more] }
}

/**
 * Tensors that TensorFlow.js can save: `iter`, an array of float32 for every slot, or its bytes, four in an `int32`, which survives
 * every way of saving, and the rest as the bytes of a JSON text, each in one.
 */
export function toWeights(saved: SavedState): NamedTensor[] {
  const { variables, ...rest } = saved
  const described = variables.map(({ arrays, ...variable }) => {
    const bytes = [...arrays].flatMap(([key, { data }]) => (data instanceof Uint8Array ? [[key, data.length]] : []))
    return { ...variable, slots: [...arrays.keys()], ...(bytes.length > 0 ? { bytes: Object.fromEntries(bytes) } : {}) }
  })
  const text = JSON.stringify({ version, ...rest, variables: described })
  const slots = variables.flatMap(({ name, arrays }) =>
    [...arrays].map(([key, { shape, data }]) => ({
      name: `${name}/${key}`,
      tensor:
        data instanceof Uint8Array
          ? tf.tensor1d(packed(data), 'int32')
          : tf.tensor(Float32Array.from(data), [...shape], 'float32'),
    })),
  )
  return [
    { name: 'iter', tensor: tf.scalar(saved.steps, 'int32') },
    ...slots,
    { name: headerName, tensor: tf.tensor1d(Int32Array.from(new TextEncoder().encode(text)), 'int32') },
  ]
}

/** Four bytes in each number. */
function packed(bytes: Uint8Array): Int32Array {
  const words = new Int32Array(Math.ceil(bytes.length / 4))
  new Uint8Array(words.buffer).set(bytes)
  return words
}

/** @throws Error for weights that are not those of an optimizer of Fallline, or of another version. */
export async function fromWeights(weights: readonly NamedTensor[]): Promise<SavedState> {
  const header = weights.at(-1)
  if (header?.name !== headerName) {
    throw new Error(
      `setWeights: these are not the weights of an optimizer of Fallline; the last one must be '${headerName}', ` +
        `not ${header ? `'${header.name}'` : 'missing'}`,
    )
  }
  const text = new TextDecoder().decode(Uint8Array.from(await header.tensor.data()))
  const parsed = JSON.parse(text) as Omit<SavedState, 'variables'> & {
    readonly version: number
    readonly variables: readonly (SavedVariable & {
      readonly slots: readonly string[]
      /** How many bytes those have that are not in float32. */
      readonly bytes?: Readonly<Record<string, number>>
    })[]
  }
  if (parsed.version !== version) {
    throw new Error(`setWeights: the state has version ${parsed.version}; this release reads version ${version}`)
  }
  const arrays = weights.slice(1, -1)
  const expected = parsed.variables.reduce((count, { slots }) => count + slots.length, 0)
  if (arrays.length !== expected) {
    throw new Error(`setWeights: the state lists ${expected} arrays, but ${arrays.length} were given`)
  }
  let next = 0
  const variables: SavedVariable[] = []
  for (const { slots, bytes = {}, ...variable } of parsed.variables) {
    const own = new Map<string, SavedArray>()
    for (const key of slots) {
      const { tensor } = arrays[next++]!
      const data = (await tensor.data<'float32' | 'int32'>()).slice()
      const length = bytes[key]
      own.set(
        key,
        length === undefined
          ? { shape: tensor.shape, data: data as Float32Array }
          : { shape: [length], data: new Uint8Array(Int32Array.from(data).buffer, 0, length) },
      )
    }
    variables.push({ ...variable, arrays: own })
  }
  const { optimizer, steps, counts, shared, skipped } = parsed
  return { optimizer, steps, counts, shared, skipped, variables }
}
