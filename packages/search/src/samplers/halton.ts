import { random } from '../random.ts'
import { columns } from './parts/columns.ts'
import { inOrder, type Progress } from './parts/in-order.ts'
import type { Sampler } from './sampler.ts'

/**
 * Goes through a Halton sequence (Halton 1960): coordinate j of point i has the digits of i in the j-th prime base, mirrored at the
 * point. Every digit of every coordinate is permuted at random by the seed of the study, the zeros that follow included (Owen 2017, A
 * Randomized Halton Algorithm in R, arXiv 1706.02808). It has as many dimensions as are needed.
 */
export function haltonSearch(): Sampler<Progress> {
  return inOrder(
    'halton',
    () => Infinity,
    ({ space, seed }) => {
      const { of, count } = columns(space.dimensions)
      const scrambles = primes(count).map((base, column) => permutations(base, seed, column))
      return (index) => {
        const cube = scrambles.map((digits) => radicalInverse(index, digits))
        return space.fromCube(of.map((column) => cube[column]!))
      }
    },
  )
}

/** The permutation of each digit in a base, as many as a double can tell apart. */
function permutations(base: number, seed: number, column: number): readonly (readonly number[])[] {
  const source = random(seed, `halton ${column}`)
  const digits = Array.from({ length: base }, (_, digit) => digit)
  return Array.from({ length: Math.ceil((53 * Math.LN2) / Math.log(base)) }, () => source.shuffle(digits))
}

function radicalInverse(index: number, digits: readonly (readonly number[])[]): number {
  const base = digits[0]!.length
  let [left, weight, value] = [index, 1 / base, 0]
  for (const permutation of digits) {
    value += permutation[left % base]! * weight
    left = Math.floor(left / base)
    weight /= base
  }
  return Math.min(value, 1 - 2 ** -53)
}

function primes(count: number): number[] {
  const found: number[] = []
  for (let candidate = 2; found.length < count; candidate++) {
    if (found.every((prime) => candidate % prime !== 0)) found.push(candidate)
  }
  return found
}
