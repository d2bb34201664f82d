/** Random numbers of xoshiro128** (D. Blackman and S. Vigna, Scrambled linear pseudorandom number generators, 2018), from a seed. */
export class Random {
  readonly #state = new Uint32Array(4)
  #spare: number | undefined

  constructor(seed: number) {
    // What separates near seeds: SplitMix with the finalizer of MurmurHash3.
    let mixed = (seed ^ Math.floor(seed / 2 ** 32)) >>> 0
    for (let i = 0; i < 4; i++) {
      mixed = (mixed + 0x9e3779b9) >>> 0
      let word = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
      word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35)
      this.#state[i] = word ^ (word >>> 16)
    }
  }

  /** From 0 to 1, without 1. */
  uniform(): number {
    return (this.#word() * 2 ** 21 + (this.#word() >>> 11)) * 2 ** -53
  }

  /** One of 0, 1, ..., count - 1. */
  integer(count: number): number {
    return Math.floor(this.uniform() * count)
  }

  /** Of the standard normal distribution: the polar method of G. Marsaglia. */
  normal(): number {
    if (this.#spare !== undefined) {
      const spare = this.#spare
      this.#spare = undefined
      return spare
    }
    for (;;) {
      const [u, v] = [2 * this.uniform() - 1, 2 * this.uniform() - 1]
      const square = u * u + v * v
      if (square >= 1 || square === 0) continue
      const factor = Math.sqrt((-2 * Math.log(square)) / square)
      this.#spare = v * factor
      return u * factor
    }
  }

  /** 0, 1, ..., count - 1 in a random order. */
  permutation(count: number): number[] {
    const order = Array.from({ length: count }, (_, i) => i)
    for (let i = count - 1; i > 0; i--) {
      const j = this.integer(i + 1)
      ;[order[i], order[j]] = [order[j]!, order[i]!]
    }
    return order
  }

  #word(): number {
    const s = this.#state
    const product = Math.imul(s[1]!, 5)
    const word = Math.imul((product << 7) | (product >>> 25), 9) >>> 0
    const shifted = s[1]! << 9
    s[2]! ^= s[0]!
    s[3]! ^= s[1]!
    s[1]! ^= s[2]!
    s[0]! ^= s[3]!
    s[2]! ^= shifted
    s[3] = (s[3]! << 11) | (s[3]! >>> 21)
    return word
  }
}
