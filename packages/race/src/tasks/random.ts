import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator'

export type { RandomGenerator }

/** Keys that keep the random streams of one seed apart. */
export const stream = { initialization: 1, dataOrder: 2, split: 3 } as const

/**
 * A random generator (xoroshiro128+) that is a pure function of a list of integers, for example (seed, stream, epoch).
 * The integers are hashed first, because neighbouring seeds would otherwise start with correlated values.
 */
export function generator(...key: readonly number[]): RandomGenerator {
  let hash = key.length
  for (const value of key) hash = scramble(Math.imul(hash, 31) + (value | 0) + 0x9e3779b9)
  return xoroshiro128plus(hash)
}

/** The 32-bit finalizer of MurmurHash3: every input bit reaches every output bit. */
function scramble(value: number): number {
  let bits = value | 0
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return bits ^ (bits >>> 16)
}

/** The numbers 0 to `count - 1` in random order (Fisher-Yates). */
export function permutation(count: number, random: RandomGenerator): Int32Array {
  const order = Int32Array.from({ length: count }, (_, index) => index)
  for (let last = count - 1; last > 0; last--) {
    const other = uniformInt(random, 0, last)
    const kept = order[last]!
    order[last] = order[other]!
    order[other] = kept
  }
  return order
}

/** Fills `values` with independent draws from the uniform distribution on [-limit, limit). */
export function fillUniform(values: Float32Array, limit: number, random: RandomGenerator): void {
  for (let index = 0; index < values.length; index++) values[index] = (2 * uniformFloat64(random) - 1) * limit
}

/**
 * The initialization limit of Glorot and Bengio (2010), `sqrt(6 / (inputs + outputs))`: keeps variances through linear
 * and tanh layers.
 */
export function glorotLimit(inputs: number, outputs: number): number {
  return Math.sqrt(6 / (inputs + outputs))
}

/** The initialization limit of He et al. (2015), `sqrt(6 / inputs)`: keeps variances through ReLU layers. */
export function heLimit(inputs: number): number {
  return Math.sqrt(6 / inputs)
}

/**
 * Mini-batches by epoch: each epoch is a fresh shuffle of the examples, cut into batches of equal size; the remainder
 * is left out. The indices of a batch are a pure function of (seed, step), with steps counted from 1.
 */
export function epochBatches(examples: number, batchSize: number): (seed: number, step: number) => Int32Array {
  const batchesPerEpoch = Math.floor(examples / batchSize)
  // Trials of several seeds may be interleaved, so a few shuffles are remembered.
  const remembered = new Map<string, Int32Array>()
  return (seed, step) => {
    const epoch = Math.floor((step - 1) / batchesPerEpoch)
    const start = (step - 1 - epoch * batchesPerEpoch) * batchSize
    const key = `${seed}:${epoch}`
    let order = remembered.get(key)
    if (order === undefined) {
      order = permutation(examples, generator(seed, stream.dataOrder, epoch))
      if (remembered.size >= 32) remembered.delete(remembered.keys().next().value!)
      remembered.set(key, order)
    }
    return order.subarray(start, start + batchSize)
  }
}
