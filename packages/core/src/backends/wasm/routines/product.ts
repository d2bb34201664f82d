/** The kernel of matrix products: blocked for the caches, with both factors packed in the order in which they are read. */

import { FunctionBuilder, kernelParameters, type Local } from '../assembler.ts'
import { countUp, locals } from '../library.ts'
import { blockDepth, blockRows, leftBytes, stripBytes, tileColumns, tileRows } from './tiles.ts'

/**
 * Rows `[first, last)` of a batched product. Entry: left, right, result, rows, inner, columns, packing buffer of the first
 * thread, bytes from there to that of the next.
 *
 * A block of the left factor is packed four rows side by side, then strip after strip of eight columns of the right factor; the
 * innermost loop multiplies both in registers. Sums along the inner dimension are those of blocks of 256, in their order.
 *
 * @param fused whether products and sums are rounded once, by instructions that not every engine has.
 * @param symmetric for a factor times the transpose of another, where that is symmetric, as with its own: tiles below the diagonal are
 * left out, and each element above is written twice.
 */
export function matmul(symmetric: boolean, fused: boolean): FunctionBuilder {
  const f = new FunctionBuilder(symmetric ? 'symmetric_matmul' : 'matmul', kernelParameters)
  const [entry, first, last] = f.parameters as [Local, Local, Local]
  const l = locals(f, [
    'left',
    'right',
    'result',
    'rows',
    'inner',
    'columns',
    'pack',
    'strip',
    'leftStride',
    'resultStride',
    'row',
    'batch',
    'blockEnd',
    'start',
    'depth',
    'column',
    'width',
    'tileRow',
    'from',
    'to',
    'end',
    'position',
    'base',
    'line',
    'lastRow',
  ])
  const low = Array.from({ length: tileRows }, () => f.local('v128'))
  const high = Array.from({ length: tileRows }, () => f.local('v128'))
  const single = f.local('f32')
  const [rightLow, rightHigh, factor] = [f.local('v128'), f.local('v128'), f.local('v128')]

  const addProduct = (sum: Local, right: Local) => {
    if (fused) f.get(factor).get(right).get(sum).op('f32x4.relaxed_madd').set(sum)
    else f.get(sum).get(factor).get(right).op('f32x4.mul', 'f32x4.add').set(sum)
  }

  const fields = ['left', 'right', 'result', 'rows', 'inner', 'columns', 'pack'] as const
  fields.forEach((name, index) => {
    f.get(entry)
      .at('i32.load', 4 * index)
      .set(l[name])
  })
  f.get(l.pack).thread('get').get(entry)
  f.at('i32.load', 4 * fields.length)
    .op('i32.mul', 'i32.add')
    .set(l.pack)
  f.get(l.inner).i32(4).op('i32.mul').set(l.leftStride)
  f.get(l.columns).i32(4).op('i32.mul').set(l.resultStride)
  f.get(l.pack).i32(leftBytes).op('i32.add').set(l.strip)

  const smaller = (a: () => void, b: () => void) => {
    a()
    b()
    a()
    b()
    f.op('i32.lt_u', 'select')
  }

  /** The address behind so many lanes side by side, from a pointer on, packed along the inner dimension. */
  const behind = (pointer: Local, lanes: number) =>
    f
      .get(pointer)
      .get(l.depth)
      .i32(4 * lanes)
      .op('i32.mul', 'i32.add')

  /** Packs a row of a factor as one of so many lanes from a pointer on; zeros where the stack says that there is none. */
  const packRow = (matrix: Local, pointer: Local, lanes: number, lane: number, pushRow: () => void) => {
    const each = (body: () => void) => countUp(f, l.position, 4 * lanes, l.end, body)
    behind(pointer, lanes).set(l.end).get(pointer).set(l.position)
    f.if(() => {
      f.get(matrix)
      pushRow()
      f.i32(lane).op('i32.add').get(l.leftStride).op('i32.mul', 'i32.add')
      f.get(l.start).i32(4).op('i32.mul', 'i32.add').set(l.from)
      each(() => {
        f.get(l.position)
          .get(l.from)
          .at('f32.load')
          .at('f32.store', 4 * lane)
        f.get(l.from).i32(4).op('i32.add').set(l.from)
      })
      f.op('else')
      each(() => {
        f.get(l.position)
          .f32(0)
          .at('f32.store', 4 * lane)
      })
    })
  }

  /** Four rows side by side, those that the block lacks as zeros. */
  const packLeft = () => {
    f.get(l.pack).set(l.to)
    f.get(l.row).set(l.tileRow)
    countUp(f, l.tileRow, tileRows, l.blockEnd, () => {
      for (let row = 0; row < tileRows; row++) {
        f.get(l.tileRow).i32(row).op('i32.add').get(l.blockEnd).op('i32.lt_u')
        packRow(l.left, l.to, tileRows, row, () => f.get(l.tileRow))
      }
      behind(l.to, tileRows).set(l.to)
    })
  }

  /** Eight rows of the right factor as columns, those that it lacks as zeros. */
  const packRightRows = () => {
    for (let column = 0; column < tileColumns; column++) {
      f.i32(column).get(l.width).op('i32.lt_u')
      packRow(l.right, l.strip, tileColumns, column, () => f.get(l.base).get(l.column).op('i32.add'))
    }
  }

  /** Eight columns side by side, those that the factor lacks as zeros. */
  const packRight = () => {
    if (symmetric) {
      packRightRows()
      return
    }
    f.get(l.right).get(l.batch).get(l.inner).op('i32.mul').get(l.start).op('i32.add').get(l.columns).op('i32.mul')
    f.get(l.column).op('i32.add').i32(4).op('i32.mul', 'i32.add').set(l.from)
    f.get(l.strip).set(l.to)
    behind(l.strip, tileColumns).set(l.end)
    const next = () => f.get(l.from).get(l.resultStride).op('i32.add').set(l.from)
    f.get(l.width).i32(tileColumns).op('i32.eq')
    f.if(() => {
      countUp(f, l.to, 4 * tileColumns, l.end, () => {
        f.get(l.to).get(l.from).at('v128.load').at('v128.store')
        f.get(l.to).get(l.from).at('v128.load', 16).at('v128.store', 16)
        next()
      })
      f.op('else')
      countUp(f, l.to, 4 * tileColumns, l.end, () => {
        f.get(l.to).zeroVector().at('v128.store').get(l.to).zeroVector().at('v128.store', 16)
        f.i32(0).set(l.position)
        countUp(f, l.position, 1, l.width, () => {
          f.get(l.to).get(l.position).i32(4).op('i32.mul', 'i32.add')
          f.get(l.from).get(l.position).i32(4).op('i32.mul', 'i32.add').at('f32.load').at('f32.store')
        })
        next()
      })
    })
  }

  /**
   * Adds the products of one tile to the result; the first block of the inner dimension writes it. Engines keep the sums in registers
   * as long as the innermost loop does one step in a turn.
   */
  const tile = () => {
    for (const sum of [...low, ...high]) f.zeroVector().set(sum)
    f.get(l.pack).get(l.tileRow).get(l.row).op('i32.sub').get(l.depth).i32(4).op('i32.mul', 'i32.mul', 'i32.add')
    f.set(l.from)
    f.get(l.strip).set(l.to)
    behind(l.strip, tileColumns).set(l.end)
    countUp(f, l.to, 4 * tileColumns, l.end, () => {
      f.get(l.to).at('v128.load').set(rightLow).get(l.to).at('v128.load', 16).set(rightHigh)
      for (let row = 0; row < tileRows; row++) {
        f.get(l.from)
          .at('v128.load32_splat', 4 * row)
          .set(factor)
        addProduct(low[row]!, rightLow)
        addProduct(high[row]!, rightHigh)
      }
      f.get(l.from)
        .i32(4 * tileRows)
        .op('i32.add')
        .set(l.from)
    })
    f.get(l.result).get(l.tileRow).get(l.columns).op('i32.mul').get(l.column).op('i32.add')
    f.i32(4).op('i32.mul', 'i32.add').set(l.to)
    // Whether it has all rows and columns, and none of its elements lies below the diagonal.
    f.get(l.width).i32(tileColumns).op('i32.eq')
    f.get(l.tileRow).i32(tileRows).op('i32.add').get(l.blockEnd).op('i32.le_u', 'i32.and')
    if (symmetric)
      ownRow()
        .i32(tileRows - 1)
        .op('i32.add')
        .get(l.column)
        .op('i32.le_u', 'i32.and')
    f.if(() => {
      storeWhole()
      f.op('else')
      storePart()
    })
  }

  /** The place of the tile's first row in its batch. */
  const ownRow = () => f.get(l.tileRow).get(l.base).op('i32.sub')

  /** Leaves on the stack whether the sums are complete. */
  const isLast = () => f.get(l.start).get(l.depth).op('i32.add').get(l.inner).op('i32.ge_u')

  const storeWhole = () => {
    for (let row = 0; row < tileRows; row++) {
      f.get(l.start).if(() => {
        f.get(l.to).at('v128.load').get(low[row]!).op('f32x4.add').set(low[row]!)
        f.get(l.to).at('v128.load', 16).get(high[row]!).op('f32x4.add').set(high[row]!)
      })
      f.get(l.to).get(low[row]!).at('v128.store').get(l.to).get(high[row]!).at('v128.store', 16)
      f.get(l.to).get(l.resultStride).op('i32.add').set(l.to)
    }
    if (!symmetric) return
    // What lies above the diagonal is written below it too.
    isLast().if(() => {
      mirrored(() => f.get(l.column)).set(l.to)
      for (let column = 0; column < tileColumns; column++) {
        for (let row = 0; row < tileRows; row++) {
          f.get(l.to)
            .get(column < 4 ? low[row]! : high[row]!)
            .extract('f32x4', column % 4)
            .at('f32.store', 4 * row)
        }
        f.get(l.to).get(l.resultStride).op('i32.add').set(l.to)
      }
    })
  }

  /** The address of the element of this column, as a row, in the column of the tile's first row. */
  const mirrored = (column: () => void) => {
    f.get(l.result).get(l.base)
    column()
    f.op('i32.add').get(l.columns).op('i32.mul')
    return ownRow().op('i32.add').i32(4).op('i32.mul', 'i32.add')
  }

  /** Element by element, from where the sums are put first. */
  const storePart = () => {
    f.get(l.strip).i32(stripBytes).op('i32.add').set(l.from)
    for (let row = 0; row < tileRows; row++) {
      f.get(l.from)
        .get(low[row]!)
        .at('v128.store', 32 * row)
      f.get(l.from)
        .get(high[row]!)
        .at('v128.store', 32 * row + 16)
    }
    smaller(
      () => f.i32(tileRows),
      () => f.get(l.blockEnd).get(l.tileRow).op('i32.sub'),
    )
    f.set(l.end)
    f.i32(0).set(l.line)
    countUp(f, l.line, 1, l.end, () => {
      f.i32(0).set(l.position)
      if (symmetric) {
        // The elements below the diagonal are left out.
        const below = () => ownRow().get(l.line).op('i32.add').get(l.column)
        below().op('i32.gt_u')
        f.if(() => below().op('i32.sub').set(l.position))
      }
      countUp(f, l.position, 1, l.width, () => {
        const place = (pointer: Local) => f.get(pointer).get(l.position).i32(4).op('i32.mul', 'i32.add')
        place(l.from).at('f32.load').set(single)
        f.get(l.start).if(() => place(l.to).at('f32.load').get(single).op('f32.add').set(single))
        place(l.to).get(single).at('f32.store')
        if (!symmetric) return
        isLast().if(() => {
          mirrored(() => f.get(l.column).get(l.position).op('i32.add'))
          f.get(l.line).i32(4).op('i32.mul', 'i32.add').get(single).at('f32.store')
        })
      })
      f.get(l.to).get(l.resultStride).op('i32.add').set(l.to)
      f.get(l.from)
        .i32(4 * tileColumns)
        .op('i32.add')
        .set(l.from)
    })
  }

  f.get(first).set(l.row)
  f.get(l.row).get(last).op('i32.lt_u')
  f.if(() => {
    f.loop(() => {
      // A block ends with its batch too.
      f.get(l.row).get(l.rows).op('i32.div_u').tee(l.batch).get(l.rows).op('i32.mul').set(l.base)
      smaller(
        () => f.get(l.row).i32(blockRows).op('i32.add'),
        () =>
          smaller(
            () => f.get(last),
            () => f.get(l.batch).i32(1).op('i32.add').get(l.rows).op('i32.mul'),
          ),
      )
      f.set(l.blockEnd)
      f.i32(0).set(l.start)
      f.loop(() => {
        smaller(
          () => f.i32(blockDepth),
          () => f.get(l.inner).get(l.start).op('i32.sub'),
        )
        f.set(l.depth)
        packLeft()
        if (symmetric) f.get(l.row).get(l.base).op('i32.sub').i32(-tileColumns).op('i32.and').set(l.column)
        else f.i32(0).set(l.column)
        countUp(f, l.column, tileColumns, l.columns, () => {
          smaller(
            () => f.i32(tileColumns),
            () => f.get(l.columns).get(l.column).op('i32.sub'),
          )
          f.set(l.width)
          packRight()
          f.get(l.row).set(l.tileRow)
          if (symmetric) {
            smaller(
              () => f.get(l.blockEnd),
              () => f.get(l.base).get(l.column).op('i32.add').i32(tileColumns).op('i32.add'),
            )
            f.set(l.lastRow)
          }
          countUp(f, l.tileRow, tileRows, symmetric ? l.lastRow : l.blockEnd, tile)
        })
        // A product of nothing is 0, which the first block writes.
        f.get(l.start).i32(blockDepth).op('i32.add').tee(l.start).get(l.inner).op('i32.lt_u').branchIf(0)
      })
      f.get(l.blockEnd).tee(l.row).get(last).op('i32.lt_u').branchIf(0)
    })
  })
  return f
}
