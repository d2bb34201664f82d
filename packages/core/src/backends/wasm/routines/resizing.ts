import { FunctionBuilder, kernelParameters, type Local } from '../assembler.ts'
import { countUp, locals } from '../library.ts'

/**
 * Rows `[first, last)` of a batch of matrices of other sizes, zeros where the input has no elements. Entry: input, result, rows and columns
 * of the result, rows and columns of the input.
 */
export function resize(): FunctionBuilder {
  const f = new FunctionBuilder('resize', kernelParameters)
  const [entry, first, last] = f.parameters as [Local, Local, Local]
  const l = locals(f, ['rows', 'bytes', 'height', 'width', 'row', 'inner', 'from', 'to', 'end'])
  f.get(entry).at('i32.load', 8).set(l.rows)
  f.get(entry).at('i32.load', 12).i32(4).op('i32.mul').set(l.bytes)
  f.get(entry).at('i32.load', 16).set(l.height)
  f.get(entry).at('i32.load', 20).i32(4).op('i32.mul').set(l.width)
  f.get(first).set(l.row)
  countUp(f, l.row, 1, last, () => {
    f.get(entry).at('i32.load', 4).get(l.row).get(l.bytes).op('i32.mul', 'i32.add').set(l.to)
    f.get(l.row).get(l.rows).op('i32.rem_u').set(l.inner)
    f.get(entry).at('i32.load')
    f.get(l.row).get(l.rows).op('i32.div_u').get(l.height).op('i32.mul')
    f.get(l.inner).op('i32.add').get(l.width).op('i32.mul', 'i32.add').set(l.from)
    // What the input has of this row, nothing where it has no such row.
    f.get(l.width).get(l.bytes).get(l.width).get(l.bytes).op('i32.lt_u', 'select')
    f.i32(0).get(l.inner).get(l.height).op('i32.lt_u', 'select')
    f.get(l.to).op('i32.add').set(l.end)
    countUp(f, l.to, 4, l.end, () => {
      f.get(l.to).get(l.from).at('f32.load').at('f32.store')
      f.get(l.from).i32(4).op('i32.add').set(l.from)
    })
    f.get(l.to).i32(0)
    f.get(entry).at('i32.load', 4).get(l.row).i32(1).op('i32.add').get(l.bytes).op('i32.mul', 'i32.add')
    f.get(l.to).op('i32.sub').fill()
  })
  return f
}
