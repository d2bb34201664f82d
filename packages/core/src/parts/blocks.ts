import type { Dimensions } from '../graph/node.ts'
import { resized } from '../language/selection.ts'
import type { Value } from '../language/value.ts'

/** A tensor of so many elements as blocks of a length, in the order of memory; the last block may be shorter. */
export interface Blocks {
  /** How many elements a block has; a tensor that has fewer is one block. */
  readonly length: number
  readonly count: number
  /** How many elements the last block has. */
  readonly last: number
}

/** The blocks of `length` elements of a tensor of `size`. */
export function blocksOf(size: number, length: number): Blocks {
  const own = Math.max(1, Math.min(length, size))
  const count = Math.ceil(size / own)
  return { length: own, count, last: size - Math.max(0, count - 1) * own }
}

/** The elements as `[count, 1, length]`, zeros behind those of the last block. */
export function inBlocks(x: Value, { count, length, last }: Blocks): Value {
  const dimensions: Dimensions = [count, 1, length]
  return last === length || count === 0 ? x.as(dimensions) : resized(x, dimensions)
}

/** What `inBlocks` gave under the dimensions of `like` again. */
export function outOfBlocks(x: Value, { count, length, last }: Blocks, like: Value): Value {
  return last === length || count === 0 ? x.as(like) : resized(x, [like.batch, like.rows, like.columns])
}

/** True for the first places of each row of `x`, dimensions `[count, rows, columns]`: so many in all blocks, and so many in the last one. */
export function firstPlaces(x: Value, { count }: Blocks, inAll: number, inLast: number): Value {
  const column = x.columnIndex()
  return column.isLessThan(inLast).or(
    x
      .batchIndex()
      .isLessThan(count - 1)
      .and(column.isLessThan(inAll)),
  )
}
