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
  readonly arrays: ReadonlyMap<string, { readonly shape: readonly number[] }>
  readonly numbers: ReadonlySet<string>
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

/**
 * Reads a checkpoint that must fit `expected`: same optimizer, same parameters and shapes.
 * @throws Error that says what does not fit.
 */
export function decodeCheckpoint(bytes: Uint8Array, expected: Expected): Checkpoint {
  const { tensors, metadata } = decodeSafetensors(bytes, headerLimit(expected))
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
  if (metadata.optimizer !== expected.optimizer) {
    throw new Error(`load: the checkpoint is of the optimizer ${metadata.optimizer}, this one is ${expected.optimizer}`)
  }
  const arrays: Checkpoint['arrays'] = new Map()
  const numbers: Checkpoint['numbers'] = new Map()
  for (const [key, own] of expected.arrays) {
    const found = tensors.get(key)
    if (!found) throw new Error(`load: the checkpoint lacks '${key}'; it holds ${list([...tensors.keys()])}`)
    if (found.shape.join() !== own.shape.join()) {
      throw new Error(
        `load: '${key}' has shape [${found.shape.join(', ')}] in the checkpoint and [${own.shape.join(', ')}] here`,
      )
    }
    arrays.set(key, { shape: found.shape, data: floats(key, found.data) })
  }
  for (const key of expected.numbers.keys()) {
    const found = tensors.get(key)
    if (found?.data.length !== 1) throw new Error(`load: the checkpoint lacks the number '${key}'`)
    numbers.set(key, floats(key, found.data)[0]!)
  }
  const unknown = [...tensors.keys()].filter((key) => !expected.arrays.has(key) && !expected.numbers.has(key))
  if (unknown.length > 0) throw new Error(`load: the checkpoint holds ${list(unknown)}, which this model does not have`)
  const counts = readCounts(metadata.counts, expected)
  const skipped = Number(metadata.skipped)
  if (!isCount(skipped) || metadata.skipped !== String(skipped)) {
    throw new Error(
      `load: the count of skipped steps in the header is ${metadata.skipped ?? 'missing'}, not a whole number`,
    )
  }
  return { optimizer: expected.optimizer, arrays, numbers, counts, skipped }
}

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

function floats(key: string, data: unknown): FloatArray {
  if (data instanceof Float32Array || data instanceof Float64Array) return data
  throw new Error(`load: '${key}' must hold F32 or F64 numbers`)
}

function readCounts(text: string | undefined, expected: Expected): Checkpoint['counts'] {
  let counts: Checkpoint['counts']
  try {
    const parsed: [string, [string, number][]][] = JSON.parse(text ?? '')
    counts = new Map(parsed.map(([key, clocks]) => [key, new Map(clocks)]))
    if (counts.size !== parsed.length || parsed.some(([key, clocks]) => counts.get(key)!.size !== clocks.length)) {
      throw new Error('a name occurs twice')
    }
  } catch {
    throw new Error('load: the step counts in the header are damaged')
  }
  const unknown = [...counts.keys()].filter((key) => !expected.counts.has(key))
  if (unknown.length > 0)
    throw new Error(`load: the step counts in the header are damaged: ${list(unknown)} is unknown here`)
  const total = counts.get('')
  for (const [key, own] of expected.counts) {
    const clocks = counts.get(key)
    const names = [...own.keys()].sort()
    const fits = clocks !== undefined && [...clocks.keys()].sort().join('\n') === names.join('\n')
    // No clock of a parameter is ahead of the parameter's steps, and those not of the optimizer's.
    const most = Math.min(Number(clocks?.get('')), Number(total?.get('')))
    if (!fits || ![...clocks.values()].every((count) => isCount(count) && count <= most)) {
      throw new Error(
        `load: the step counts of '${key || 'the optimizer'}' in the header are missing or damaged: there must be whole ` +
          `numbers of ${names.map((name) => `'${name || 'steps'}'`).join(', ')}, none above the steps`,
      )
    }
  }
  return counts
}

function list(names: readonly string[]): string {
  return names.length > 5
    ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more`
    : names.join(', ') || 'nothing'
}
