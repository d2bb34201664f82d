import type { FloatArray } from '../backends/backend.ts'
import { decodeSafetensors, encodeSafetensors } from './safetensors.ts'

/** The version of the layout of checkpoints; raised when an older program could not read a newer file. */
export const checkpointVersion = 1

/** All that a run needs to continue, besides its hyperparameters. */
export interface Checkpoint {
  /** What the optimizer is made of. */
  readonly optimizer: string
  /** `parameters/NAME`, `state/NAME/SLOT`. */
  readonly arrays: Map<string, { readonly shape: readonly number[]; readonly data: FloatArray }>
  /** `state/NAME/SLOT` and `shared/SLOT`: state of one number, in float64. */
  readonly numbers: Map<string, number>
  /** Step counts by clock; `''` for the optimizer's own, `parameters/NAME` for a parameter's. */
  readonly counts: Map<string, ReadonlyMap<string, number>>
  readonly skipped: number
}

/** What a checkpoint must be to fit a model: all but the values. */
export interface Expected extends Pick<Checkpoint, 'optimizer' | 'counts'> {
  readonly arrays: ReadonlyMap<string, { readonly shape: readonly number[]; readonly bytes?: boolean }>
  readonly numbers: ReadonlyMap<string, unknown>
}

/** The bytes of a safetensors file with the version, the optimizer and the step counts in its header. */
export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  const tensors = new Map<string, { shape: readonly number[]; data: FloatArray }>(checkpoint.arrays)
  for (const [key, value] of checkpoint.numbers) tensors.set(key, { shape: [], data: Float64Array.of(value) })
  const counts = [...checkpoint.counts].map(([key, clocks]) => [key, [...clocks]])
  return encodeSafetensors(tensors, {
    format: 'fallline',
    version: String(checkpointVersion),
    optimizer: checkpoint.optimizer,
    counts: JSON.stringify(counts),
    skipped: String(checkpoint.skipped),
  })
}

/** What `load` takes of a checkpoint; `everything` refuses what does not fit. */
export type Take = 'everything' | 'fitting' | 'parameters'

export interface LoadOptions {
  /** Default `everything`. */
  readonly take?: Take
}

/** What `load` did, by the names in the file: `parameters/NAME`, `state/NAME/SLOT`, `shared/SLOT`. */
export interface Loaded {
  readonly taken: readonly string[]
  /** What this optimizer has and was not given: parameters stay, state begins anew. */
  readonly missing: readonly string[]
  /** What the file has and was not taken. */
  readonly unused: readonly string[]
}

type Decoded = Loaded & { readonly checkpoint: Checkpoint }

type Tensors = ReturnType<typeof decodeSafetensors>['tensors']

/**
 * Reads a checkpoint that must fit `expected`: same optimizer, same parameters and shapes.
 * @throws Error that says what does not fit.
 */
export function decodeCheckpoint(bytes: Uint8Array, expected: Expected): Decoded {
  const { tensors, metadata } = open(bytes, headerLimit(expected))
  const partly = ". With load(bytes, { take: 'fitting' }) what fits is taken"
  if (metadata.optimizer !== expected.optimizer) {
    throw new Error(
      `load: the checkpoint is of the optimizer ${metadata.optimizer}, this one is ${expected.optimizer}${partly}`,
    )
  }
  const arrays: Checkpoint['arrays'] = new Map()
  const numbers: Checkpoint['numbers'] = new Map()
  for (const [key, own] of expected.arrays) {
    const found = tensors.get(key)
    if (!found) throw new Error(`load: the checkpoint lacks '${key}'; it holds ${list([...tensors.keys()])}${partly}`)
    if (found.shape.join() !== own.shape.join()) {
      throw new Error(
        `load: '${key}' has shape [${found.shape.join(', ')}] in the checkpoint and [${own.shape.join(', ')}] here${partly}`,
      )
    }
    arrays.set(key, { shape: found.shape, data: floats(key, found.data, own.bytes) })
  }
  for (const key of expected.numbers.keys()) {
    const found = tensors.get(key)
    if (found?.data.length !== 1) throw new Error(`load: the checkpoint lacks the number '${key}'${partly}`)
    numbers.set(key, floats(key, found.data)[0]!)
  }
  const unknown = [...tensors.keys()].filter((key) => !expected.arrays.has(key) && !expected.numbers.has(key))
  if (unknown.length > 0)
    throw new Error(`load: the checkpoint holds ${list(unknown)}, which this model does not have${partly}`)
  const counts = parseCounts(metadata.counts)
  checkCounts(counts, expected)
  const checkpoint = { optimizer: expected.optimizer, arrays, numbers, counts, skipped: readSkipped(metadata.skipped) }
  return { checkpoint, taken: [...tensors.keys()], missing: [], unused: [] }
}

/**
 * Reads what fits `expected` of the checkpoint of another model or optimizer.
 * @throws Error when the bytes are no checkpoint, of another version, or damaged.
 */
export function decodeFitting(bytes: Uint8Array, expected: Expected, take: 'fitting' | 'parameters'): Decoded {
  const { tensors, metadata } = open(bytes, largestHeader)
  const given = parseCounts(metadata.counts)
  const skipped = readSkipped(metadata.skipped)
  const arrays: Checkpoint['arrays'] = new Map()
  const numbers: Checkpoint['numbers'] = new Map()
  const total = given.get('')
  if (!total || !withinTotal(total, total)) throw new Error(damagedCounts)
  const counts: Checkpoint['counts'] = new Map([['', take === 'fitting' ? total : new Map([['', 0]])]])
  const keep = (key: string): void => {
    const { shape, data } = tensors.get(key)!
    const own = expected.arrays.get(key)
    if (own) arrays.set(key, { shape, data: floats(key, data, own.bytes) })
    else numbers.set(key, floats(key, data)[0]!)
  }
  const state = [...expected.arrays.keys(), ...expected.numbers.keys()].filter((key) => !key.startsWith('parameters/'))
  for (const [key, clocks] of expected.counts) {
    // The name of a parameter that is not in float32 says how it is kept.
    const parameter = [...expected.arrays.keys()].find((name) => name === key || name.startsWith(`${key} as `)) ?? key
    if (key !== '' && fits(parameter, tensors, expected)) keep(parameter)
    if (key === '' || take !== 'fitting') continue
    const prefix = `state/${key.slice('parameters/'.length)}/`
    const others = [...expected.counts.keys()].filter((other) => other.startsWith(`${key}/`))
    const own = state.filter(
      (name) =>
        name.startsWith(prefix) &&
        !others.some((other) => name.startsWith(`state/${other.slice('parameters/'.length)}/`)),
    )
    const found = given.get(key)
    const counted = found && [...clocks.keys()].every((clock) => found.has(clock)) && withinTotal(found, total)
    // State without its parameter would be of another one.
    if (!counted || !arrays.has(parameter) || !own.every((name) => fits(name, tensors, expected))) continue
    own.forEach(keep)
    counts.set(key, found)
  }
  if (take === 'fitting') {
    // What all parameters share is theirs as long as one of them goes on.
    const shared = state.filter((name) => name.startsWith('shared/') && fits(name, tensors, expected))
    if (counts.size > 1) shared.forEach(keep)
  }
  const taken = [...arrays.keys(), ...numbers.keys()]
  const checkpoint = {
    optimizer: expected.optimizer,
    arrays,
    numbers,
    counts,
    skipped: take === 'fitting' ? skipped : 0,
  }
  const missing = [...expected.arrays.keys(), ...expected.numbers.keys()].filter((key) => !taken.includes(key))
  return { checkpoint, taken, missing, unused: [...tensors.keys()].filter((key) => !taken.includes(key)) }
}

/** Whether something of a file has the shape that it has here. */
function fits(key: string, tensors: Tensors, expected: Expected): boolean {
  const found = tensors.get(key)
  const own = expected.arrays.get(key)
  if (!found) return false
  return own ? found.shape.join() === own.shape.join() : found.data.length === 1
}

/** Reads a file. @throws Error when it is no checkpoint, or of another version. */
function open(bytes: Uint8Array, limit: number): ReturnType<typeof decodeSafetensors> {
  const read = decodeSafetensors(bytes, limit)
  const { metadata } = read
  if (metadata.format !== 'fallline') {
    throw new Error(
      "load: not a checkpoint of Fallline: its header lacks format 'fallline' (a model's weights alone are not a checkpoint)",
    )
  }
  if (metadata.version !== String(checkpointVersion)) {
    throw new Error(
      `load: the checkpoint has version ${metadata.version}; this release reads version ${checkpointVersion}`,
    )
  }
  return read
}

function readSkipped(text: string | undefined): number {
  const skipped = Number(text)
  if (isCount(skipped) && text === String(skipped)) return skipped
  throw new Error(`load: the count of skipped steps in the header is ${text ?? 'missing'}, not a whole number`)
}

/** The longest header of a checkpoint that need not fit, in bytes. */
const largestHeader = 2 ** 24

/** Far more than the header of a checkpoint that fits can take: a hostile one must not fill the memory. */
function headerLimit({ optimizer, arrays, numbers, counts }: Expected): number {
  // A character takes up to twelve bytes as an escape within an escape.
  const names = [optimizer, ...arrays.keys(), ...numbers.keys(), ...counts.keys()]
  const clocks = [...counts.values()].flatMap((own) => [...own.keys()])
  return 65536 + [...names, ...clocks].reduce((sum, name) => sum + 512 + 12 * name.length, 0)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function floats(key: string, data: unknown, bytes = false): FloatArray {
  if (bytes && data instanceof Uint8Array) return data as ArrayLike<number> as FloatArray
  if (data instanceof Float32Array || data instanceof Float64Array) return data
  throw new Error(`load: '${key}' must hold ${bytes ? 'bytes' : 'F32 or F64 numbers'}`)
}

const damagedCounts = 'load: the step counts in the header are damaged'

/** @throws Error when the text is no list of lists of counts, or a name occurs twice. */
function parseCounts(text: string | undefined): Checkpoint['counts'] {
  try {
    const parsed: [string, [string, number][]][] = JSON.parse(text ?? '')
    const counts = new Map(parsed.map(([key, clocks]) => [key, new Map(clocks)]))
    const twice =
      counts.size !== parsed.length || parsed.some(([key, clocks]) => counts.get(key)!.size !== clocks.length)
    if (!twice) return counts
  } catch {
    // Told below.
  }
  throw new Error(damagedCounts)
}

/** No clock of a parameter is ahead of the parameter's steps, and those not of the optimizer's. */
function withinTotal(clocks: ReadonlyMap<string, number>, total: ReadonlyMap<string, number> | undefined): boolean {
  const most = Math.min(Number(clocks.get('')), Number(total?.get('')))
  return [...clocks.values()].every((count) => isCount(count) && count <= most)
}

/** @throws Error when a count is missing, unknown or impossible. */
function checkCounts(counts: Checkpoint['counts'], expected: Expected): void {
  const unknown = [...counts.keys()].filter((key) => !expected.counts.has(key))
  if (unknown.length > 0) throw new Error(`${damagedCounts}: ${list(unknown)} is unknown here`)
  for (const [key, own] of expected.counts) {
    const clocks = counts.get(key)
    const names = [...own.keys()].sort()
    const same = clocks !== undefined && [...clocks.keys()].sort().join('\n') === names.join('\n')
    if (!same || !withinTotal(clocks, counts.get(''))) {
      throw new Error(
        `load: the step counts of '${key || 'the optimizer'}' in the header are missing or damaged: there must be whole ` +
          `numbers of ${names.map((name) => `'${name || 'steps'}'`).join(', ')}, none above the steps`,
      )
    }
  }
}

function list(names: readonly string[]): string {
  return names.length > 5
    ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more`
    : names.join(', ') || 'nothing'
}
