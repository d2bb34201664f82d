import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

/** What a reference held after a step. */
export interface Checkpoint {
  readonly step: number
  /** The flattened tensors. */
  readonly params: readonly (readonly number[])[]
  /** What the reference evaluates with, where that differs. */
  readonly eval_params?: readonly (readonly number[])[]
  /** Other numbers, such as Prodigy's `d`. */
  readonly [quantity: string]: unknown
}

/** One trajectory: a configuration on tensors of certain shapes. */
export interface GoldenRun {
  readonly config: string
  readonly layout: string
  readonly shapes: readonly (readonly number[])[]
  /** The reference's own names and values. */
  readonly hyper: Readonly<Record<string, unknown>>
  readonly checkpoints: readonly Checkpoint[]
  readonly portable?: boolean
  readonly inputs?: unknown
  readonly captured?: unknown
}

/** All trajectories of one optimizer. */
export interface GoldenFile {
  readonly optimizer: string
  readonly reference: string
  readonly salt: number
  readonly dtype: string
  readonly inputs?: unknown
  readonly runs: readonly GoldenRun[]
}

/** The trajectory files of a directory: `*.json` and `*.json.gz`, in alphabetical order. */
export async function listFiles(directory: string): Promise<string[]> {
  const names = await readdir(directory)
  return names
    .filter((name) => /\.json(\.gz)?$/.test(name))
    .sort()
    .map((name) => join(directory, name))
}

/**
 * Reads a trajectory file. Returns `undefined` for valid JSON that is something else.
 * @throws Error for what is neither, saying what is wrong.
 */
export async function readGolden(path: string): Promise<GoldenFile | undefined> {
  const bytes = await readFile(path)
  const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8')
  const value = parse(text)
  if (!isRecord(value) || typeof value.optimizer !== 'string' || !('runs' in value)) return undefined
  const { optimizer, reference = '', salt, dtype = 'float64', inputs, runs } = value
  if (typeof salt !== 'number') throw new Error(`salt must be a number, not ${JSON.stringify(salt)}`)
  if (!Array.isArray(runs) || runs.length === 0) throw new Error('runs must be a list with at least one run')
  return {
    optimizer,
    reference: String(reference),
    salt,
    dtype: String(dtype),
    ...(inputs === undefined ? {} : { inputs }),
    runs: runs.map(checkRun),
  }
}

/** Python writes NaN and infinities bare, which JSON does not know: they become strings and then numbers again. */
function parse(text: string): unknown {
  const quoted = text.replace(/(?<=[[,:]\s*)(-?Infinity|NaN)(?=\s*[,\]}])/g, '"$1"')
  return JSON.parse(quoted, (_, value) => (value === 'NaN' || /^-?Infinity$/.test(value) ? Number(value) : value))
}

function checkRun(run: unknown, index: number): GoldenRun {
  const fail = (what: string): never => {
    throw new Error(`run ${index + 1}: ${what}`)
  }
  if (!isRecord(run)) return fail('must be an object')
  const { config, layout, shapes, hyper, checkpoints } = run
  if (typeof config !== 'string' || typeof layout !== 'string') return fail('config and layout must be strings')
  if (!isListOf(shapes, (shape) => isListOf(shape, (size) => Number.isInteger(size) && (size as number) >= 0))) {
    return fail(`shapes must be a list of lists of whole numbers, not ${JSON.stringify(shapes)}`)
  }
  if (!isRecord(hyper)) return fail(`hyper must be an object, not ${JSON.stringify(hyper)}`)
  if (!Array.isArray(checkpoints) || checkpoints.length === 0)
    return fail('checkpoints must be a list with at least one')
  const sizes = (shapes as number[][]).map((shape) => shape.reduce((product, size) => product * size, 1))
  for (const checkpoint of checkpoints as unknown[]) {
    if (!isRecord(checkpoint)) return fail('every checkpoint must be an object')
    const { step } = checkpoint
    if (!Number.isInteger(step) || (step as number) < 1)
      return fail(`a step must be a whole number from 1, not ${step}`)
    for (const name of ['params', 'eval_params']) {
      const value = checkpoint[name]
      if (name === 'eval_params' && value === undefined) continue
      const fits =
        isListOf(value, (tensor) => isListOf(tensor, (x) => typeof x === 'number')) &&
        value.length === sizes.length &&
        (value as unknown[][]).every((tensor, k) => tensor.length === sizes[k])
      if (!fits) return fail(`${name} at step ${step} must be ${sizes.length} lists of ${sizes.join(', ')} numbers`)
    }
  }
  return run as unknown as GoldenRun
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isListOf(value: unknown, holds: (item: unknown) => boolean): value is unknown[] {
  return Array.isArray(value) && value.every(holds)
}
