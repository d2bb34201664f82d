import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  copyLittleEndian,
  decodeSafetensors,
  encodeSafetensors,
  type StoredTensor,
  type TensorArray,
} from '../src/state/safetensors.ts'

const bytesOf = ({ buffer, byteOffset, byteLength }: TensorArray) => new Uint8Array(buffer, byteOffset, byteLength)

/** The bytes of a file with any text as its header, right or wrong. */
function file(header: string | Uint8Array, data: readonly number[] = [], claimed?: bigint): Uint8Array {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header
  const bytes = new Uint8Array(8 + text.length + data.length)
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(text.length), true)
  bytes.set(text, 8)
  bytes.set(data, 8 + text.length)
  return bytes
}

const headerOf = (bytes: Uint8Array) => {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
  return { length, text: new TextDecoder().decode(bytes.subarray(8, 8 + length)) }
}

function expectSame(actual: ReadonlyMap<string, StoredTensor>, expected: ReadonlyMap<string, StoredTensor>) {
  expect([...actual.keys()]).toEqual([...expected.keys()])
  for (const [name, { shape, data }] of expected) {
    const found = actual.get(name)!
    expect(found.shape).toEqual(shape)
    expect(found.data.constructor).toBe(data.constructor)
    expect(bytesOf(found.data)).toEqual(bytesOf(data))
  }
}

/** One F32 tensor "a" of two elements and one U8 tensor "b" of three, byte by byte as the format defines it. */
const goldenHeader =
  '{"__metadata__":{"format":"test"},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}  '
const goldenBytes = Uint8Array.from([
  ...[144, 0, 0, 0, 0, 0, 0, 0],
  ...[...goldenHeader].map((character) => character.charCodeAt(0)),
  ...[0x00, 0x00, 0x80, 0x3f], // 1
  ...[0x00, 0x00, 0x20, 0xc0], // -2.5
  ...[7, 8, 255],
])
const goldenTensors = new Map<string, StoredTensor>([
  ['b', { shape: [3], data: Uint8Array.of(7, 8, 255) }],
  ['a', { shape: [2, 1], data: Float32Array.of(1, -2.5) }],
])

describe('the bytes', () => {
  it('are those of the format', () => {
    expect(goldenHeader.length).toBe(144)
    expect(encodeSafetensors(goldenTensors, { format: 'test' })).toEqual(goldenBytes)
  })

  it('are read as the format says', () => {
    const { tensors, metadata } = decodeSafetensors(goldenBytes)
    expectSame(tensors, goldenTensors)
    expect({ ...metadata }).toEqual({ format: 'test' })
  })

  it('of a file with nothing in it are an empty object', () => {
    const bytes = encodeSafetensors(new Map(), {})
    expect(bytes).toEqual(file('{}      '))
    expect(decodeSafetensors(bytes).tensors.size).toBe(0)
    expect(decodeSafetensors(file('{}')).tensors.size).toBe(0)
  })

  it('put wide elements first, without gaps, so that all are aligned', () => {
    const tensors = new Map<string, StoredTensor>([
      ['bytes', { shape: [3], data: new Uint8Array(3) }],
      ['integers', { shape: [1], data: new Int32Array(1) }],
      ['doubles', { shape: [2], data: new Float64Array(2) }],
      ['floats', { shape: [1], data: new Float32Array(1) }],
    ])
    const bytes = encodeSafetensors(tensors, {})
    const { length, text } = headerOf(bytes)
    expect(length % 8).toBe(0)
    const header = JSON.parse(text)
    expect(header.doubles.data_offsets).toEqual([0, 16])
    expect(header.integers.data_offsets).toEqual([16, 20])
    expect(header.floats.data_offsets).toEqual([20, 24])
    expect(header.bytes.data_offsets).toEqual([24, 27])
    expectSame(decodeSafetensors(bytes).tensors, tensors)
  })

  it('are swapped element by element on a big-endian machine', () => {
    const target = new Uint8Array(8)
    copyLittleEndian(target, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 4, false)
    expect([...target]).toEqual([4, 3, 2, 1, 8, 7, 6, 5])
    copyLittleEndian(target, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 8, false)
    expect([...target]).toEqual([8, 7, 6, 5, 4, 3, 2, 1])
    copyLittleEndian(target, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 1, false)
    expect([...target]).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  })
})

describe('a round trip', () => {
  it('keeps every element type, scalars and empty tensors', () => {
    const tensors = new Map<string, StoredTensor>()
    for (const array of [Float32Array, Float64Array, Int32Array, Uint8Array]) {
      tensors.set(`${array.name} matrix`, { shape: [2, 3], data: array.of(1, 2, 3, 4, 5, 6) })
      tensors.set(`${array.name} scalar`, { shape: [], data: array.of(42) })
      tensors.set(`${array.name} empty`, { shape: [3, 0, 2], data: new array(0) })
    }
    expectSame(decodeSafetensors(encodeSafetensors(tensors, {})).tensors, tensors)
  })

  it('keeps the bits of NaN, infinities, -0 and subnormal numbers', () => {
    const floats = Float32Array.of(Number.NaN, Infinity, -Infinity, -0, 1e-45, 0)
    new Uint32Array(floats.buffer)[5] = 0x7fa0_1234 // a signalling NaN with a payload
    const doubles = Float64Array.of(Number.NaN, Infinity, -Infinity, -0, 5e-324, 0)
    new BigUint64Array(doubles.buffer)[5] = 0xfff4_0000_dead_beefn
    const tensors = new Map<string, StoredTensor>([
      ['floats', { shape: [6], data: floats }],
      ['doubles', { shape: [6], data: doubles }],
    ])
    expectSame(decodeSafetensors(encodeSafetensors(tensors, {})).tensors, tensors)
  })

  it('keeps any name and text, in order, and pollutes no prototype', () => {
    const names = [
      '10',
      '9',
      '__proto__',
      'constructor',
      '',
      ' ',
      '"\\\n\u0000',
      'größe/重み/🏔',
      '\ud800',
      'a.b',
      'toString',
    ]
    const tensors = new Map(names.map((name, index) => [name, { shape: [1], data: Int32Array.of(index) }]))
    const metadata = JSON.parse('{"__proto__": "own", "10": "ten", "größe": "\\u0000🏔", "constructor": ""}')
    const decoded = decodeSafetensors(encodeSafetensors(tensors, metadata))
    expectSame(decoded.tensors, tensors)
    expect(Object.entries(decoded.metadata).sort()).toEqual(Object.entries(metadata).sort())
    expect(decoded.metadata.toString).toBeUndefined()
    expect(({} as Record<string, unknown>).own).toBeUndefined()
  })

  it('works for views anywhere in a buffer and for shared memory, in and out', () => {
    const buffer = new SharedArrayBuffer(64)
    const data = new Float32Array(buffer, 20, 3)
    data.set([1, 2, 3])
    const tensors = new Map([['view', { shape: [3], data }]])
    const bytes = encodeSafetensors(tensors, {})

    const shifted = new Uint8Array(new SharedArrayBuffer(bytes.length + 10), 3, bytes.length)
    shifted.set(bytes)
    const decoded = decodeSafetensors(shifted).tensors
    expectSame(decoded, tensors)
    shifted.fill(0)
    expect([...decoded.get('view')!.data]).toEqual([1, 2, 3])
    expect(decoded.get('view')!.data.buffer).toBeInstanceOf(ArrayBuffer)
    expect(decoded.get('view')!.data.buffer.byteLength).toBe(12)
    expectSame(decodeSafetensors(Buffer.from(bytes)).tensors, tensors)
  })

  it('holds for random tensors, whose files are deterministic', () => {
    const shape = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 })
    const tensor = fc
      .record({ shape, array: fc.constantFrom(Float32Array, Float64Array, Int32Array, Uint8Array), seed: fc.nat() })
      .map(({ shape, array, seed }): StoredTensor => {
        const elements = shape.reduce((product, size) => product * size, 1)
        const data = new array(elements)
        const raw = bytesOf(data)
        for (let index = 0; index < raw.length; index++) raw[index] = Math.imul(seed + index + 1, 2654435761) >>> 24
        return { shape, data }
      })
    const name = fc.string({ unit: 'binary' }).filter((text) => text !== '__metadata__')
    const tensors = fc.array(fc.tuple(name, tensor), { maxLength: 6 }).map((entries) => new Map(entries))
    const metadata = fc.dictionary(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }))
    fc.assert(
      fc.property(tensors, metadata, (tensors, metadata) => {
        const bytes = encodeSafetensors(tensors, metadata)
        expect(headerOf(bytes).length % 8).toBe(0)
        const decoded = decodeSafetensors(bytes)
        expectSame(decoded.tensors, tensors)
        expect({ ...decoded.metadata }).toEqual({ ...metadata })
        expect(encodeSafetensors(decoded.tensors, decoded.metadata)).toEqual(bytes)
      }),
      { numRuns: 100 },
    )
  })
})

describe('files of other writers', () => {
  it('may have spaces, escapes, unpadded headers, any order and unknown fields', () => {
    const header =
      '{ "\\u0062\\/": {"data_offsets" : [ 4,\t8 ], "extra": [true, false, null, -1.5e3, {"x": "y"}], "shape":[],\n"dtype":"I32"} ,' +
      '"a":{"dtype":"U8","shape":[2,2],"data_offsets":[0,4]},"__metadata__":{} } \r\n'
    const { tensors, metadata } = decodeSafetensors(file(header, [1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff]))
    expectSame(
      tensors,
      new Map<string, StoredTensor>([
        ['b/', { shape: [], data: Int32Array.of(-1) }],
        ['a', { shape: [2, 2], data: Uint8Array.of(1, 2, 3, 4) }],
      ]),
    )
    expect(Object.keys(metadata)).toEqual([])
  })

  it('may place empty tensors anywhere between others', () => {
    const header =
      '{"end":{"dtype":"F32","shape":[0],"data_offsets":[2,2]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},' +
      '"middle":{"dtype":"F64","shape":[0,9007199254740991,9007199254740991],"data_offsets":[1,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},' +
      '"begin":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
    const { tensors } = decodeSafetensors(file(header, [5, 6]))
    expect([...tensors].map(([name, { data }]) => [name, ...data])).toEqual([
      ['end'],
      ['a', 5],
      ['middle'],
      ['b', 6],
      ['begin'],
    ])
  })
})

describe('a malformed file gives an error that names the defect:', () => {
  const tensor = (fields: string) => `{"a":{${fields}}}`
  const u8 = (name: string, shape: string, offsets: string) =>
    `"${name}":{"dtype":"U8","shape":${shape},"data_offsets":${offsets}}`
  const four = [1, 2, 3, 4]

  it.each<[string, Uint8Array, string]>([
    ['empty', new Uint8Array(0), 'the file has 0 bytes; even the length of its header needs 8'],
    ['7 bytes', new Uint8Array(7), 'the file has 7 bytes; even the length of its header needs 8'],
    ['no header', new Uint8Array(8), 'the header is not valid JSON: expected "{" but found its end at character 0'],
    ['header past the end', file('{}', [], 3n), 'the header claims 3 bytes but only 2 follow; the file is cut off'],
    ['absurd header length', file('{}', [], 2n ** 64n - 1n), 'the header claims 18446744073709551615 bytes, more than'],
    ['not UTF-8', file(Uint8Array.of(0x7b, 0xff, 0x7d)), 'the header is not valid UTF-8'],
    ['byte order mark', file('\ufeff{}'), 'not valid JSON: expected "{" but found "\ufeff" at character 0'],
    ['leading space', file(' {}'), 'the header is not valid JSON: expected "{" but found " " at character 0'],
    ['an array', file('[]'), 'the header is not valid JSON: expected "{" but found "["'],
    ['unclosed object', file('{"a":{}'), 'expected "}" but found its end at character 7'],
    ['trailing comma', file('{"a":1,}'), 'expected a name in quotes but found "}" at character 7'],
    ['missing colon', file('{"a"1}'), 'expected ":" but found "1" at character 4'],
    ['missing value', file('{"a":}'), 'expected a value but found "}" at character 5'],
    ['unquoted name', file('{a:1}'), 'expected a name in quotes but found "a" at character 1'],
    ['unclosed text', file('{"a'), 'expected the closing quote of a text but found its end at character 3'],
    ['unclosed escape', file('{"a\\'), 'expected the closing quote of a text but found its end at character 4'],
    ['wrong escape', file('{"\\x":1}'), 'expected a text without control characters and wrong escapes'],
    ['control character', file('{"\n":1}'), 'expected a text without control characters and wrong escapes'],
    ['wrong number', file('{"a":01}'), 'expected a number but found "0" at character 5'],
    ['endless number', file(`{"a":${'1'.repeat(1e6)}}`), 'expected a number but found "1" at character 5'],
    ['unclosed array', file('{"a":[1'), 'expected "]" but found its end at character 7'],
    ['text after the header', file('{} x'), 'expected nothing more but found "x" at character 3'],
    ['zero padding', file('{}\0'), 'expected nothing more but found "\\u0000" at character 2'],
    ['deep nesting', file(`{"a":${'['.repeat(1e6)}`), 'tensor "a": nested deeper than 16 levels'],
    ['deep objects', file('{"a":'.repeat(1e5)), 'nested deeper than 16 levels'],

    ['duplicate tensor', file(`{${u8('a', '[0]', '[0,0]')},${u8('a', '[0]', '[0,0]')}}`), 'tensor "a" appears twice'],
    ['duplicate by escape', file('{"a":1,"\\u0061":1}'), 'tensor "a" appears twice'],
    ['duplicate __proto__', file('{"__proto__":1,"__proto__":1}'), 'tensor "__proto__" appears twice'],
    ['duplicate field', file('{"a":{"shape":[1],"shape":[2]}}'), 'tensor "a": "shape" appears twice'],
    ['duplicate metadata', file('{"__metadata__":{},"__metadata__":{}}'), '"__metadata__" appears twice'],
    ['metadata not an object', file('{"__metadata__":[]}'), '__metadata__ must be an object of texts, got []'],
    ['metadata not a text', file('{"__metadata__":{"k":1}}'), 'metadata "k" must be a text, got 1'],

    ['tensor not an object', file('{"a":null}'), 'tensor "a": must be described by an object, got null'],
    ['no dtype', file(tensor('"shape":[],"data_offsets":[0,0]')), 'tensor "a": dtype is missing'],
    ['no shape', file(tensor('"dtype":"U8","data_offsets":[0,0]')), 'tensor "a": shape is missing'],
    ['no offsets', file(tensor('"dtype":"U8","shape":[]')), 'tensor "a": data_offsets is missing'],
    [
      'BF16',
      file(tensor('"dtype":"BF16"')),
      'tensor "a": dtype "BF16" is not supported; supported are F64, F32, I32, U8',
    ],
    ['F16', file(tensor('"dtype":"F16"')), 'tensor "a": dtype "F16" is not supported'],
    ['dtype of Object', file(tensor('"dtype":"toString"')), 'tensor "a": dtype "toString" is not supported'],
    ['dtype not a text', file(tensor('"dtype":["F32"]')), 'tensor "a": dtype ["F32"] is not supported'],
    ['shape not a list', file(`{${u8('a', '4', '[0,4]')}}`, four), 'tensor "a": shape must be a list of whole numbers'],
    ['negative size', file(`{${u8('a', '[-4]', '[0,4]')}}`, four), 'whole numbers from 0, got [-4]'],
    ['minus zero', file(`{${u8('a', '[-0]', '[0,0]')}}`), 'tensor "a": shape must be a list of whole numbers'],
    ['fraction', file(`{${u8('a', '[1.5]', '[0,4]')}}`, four), 'whole numbers from 0, got [1.5]'],
    ['size of text', file(`{${u8('a', '["4",[],{}]', '[0,4]')}}`, four), 'got ["4", a list, an object]'],
    ['unsafe size', file(`{${u8('a', '[9007199254740993]', '[0,4]')}}`, four), 'tensor "a": shape must be a list of'],
    ['one offset', file(`{${u8('a', '[4]', '[4]')}}`, four), 'tensor "a": data_offsets must be two whole numbers'],
    [
      'offset of text',
      file(`{${u8('a', '[4]', '[0,"4"]')}}`, four),
      'data_offsets must be two whole numbers from 0, got',
    ],
    ['offsets reversed', file(`{${u8('a', '[4]', '[4,0]')}}`, four), 'data_offsets end at 0, before they begin at 4'],
    [
      'size mismatch',
      file(`{${u8('a', '[3]', '[0,4]')}}`, four),
      'shape [3] of U8 needs 3 bytes but data_offsets span 4',
    ],
    [
      'scalar mismatch',
      file(`{${u8('a', '[]', '[0,4]')}}`, four),
      'shape [] of U8 needs 1 bytes but data_offsets span 4',
    ],
    ['overflow', file(`{${u8('a', `[${Array(99).fill(1e15)}]`, '[0,4]')}}`, four), ', …] of U8 needs Infinity bytes'],
    [
      'out of range',
      file(`{${u8('a', '[5]', '[0,5]')}}`, four),
      'tensor "a": data_offsets end at 5 but the file has 4',
    ],
    [
      'far out of range',
      file(`{${u8('a', '[9e15]', '[0,9e15]')}}`, four),
      'end at 9000000000000000 but the file has 4',
    ],
    [
      'overlap',
      file(`{${u8('a', '[3]', '[0,3]')},${u8('b', '[2]', '[2,4]')}}`, four),
      'tensor "b": overlaps tensor "a"',
    ],
    [
      'same bytes',
      file(`{${u8('a', '[4]', '[0,4]')},${u8('b', '[4]', '[0,4]')}}`, four),
      'tensor "b": overlaps tensor "a"',
    ],
    ['empty inside', file(`{${u8('a', '[4]', '[0,4]')},${u8('b', '[0]', '[2,2]')}}`, four), 'tensor "b": overlaps'],
    [
      'gap',
      file(`{${u8('a', '[1]', '[0,1]')},${u8('b', '[2]', '[2,4]')}}`, four),
      'tensor "b": begins at 2 but the data before it ends at 1',
    ],
    [
      'gap in front',
      file(`{${u8('a', '[2]', '[2,4]')}}`, four),
      'tensor "a": begins at 2 but the data before it ends at 0',
    ],
    [
      'bytes too many',
      file(`{${u8('a', '[3]', '[0,3]')}}`, four),
      'has 4 bytes of data but its tensors only 3; 1 bytes too',
    ],
    ['a very long name', file(`{"${'n'.repeat(1e6)}":1}`), `tensor "${'n'.repeat(100)}…": must be described`],
  ])('%s', (_, bytes, message) => {
    let error: unknown
    try {
      decodeSafetensors(bytes)
    } catch (caught) {
      error = caught
    }
    expect(error).toBeInstanceOf(Error)
    expect((error as Error).constructor).toBe(Error)
    expect((error as Error).message).toMatch(/^safetensors: /)
    expect((error as Error).message).toContain(message)
    expect((error as Error).message.length).toBeLessThan(400)
  })

  it('cut off at any byte', () => {
    for (let length = 0; length < goldenBytes.length; length++) {
      expect(() => decodeSafetensors(goldenBytes.subarray(0, length))).toThrow(
        /^safetensors: .*(cut off|even the length)/,
      )
    }
  })

  it('any one byte changed: an error of ours or a result, never a crash', () => {
    fc.assert(
      fc.property(fc.nat(goldenBytes.length - 1), fc.integer({ min: 0, max: 255 }), (index, value) => {
        const bytes = goldenBytes.slice()
        bytes[index] = value
        try {
          decodeSafetensors(bytes)
        } catch (error) {
          expect((error as Error).message).toMatch(/^safetensors: /)
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('not bytes at all', () => {
    expect(() => decodeSafetensors('text' as never)).toThrow('must be a Uint8Array, got string')
    expect(() => decodeSafetensors(new ArrayBuffer(8) as never)).toThrow('must be a Uint8Array, got object')
    expect(() => decodeSafetensors(new Float32Array(8) as never)).toThrow('must be a Uint8Array, got object')
  })
})

describe('wrong input to the writer gives an error that names it:', () => {
  const encode = (name: string, shape: unknown, data: unknown) => () =>
    encodeSafetensors(new Map([[name, { shape, data } as never]]), {})

  it.each([
    ['reserved name', encode('__metadata__', [0], new Uint8Array(0)), 'tensor "__metadata__": the format reserves'],
    [
      'shape and data',
      encode('a', [2, 3], new Float32Array(5)),
      'tensor "a": shape [2, 3] has 6 elements but the data has 5',
    ],
    [
      'scalar without data',
      encode('a', [], new Float32Array(0)),
      'tensor "a": shape [] has 1 elements but the data has 0',
    ],
    [
      'negative size',
      encode('a', [-1], new Float32Array(1)),
      'tensor "a": shape must be a list of whole numbers from 0, got [-1]',
    ],
    ['shape missing', encode('a', undefined, new Float32Array(1)), 'tensor "a": shape must be a list'],
    [
      'other array',
      encode('a', [1], new Int16Array(1)),
      'tensor "a": data is of type Int16Array; use Float64Array, Float32Array',
    ],
    ['plain array', encode('a', [1], [1]), 'tensor "a": data is of type object; use Float64Array'],
    ['name not a text', encode(7 as never, [1], new Float32Array(1)), 'the name 7 of a tensor must be a string'],
    ['text not a string', () => encodeSafetensors(new Map(), { k: 3 as never }), 'metadata "k" is of type number'],
    ['huge header', () => encodeSafetensors(new Map(), { k: ' '.repeat(100_000_000) }), 'the format allows 100000000'],
  ])('%s', (_, call, message) => {
    expect(call).toThrow(message)
  })
})
