/** Triangular factors of positive-definite matrices, and systems of triangular matrices. */

import type { FunctionBuilder } from '../assembler.ts'
import { exactly, Row, Rows } from '../code.ts'
import { batched } from './call.ts'

/** The lower triangle whose product with its transpose is the operand; not a number where the operand is not positive definite. */
export function cholesky(): FunctionBuilder {
  return batched(
    'cholesky',
    1,
    [({ rows }) => [rows[0]!, rows[0]!]],
    (code, { operands, results, workspace, rows }) => {
      const order = rows[0]!
      const factor = new Rows(workspace, order)
      const failed = code.whole(0)
      code.up(0, order, (i) => {
        const row = factor.row(i)
        code.up(0, i.plus(1), (j) => {
          const mean = operands[0]!.row(i).at(j).plus(operands[0]!.row(j).at(i)).times(0.5)
          const rest = code.real(mean.minus(code.result('row_dot', row.address, factor.row(j).address, j)))
          code.if(
            j.isBelow(i),
            () => code.store(row, j, rest.over(factor.row(j).at(j))),
            () => {
              code.if(exactly(0).isBelow(rest).not(), () => code.set(failed, 1))
              code.store(row, j, rest.sqrt())
            },
          )
        })
      })
      code.if(failed.isAbove(0), () => {
        code.call('row_scale', workspace, order.times(order), exactly(Number.NaN))
      })
      // 0, or not a number where everything is that.
      const above = code.real(factor.row(0).at(0).minus(factor.row(0).at(0)))
      code.up(0, order, (i) => {
        const row = code.whole(results[0]!.row(i).address)
        code.call('row_narrow', row, factor.row(i).address, i.plus(1))
        code.up(i.plus(1), order, (j) => code.store(new Row(row, 4), j, above))
      })
    },
  )
}

/** X where T X is the second operand, for the lower or the upper triangle T of the first. */
export function triangularSolve(lower: boolean): FunctionBuilder {
  return batched(
    lower ? 'solve_lower' : 'solve_upper',
    2,
    [({ rows, columns }) => [rows[0]!, columns[1]!]],
    (code, { operands, results, workspace, rows, columns }) => {
      const order = rows[0]!
      const width = columns[1]!
      const found = new Rows(workspace, width)
      const each = lower ? code.up.bind(code) : code.down.bind(code)
      each(0, order, (i) => {
        const triangle = code.whole(operands[0]!.row(i).address)
        const row = code.whole(found.row(i).address)
        code.call('row_widen', row, operands[1]!.row(i).address, width)
        const [first, last] = lower ? [0, i] : [i.plus(1), order]
        code.up(first, last, (j) => {
          code.call('row_add', row, width, found.row(j).address, new Row(triangle, 4).at(j).negated())
        })
        code.call('row_scale', row, width, exactly(1).over(new Row(triangle, 4).at(i)))
        code.call('row_narrow', results[0]!.row(i).address, row, width)
      })
    },
  )
}
