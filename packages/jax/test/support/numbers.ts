import { expect } from 'vitest'
import { randomNumbers } from '../../../core/test/support/random.ts'

/** Numbers between -1 and 1 that follow from a seed. */
export function numbers(length: number, seed: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length }, randomNumbers(seed))
}

export function expectClose(found: ArrayLike<number>, expected: ArrayLike<number>, digits = 5): void {
  expect(found.length).toBe(expected.length)
  Array.from(expected).forEach((value, index) => {
    expect(found[index]!).toBeCloseTo(value, digits)
  })
}
