/** Singular values and vectors. */

import type { FunctionBuilder } from '../assembler.ts'
import { exactly, Row, Rows } from '../code.ts'
import { batched } from './call.ts'
import { parts } from './eigen.ts'

/**
 * U, the singular values from the largest down, and Vᵀ of the operand. The vectors of the shorter side are those of its Gram matrix in
 * float64, which sees values down to 1e-8 of the largest, less than float32 tells apart; those of the longer side are made from
 * them, largest value first, orthogonal to those before, and where nothing is left, any that are.
 */
export function svd(): FunctionBuilder {
  return batched(
    'svd',
    1,
    [
      ({ rows, columns }) => [rows[0]!, rows[0]!.minimum(columns[0]!)],
      ({ rows, columns }) => [1, rows[0]!.minimum(columns[0]!)],
      ({ rows, columns }) => [rows[0]!.minimum(columns[0]!), columns[0]!],
    ],
    (code, call) => {
      const [height, width] = [call.rows[0]!, call.columns[0]!]
      const wide = code.whole(height.isAbove(width).not().count())
      const small = code.whole(height.minimum(width))
      const large = code.whole(height.plus(width).minus(small))
      const { matrix, vectors, values, beside } = parts(call.workspace, small)
      // The shorter side as rows, then the vectors of the longer one.
      const own = new Rows(code.whole(values.place(small.times(4))), large)
      const far = new Rows(code.whole(own.row(small).address), large)
      code.if(
        wide.isAbove(0),
        () =>
          code.up(0, small, (i) => code.call('row_widen', own.row(i).address, call.operands[0]!.row(i).address, large)),
        () =>
          code.up(0, large, (i) => {
            code.up(0, small, (j) => code.store(own.row(j), i, call.operands[0]!.row(i).at(j)))
          }),
      )
      code.up(0, small, (i) => {
        code.up(0, i.plus(1), (j) => {
          const product = code.real(code.result('row_dot', own.row(i).address, own.row(j).address, large))
          code.store(matrix.row(i), j, product)
          code.store(matrix.row(j), i, product)
        })
      })
      code.call('eigen_decompose', call.workspace, small)
      const before = code.real(Number.POSITIVE_INFINITY)
      code.up(0, small, (place) => {
        const from = code.whole(code.word(beside.address.plus(small.minus(1).minus(place).times(4)), 0))
        const near = code.whole(vectors.row(from).address)
        code.call('row_scale', near, small, code.real(code.result('row_sign', near, small)))
        const opposite = code.whole(far.row(place).address)
        code.clear(new Row(opposite), large)
        code.up(0, small, (i) => code.call('row_add', opposite, large, own.row(i).address, new Row(near).at(i)))
        const value = code.real(code.result('row_dot', opposite, opposite, large).sqrt())
        code.set(before, before.minimum(value))
        code.store(call.results[1]!.row(0), place, before)
        const others = () =>
          code.up(0, place, (earlier) => {
            const other = code.whole(far.row(earlier).address)
            code.call('row_add', opposite, large, other, code.result('row_dot', opposite, other, large).negated())
          })
        others()
        others()
        const left = code.real(code.result('row_dot', opposite, opposite, large).sqrt())
        const floor = code.real(value.times(0.5))
        const next = code.whole(0)
        // A direction of the axes of which enough is left: there is one, as long as vectors are fewer than dimensions.
        code.while(
          () => left.isAtMost(floor).and(next.isBelow(large)),
          () => {
            code.clear(new Row(opposite), large)
            code.store(new Row(opposite), next, 1)
            code.set(next, next.plus(1))
            others()
            others()
            code.set(left, code.result('row_dot', opposite, opposite, large).sqrt())
            code.set(floor, exactly(0.5).over(large.real().sqrt()))
          },
        )
        code.call('row_scale', opposite, large, exactly(1).over(left))
        const write = (column: Row, columnLength: typeof small, row: Row, rowLength: typeof small) => {
          code.up(0, columnLength, (i) => code.store(call.results[0]!.row(i), place, column.at(i)))
          code.call('row_narrow', call.results[2]!.row(place).address, row.address, rowLength)
        }
        code.if(
          wide.isAbove(0),
          () => write(new Row(near), small, new Row(opposite), large),
          () => write(new Row(opposite), large, new Row(near), small),
        )
      })
    },
  )
}
