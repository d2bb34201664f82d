import { type CountedSlots, countedSlots } from '../language/counted-slots.ts'
import { type ParameterShape, type SlotFacts, shaped } from '../language/slots.ts'
import type { Value } from '../language/value.ts'

/** Sizes of a tensor's dimensions. A mode is one of them, as in the n-mode product (Kolda and Bader 2009, Tensor decompositions). */
export type Sizes = readonly number[]

/** State has slots for so many modes. */
export const mostModes = 8

/**
 * A square matrix of state for each of the modes that have one, whose sizes are given; none for those from the ninth on. `countOf` tells of
 * how many tensors of these sizes.
 */
export function modeMatrices<const Name extends string, Options>(
  name: Name,
  sizesOf: (shape: ParameterShape, options: Options) => Sizes,
  start: 0 | 'identity' = 0,
  countOf: (shape: ParameterShape, options: Options) => number = () => 1,
): CountedSlots<Name> {
  const sizes = ({ shape, options }: Pick<SlotFacts, 'shape' | 'options'>) => sizesOf(shape, options as Options)
  const square = (index: number) =>
    shaped(
      (shape, options) => {
        const size = sizes({ shape, options })[index] ?? 1
        return [countOf(shape, options as Options), size, size]
      },
      { start },
    )
  return countedSlots(name, mostModes, square, (facts) => sizes(facts).length)
}

/** How many elements a tensor of these sizes has. */
export const elementsOf = (sizes: Sizes): number => sizes.reduce((result, size) => result * size, 1)

/** How many tensors of these sizes there are. */
function countOf({ batch, rows, columns }: Value, sizes: Sizes): number {
  return Math.max(1, Math.round((batch * rows * columns) / Math.max(1, elementsOf(sizes))))
}

/** A mode as rows: what comes before it is the batch, of all tensors; what comes after it are columns. */
function along(tensor: Value, sizes: Sizes, mode: number): Value {
  const before = countOf(tensor, sizes) * elementsOf(sizes.slice(0, mode))
  return tensor.as([before, sizes[mode]!, elementsOf(sizes.slice(mode + 1))])
}

/** The Gram matrices of tensors unfolded along a mode: their products with themselves, summed over all other modes. */
export function modeGram(tensor: Value, sizes: Sizes, mode: number): Value {
  const rows = along(tensor, sizes, mode)
  const { batch, rows: size, columns } = rows
  const count = countOf(tensor, sizes)
  if (batch === count) return rows.matmul(rows.transposed())
  if (columns === 1) {
    const matrix = rows.as([count, batch / count, size])
    return matrix.transposed().matmul(matrix)
  }
  const each = rows.matmul(rows.transposed())
  return each
    .as([count, batch / count, size * size])
    .sum('rows')
    .as([count, size, size])
}

/**
 * The n-mode product with the transpose of a matrix: `Σᵢ tensor[.., i, ..] matrix[i, j]`, of each tensor with its own, with the dimensions of
 * the tensors as they were given.
 */
export function modeProduct(tensor: Value, sizes: Sizes, mode: number, matrix: Value): Value {
  const rows = along(tensor, sizes, mode)
  const { batch, rows: size, columns } = rows
  const count = countOf(tensor, sizes)
  if (batch === count) return matrix.transposed().matmul(rows).as(tensor)
  if (columns === 1)
    return rows
      .as([count, batch / count, size])
      .matmul(matrix)
      .as(tensor)
  const last = rows
    .transposed()
    .as([count, (batch / count) * columns, size])
    .matmul(matrix)
  return last.as([batch, columns, size]).transposed().as(tensor)
}

/** The diagonal of `modeGram`, as a column. */
export function modeSquares(tensor: Value, sizes: Sizes, mode: number): Value {
  const each = along(tensor.square(), sizes, mode).sum('columns')
  const { batch, rows: size } = each
  return each.as([1, batch, size]).sum('rows').as([1, size, 1])
}

/** The n-mode product with a diagonal matrix, which is given as a column, with the dimensions of the tensor as it was given. */
export function modeScaled(tensor: Value, sizes: Sizes, mode: number, diagonal: Value): Value {
  return along(tensor, sizes, mode).times(diagonal).as(tensor)
}

/** Neighbouring dimensions taken together as long as their product does not exceed a limit, from the first on. */
export function mergedSizes(sizes: Sizes, limit: number): number[] {
  const merged: number[] = []
  let current = 1
  for (const size of sizes) {
    if (current * size <= limit) {
      current *= size
      continue
    }
    if (current > 1) {
      merged.push(current)
      current = size
    } else {
      merged.push(size)
    }
  }
  return current > 1 || merged.length === 0 ? [...merged, current] : merged
}

/** A tensor with its dimensions in another order: the i-th is then what `order[i]`, from 0, says. */
export function permuted(tensor: Value, sizes: Sizes, order: readonly number[]): Value {
  let places = [...sizes.keys()]
  let result = tensor
  order.forEach((place, index) => {
    const at = places.indexOf(place)
    if (at === index) return
    const parts = [places.slice(0, index), places.slice(index, at), places.slice(at)] as const
    const [before, passed, rest] = parts.map((part) => elementsOf(part.map((one) => sizes[one]!))) as [
      number,
      number,
      number,
    ]
    result = result.as([before, passed, rest]).transposed()
    places = [...parts[0], ...parts[2], ...parts[1]]
  })
  return result
}

/** What `permuted` is undone with: the order back, and the sizes of what it is given then. */
export function inverseOrder(sizes: Sizes, order: readonly number[]): { order: readonly number[]; sizes: Sizes } {
  return { order: order.map((_, place) => order.indexOf(place)), sizes: order.map((place) => sizes[place]!) }
}
