import { FunctionBuilder, kernelParameters, type Local } from '../assembler.ts'
import { countUp, locals } from '../library.ts'

/**
 * Rows `[first, last)` of a batch of matrices, the rows of each in the opposite order. Entry: input, result, rows and columns.
 */
export function reverse(): FunctionBuilder {
  const f = new FunctionBuilder('reverse', kernelParameters)
  const [entry, first, last] = f.parameters as [Local, Local, Local]
  const l = locals(f, ['rows', 'bytes', 'row', 'from', 'to', 'end'])
  f.get(entry).at('i32.load', 8).set(l.rows)
  f.get(entry).at('i32.load', 12).i32(4).op('i32.mul').set(l.bytes)
  f.get(first).set(l.row)
  countUp(f, l.row, 1, last, () => {
    // Row r of a matrix is its row (rows - 1 - r): the place of the matrix once more, and what is left of it after r.
    f.get(entry).at('i32.load')
    f.get(l.row).get(l.row).get(l.rows).op('i32.rem_u').i32(2).op('i32.mul', 'i32.sub').get(l.rows).op('i32.add')
    f.i32(1).op('i32.sub').get(l.bytes).op('i32.mul', 'i32.add').set(l.from)
    f.get(entry).at('i32.load', 4).get(l.row).get(l.bytes).op('i32.mul', 'i32.add').tee(l.to)
    f.get(l.bytes).op('i32.add').set(l.end)
    countUp(f, l.to, 4, l.end, () => {
      f.get(l.to).get(l.from).at('f32.load').at('f32.store')
      f.get(l.from).i32(4).op('i32.add').set(l.from)
    })
  })
  return f
}
