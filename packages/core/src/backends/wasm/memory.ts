/** All that 32-bit addresses reach. */
const largestMemory = 2 ** 32

/** Bytes of an array beside which some kilobytes do not count. */
const large = 2 ** 20

/** Lays out one WebAssembly memory: first reserve everything, then make the memory, then look at it. */
export class MemoryLayout {
  private size: number

  /** @param start the first address to use: not 0, so that no array is at 0. */
  constructor(start = 64) {
    this.size = start
  }

  /** The first address behind everything reserved. */
  get end(): number {
    return this.size
  }

  /** Reserves `bytes` and gives their address, a multiple of `alignment`. */
  reserve(bytes: number, alignment = 16): number {
    const address = Math.ceil(this.size / alignment) * alignment
    this.size = address + bytes
    return address
  }

  /**
   * Reserves so many bytes for an array. Arrays of equal power-of-two size would otherwise begin at the same place in a page, and
   * the processor, which first compares the low 12 bits of addresses, would make loads wait for stores to other arrays. So
   * each begins a little later, further than a loop's pending stores reach. Large arrays would also compete for the same
   * places in the caches, so they begin further apart.
   */
  reserveArray(bytes: number): number {
    this.size += bytes < large ? 448 : 33216
    return this.reserve(bytes, 64)
  }

  /** @throws Error when what is reserved exceeds what 32-bit addresses reach. */
  checkSize(): void {
    if (this.size <= largestMemory) return
    const gigabytes = (this.size / 2 ** 30).toFixed(1)
    throw new Error(`this model and optimizer need ${gigabytes} GiB; one WebAssembly memory holds at most 4 GiB`)
  }

  /**
   * Makes a memory for what is reserved.
   * @param shared for threads.
   * @throws Error when so much memory is not to be had.
   */
  create(shared: boolean): WebAssembly.Memory {
    this.checkSize()
    return createMemory(this.size, shared)
  }
}

/** @throws Error when so much memory is not to be had. */
export function createMemory(bytes: number, shared: boolean): WebAssembly.Memory {
  const pages = Math.ceil(bytes / 65536)
  try {
    return new WebAssembly.Memory(shared ? { initial: pages, maximum: pages, shared } : { initial: pages })
  } catch (cause) {
    throw new Error(`could not allocate ${(bytes / 2 ** 20).toFixed(0)} MiB of WebAssembly memory`, { cause })
  }
}
