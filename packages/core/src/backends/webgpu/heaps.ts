/** Where arrays lie: in a few buffers of float32, so that any number of tensors fits in what a kernel may be bound to. */

/**
 * Heaps at most: with items, words, numbers and bytes a kernel has no more than the eight storage buffers of every device. Parameters and
 * gradients have one each, so that whoever computes gradients can read one buffer and write the other.
 */
const heapRoles = [['parameter'], ['gradient'], undefined, undefined] as const

/** Elements to which the beginning of an array is rounded up: so that each can be bound on its own. */
const alignment = 64

/** Bytes, for errors. */
export const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`

/** An array that has its place. */
export interface Placed {
  readonly heap: number
  /** Its first element. */
  readonly at: number
  readonly size: number
}

/** Lays out arrays: first reserve all, each under its role, then say which heap every role lies in. */
export class Heaps {
  private readonly lengths = new Map<string, number>()
  private placed: ReadonlyMap<string, { readonly heap: number; readonly from: number }> | undefined
  /** Elements of each heap. */
  sizes: readonly number[] = []

  /**
   * Reserves an array; arrays of one role lie in one heap.
   * @returns where it lies, to be asked for once heaps are chosen.
   */
  reserve(role: string, size: number): () => Placed {
    const start = this.lengths.get(role) ?? 0
    this.lengths.set(role, start + Math.ceil(size / alignment) * alignment)
    return () => {
      const { heap, from } = this.placed!.get(role)!
      return { heap, at: from + start, size }
    }
  }

  /**
   * Chooses the heap of every role.
   * @param most bytes that a kernel may be bound to at once.
   * @throws Error when they do not fit.
   */
  choose(most: number): void {
    const largest = Math.floor(most / 4)
    const sizes: number[] = heapRoles.map(() => 0)
    const placed = new Map<string, { heap: number; from: number }>()
    for (const [role, length] of [...this.lengths].sort((a, b) => b[1] - a[1])) {
      const own = heapRoles.findIndex((roles) => roles?.some((other) => other === role))
      const shared = sizes.findIndex((size, heap) => !heapRoles[heap] && size + length <= largest)
      const heap = own >= 0 ? own : shared
      if (heap < 0 || length > largest) {
        const total = [...this.lengths.values()].reduce((sum, each) => sum + each, 0)
        throw new Error(
          `webgpu: ${role} of all tensors take ${mebibytes(4 * length)}, all arrays ${mebibytes(4 * total)}; a kernel of this device ` +
            `reaches ${heapRoles.length} buffers of ${mebibytes(4 * largest)}, one for parameters and one for gradients`,
        )
      }
      placed.set(role, { heap, from: sizes[heap]! })
      sizes[heap]! += length
    }
    // The last is seldom needed.
    if (sizes.at(-1) === 0) sizes.pop()
    this.placed = placed
    this.sizes = sizes.map((size) => Math.max(size, alignment))
  }

  /** The heap of a role. */
  heapOf(role: string): number {
    return this.placed!.get(role)!.heap
  }
}
