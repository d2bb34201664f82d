import { FunctionBuilder, kernelParameters, type Local } from '../assembler.ts'
import { countUp, locals } from '../library.ts'

/**
 * Rows `[first, last)` of the transpose of a batch of matrices. Entry: input, result, rows and columns of the result.
 */
export function transpose(): FunctionBuilder {
  const f = new FunctionBuilder('transpose', kernelParameters)
  const [entry, first, last] = f.parameters as [Local, Local, Local]
  const l = locals(f, ['rows', 'columns', 'row', 'from', 'to', 'end', 'stride'])
  f.get(entry).at('i32.load', 8).set(l.rows)
  f.get(entry).at('i32.load', 12).set(l.columns)
  f.get(l.rows).i32(4).op('i32.mul').set(l.stride)
  f.get(first).set(l.row)
  countUp(f, l.row, 1, last, () => {
    // Row r of batch b of the result is column r of the input, whose rows are as long as the result has rows.
    f.get(entry).at('i32.load')
    f.get(l.row).get(l.rows).op('i32.div_u').get(l.columns).op('i32.mul').get(l.rows).op('i32.mul')
    f.get(l.row).get(l.rows).op('i32.rem_u', 'i32.add').i32(4).op('i32.mul', 'i32.add').set(l.from)
    f.get(entry).at('i32.load', 4).get(l.row).get(l.columns).op('i32.mul').i32(4).op('i32.mul', 'i32.add').tee(l.to)
    f.get(l.columns).i32(4).op('i32.mul', 'i32.add').set(l.end)
    countUp(f, l.to, 4, l.end, () => {
      f.get(l.to).get(l.from).at('f32.load').at('f32.store')
      f.get(l.from).get(l.stride).op('i32.add').set(l.from)
    })
  })
  return f
}
