import {
  compile,
  defineOptimizer,
  logUniform,
  nonNegative,
  type QuantizedSettings,
  quantized,
  reference,
  wasm,
  zeros,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { codesOf, midpoints } from '../../src/storage/codecs.ts'
import type { StagedStorage } from '../../src/storage/storage.ts'
import { differentByte } from '../support/compare.ts'
import { randomNumbers } from '../support/random.ts'

/** A rule whose state is the gradient, or its size: so that kernels encode the numbers that a test chooses. */
const keeping = (kept: ReturnType<typeof zeros>) =>
  defineOptimizer({
    name: 'keep',
    title: 'Keep',
    paper: { title: 'Keep', authors: 'Nobody', year: 2000 },
    hyper: { learningRate: nonNegative(1) },
    options: { sizes: false },
    state: { kept },
    decay: 'decoupled',
    search: { learningRate: logUniform(1, 2) },
    rule: ({ p, g, options }) => ({ direction: p.times(0), state: { kept: options.sizes ? g.abs() : g } }),
  })

const keep = keeping(zeros())

const float = new Float32Array(1)
const bits = new Int32Array(float.buffer)

/** The float32 numbers nearest to a number on both sides, and it. */
function around(value: number): number[] {
  return [-3, -2, -1, 0, 1, 2, 3].map((step) => {
    float[0] = value
    bits[0]! += step
    return float[0]!
  })
}

/** All halves between codes with their neighbours, of both signs; the first number, the largest, is the scale. */
function boundsOf(storage: StagedStorage): number[] {
  const bounds = midpoints(codesOf[storage]!()).filter((bound) => bound > 0)
  const near = bounds.flatMap(around)
  return [...near, ...near.map((value) => -value), 0, -0, 1e-9, -1e-9, 2 ** -126, 2 ** -149]
}

/** Numbers in blocks of so many elements that all begin with a given number. */
function inBlocks(values: readonly number[], block: number, first: number): number[] {
  return values.flatMap((value, index) => (index % (block - 1) === 0 ? [first, value] : [value]))
}

/** The bytes of state that a step keeps of the numbers, on both backends. */
async function kept(
  values: readonly number[],
  settings: QuantizedSettings,
  sizes: boolean,
  shape: readonly number[] = [values.length],
  by = keep,
): Promise<Uint8Array[]> {
  const rule = quantized(by({ sizes }), { minimumSize: 0, ...settings })
  return Promise.all(
    [reference(), wasm()].map(async (backend) => {
      const optimizer = await compile(rule, { w: shape }, { backend, nonFinite: 'allow' })
      optimizer.step({ gradients: { w: values } })
      const bytes = optimizer.save()
      const header = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
      const names = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + header)))
      const name = Object.keys(names).find((each) => /keep\.kept( as \w+)?$/.test(each))!
      const [from, to] = names[name].data_offsets as [number, number]
      return bytes.slice(8 + header + from, 8 + header + to)
    }),
  )
}

const storages: Readonly<Record<string, readonly [StagedStorage, QuantizedSettings, boolean, number]>> = {
  dynamic8: ['dynamic8', { bits: 8 }, false, 256],
  unsignedDynamic8: ['unsignedDynamic8', { bits: 8 }, true, 256],
  dynamic4: ['dynamic4', { bits: 4 }, false, 128],
  unsignedLinear4: ['unsignedLinear4', { bits: 4 }, true, 128],
}

describe.each(Object.keys(storages))('%s: kernels encode to the same bytes as the reference', (name) => {
  const [storage, settings, sizes, block] = storages[name]!
  const same = async (values: readonly number[]) => {
    const [expected, actual] = await kept(values, settings, sizes)
    expect(differentByte(actual!, expected!)).toBe(-1)
  }

  it('at all halves between codes, and next to them', () => same(inBlocks(boundsOf(storage), block, 1)))

  it.each([1, 15, 16, 17, 255, 257, 5000])('of %i numbers of many sizes', (count) => {
    const random = randomNumbers(count)
    return same(Array.from({ length: count }, () => Math.fround(random() * 10 ** (7 * random() - 4))))
  })

  it('in blocks of what is tiny, huge, infinite, and not a number', async () => {
    for (const first of [2 ** -149, 2 ** -126, 2 ** 127, 3e38, Number.POSITIVE_INFINITY, Number.NaN]) {
      await same(inBlocks(boundsOf(storage), block, first))
    }
    await same([Number.NaN, Number.NEGATIVE_INFINITY, -1, 1, 2 ** 100])
    await same(new Array(300).fill(Number.NaN))
    await same([...new Array(255).fill(0), ...new Array(45).fill(2 ** -140)])
  })
})

it.each([8, 4] as const)('%i bits: numbers below 0 that a rule calls never below 0 become the least', async (bits) => {
  const values = inBlocks(boundsOf(bits === 8 ? 'unsignedDynamic8' : 'unsignedLinear4'), bits === 8 ? 256 : 128, 1)
  const by = keeping(zeros({ nonNegative: true }))
  const [expected, actual] = await kept(values, { bits }, false, [values.length], by)
  expect(differentByte(actual!, expected!)).toBe(-1)
})

it('sixteenths: kernels encode to the same bytes as the reference', async () => {
  // The first number of each row and of each column is its largest.
  const values = boundsOf('sixteenths').filter((value) => value >= 0 && value < 1)
  const columns = 1 + values.length
  const rows = [new Array(columns).fill(1), [1, ...values], [1, ...values.toReversed()], new Array(columns).fill(1)]
  const [expected, actual] = await kept(rows.flat(), { bits: 4 }, true, [4, columns])
  expect(differentByte(actual!, expected!)).toBe(-1)
})

it.each(['bf16', 'bf16+byte'] as const)('%s: kernels encode to the same bytes as the reference', async (storage) => {
  const random = randomNumbers(7)
  const values = Array.from({ length: 1000 }, () => Math.fround(random() * 10 ** (60 * random() - 30)))
  const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2 ** -149, -(2 ** -130), 3.4e38, 0, -0]
  const [expected, actual] = await kept([...values, ...odd, 1], { storage }, false)
  expect(differentByte(actual!, expected!)).toBe(-1)
})
