/** The shape of a value seen as a batch of matrices; size-one dimensions broadcast. */
export type Dimensions = readonly [batch: number, rows: number, columns: number]

export function sizeOf(dimensions: Dimensions): number {
  return dimensions[0] * dimensions[1] * dimensions[2]
}

export function sameDimensions(a: Dimensions, b: Dimensions): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2]
}

export function formatDimensions(dimensions: Dimensions): string {
  return `[${dimensions.join(', ')}]`
}
