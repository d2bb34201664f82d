/** A size that the step is measured at: one tensor, a square matrix. */
export interface Size {
  title: string
  shape: readonly [number, number]
  parameters: number
  /** Seconds of measuring a group of contenders. */
  seconds: number
}

function size(title: string, side: number, seconds: number): Size {
  return { title, shape: [side, side], parameters: side * side, seconds }
}

/** The sizes of the table. The small one is partly in the cache, the large one is not. */
export const sizes: readonly Size[] = [size('1 M', 1024, 1.2), size('16 M', 4096, 3.5)]
