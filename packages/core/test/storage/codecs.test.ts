import { readFile } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { philox } from '../../src/graph/philox.ts'
import { codecs, codesOf, midpoints, startBytes } from '../../src/storage/codecs.ts'
import { dynamicMap } from '../../src/storage/codes.ts'
import { partsOf, type StagedStorage, sizeInBytes, storageOf, storages } from '../../src/storage/storage.ts'
import { randomNumbers } from '../support/random.ts'

interface Example {
  readonly name: string
  readonly kind: 'signed' | 'unsigned'
  readonly blocksize: number
  readonly x: readonly number[]
  readonly codes: readonly number[]
  readonly absmax: readonly number[]
  readonly dequantized: readonly number[]
}

interface Published {
  readonly signed: readonly number[]
  readonly unsigned: readonly number[]
  readonly other: Readonly<Record<string, readonly number[]>>
  readonly examples: readonly Example[]
}

const file = new URL('dynamic-map.json.gz', import.meta.url)
const published: Published = JSON.parse(gunzipSync(await readFile(file)).toString())

const staged = Object.keys(storages).filter((name) => name !== 'float32') as StagedStorage[]
const coded = staged.filter((name) => codesOf[name])

/** Numbers of many magnitudes, both signs unless `positive`. */
function numbers(count: number, positive: boolean, seed = 1): Float32Array {
  const random = randomNumbers(seed)
  return Float32Array.from({ length: count }, () => {
    const value = random() * 10 ** (4 * random() - 4)
    return positive ? Math.abs(value) : value
  })
}

const isUnsigned = (name: StagedStorage) => codesOf[name]!()[0]! >= 0

describe('the dynamic maps', () => {
  it('are the published ones, to the bit', () => {
    expect([...dynamicMap(8, true)]).toEqual(published.signed)
    expect([...dynamicMap(8, false)]).toEqual(published.unsigned)
    // That of four bits is filled up with zeros to 256 numbers.
    const four = published.other.signed_total_bits_4_max_exponent_bits_3!
    expect([...dynamicMap(4, true)]).toEqual([...new Set(four)])
  })

  it('have 0 and 1 among their numbers, and ascend', () => {
    for (const codes of [dynamicMap(8, true), dynamicMap(8, false), dynamicMap(4, true)]) {
      expect(codes).toContain(0)
      expect(codes.at(-1)).toBe(1)
      for (let index = 1; index < codes.length; index++) expect(codes[index]!).toBeGreaterThan(codes[index - 1]!)
    }
  })
})

describe('8 bits', () => {
  const examples = published.examples.filter(({ blocksize, x }) => blocksize === 256 || x.length < blocksize)
  it.each(examples)('$name, $kind: codes and scales are those of the authors', ({ kind, x, codes, absmax }) => {
    const storage = kind === 'signed' ? 'dynamic8' : 'unsignedDynamic8'
    const bytes = codecs[storage].encode(Float32Array.from(x))
    const { elements } = partsOf(storage, x.length)
    const scales = new Float32Array(bytes.slice(0, elements).buffer)
    expect([...scales]).toEqual(absmax)
    const found = [...bytes.subarray(elements)]
    // What is above 0 may become 0 there, and is the first number above 0 here.
    const expected = codes.map((code, index) => (kind === 'unsigned' && code === 0 && x[index]! > 0 ? 1 : code))
    const different = found.flatMap((code, index) =>
      code === expected[index] ? [] : [Math.abs(code - expected[index]!)],
    )
    // The last block of theirs, when it is not full, divides instead.
    expect(different).toEqual([])
  })
})

describe.each(coded)('%s', (storage) => {
  const codes = codesOf[storage]!()
  const { block = Number.POSITIVE_INFINITY } = storageOf(storage)
  const widest = Math.max(...[...codes.subarray(1)].map((code, index) => code - codes[index]!))

  it.each([1, 2, 127, 128, 129, 256, 257, 1000])('errs in each block of %i elements by half a gap at most', (count) => {
    const values = numbers(count, isUnsigned(storage), count)
    // Without scales all numbers must lie up to 1.
    const given = block === Number.POSITIVE_INFINITY ? values.map((value) => Math.min(1, value)) : values
    const decoded = codecs[storage].decode(codecs[storage].encode(given), count)
    for (let begin = 0; begin < count; begin += Math.min(block, count)) {
      const end = Math.min(begin + block, count)
      const scale = block === Number.POSITIVE_INFINITY ? 1 : Math.max(...given.subarray(begin, end).map(Math.abs))
      for (let index = begin; index < end; index++) {
        const error = Math.abs(decoded[index]! - given[index]!)
        // Below all numbers, or where 0 is not to be reached, the smallest number is as far.
        const least = isUnsigned(storage) ? codes[codes[0] === 0 ? 1 : 0]! : 0
        expect(error).toBeLessThanOrEqual(scale * Math.max(widest / 2, least) * (1 + 1e-5))
        const nearest = Math.min(...codes.map((code) => Math.abs(code * scale - given[index]!)))
        // Halfway is where float32 arithmetic finds it.
        if (!isUnsigned(storage)) expect(error - nearest).toBeLessThanOrEqual(2e-7 * Math.abs(given[index]!))
      }
    }
  })

  it('gives the lower code halfway', () => {
    const bounds = midpoints(codes).filter((bound) => bound !== 0 && (!isUnsigned(storage) || bound > codes[1]!))
    for (const bound of bounds) {
      // 1 is the scale of its block.
      const [value] = codecs[storage].decode(codecs[storage].encode([bound, 1]), 2)
      expect(value).toBe(codes.findLast((code) => code < bound))
    }
  })

  it('keeps a block of zeros and of what is smaller than a normal number at 0', () => {
    if (block === Number.POSITIVE_INFINITY) return
    for (const value of [0, 2 ** -140]) {
      const decoded = codecs[storage].decode(codecs[storage].encode(new Float64Array(block).fill(value)), block)
      expect(decoded.every((number) => number === 0)).toBe(true)
    }
  })

  it('keeps what is not a number as the least and infinities as the largest, and the rest of the block', () => {
    const given = [Number.NaN, 0.5, Number.POSITIVE_INFINITY]
    const decoded = codecs[storage].decode(codecs[storage].encode(given), 3)
    expect(decoded.every(Number.isFinite)).toBe(true)
    expect(decoded[2]).toBeGreaterThanOrEqual(1)
  })
})

describe('unsigned codes', () => {
  it.each(coded.filter(isUnsigned))('%s: what is above 0 stays above 0', (storage) => {
    const given = Float32Array.of(1, 1e-3, 1e-9, 1e-30, 2 ** -126)
    expect(codecs[storage].decode(codecs[storage].encode(given), given.length).every((value) => value > 0)).toBe(true)
  })

  it('of 8 bits keep 0 exactly', () => {
    expect(codecs.unsignedDynamic8.decode(codecs.unsignedDynamic8.encode([1, 0, 0.5]), 3)[1]).toBe(0)
  })
})

describe('bfloat16', () => {
  const stream = { seed: 3, step: 5, tensor: 7 }

  it('rounds to one of both neighbours, with the right mean', () => {
    const value = 1 + 2 ** -9
    const count = 32768
    const decoded = codecs.bfloat16.decode(codecs.bfloat16.encode(new Float64Array(count).fill(value), stream), count)
    expect([...new Set(decoded)].sort()).toEqual([1, 1 + 2 ** -7])
    const mean = decoded.reduce((sum, each) => sum + each, 0) / count
    // A quarter is rounded up: the mean of so many has a deviation of 2^-7 · 0.433 / 181.
    expect(Math.abs(mean - value)).toBeLessThan((4 * (2 ** -7 * 0.433)) / Math.sqrt(count))
  })

  it('leaves numbers that it holds as they are, whatever is drawn', () => {
    const given = [0, 1, -2, 0.15625, -(2 ** -120), 3 * 2 ** 100]
    expect([...codecs.bfloat16.decode(codecs.bfloat16.encode(given, stream), given.length)]).toEqual(given)
  })

  it('draws the halves of the words of the generator', () => {
    // 1 and a share of the gap that exactly half of the draws round up: the bits decide.
    const given = new Float64Array(64).fill(1 + 2 ** -8)
    const decoded = codecs.bfloat16.decode(codecs.bfloat16.encode(given, stream), 64)
    for (let index = 0; index < 64; index++) {
      const words = philox([Math.floor(index / 32) * 4 + (index % 4), 5, 7, 0], [3, 0])
      const word = words[(index >> 2) & 3]!
      const bits = (index >> 4) & 1 ? word >>> 16 : word & 0xffff
      expect(decoded[index]).toBe(bits >= 0x8000 ? 1 + 2 ** -7 : 1)
    }
  })

  it('with a byte has 24 bits', () => {
    const given = numbers(1000, false)
    const decoded = codecs.bfloat16AndByte.decode(codecs.bfloat16AndByte.encode(given), given.length)
    for (const [index, value] of given.entries()) {
      expect(Math.abs(decoded[index]! - value)).toBeLessThanOrEqual(2 ** -16 * Math.abs(value))
    }
    const upper = codecs.bfloat16.decode(codecs.bfloat16AndByte.encode(given), given.length)
    // What is read without the bytes is the nearest bfloat16.
    for (const [index, value] of given.entries())
      expect(Math.abs(upper[index]! - value)).toBeLessThanOrEqual(2 ** -8 * Math.abs(value) * (1 + 1e-4))
  })

  it.each(['bfloat16', 'bfloat16AndByte'] as const)(
    '%s: infinities become the largest number, NaN and denormals 0',
    (storage) => {
      const given = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 2 ** -130]
      const decoded = [...codecs[storage].decode(codecs[storage].encode(given), given.length)]
      expect(decoded.map((value) => value / 2 ** 127)).toEqual([2 - 2 ** -7, -(2 - 2 ** -7), 0, 0])
    },
  )
})

describe.each(staged)('%s', (storage) => {
  it.each([0, 1, 2, 15, 16, 17, 256, 257, 513])('takes the bytes it says for %i elements', (count) => {
    const bytes = codecs[storage].encode(numbers(count, true))
    expect(bytes.length).toBe(sizeInBytes(storage, count))
  })

  it.each([0, 1, 2, 17, 255, 256, 257, 600, 601])('begins with the bytes of %i equal numbers', (count) => {
    for (const start of [0, 1]) {
      const slot = { storage, start, dimensions: [1, 1, count] } as never
      expect([...startBytes(slot)]).toEqual([...codecs[storage].encode(new Float64Array(count).fill(start))])
    }
  })
})
