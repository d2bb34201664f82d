/** Random numbers of one seed: the small fast counting generator sfc32 of C. Doty-Humphrey (PractRand). */
export class Draws {
  #a: number
  #b = 0x9e3779b9
  #c = 0x243f6a88
  #counter = 1
  #spare: number | undefined

  constructor(seed: number) {
    this.#a = Math.trunc(seed) | 0
    this.#b ^= Math.trunc(seed / 2 ** 32) | 0
    for (let i = 0; i < 15; i++) this.#word()
  }

  #word(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** At least 0, below 1. */
  uniform(): number {
    return ((this.#word() >>> 5) * 2 ** 26 + (this.#word() >>> 6)) / 2 ** 53
  }

  /** A whole number of at least 0, below `count`. */
  below(count: number): number {
    return Math.floor(this.uniform() * count)
  }

  /** 0, 1, ..., count - 1 in a random order. */
  permutation(count: number): number[] {
    const order = Array.from({ length: count }, (_, i) => i)
    for (let i = count - 1; i > 0; i--) {
      const j = this.below(i + 1)
      ;[order[i], order[j]] = [order[j]!, order[i]!]
    }
    return order
  }

  /** Of the standard normal distribution (G. Box, M. Muller 1958). */
  normal(): number {
    if (this.#spare !== undefined) {
      const spare = this.#spare
      this.#spare = undefined
      return spare
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()))
    const angle = 2 * Math.PI * this.uniform()
    this.#spare = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }
}
