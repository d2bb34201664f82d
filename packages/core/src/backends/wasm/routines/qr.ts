/** Orthonormal columns times a triangle. */

import type { RoutineName } from '../../../routines/table.ts'
import type { FunctionBuilder } from '../assembler.ts'
import { Row, Rows } from '../code.ts'
import { batched } from './call.ts'

/** Q and R of the operand, by reflections; `oriented`: what stands on the diagonal of R is not below 0. */
export function qr(name: RoutineName, oriented: boolean): FunctionBuilder {
  return batched(
    name,
    1,
    [
      ({ rows, columns }) => [rows[0]!, rows[0]!.minimum(columns[0]!)],
      ({ rows, columns }) => [rows[0]!.minimum(columns[0]!), columns[0]!],
    ],
    (code, call) => {
      const [height, width] = [call.rows[0]!, call.columns[0]!]
      const rank = code.whole(height.minimum(width))
      // The columns of the operand and of Q lie as rows.
      const turned = new Rows(call.workspace, height)
      const q = new Rows(code.whole(turned.row(width).address), height)
      const taus = new Row(code.whole(q.row(rank).address))
      const signs = taus.from(rank)
      code.up(0, height, (i) => {
        code.up(0, width, (j) => code.store(turned.row(j), i, call.operands[0]!.row(i).at(j)))
      })
      const reflected = (row: Row, k: Parameters<Row['at']>[0]) => {
        const v = turned.row(k).place(k)
        const length = height.minus(k)
        const x = code.whole(row.place(k))
        code.call('row_add', x, length, v, code.result('row_dot', x, v, length).times(taus.at(k)).negated())
      }
      code.up(0, rank, (k) => {
        const v = code.whole(turned.row(k).place(k))
        code.store(taus, k, code.result('row_reflect', v, height.minus(k)))
        const kept = code.real(new Row(v).at(0))
        code.store(new Row(v), 0, 1)
        code.up(k.plus(1), width, (j) => reflected(turned.row(j), k))
        code.store(signs, k, oriented ? code.real(1).withSignOf(kept) : 1)
        code.store(call.results[1]!.row(k), k, oriented ? kept.abs() : kept)
      })
      code.up(0, rank, (i) => {
        code.up(0, i, (j) => code.store(call.results[1]!.row(i), j, 0))
        code.up(i.plus(1), width, (j) => {
          code.store(call.results[1]!.row(i), j, turned.row(j).at(i).times(signs.at(i)))
        })
      })
      code.up(0, rank, (j) => {
        code.clear(q.row(j), height)
        code.store(q.row(j), j, signs.at(j))
        code.down(0, j.plus(1), (k) => reflected(q.row(j), k))
        code.up(0, height, (i) => code.store(call.results[0]!.row(i), j, q.row(j).at(i)))
      })
    },
  )
}
