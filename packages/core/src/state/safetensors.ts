/**
 * Reading and writing of the safetensors format, bytes only (https://huggingface.co/docs/safetensors).
 *
 * ```text
 * 8 bytes   N, the length of the header, unsigned and little-endian
 * N bytes   the header: UTF-8 JSON { "name": { "dtype", "shape", "data_offsets": [begin, end] }, ...,
 *           "__metadata__": { "key": "text" } }, padded with spaces
 * the rest  the data: little-endian, row-major, without gaps; offsets count from its first byte
 * ```
 */

/** The element types that are read and written, widest first. */
const elementTypes = {
  F64: { bytes: 8, array: Float64Array },
  F32: { bytes: 4, array: Float32Array },
  I32: { bytes: 4, array: Int32Array },
  U8: { bytes: 1, array: Uint8Array },
} as const

type ElementType = keyof typeof elementTypes

const elementTypeOfArray: ReadonlyMap<string, ElementType> = new Map([
  ['Float64Array', 'F64'],
  ['Float32Array', 'F32'],
  ['Int32Array', 'I32'],
  ['Uint8Array', 'U8'],
])

const metadataName = '__metadata__'
const lengthBytes = 8
const headerAlignment = 8
// The limit of the format's reference implementation; larger headers would not be readable elsewhere.
const maximumHeaderBytes = 100_000_000
// A valid header nests three deep; the limit keeps a hostile one from exhausting the call stack.
const maximumNesting = 16

/** The arrays that a tensor can be stored from and is read into: dtype F32, F64, U8 and I32. */
export type TensorArray = Float32Array | Float64Array | Uint8Array | Int32Array

/** A tensor: its shape (`[]` is a scalar, a 0 makes it empty) and its elements in row-major order. */
export interface StoredTensor {
  readonly shape: readonly number[]
  readonly data: TensorArray
}

/** What a file holds: tensors in the order of its header, and its texts (an object without prototype). */
export interface DecodedSafetensors {
  readonly tensors: Map<string, StoredTensor>
  readonly metadata: Record<string, string>
}

/**
 * Writes tensors and texts as the bytes of a safetensors file.
 *
 * Names may be any text except `__metadata__`. The header keeps the order of the map. The data is laid out with the
 * widest elements first, so that every tensor begins at a multiple of its element size although the format allows no
 * gaps. Bits are kept as they are, NaN payloads included. The same input gives the same bytes.
 *
 * @throws Error that names the tensor when its shape is not a list of whole numbers or does not fit the length of its
 * data, or its array is of another kind; and when a text of `metadata` is not a string or the header gets too long.
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const entries = [...tensors].map(([name, tensor]) => ({ name, tensor, type: checkTensor(name, tensor), begin: 0 }))

  const layout = entries.toSorted((a, b) => elementTypes[b.type].bytes - elementTypes[a.type].bytes)
  let dataBytes = 0
  for (const entry of layout) {
    entry.begin = dataBytes
    dataBytes += entry.tensor.data.byteLength
  }

  // The JSON is put together by hand: an object would reorder names such as "10" and lose "__proto__".
  const fields = entries.map(({ name, tensor: { shape, data }, type, begin }) => {
    const info = { dtype: type, shape, data_offsets: [begin, begin + data.byteLength] }
    return `${JSON.stringify(name)}:${JSON.stringify(info)}`
  })
  const texts = Object.entries(metadata).map(([key, text]) => {
    if (typeof text === 'string') return `${JSON.stringify(key)}:${JSON.stringify(text)}`
    throw fail(`metadata ${quote(key)} is of type ${typeof text}; it must be a string`)
  })
  if (texts.length > 0) fields.unshift(`${JSON.stringify(metadataName)}:{${texts.join(',')}}`)
  const json = new TextEncoder().encode(`{${fields.join(',')}}`)

  const headerBytes = Math.ceil(json.length / headerAlignment) * headerAlignment
  if (headerBytes > maximumHeaderBytes) {
    throw fail(`the header would have ${headerBytes} bytes; the format allows ${maximumHeaderBytes}`)
  }
  const dataBegin = lengthBytes + headerBytes
  const bytes = new Uint8Array(dataBegin + dataBytes)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true)
  bytes.set(json, lengthBytes)
  bytes.fill(0x20, lengthBytes + json.length, dataBegin)
  for (const { tensor, type, begin } of layout) {
    const source = new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength)
    copyLittleEndian(bytes.subarray(dataBegin + begin), source, elementTypes[type].bytes)
  }
  return bytes
}

/**
 * Reads the bytes of a safetensors file into fresh arrays; nothing refers to `bytes` afterwards.
 *
 * The whole file is checked before an array is made, so the memory used is bounded by the size of the file. Unknown
 * fields of a tensor are ignored, as the format's reference implementation does.
 *
 * @param headerLimit the most bytes that a header may have.
 * @throws Error that names the tensor and the defect for any file that is not well formed: too short, a header that does
 * not fit or is not JSON, a name that appears twice, an element type other than F64, F32, I32 and U8, a shape that does
 * not fit its bytes, tensors that overlap, leave gaps or reach beyond the file.
 */
export function decodeSafetensors(bytes: Uint8Array, headerLimit = maximumHeaderBytes): DecodedSafetensors {
  const dataBegin = lengthBytes + readHeaderLength(bytes, headerLimit)
  const header = parseHeader(readHeaderText(bytes, dataBegin))
  const metadata = readMetadata(header.get(metadataName))

  const infos: TensorInfo[] = []
  for (const [name, value] of header) if (name !== metadataName) infos.push(readTensorInfo(name, value))
  checkLayout(infos, bytes.length - dataBegin)

  const tensors = new Map<string, StoredTensor>()
  for (const { name, type, shape, begin, end } of infos) {
    const buffer = new ArrayBuffer(end - begin)
    const source = bytes.subarray(dataBegin + begin, dataBegin + end)
    copyLittleEndian(new Uint8Array(buffer), source, elementTypes[type].bytes)
    tensors.set(name, { shape, data: new elementTypes[type].array(buffer) })
  }
  return { tensors, metadata }
}

/**
 * Copies elements between the machine's byte order and little-endian, either way. Bytes are copied rather than numbers,
 * because a number that passes through a variable may lose the payload of a NaN.
 *
 * @internal
 */
export function copyLittleEndian(
  target: Uint8Array,
  source: Uint8Array,
  elementBytes: number,
  machineIsLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1,
): void {
  target.set(source)
  if (machineIsLittleEndian || elementBytes === 1) return
  for (let begin = 0; begin < source.length; begin += elementBytes) {
    target.subarray(begin, begin + elementBytes).reverse()
  }
}

interface TensorInfo {
  readonly name: string
  readonly type: ElementType
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
}

type Json = string | number | boolean | null | readonly Json[] | ReadonlyMap<string, Json>

function fail(message: string): Error {
  return new Error(`safetensors: ${message}.`)
}

/** A name as an error shows it; a hostile one can be megabytes long. */
function quote(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name)
}

function checkTensor(name: string, { shape, data }: StoredTensor): ElementType {
  if (typeof name !== 'string') throw fail(`the name ${String(name)} of a tensor must be a string`)
  const where = `tensor ${quote(name)}`
  if (name === metadataName) throw fail(`${where}: the format reserves this name; choose another`)
  const kind = ArrayBuffer.isView(data) ? data[Symbol.toStringTag] : typeof data
  const type = elementTypeOfArray.get(kind)
  if (type === undefined)
    throw fail(`${where}: data is of type ${kind}; use ${[...elementTypeOfArray.keys()].join(', ')}`)
  if (!isListOfSizes(shape))
    throw fail(`${where}: shape must be a list of whole numbers from 0, got ${showJson(shape)}`)
  const elements = elementsOf(shape)
  if (elements !== data.length) {
    throw fail(`${where}: shape [${shape.join(', ')}] has ${elements} elements but the data has ${data.length}`)
  }
  return type
}

function isListOfSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0 && !Object.is(size, -0))
}

function elementsOf(shape: readonly number[]): number {
  return shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, 1)
}

function readHeaderLength(bytes: Uint8Array, limit: number): number {
  if (!ArrayBuffer.isView(bytes) || bytes[Symbol.toStringTag] !== 'Uint8Array') {
    throw new TypeError(`safetensors: the bytes of a file must be a Uint8Array, got ${typeof bytes}.`)
  }
  if (bytes.length < lengthBytes) {
    throw fail(`the file has ${bytes.length} bytes; even the length of its header needs ${lengthBytes}`)
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true)
  if (length > limit) {
    throw fail(`the header claims ${length} bytes, more than the ${limit} allowed; is this such a file?`)
  }
  const available = bytes.length - lengthBytes
  if (length > available) {
    throw fail(
      `the header claims ${length} bytes but only ${available} follow; the file is cut off or of another format`,
    )
  }
  return Number(length)
}

function readHeaderText(bytes: Uint8Array, end: number): string {
  // A fresh copy, because TextDecoder refuses shared memory.
  const header = new Uint8Array(end - lengthBytes)
  header.set(bytes.subarray(lengthBytes, end))
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header)
  } catch (cause) {
    throw new Error('safetensors: the header is not valid UTF-8.', { cause })
  }
}

function readMetadata(value: Json | undefined): Record<string, string> {
  // Without a prototype, so that a text named "__proto__" is a text like any other.
  const metadata: Record<string, string> = Object.create(null)
  if (value === undefined) return metadata
  if (!(value instanceof Map)) throw fail(`${metadataName} must be an object of texts, got ${showJson(value)}`)
  for (const [key, text] of value) {
    if (typeof text !== 'string') throw fail(`metadata ${quote(key)} must be a text, got ${showJson(text)}`)
    metadata[key] = text
  }
  return metadata
}

function readTensorInfo(name: string, value: Json): TensorInfo {
  const where = `tensor ${quote(name)}`
  if (!(value instanceof Map)) throw fail(`${where}: must be described by an object, got ${showJson(value)}`)
  const field = (key: string): Json => {
    const found = value.get(key)
    if (found === undefined) throw fail(`${where}: ${key} is missing`)
    return found
  }

  const type = field('dtype')
  if (typeof type !== 'string' || !Object.hasOwn(elementTypes, type)) {
    throw fail(
      `${where}: dtype ${showJson(type)} is not supported; supported are ${Object.keys(elementTypes).join(', ')}`,
    )
  }
  const shape = field('shape')
  if (!isListOfSizes(shape))
    throw fail(`${where}: shape must be a list of whole numbers from 0, got ${showJson(shape)}`)
  const offsets = field('data_offsets')
  if (!isListOfSizes(offsets) || offsets.length !== 2) {
    throw fail(`${where}: data_offsets must be two whole numbers from 0, got ${showJson(offsets)}`)
  }
  const [begin, end] = offsets as readonly [number, number]
  if (begin > end) throw fail(`${where}: data_offsets end at ${end}, before they begin at ${begin}`)
  const needed = elementsOf(shape) * elementTypes[type as ElementType].bytes
  if (needed !== end - begin) {
    const claim = `shape [${shape.slice(0, 10).join(', ')}${shape.length > 10 ? ', …' : ''}] of ${type}`
    throw fail(`${where}: ${claim} needs ${needed} bytes but data_offsets span ${end - begin}`)
  }
  return { name, type: type as ElementType, shape, begin, end }
}

/** Every byte of the data must belong to exactly one tensor, as the format demands. */
function checkLayout(infos: readonly TensorInfo[], dataBytes: number): void {
  let previous: TensorInfo | undefined
  for (const info of infos.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    const where = `tensor ${quote(info.name)}`
    const expected = previous?.end ?? 0
    if (info.end > dataBytes) {
      throw fail(
        `${where}: data_offsets end at ${info.end} but the file has ${dataBytes} bytes of data; it may be cut off`,
      )
    }
    if (info.begin < expected) throw fail(`${where}: overlaps tensor ${quote(previous!.name)} in the data`)
    if (info.begin > expected) {
      throw fail(`${where}: begins at ${info.begin} but the data before it ends at ${expected}; gaps are not allowed`)
    }
    previous = info
  }
  const used = previous?.end ?? 0
  if (used < dataBytes) {
    throw fail(
      `the file has ${dataBytes} bytes of data but its tensors only ${used}; ${dataBytes - used} bytes too many`,
    )
  }
}

/** A value from a header as an error shows it, cut to a readable length. */
function showJson(value: unknown): string {
  if (!Array.isArray(value)) return showItem(value)
  return `[${value.slice(0, 10).map(showItem).join(', ')}${value.length > 10 ? ', …' : ''}]`
}

function showItem(value: unknown): string {
  if (typeof value === 'string') return quote(value)
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}

/**
 * The JSON of a header, with Maps for objects. Not JSON.parse, because that one silently drops all but the last of equal
 * names and moves names that look like numbers to the front.
 */
function parseHeader(text: string): ReadonlyMap<string, Json> {
  let position = 0

  const unexpected = (expected: string): Error => {
    const found = position < text.length ? quote(text[position]!) : 'its end'
    return fail(`the header is not valid JSON: expected ${expected} but found ${found} at character ${position}`)
  }
  const skipSpace = () => {
    while (' \t\n\r'.includes(text[position] ?? '.')) position++
  }
  /** Skips spaces, and the character if it comes next. */
  const accept = (character: string): boolean => {
    skipSpace()
    if (text[position] !== character) return false
    position++
    return true
  }
  const expect = (character: string) => {
    if (!accept(character)) throw unexpected(quote(character))
  }

  const parseString = (): string => {
    const begin = position++
    while (position < text.length && text[position] !== '"') position += text[position] === '\\' ? 2 : 1
    if (position >= text.length) {
      position = text.length
      throw unexpected('the closing quote of a text')
    }
    position++
    try {
      return JSON.parse(text.slice(begin, position))
    } catch {
      position = begin
      throw unexpected('a text without control characters and wrong escapes')
    }
  }

  const parseNumber = (): number => {
    const begin = position
    while ('+-.0123456789eE'.includes(text[position] ?? '_')) position++
    const literal = text.slice(begin, position)
    // The length comes first: no number of a header is longer, and a pattern could take long on a hostile one.
    if (literal.length <= 30 && /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(literal)) return Number(literal)
    position = begin
    throw unexpected('a number')
  }

  const parseArray = (where: string, depth: number): Json[] => {
    const items: Json[] = []
    expect('[')
    if (accept(']')) return items
    do items.push(parseValue(where, depth + 1))
    while (accept(','))
    expect(']')
    return items
  }

  const parseObject = (where: string, depth: number): Map<string, Json> => {
    const members = new Map<string, Json>()
    expect('{')
    if (accept('}')) return members
    do {
      skipSpace()
      if (text[position] !== '"') throw unexpected('a name in quotes')
      const name = parseString()
      const member = depth > 0 || name === metadataName ? quote(name) : `tensor ${quote(name)}`
      if (members.has(name)) throw fail(`${where}${member} appears twice`)
      expect(':')
      members.set(name, parseValue(`${where}${member}: `, depth + 1))
    } while (accept(','))
    expect('}')
    return members
  }

  const parseValue = (where: string, depth: number): Json => {
    if (depth > maximumNesting) throw fail(`${where}nested deeper than ${maximumNesting} levels`)
    skipSpace()
    const next = text[position]
    if (next === '{') return parseObject(where, depth)
    if (next === '[') return parseArray(where, depth)
    if (next === '"') return parseString()
    if (next === '-' || (next !== undefined && next >= '0' && next <= '9')) return parseNumber()
    for (const [word, value] of [
      ['true', true],
      ['false', false],
      ['null', null],
    ] as const) {
      if (!text.startsWith(word, position)) continue
      position += word.length
      return value
    }
    throw unexpected('a value')
  }

  // The format wants the brace as the very first byte; only the end may be padded.
  if (text[0] !== '{') throw unexpected('"{"')
  const header = parseObject('', 0)
  skipSpace()
  if (position < text.length) throw unexpected('nothing more')
  return header
}
