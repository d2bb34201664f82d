import { countedSlots } from '../language/counted-slots.ts'
import { type ParameterShape, type Slot, type SlotFacts, shaped } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'
import { identityLike } from './diagonal.ts'
import { asCodes, codesOf, fourBitCodes } from './four-bit-codes.ts'
import type { Sizes } from './modes.ts'
import { cutIntoBlocks } from './tensor-blocks.ts'

/** State has slots for so many. */
const most = 2

/** How matrices are kept: in codes of so many bits for blocks of each row, or as they are where they have fewer elements than `leastSize`. */
export interface CodedAs {
  readonly bits: 4 | 8 | 32
  readonly leastSize: number
  readonly block: number
}

/** Square matrices of state, at most two for a parameter, in few bits. */
export interface CodedMatrices {
  /** For the definition's `state`. */
  readonly slots: Readonly<Record<string, Slot>>
  /** The matrices that state stands for, and whether each is in codes. */
  read(
    state: Readonly<Record<string, Value>>,
    as: CodedAs,
  ): readonly { readonly matrix: Value; readonly isCoded: boolean }[]
  /** The new state. */
  write(matrices: readonly Value[], as: CodedAs): Readonly<Record<string, Value>>
}

/**
 * Matrices by linear square quantization: every element is one of 2^b numbers times the largest size in its block of its row.
 *
 * ```text
 * number j:  r |r| with r = -1 + 2 j / (2^b - 1), but 0 for j = 2^(b - 1) - 1
 * ```
 *
 * Two codes of four bits lie in a byte; codes of eight bits are two of four. State for each: `nameCode`, with eight bits `nameLowCode`, the largest sizes
 * `nameScale`, and `name` for matrices that are kept as they are. With `diagonal: 'exact'` what is on the diagonal is `nameDiagonal`, and codes are of the rest.
 * Coded matrices begin as 0, with a diagonal of 1 if it is exact; the others begin as I.
 *
 * Wang, Zhou, Li, Huang 2024, 4-bit Shampoo for memory-efficient network training, arXiv 2405.18144.
 */
export function codedMatrices(
  name: string,
  diagonal: 'exact' | 'coded',
  sizesOf: (shape: ParameterShape, options: SlotFacts['options']) => Sizes,
  countOf: (shape: ParameterShape, options: SlotFacts['options']) => number,
  keptAs: (options: SlotFacts['options']) => CodedAs,
): CodedMatrices {
  const sizeAt = (index: number, { shape, options }: Pick<SlotFacts, 'shape' | 'options'>) =>
    sizesOf(shape, options)[index] ?? 1
  const isCoded = (size: number, { bits, leastSize }: CodedAs) => bits < 32 && size * size >= leastSize
  type Extent = (size: number, as: CodedAs) => number
  /** A slot of each mode, with as many columns as `columns` says. */
  const slots = (
    suffix: string,
    has: (coded: boolean, as: CodedAs) => boolean,
    columns: Extent,
    make: (extent: Parameters<typeof shaped>[0]) => Slot,
  ) =>
    countedSlots(
      `${name}${suffix}`,
      most,
      (index) => ({
        ...make((shape, options) => {
          const size = sizeAt(index, { shape, options })
          return [countOf(shape, options), size, columns(size, keptAs(options))]
        }),
        when: (facts) => {
          const as = keptAs(facts.options)
          return has(isCoded(sizeAt(index, facts), as), as)
        },
      }),
      ({ shape, options }) => sizesOf(shape, options).length,
    ).slots
  const whole: Extent = (size) => size
  return {
    slots: {
      ...slots(
        '',
        (coded) => !coded,
        whole,
        (extent) => shaped(extent, { start: 'identity' }),
      ),
      ...slots('Code', (coded) => coded, whole, fourBitCodes),
      ...slots('LowCode', (coded, { bits }) => coded && bits === 8, whole, fourBitCodes),
      ...slots(
        'Scale',
        (coded) => coded,
        (size, { block }) => Math.ceil(size / block),
        (extent) => shaped(extent, { exact: true }),
      ),
      ...slots(
        'Diagonal',
        (coded) => coded && diagonal === 'exact',
        () => 1,
        (extent) => shaped(extent, { start: 1, exact: true }),
      ),
    },
    read(state, { bits, block }) {
      const found: { matrix: Value; isCoded: boolean }[] = []
      for (let mode = 1; mode <= most; mode++) {
        const [exact, code, scale] = ['', 'Code', 'Scale'].map((suffix) => state[`${name}${suffix}${mode}`])
        if (exact) found.push({ matrix: exact, isCoded: false })
        if (!code || !scale) continue
        const low = state[`${name}LowCode${mode}`]
        const codes = low ? codesOf(code).times(16).plus(codesOf(low)) : codesOf(code)
        const matrix = numberOf(codes, bits).times(overBlocks(scale, codes, block))
        const own = state[`${name}Diagonal${mode}`]
        found.push({ matrix: own ? matrix.plus(identityLike(matrix).times(own)) : matrix, isCoded: true })
      }
      return found
    },
    write(matrices, as) {
      const { bits, block } = as
      return Object.fromEntries(
        matrices.flatMap((matrix, index): [string, Value][] => {
          const slot = (suffix: string) => `${name}${suffix}${index + 1}`
          if (!isCoded(matrix.rows, as)) return [[slot(''), matrix]]
          const identity = identityLike(matrix)
          const rest = diagonal === 'exact' ? where(identity.equals(1), 0, matrix) : matrix
          const scale = largestOfBlocks(rest, block)
          const codes = nearest(rest.over(overBlocks(scale, matrix, block).maximum(1e-37)), bits)
          const high = codes.over(16).floor()
          return [
            [slot('Scale'), scale],
            ...(diagonal === 'exact'
              ? [[slot('Diagonal'), identity.times(matrix).sum('columns')] as [string, Value]]
              : []),
            ...(bits === 8
              ? ([
                  [slot('Code'), asCodes(high)],
                  [slot('LowCode'), asCodes(codes.minus(high.times(16)))],
                ] as [string, Value][])
              : ([[slot('Code'), asCodes(codes)]] as [string, Value][])),
          ]
        }),
      )
    },
  }
}

/** The number that a code stands for. */
function numberOf(code: Value, bits: number): Value {
  const last = 2 ** bits - 1
  const root = code.times(2 / last).minus(1)
  return where(code.equals(2 ** (bits - 1) - 1), 0, root.times(root.abs()))
}

/** The code of the nearest number to one from -1 to 1, the lower one halfway. */
function nearest(x: Value, bits: number): Value {
  const last = 2 ** bits - 1
  const place = x
    .abs()
    .sqrt()
    .times(x.sign())
    .plus(1)
    .times(last / 2)
  const lower = place
    .floor()
    .maximum(0)
    .minimum(last - 1)
  const upper = lower.plus(1)
  const isUpper = x.minus(numberOf(lower, bits)).isGreaterThan(numberOf(upper, bits).minus(x))
  return where(isUpper, upper, lower)
}

/** The largest size in each block of each row, `[batch, rows, blocks]`. */
function largestOfBlocks(matrix: Value, length: number): Value {
  const { batch, rows, columns } = matrix
  const count = Math.ceil(columns / length)
  if (count <= 1) return matrix.abs().largest('columns')
  const all = batch * rows
  const blocks = { whole: [all, columns], sizes: [all, length], along: [1, count], count }
  const largest = cutIntoBlocks(matrix.as([1, all, columns]), blocks)
    .as([count, all, length])
    .abs()
    .largest('columns')
  return largest.as([1, count, all]).transposed().as([batch, rows, count])
}

/** What each block of a row has, for all of its columns: like the rows of a matrix. */
function overBlocks(scale: Value, like: Value, length: number): Value {
  const { batch, rows, columns: count } = scale
  if (count <= 1) return scale
  const flat = scale.as([1, batch * rows, count])
  const isWithin = like.columnIndex().plus(0.5).over(length).floor().equals(flat.transposed().rowIndex())
  return flat.matmul(where(isWithin, 1, 0)).as([batch, rows, like.columns])
}
