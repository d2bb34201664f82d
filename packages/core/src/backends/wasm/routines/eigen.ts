/** Eigenvalues and eigenvectors of symmetric matrices. */

import type { FunctionBuilder, Helpers } from '../assembler.ts'
import { Code, exactly, Row, Rows, type Whole, type WholeVariable } from '../code.ts'
import { batched } from './call.ts'

const unit = 2 ** -52

/** How many turns an eigenvalue takes at most on the average; what takes more holds numbers that are not finite. */
const mostTurns = 30

/** Where the parts of a decomposition of order n lie in float64: the matrix, its vectors as rows, values, and three rows to work with. */
export function parts(work: Whole, order: Whole) {
  const square = order.times(order).times(8)
  const row = order.times(8)
  const rows = work.plus(square).plus(square)
  return {
    matrix: new Rows(work, order),
    vectors: new Rows(work.plus(square), order),
    values: new Row(rows),
    /** Beside the diagonal; in the end the places of the values in ascending order, as words. */
    beside: new Row(rows.plus(row)),
    cosines: new Row(rows.plus(row.times(2))),
    sines: new Row(rows.plus(row.times(3))),
  }
}

/**
 * The decomposition of the symmetric matrix in a workspace, whose parts are those of `parts`. The matrix is made tridiagonal by
 * reflections, which gathers the vectors, and then diagonal by QL turns with implicit shifts (Bowdler, Martin, Reinsch and
 * Wilkinson 1968). Where that does not come to an end, everything becomes not a number.
 */
function decompose(): FunctionBuilder {
  const code = new Code('eigen_decompose', ['i32', 'i32'])
  const [work, order] = code.wholes() as [WholeVariable, WholeVariable]
  const { matrix, vectors, values, beside, sines } = parts(work, order)
  const largest = order.minus(1)
  makeTridiagonal(code, order)
  // The last reflection moves one number and is none.
  code.up(0, order, (i) => {
    code.clear(vectors.row(i), order)
    code.store(vectors.row(i), i, 1)
  })
  code.down(0, largest, (k) => {
    const length = code.whole(largest.minus(k))
    const v = code.whole(matrix.row(k).place(k.plus(1)))
    const tau = code.real(sines.at(k))
    code.if(tau.equals(0).not(), () => {
      code.up(k.plus(1), order, (i) => {
        const row = code.whole(vectors.row(i).place(k.plus(1)))
        code.call('row_add', row, length, v, code.result('row_dot', row, v, length).times(tau).negated())
      })
    })
  })
  const failed = makeDiagonal(code, order)
  code.if(failed, () => {
    const all = order.times(order).plus(order)
    code.call('row_scale', vectors.address, all, exactly(Number.NaN))
  })
  sort(code, values, beside, order)
  return code.f
}

/** `A ← H A H` for a reflection H of the numbers behind the diagonal of each row; v stays in that row, τ among the sines. */
function makeTridiagonal(code: Code, order: WholeVariable): void {
  const [work] = code.wholes() as [WholeVariable]
  const { matrix, values, beside, cosines: product, sines: taus } = parts(work, order)
  const largest = order.minus(1)
  code.up(0, largest, (k) => {
    const next = code.whole(k.plus(1))
    const length = code.whole(largest.minus(k))
    const v = code.whole(matrix.row(k).place(next))
    const tau = code.real(code.result('row_reflect', v, length))
    code.store(values, k, matrix.row(k).at(k))
    code.store(beside, k, new Row(v).at(0))
    code.store(taus, k, tau)
    code.store(new Row(v), 0, 1)
    code.if(tau.equals(0).not(), () => {
      const p = code.whole(product.place(next))
      code.up(next, order, (i) => {
        code.store(product, i, code.result('row_dot', matrix.row(i).place(next), v, length).times(tau))
      })
      code.call('row_add', p, length, v, code.result('row_dot', p, v, length).times(tau).times(-0.5))
      code.up(next, order, (i) => {
        const own = new Row(v).at(i.minus(next)).negated()
        code.call('row_add_two', matrix.row(i).place(next), length, p, own, v, product.at(i).negated())
      })
    })
  })
  code.store(values, largest, matrix.row(largest).at(largest))
  code.store(beside, largest, 0)
}

/** Whether the turns did not come to an end. */
function makeDiagonal(code: Code, order: WholeVariable) {
  const [work] = code.wholes() as [WholeVariable]
  const { vectors, values: d, beside: e, cosines, sines } = parts(work, order)
  const turns = code.whole(0)
  const most = code.whole(order.times(mostTurns))
  const shifts = code.real(0)
  const magnitude = code.real(0)
  const [c, s, before, beforeThat, sineBefore] = [code.real(), code.real(), code.real(), code.real(), code.real()]
  const [p, g, h, r, second, secondBeside] = [
    code.real(),
    code.real(),
    code.real(),
    code.real(),
    code.real(),
    code.real(),
  ]
  const length = (x: typeof p, y: typeof p) => x.square().plus(y.square()).sqrt()
  code.up(0, order, (l) => {
    code.set(magnitude, magnitude.maximum(d.at(l).abs().plus(e.at(l).abs())))
    const negligible = (place: Whole) => e.at(place).abs().isAtMost(magnitude.times(unit))
    const m = code.whole(l)
    // What lies beside the last one is 0; where numbers are not finite, the last one ends it too.
    code.while(
      () =>
        negligible(m)
          .not()
          .and(m.isBelow(order.minus(1))),
      () => code.set(m, m.plus(1)),
    )
    const again = code.whole(0)
    code.if(m.isAbove(l), () => code.set(again, 1))
    code.while(
      () => again.isAbove(0).and(turns.isBelow(most)),
      () => {
        code.set(turns, turns.plus(1))
        const after = code.whole(l.plus(1))
        code.set(g, d.at(l))
        code.set(h, e.at(l))
        code.set(p, d.at(after).minus(g).over(h.times(2)))
        code.set(r, p.square().plus(1).sqrt().withSignOf(p).plus(p))
        code.store(d, l, h.over(r))
        code.store(d, after, h.times(r))
        code.set(second, d.at(after))
        code.set(h, g.minus(d.at(l)))
        code.up(l.plus(2), order, (i) => code.store(d, i, d.at(i).minus(h)))
        code.set(shifts, shifts.plus(h))
        code.set(p, d.at(m))
        code.set(secondBeside, e.at(after))
        for (const cosine of [c, before, beforeThat]) code.set(cosine, 1)
        for (const sine of [s, sineBefore]) code.set(sine, 0)
        code.down(l, m, (i) => {
          code.set(beforeThat, before)
          code.set(before, c)
          code.set(sineBefore, s)
          code.set(g, c.times(e.at(i)))
          code.set(h, c.times(p))
          code.set(r, length(p, code.real(e.at(i))))
          code.store(e, i.plus(1), s.times(r))
          code.set(s, e.at(i).over(r))
          code.set(c, p.over(r))
          code.set(p, c.times(d.at(i)).minus(s.times(g)))
          code.store(d, i.plus(1), h.plus(s.times(c.times(g).plus(s.times(d.at(i))))))
          code.store(cosines, i, c)
          code.store(sines, i, s)
        })
        code.call('rows_turn', vectors.address, order, l, m, cosines.address, sines.address)
        code.set(p, s.negated().times(sineBefore).times(beforeThat).times(secondBeside).times(e.at(l)).over(second))
        code.store(e, l, s.times(p))
        code.store(d, l, c.times(p))
        code.if(negligible(l), () => code.set(again, 0))
      },
    )
    code.store(d, l, d.at(l).plus(shifts))
    code.store(e, l, 0)
  })
  return turns.isBelow(most).not()
}

/** Puts the places of the values, in ascending order, where words lie. */
function sort(code: Code, values: Row, words: Row, order: Whole): void {
  const place = (index: Whole) => words.address.plus(index.times(4))
  // Where values are not numbers, no place stays without a word.
  code.up(0, order, (i) => code.storeWord(place(i), i))
  code.up(0, order, (i) => {
    const own = code.real(values.at(i))
    const rank = code.whole(0)
    code.up(0, order, (j) => {
      const other = code.real(values.at(j))
      code.set(
        rank,
        rank.plus(
          other
            .isBelow(own)
            .or(other.equals(own).and(j.isBelow(i)))
            .count(),
        ),
      )
    })
    code.storeWord(place(rank), i)
  })
}

/** The decomposition of `matrix` in ascending order of the values, the largest number of each vector above 0. */
export function eigen(): FunctionBuilder {
  return batched(
    'eigen',
    1,
    [({ rows }) => [1, rows[0]!], ({ rows }) => [rows[0]!, rows[0]!]],
    (code, { operands, results, workspace, rows }) => {
      const order = rows[0]!
      const [operand] = operands as [Rows]
      const { matrix, vectors, values, beside } = parts(workspace, order)
      code.up(0, order, (i) => {
        code.up(0, order, (j) => {
          code.store(matrix.row(i), j, operand.row(i).at(j).plus(operand.row(j).at(i)).times(0.5))
        })
      })
      code.call('eigen_decompose', workspace, order)
      code.up(0, order, (place) => {
        const from = code.whole(code.word(beside.address.plus(place.times(4)), 0))
        code.store(results[0]!.row(0), place, values.at(from))
        const vector = code.whole(vectors.row(from).address)
        const sign = code.real(code.result('row_sign', vector, order))
        code.up(0, order, (i) => code.store(results[1]!.row(i), place, new Row(vector).at(i).times(sign)))
      })
    },
  )
}

export const eigenFunctions: Helpers = { eigen_decompose: decompose }
