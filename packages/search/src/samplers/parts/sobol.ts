/**
 * Initial direction numbers of the Sobol sequence: Joe and Kuo, "Constructing Sobol sequences with better
 * two-dimensional projections", SIAM Journal on Scientific Computing 30 (2008), table new-joe-kuo-6.
 * One row per dimension after the first: degree and coefficients of the primitive polynomial, then m_1, m_2, ...
 */
const directions: readonly (readonly [degree: number, coefficients: number, initial: readonly number[]])[] = [
  [1, 0, [1]],
  [2, 1, [1, 3]],
  [3, 1, [1, 3, 1]],
  [3, 2, [1, 1, 1]],
  [4, 1, [1, 1, 3, 3]],
  [4, 4, [1, 3, 5, 13]],
  [5, 2, [1, 1, 5, 5, 17]],
  [5, 4, [1, 1, 5, 5, 5]],
  [5, 7, [1, 1, 7, 11, 19]],
  [5, 11, [1, 1, 5, 1, 1]],
  [5, 13, [1, 1, 1, 3, 11]],
  [5, 14, [1, 3, 5, 5, 31]],
  [6, 1, [1, 3, 3, 9, 7, 49]],
  [6, 13, [1, 1, 1, 15, 21, 21]],
  [6, 16, [1, 3, 1, 13, 27, 49]],
  [6, 19, [1, 1, 1, 15, 7, 5]],
  [6, 22, [1, 3, 1, 15, 13, 25]],
  [6, 25, [1, 1, 5, 5, 19, 61]],
  [7, 1, [1, 3, 7, 11, 23, 15, 103]],
  [7, 4, [1, 3, 7, 13, 13, 15, 69]],
]

const bits = 30

/** How many dimensions the sequence has. */
export const sobolDimensions = directions.length + 1

/**
 * One coordinate of the Sobol sequence (Sobol 1967, with the direction numbers of Joe and Kuo 2008), in natural order.
 *
 * @param dimension from 0 to `sobolDimensions` - 1
 * @param index number of the point, from 0
 * @returns a number in [0, 1); point 0 is 0 in every dimension
 */
export function sobol(dimension: number, index: number): number {
  const row = dimension === 0 ? ([0, 0, []] as const) : directions[dimension - 1]
  if (row === undefined)
    throw new RangeError(`Sobol dimension ${dimension} does not exist: use 0 to ${sobolDimensions - 1}`)
  const [degree, coefficients, initial] = row
  const m: number[] = [...initial]
  let value = 0
  for (let bit = 0; bit < bits && 2 ** bit <= index; bit++) {
    if (dimension === 0) m[bit] = 1
    else if (bit >= degree) {
      let next = (m[bit - degree]! ^ (m[bit - degree]! << degree)) >>> 0
      for (let k = 1; k < degree; k++) {
        if ((coefficients >> (degree - 1 - k)) & 1) next = (next ^ (m[bit - k]! << k)) >>> 0
      }
      m[bit] = next
    }
    if (Math.floor(index / 2 ** bit) % 2 === 1) value = (value ^ (m[bit]! << (bits - 1 - bit))) >>> 0
  }
  return value / 2 ** bits
}
