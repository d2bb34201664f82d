import { defaultDevice, init, jit, numpy as np } from '@jax-js/jax'
import { beforeAll, describe, expect, it } from 'vitest'
import { codecs } from '../../core/src/storage/codecs.ts'
import type { StagedStorage } from '../../core/src/storage/storage.ts'
import { packBytes, packed, packedLength, unpackBytes, unpacked } from '../src/packed-state.ts'
import { numbers } from './support/numbers.ts'

beforeAll(async () => {
  await init('cpu', 'wasm')
})

/** Numbers of many sizes, with zeros, the smallest and the largest, and what is no number. */
function values(storage: StagedStorage, size: number, seed: number): Float32Array<ArrayBuffer> {
  const sizes = numbers(size, seed + 1)
  const all = numbers(size, seed).map((value, index) => value * 10 ** Math.round(12 * sizes[index]!))
  if (storage.startsWith('unsigned') || storage === 'sixteenths') {
    // Shares are at most 1.
    return all.map((value) => (storage === 'sixteenths' ? Math.abs(value) % 1 : Math.abs(value)))
  }
  return all
}

const special = [
  0,
  -0,
  1e-40,
  -1e-40,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  3.4e38,
  -3.4e38,
  2 ** -126,
]

describe.each(Object.keys(codecs) as StagedStorage[])('state kept as %s', (storage) => {
  const stream = storage === 'bfloat16' ? { seed: 5, step: 3, tensor: 0xdeadbeef } : undefined
  const pack = jit((x: np.Array) => packed(x, storage, stream))
  const compare = (given: Float32Array<ArrayBuffer>) => {
    const { length } = given
    const words = pack(np.array(given))
    expect([words.dtype, words.shape]).toEqual(['uint32', [packedLength(storage, length)]])
    const bytes = unpackBytes(words.ref.dataSync(), storage, length)
    const expected = codecs[storage].encode(given, stream)
    expect(bytes).toEqual(expected)
    expect([...packBytes(bytes)]).toEqual([...words.ref.dataSync()])
    const unpack = jit((x: np.Array) => unpacked(x, storage, length))
    expect([...unpack(words).dataSync()]).toEqual([...Float32Array.from(codecs[storage].decode(expected, length))])
    unpack.dispose()
  }

  it.each([1, 2, 7, 16, 129, 256, 300, 1030])('has the bytes and numbers of the reference for %d of them', (size) => {
    compare(values(storage, size, size))
  })

  it('has them on the interpreter of jax-js too', () => {
    const before = defaultDevice()
    defaultDevice('cpu')
    try {
      compare(values(storage, 70, 3))
    } finally {
      defaultDevice(before)
    }
  })

  it('has those of what is no number or none that it holds', () => {
    compare(
      Float32Array.from(storage.startsWith('unsigned') || storage === 'sixteenths' ? special.map(Math.abs) : special),
    )
    compare(new Float32Array(20))
  })
})
