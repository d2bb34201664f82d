import { type Operand, type Value, where } from '../language/value.ts'
import type { Sizes } from './modes.ts'

/** How a tensor is cut into blocks of the same sizes. */
export interface Blocks {
  /** The sizes of the tensor's dimensions. */
  readonly whole: Sizes
  /** The sizes of a block's dimensions. */
  readonly sizes: Sizes
  /** How many blocks lie side by side along each dimension. */
  readonly along: Sizes
  /** How many blocks there are. */
  readonly count: number
}

const product = (sizes: Sizes): number => sizes.reduce((result, size) => result * size, 1)

/**
 * Every dimension of more than `blockSize` elements cut into blocks of as many, the last of which lacks some where they do not divide it:
 * there blocks are filled with zeros, so that all of them are one batch. What has no elements is one block.
 */
export function blocksOf(whole: Sizes, blockSize: number): Blocks {
  const isEmpty = whole.includes(0)
  const sizes = whole.map((size) => (isEmpty ? size : Math.min(size, blockSize)))
  const along = whole.map((size) => (isEmpty ? 1 : Math.ceil(size / blockSize)))
  return { whole, sizes, along, count: product(along) }
}

/** The sizes of the tensor once its dimensions are filled up to whole blocks. */
const filled = ({ sizes, along }: Blocks): Sizes => sizes.map((size, mode) => size * along[mode]!)

/** A tensor whose dimensions have the sizes `from`, cut or filled with zeros to the sizes `to`. */
function resized(tensor: Value, from: Sizes, to: Sizes): Value {
  const current = [...from]
  return to.reduce((x, size, mode) => {
    if (size === current[mode]) return x
    const [before, behind] = [product(current.slice(0, mode)), product(current.slice(mode + 1))]
    const rows = x.as([before, current[mode]!, behind])
    current[mode] = size
    return rows.resized(size, behind)
  }, tensor)
}

/** False where blocks lie one after the other as they are: where only the first dimension is cut. */
const turns = ({ along }: Blocks) => along.slice(1).some((count) => count > 1)

/** The blocks of a tensor, one after the other in the order of their places: a batch of tensors of the sizes of a block. */
export function cutIntoBlocks(tensor: Value, blocks: Blocks): Value {
  if (blocks.count === 1) return tensor
  const { whole, sizes, along } = blocks
  const full = resized(tensor, whole, filled(blocks))
  if (!turns(blocks)) return full
  // (n1, s1, n2, s2, ..) to (n1, n2, .., s1, s2, ..): each size in turn goes to the end.
  const size = product(filled(blocks))
  return sizes.reduce((x, rows, mode) => {
    const batch = product(along.slice(0, mode + 1))
    return x.as([batch, rows, size / batch / rows]).transposed()
  }, full)
}

/** The tensor that blocks are of, with the dimensions of another value. */
export function joinBlocks(cut: Value, blocks: Blocks, like: Value): Value {
  if (blocks.count === 1) return cut.as(like)
  const { whole, sizes, along } = blocks
  const size = product(filled(blocks))
  const full = turns(blocks)
    ? sizes.reduceRight((x, columns, mode) => {
        const batch = product(along.slice(0, mode + 1))
        return x.as([batch, size / batch / columns, columns]).transposed()
      }, cut)
    : cut
  return resized(full, filled(blocks), whole).as(like)
}

/**
 * How many elements each block has along a dimension without what it is filled with: a number where all have as many, else one for
 * each matrix of a value with a matrix for each block.
 */
export function lengthOfBlocks({ whole, sizes, along }: Blocks, mode: number, like: Value): Operand {
  const [length, count] = [sizes[mode]!, along[mode]!]
  const last = whole[mode]! - length * (count - 1)
  if (last === length) return length
  const wholes = (x: Value, divisor: number) => x.plus(0.5).over(divisor).floor()
  const place = wholes(like.batchIndex(), product(along.slice(mode + 1)))
  return where(place.minus(wholes(place, count).times(count)).equals(count - 1), last, length)
}
