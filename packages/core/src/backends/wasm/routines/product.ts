/** The kernel of matrix products: blocked for the caches, with both factors packed in the order in which they are read. */

import { FunctionBuilder, type Helpers, kernelParameters, type Local } from '../assembler.ts'
import { countUp, locals, whileLeft } from '../library.ts'
import { blockDepth, blockRows, leftBytes, stripBytes, tileColumns, tileRows, tileVectors } from './tiles.ts'

const vectors = (f: FunctionBuilder, count: number) => Array.from({ length: count }, () => f.local('v128'))

/**
 * The products of a packed strip of columns and the packed rows of so many tiles, into rows of a result, or added to them. Parameters:
 * rows, strip, end of the strip, result, bytes from one row of it to the next, whether to add, tiles.
 *
 * A function of its own, because engines keep in registers what the innermost loop needs where little else is alive; and as long as that
 * does one step in a turn, whose loads come first. They unroll it by themselves, as it stands in another loop.
 */
function tiles(fused: boolean): FunctionBuilder {
  const f = new FunctionBuilder(nameOfTiles(fused), new Array(7).fill('i32'))
  const [rows, strip, end, target, stride, adds, count] = f.parameters as Local[]
  const { from, to, stop } = locals(f, ['from', 'to', 'stop'])
  const sums = Array.from({ length: tileRows }, () => vectors(f, tileVectors))
  const right = vectors(f, tileVectors)
  const factors = vectors(f, tileRows)
  // That addresses are whole words tells the engine nothing that is new, but that they came from an instruction spares it others.
  const word = (address: Local, copy: Local) => f.get(address).i32(-4).op('i32.and').set(copy)
  word(rows!, from)
  word(end!, stop)
  const each = (body: (sum: Local, row: number, index: number) => void) => {
    sums.forEach((ofRow, row) => {
      ofRow.forEach((sum, index) => {
        body(sum, row, index)
      })
      f.get(target!).get(stride!).op('i32.add').set(target!)
    })
  }
  // Both ends of each row are read ahead, so that the caches have the result when the sums are there.
  const ends = [0, tileVectors - 1]
  const ahead = Array.from({ length: tileRows }, () => vectors(f, ends.length))
  whileLeft(f, count!, 1, () => {
    for (const sum of sums.flat()) f.zeroVector().set(sum)
    f.get(adds!)
    f.if(() => {
      ahead.forEach((ofRow, row) => {
        ends.forEach((index, place) => {
          f.get(target!)
          if (row > 0) f.get(stride!).op('i32.add')
          f.at('v128.load', 16 * index).set(ofRow[place]!)
        })
      })
    })
    word(strip!, to)
    countUp(f, to, 4 * tileColumns, stop, () => {
      right.forEach((columns, index) => {
        f.get(to)
          .at('v128.load', 16 * index)
          .set(columns)
      })
      factors.forEach((factor, row) => {
        f.get(from)
          .at('v128.load32_splat', 4 * row)
          .set(factor)
      })
      sums.forEach((ofRow, row) => {
        ofRow.forEach((sum, index) => {
          const factor = factors[row]!
          const columns = right[index]!
          if (fused) f.get(factor).get(columns).get(sum).op('f32x4.relaxed_madd').set(sum)
          else f.get(sum).get(factor).get(columns).op('f32x4.mul', 'f32x4.add').set(sum)
        })
      })
      f.get(from)
        .i32(4 * tileRows)
        .op('i32.add')
        .set(from)
    })
    f.get(adds!)
    f.if(() => {
      each((sum, row, index) => {
        const read = ahead[row]![ends.indexOf(index)]
        f.get(target!)
        if (read) f.get(read)
        else f.get(target!).at('v128.load', 16 * index)
        f.get(sum)
          .op('f32x4.add')
          .at('v128.store', 16 * index)
      })
      f.op('else')
      each((sum, _, index) => {
        f.get(target!)
          .get(sum)
          .at('v128.store', 16 * index)
      })
    })
  })
  return f
}

const nameOfTiles = (fused: boolean) => (fused ? 'product_tiles_fused' : 'product_tiles')

/** Adds up elements `[first, last)` of so many results of parts, in their order. */
function addResults(
  f: FunctionBuilder,
  l: Readonly<Record<'right' | 'result' | 'rows' | 'inner' | 'to' | 'from' | 'end' | 'position' | 'stop', Local>>,
  [first, last]: readonly [Local, Local],
): void {
  const sum = f.local('f32')
  f.get(l.result).get(first).i32(4).op('i32.mul', 'i32.add').set(l.to)
  f.get(l.right).get(first).i32(4).op('i32.mul', 'i32.add').set(l.position)
  f.get(l.result).get(last).i32(4).op('i32.mul', 'i32.add').set(l.end)
  countUp(f, l.to, 4, l.end, () => {
    f.get(l.position).tee(l.from).at('f32.load').set(sum)
    f.get(l.position).get(l.rows).i32(1).op('i32.sub').get(l.inner).op('i32.mul', 'i32.add').set(l.stop)
    countUp(f, l.from, l.inner, l.stop, () => {
      f.get(sum).get(l.from).get(l.inner).op('i32.add').at('f32.load').op('f32.add').set(sum)
    })
    f.get(l.to).get(sum).at('f32.store')
    f.get(l.position).i32(4).op('i32.add').set(l.position)
  })
}

/** What the kernels of products call. */
export const productFunctions: Helpers = {
  [nameOfTiles(false)]: () => tiles(false),
  [nameOfTiles(true)]: () => tiles(true),
}

/**
 * Rows `[first, last)` of a batched product, or one part of all of them. Entry: left, right, result, rows, inner, columns, packing buffer
 * of the first thread, bytes from there to that of the next, columns of a part, bytes from the result of a part to the next one's, and
 * all rows of the batch, or 0 if there are no parts. The fourth parameter names the part. Parts are of columns, or, where each has a result
 * of its own, blocks of the inner dimension. Such results are added up by an entry whose left factor is 0: elements `[first, last)` of as
 * many as its rows say, from right on.
 *
 * A block of the left factor is packed two rows side by side, then strip after strip of sixteen columns of the right factor; the
 * innermost loop multiplies both in registers. Sums along the inner dimension are those of blocks of 256, in their order.
 *
 * @param fused whether products and sums are rounded once, by instructions that not every engine has.
 * @param symmetric for a factor times the transpose of another, where that is symmetric, as with its own: tiles below the diagonal are
 * left out, and each element above is written twice.
 */
export function matmul(symmetric: boolean, fused: boolean): FunctionBuilder {
  const f = new FunctionBuilder(symmetric ? 'symmetric_matmul' : 'matmul', kernelParameters)
  const [entry, first, last, part] = f.parameters as [Local, Local, Local, Local]
  const l = locals(f, [
    'left',
    'right',
    'result',
    'rows',
    'inner',
    'columns',
    'pack',
    'nextPack',
    'columnsOfPart',
    'nextResult',
    'allRows',
    'firstStart',
    'stop',
    'firstColumn',
    'columnEnd',
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
    'wholeEnd',
  ])
  const lines = Array.from({ length: 4 }, () => f.local('i32'))
  const [read, turned] = [vectors(f, 4), vectors(f, 4)]
  const single = f.local('f32')

  const fields = [
    ...(['left', 'right', 'result', 'rows', 'inner', 'columns', 'pack'] as const),
    ...(['nextPack', 'columnsOfPart', 'nextResult', 'allRows'] as const),
  ]
  fields.forEach((name, index) => {
    f.get(entry)
      .at('i32.load', 4 * index)
      .set(l[name])
  })
  f.get(l.left).op('i32.eqz')
  f.if(() => {
    addResults(f, l, [first, last])
    f.op('return')
  })
  f.get(l.pack).thread('get').get(l.nextPack).op('i32.mul', 'i32.add').set(l.pack)
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

  f.get(l.allRows)
  f.if(() => {
    f.i32(0).set(first).get(l.allRows).set(last)
    f.op('else')
    f.i32(0).set(part)
  })
  f.get(l.inner).set(l.stop)
  f.get(l.nextResult).if(() => {
    f.get(l.result).get(part).get(l.nextResult).op('i32.mul', 'i32.add').set(l.result)
    f.get(part).i32(blockDepth).op('i32.mul').set(l.firstStart)
    smaller(
      () => f.get(l.inner),
      () => f.get(l.firstStart).i32(blockDepth).op('i32.add'),
    )
    f.set(l.stop)
    f.i32(0).set(part)
  })
  f.get(part).get(l.columnsOfPart).op('i32.mul').set(l.firstColumn)
  smaller(
    () => f.get(l.columns),
    () => f.get(l.firstColumn).get(l.columnsOfPart).op('i32.add'),
  )
  f.set(l.columnEnd)

  /** The address behind so many lanes side by side, from a pointer on, packed along the inner dimension. */
  const behind = (pointer: Local, lanes: number) =>
    f
      .get(pointer)
      .get(l.depth)
      .i32(4 * lanes)
      .op('i32.mul', 'i32.add')

  /** Puts in a local where a row of a factor begins within this part of the inner dimension. */
  const findRow = (matrix: Local, pushRow: () => void, lane: number, place: Local) => {
    f.get(matrix)
    pushRow()
    f.i32(lane).op('i32.add').get(l.leftStride).op('i32.mul', 'i32.add')
    f.get(l.start).i32(4).op('i32.mul', 'i32.add').set(place)
  }

  /** Packs a row of a factor as one of so many lanes from a pointer on; zeros where the stack says that there is none. */
  const packRow = (matrix: Local, pointer: Local, lanes: number, lane: number, pushRow: () => void) => {
    const each = (body: () => void) => countUp(f, l.position, 4 * lanes, l.end, body)
    behind(pointer, lanes).set(l.end).get(pointer).set(l.position)
    f.if(() => {
      findRow(matrix, pushRow, lane, l.from)
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

  /**
   * Packs two or four rows of a factor as lanes from one on, four numbers of each at a time; one row after the other where not all of
   * them are below a limit.
   */
  const packRows = (
    [matrix, pushRow, limit]: readonly [Local, () => void, () => void],
    [pointer, lanes]: readonly [Local, number],
    lane: number,
    count: 2 | 4,
  ) => {
    const places = lines.slice(0, count)
    const advance = (bytes: number) => {
      for (const place of places) f.get(place).i32(bytes).op('i32.add').set(place)
    }
    pushRow()
    f.i32(lane + count).op('i32.add')
    limit()
    f.op('i32.le_u')
    f.if(() => {
      places.forEach((place, index) => {
        findRow(matrix, pushRow, lane + index, place)
      })
      const part = (step: number, mask: number, body: () => void) => {
        f.get(pointer)
          .get(l.depth)
          .i32(mask)
          .op('i32.and')
          .i32(4 * lanes)
          .op('i32.mul', 'i32.add')
          .set(l.end)
        countUp(f, l.position, 4 * lanes * step, l.end, () => {
          body()
          advance(4 * step)
        })
      }
      f.get(pointer).set(l.position)
      part(4, -4, () => {
        places.forEach((place, index) => {
          f.get(place).at('v128.load').set(read[index]!)
        })
        const both = (first: number, second: number) => f.get(read[first]!).get(read[second]!)
        if (count === 2) {
          f.get(l.position)
          both(0, 1)
            .lowerInTurns()
            .at('v128.store', 4 * lane)
          f.get(l.position)
          both(0, 1)
            .upperInTurns()
            .at('v128.store', 4 * (lane + 2 * lanes))
          return
        }
        both(0, 1).lowerInTurns().set(turned[0]!)
        both(2, 3).lowerInTurns().set(turned[1]!)
        both(0, 1).upperInTurns().set(turned[2]!)
        both(2, 3).upperInTurns().set(turned[3]!)
        for (let step = 0; step < 4; step++) {
          const pair = step - (step % 2)
          f.get(l.position)
            .get(turned[pair]!)
            .get(turned[pair + 1]!)
          if (step % 2 === 0) f.lowerHalves()
          else f.upperHalves()
          f.at('v128.store', 4 * (lane + step * lanes))
        }
      })
      part(1, -1, () => {
        places.forEach((place, index) => {
          f.get(l.position)
            .get(place)
            .at('f32.load')
            .at('f32.store', 4 * (lane + index))
        })
      })
      f.op('else')
      for (let index = 0; index < count; index++) {
        pushRow()
        f.i32(lane + index).op('i32.add')
        limit()
        f.op('i32.lt_u')
        packRow(matrix, pointer, lanes, lane + index, pushRow)
      }
    })
  }

  /** The rows of tiles side by side, those that the block lacks as zeros. */
  const packLeft = () => {
    f.get(l.pack).set(l.to)
    f.get(l.row).set(l.tileRow)
    countUp(f, l.tileRow, tileRows, l.blockEnd, () => {
      packRows([l.left, () => f.get(l.tileRow), () => f.get(l.blockEnd)], [l.to, tileRows], 0, tileRows)
      behind(l.to, tileRows).set(l.to)
    })
  }

  /** Rows of the right factor as columns, those that it lacks as zeros. */
  const packRightRows = () => {
    const pushRow = () => f.get(l.base).get(l.column).op('i32.add')
    const pushEnd = () => f.get(l.base).get(l.columns).op('i32.add')
    for (let column = 0; column < tileColumns; column += 4) {
      packRows([l.right, pushRow, pushEnd], [l.strip, tileColumns], column, 4)
    }
  }

  /** Columns side by side, those that the factor lacks as zeros. */
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
        for (let bytes = 0; bytes < 4 * tileColumns; bytes += 16) {
          f.get(l.to).get(l.from).at('v128.load', bytes).at('v128.store', bytes)
        }
        next()
      })
      f.op('else')
      countUp(f, l.to, 4 * tileColumns, l.end, () => {
        for (let bytes = 0; bytes < 4 * tileColumns; bytes += 16) f.get(l.to).zeroVector().at('v128.store', bytes)
        f.i32(0).set(l.position)
        countUp(f, l.position, 1, l.width, () => {
          f.get(l.to).get(l.position).i32(4).op('i32.mul', 'i32.add')
          f.get(l.from).get(l.position).i32(4).op('i32.mul', 'i32.add').at('f32.load').at('f32.store')
        })
        next()
      })
    })
  }

  /** Multiplies so many tiles, from this row on, into rows of a target. */
  const multiply = (count: () => void, target: () => void, stride: () => void, adds: () => void) => {
    f.get(l.pack).get(l.tileRow).get(l.row).op('i32.sub').get(l.depth).i32(4).op('i32.mul', 'i32.mul', 'i32.add')
    f.get(l.strip)
    behind(l.strip, tileColumns)
    target()
    stride()
    adds()
    count()
    f.callHelper(nameOfTiles(fused))
  }

  /** Leaves on the stack where the tile begins in the result. */
  const place = () => {
    f.get(l.result).get(l.tileRow).get(l.columns).op('i32.mul').get(l.column).op('i32.add')
    return f.i32(4).op('i32.mul', 'i32.add')
  }

  /**
   * Adds products to the result where tiles have all rows and columns, and no element below the diagonal; the first block of the inner
   * dimension writes it.
   */
  const wholeTiles = () => {
    f.get(l.row).set(l.tileRow)
    f.get(l.blockEnd).set(l.wholeEnd)
    if (symmetric) {
      smaller(
        () => f.get(l.blockEnd),
        () => f.get(l.base).get(l.column).op('i32.add').i32(1).op('i32.add'),
      )
      f.set(l.wholeEnd)
    }
    f.get(l.width).i32(tileColumns).op('i32.eq').get(l.row).get(l.wholeEnd).op('i32.lt_u', 'i32.and')
    f.if(() => {
      const rows = () => f.get(l.wholeEnd).get(l.row).op('i32.sub')
      rows().i32(-tileRows).op('i32.and').get(l.row).op('i32.add').set(l.wholeEnd)
      multiply(
        () => rows().i32(tileRows).op('i32.div_u'),
        place,
        () => f.get(l.resultStride),
        () => f.get(l.start).get(l.firstStart).op('i32.sub'),
      )
      if (symmetric) isLast().if(() => countUp(f, l.tileRow, tileRows, l.wholeEnd, mirror))
      f.get(l.wholeEnd).set(l.tileRow)
    })
  }

  /** The same for a tile of which only some elements are wanted. */
  const partTile = () => {
    place().set(l.to)
    multiply(
      () => f.i32(1),
      () => f.get(l.strip).i32(stripBytes).op('i32.add'),
      () => f.i32(4 * tileColumns),
      () => f.i32(0),
    )
    storePart()
  }

  /** The place of the tile's first row in its batch. */
  const ownRow = () => f.get(l.tileRow).get(l.base).op('i32.sub')

  /** Leaves on the stack whether the sums are complete. */
  const isLast = () => f.get(l.start).get(l.depth).op('i32.add').get(l.stop).op('i32.ge_u')

  /** What lies above the diagonal is written below it too. */
  const mirror = () => {
    place().set(l.to)
    mirrored(() => f.get(l.column)).set(l.end)
    f.get(l.to).get(l.resultStride).op('i32.add').set(l.from)
    for (let column = 0; column < tileColumns; column += 4) {
      const first = f.get(l.to).at('v128.load', 4 * column)
      first
        .set(read[0]!)
        .get(l.from)
        .at('v128.load', 4 * column)
        .set(read[1]!)
      const both = () => f.get(read[0]!).get(read[1]!)
      both().lowerInTurns().set(turned[0]!)
      both().upperInTurns().set(turned[1]!)
      for (const half of [0, 1, 0, 1] as const) {
        f.get(l.end).get(turned[0]!).storeHalf(half)
        f.get(l.end).get(l.resultStride).op('i32.add').set(l.end)
        if (half === 1) f.get(turned[1]!).set(turned[0]!)
      }
    }
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
        f.get(l.start).get(l.firstStart).op('i32.ne')
        f.if(() => place(l.to).at('f32.load').get(single).op('f32.add').set(single))
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
      f.get(l.firstStart).set(l.start)
      f.loop(() => {
        smaller(
          () => f.i32(blockDepth),
          () => f.get(l.stop).get(l.start).op('i32.sub'),
        )
        f.set(l.depth)
        packLeft()
        if (symmetric) f.get(l.row).get(l.base).op('i32.sub').i32(-tileColumns).op('i32.and').set(l.column)
        else f.get(l.firstColumn).set(l.column)
        countUp(f, l.column, tileColumns, l.columnEnd, () => {
          smaller(
            () => f.i32(tileColumns),
            () => f.get(l.columnEnd).get(l.column).op('i32.sub'),
          )
          f.set(l.width)
          packRight()
          wholeTiles()
          if (symmetric) {
            smaller(
              () => f.get(l.blockEnd),
              () => f.get(l.base).get(l.column).op('i32.add').i32(tileColumns).op('i32.add'),
            )
            f.set(l.lastRow)
          }
          countUp(f, l.tileRow, tileRows, symmetric ? l.lastRow : l.blockEnd, partTile)
        })
        // A product of nothing is 0, which the first block writes.
        f.get(l.start).i32(blockDepth).op('i32.add').tee(l.start).get(l.stop).op('i32.lt_u').branchIf(0)
      })
      f.get(l.blockEnd).tee(l.row).get(last).op('i32.lt_u').branchIf(0)
    })
  })
  return f
}
