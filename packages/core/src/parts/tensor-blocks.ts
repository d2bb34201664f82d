import { resized } from '../language/selection.ts'
import { type Operand, type Value, where } from '../language/value.ts'
import { elementsOf, inverseOrder, permuted, type Sizes } from './modes.ts'

/** How a tensor is cut into blocks of the same sizes. */
export interface TensorBlocks {
  /** The sizes of the tensor's dimensions. */
  readonly whole: Sizes
  /** The sizes of a block's dimensions. */
  readonly sizes: Sizes
  /** How many blocks lie side by side along each dimension. */
  readonly along: Sizes
  /** How many blocks there are. */
  readonly count: number
}

/**
 * Every dimension of more than `blockSize` elements cut into blocks of as many, the last of which lacks some where they do not divide it:
 * there blocks are filled with zeros, so that all of them are one batch. What has no elements is one block.
 */
export function tensorBlocksOf(whole: Sizes, blockSize: number): TensorBlocks {
  const isEmpty = whole.includes(0)
  const sizes = whole.map((size) => (isEmpty ? size : Math.min(size, blockSize)))
  const along = whole.map((size) => (isEmpty ? 1 : Math.ceil(size / blockSize)))
  return { whole, sizes, along, count: elementsOf(along) }
}

/** The sizes of the tensor once its dimensions are filled up to whole blocks. */
const filled = ({ sizes, along }: TensorBlocks): Sizes => sizes.map((size, mode) => size * along[mode]!)

/** A tensor whose dimensions have the sizes `from`, cut or filled with zeros to the sizes `to`. */
function withSizes(tensor: Value, from: Sizes, to: Sizes): Value {
  const current = [...from]
  return to.reduce((x, size, mode) => {
    if (size === current[mode]) return x
    const [before, behind] = [elementsOf(current.slice(0, mode)), elementsOf(current.slice(mode + 1))]
    const [given, wanted] = [current[mode]! * behind, size * behind]
    current[mode] = size
    if (before === 1) return resized(x, [1, size, behind])
    // What is cut or filled must be at the end, so what comes before goes there for a while.
    const turned = resized(x.as([1, before, given]).transposed(), [1, wanted, before])
    return turned.transposed()
  }, tensor)
}

/** The number of the block and the place in it of every dimension, those of one element left out, and the order with all blocks first. */
function nested({ sizes, along }: TensorBlocks): { readonly sizes: Sizes; readonly order: readonly number[] } {
  const all = sizes.flatMap((size, mode) => [
    { size: along[mode]!, isWithin: 0 },
    { size, isWithin: 1 },
  ])
  const long = all.filter(({ size }) => size > 1)
  const order = [...long.keys()].sort((a, b) => long[a]!.isWithin - long[b]!.isWithin)
  return { sizes: long.map(({ size }) => size), order }
}

/** The blocks of a tensor, one after the other in the order of their places: a batch of tensors of the sizes of a block. */
export function cutIntoBlocks(tensor: Value, blocks: TensorBlocks): Value {
  if (blocks.count === 1) return tensor
  const { sizes, order } = nested(blocks)
  return permuted(withSizes(tensor, blocks.whole, filled(blocks)), sizes, order)
}

/** The tensor that blocks are of, with the dimensions of another value. */
export function joinBlocks(cut: Value, blocks: TensorBlocks, like: Value): Value {
  if (blocks.count === 1) return cut.as(like)
  const { sizes, order } = nested(blocks)
  const back = inverseOrder(sizes, order)
  return withSizes(permuted(cut, back.sizes, back.order), filled(blocks), blocks.whole).as(like)
}

/**
 * How many elements each block has along a dimension without what it is filled with: a number where all have as many, else one for
 * each matrix of a value with a matrix for each block.
 */
export function lengthOfBlocks({ whole, sizes, along }: TensorBlocks, mode: number, like: Value): Operand {
  const [length, count] = [sizes[mode]!, along[mode]!]
  const last = whole[mode]! - length * (count - 1)
  if (last === length) return length
  const wholes = (x: Value, divisor: number) => x.plus(0.5).over(divisor).floor()
  const place = wholes(like.batchIndex(), elementsOf(along.slice(mode + 1)))
  return where(place.minus(wholes(place, count).times(count)).equals(count - 1), last, length)
}
