/** Lays out one WebAssembly memory: first reserve everything, then make the memory, then look at it. */
export class MemoryLayout {
  private size = 64
  private arrays = 0

  /** Reserves `bytes` and gives their address, a multiple of `alignment`. */
  reserve(bytes: number, alignment = 16): number {
    const address = Math.ceil(this.size / alignment) * alignment
    this.size = address + bytes
    return address
  }

  /**
   * Reserves an array of floats. Arrays of equal power-of-two size would otherwise begin at the same place in a page,
   * and stores to one would look like stores to the others to the processor; so each begins a little later.
   */
  reserveArray(elements: number): number {
    this.size += 64 * (1 + (this.arrays++ % 13))
    return this.reserve(4 * elements, 64)
  }

  /**
   * @param shared for threads.
   * @throws Error when the memory would exceed what 32-bit addresses reach.
   */
  create(shared: boolean): WebAssembly.Memory {
    const pages = Math.ceil(this.size / 65536)
    if (pages > 65536) {
      const gigabytes = (this.size / 2 ** 30).toFixed(1)
      throw new Error(`this model and optimizer need ${gigabytes} GiB; one WebAssembly memory holds at most 4 GiB`)
    }
    try {
      return new WebAssembly.Memory(shared ? { initial: pages, maximum: pages, shared } : { initial: pages })
    } catch (cause) {
      throw new Error(`could not allocate ${(this.size / 2 ** 20).toFixed(0)} MiB of WebAssembly memory`, { cause })
    }
  }
}
