/** Orthonormal columns, some at a time. */

import type { FunctionBuilder } from '../assembler.ts'
import { exactly, Row, Rows } from '../code.ts'
import { batched } from './call.ts'

/** The columns with marks from 0 to 1, in the order of these, made orthonormal to those with one below 0 and to each other. */
export function orthonormalization(): FunctionBuilder {
  return batched('orthonormalization', 2, [({ rows, columns }) => [rows[0]!, columns[0]!]], (code, call) => {
    const [height, width] = [call.rows[0]!, call.columns[0]!]
    const [operand, given] = call.operands as [Rows, Rows]
    const result = call.results[0]!
    // The columns lie as rows; behind them are their marks, which become -1.
    const turned = new Rows(call.workspace, height)
    const marks = new Row(code.whole(turned.row(width).address))
    code.call('row_widen', marks.address, given.row(0).address, width)
    code.up(0, height, (i) => {
      code.up(0, width, (j) => code.store(turned.row(j), i, operand.row(i).at(j)))
    })
    code.up(0, width, () => {
      const j = code.whole(width)
      const least = code.real(1)
      code.up(0, width, (k) => {
        const mark = marks.at(k)
        code.if(mark.isBelow(0).not().and(mark.isBelow(least)), () => {
          code.set(least, mark)
          code.set(j, k)
        })
      })
      code.if(j.isBelow(width), () => {
        const x = code.whole(turned.row(j).address)
        const norm = () => code.result('row_dot', x, x, height).sqrt()
        const left = code.real(norm())
        const floor = code.real(left.times(1e-14))
        const before = code.real(Number.POSITIVE_INFINITY)
        const reduce = () =>
          code.while(
            () => left.isBelow(before.times(0.5)).and(floor.isBelow(left)),
            () => {
              code.up(0, width, (k) => {
                code.if(marks.at(k).isBelow(0), () => {
                  const q = code.whole(turned.row(k).address)
                  code.call('row_add', x, height, q, code.result('row_dot', q, x, height).negated())
                })
              })
              code.set(before, left)
              code.set(left, norm())
            },
          )
        reduce()
        const tried = code.whole(0)
        const axis = code.whole(j)
        code.while(
          () => left.isAtMost(floor).and(tried.isBelow(height)),
          () => {
            code.clear(new Row(x), height)
            code.if(axis.isBelow(height).not(), () => code.set(axis, axis.minus(height)))
            code.store(new Row(x), axis, 1)
            code.set(axis, axis.plus(1))
            code.set(tried, tried.plus(1))
            code.set(left, 1)
            code.set(before, Number.POSITIVE_INFINITY)
            code.set(floor, exactly(0.5).over(height.real().sqrt()))
            reduce()
          },
        )
        code.call('row_scale', x, height, exactly(1).over(left))
        code.store(marks, j, -1)
      })
    })
    code.up(0, height, (i) => {
      code.up(0, width, (j) => code.store(result.row(i), j, turned.row(j).at(i)))
    })
  })
}
