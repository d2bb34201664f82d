import { hashName, philox } from 'fallline/internal'

/**
 * Independent signs, -1 and 1, for one parameter in one step: the same for the same seed, step and name, so that a training that goes on
 * from a checkpoint draws what it would have drawn. Every draw of four words gives 128 of them.
 */
export function signs(length: number, name: string, seed: number, step: number): Float32Array<ArrayBuffer> {
  const result = new Float32Array(length)
  const stream = hashName(`probe of ${name}`)
  for (let first = 0; first < length; first += 128) {
    const words = philox([first >>> 7, step, stream, 0], [seed, 0])
    const end = Math.min(first + 128, length)
    for (let index = first; index < end; index++) {
      result[index] = (words[(index >>> 5) & 3]! >>> (index & 31)) & 1 ? -1 : 1
    }
  }
  return result
}
