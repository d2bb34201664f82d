import { random } from '../random.ts'
import { columns } from './parts/columns.ts'
import { inOrder, type Progress } from './parts/in-order.ts'
import { sobol, sobolDimensions } from './parts/sobol.ts'
import type { Sampler } from './sampler.ts'

const bits = 30

/**
 * Goes through a Sobol sequence (Sobol 1967; direction numbers of Joe and Kuo 2008) that is scrambled as Owen does (Owen 1998, Scrambling
 * Sobol' and Niederreiter-Xing Points, Journal of Complexity 14): every bit of a coordinate is turned over or not, at random by the seed
 * of the study and by the bits before it. Of the first 2^k points each of 2^k equal parts of a dimension has one.
 *
 * It has 21 dimensions, of which variants that exclude each other share theirs; asking for more throws a RangeError.
 */
export function sobolSearch(): Sampler<Progress> {
  return inOrder(
    'sobol',
    () => Infinity,
    ({ space, seed }) => {
      const { of, count } = columns(space.dimensions)
      if (count > sobolDimensions) {
        throw new RangeError(
          `sobol: the space has ${count} dimensions, and at most ${sobolDimensions} can be: use halton`,
        )
      }
      const keys = Array.from({ length: count }, (_, column) => random(seed, `sobol ${column}`).integer(0, 2 ** 31 - 1))
      return (index) => space.fromCube(of.map((column) => scrambled(sobol(column, index) * 2 ** bits, keys[column]!)))
    },
  )
}

function scrambled(whole: number, key: number): number {
  let turned = whole
  for (let bit = bits - 1; bit >= 0; bit--) {
    // The bits above this one, with a leading 1 so that none and zeros differ.
    const before = (whole >>> (bit + 1)) | (1 << (bits - 1 - bit))
    turned = (turned ^ ((mixed(before, key) & 1) << bit)) >>> 0
  }
  return turned / 2 ** bits
}

/** The final mixing of MurmurHash3: every bit of the result depends on every bit of the number and the key. */
function mixed(number: number, key: number): number {
  let hash = Math.imul(number, 0x9e3779b1) ^ key
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
