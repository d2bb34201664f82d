import { FunctionBuilder, kernelParameters } from './assembler.ts'
import { countUp, locals } from './library.ts'

/**
 * The sum or the maximum over tensors of a global reduction, in the order of the tensors. Entry: result pointer, count, pointers.
 */
export function combineTotals(kind: 'sum' | 'maximum'): FunctionBuilder {
  const f = new FunctionBuilder(`${kind}_totals`, kernelParameters)
  const entry = f.parameters[0]!
  const { pointer, end } = locals(f, ['pointer', 'end'])
  const sum = f.local('f64')
  f.f64(kind === 'sum' ? 0 : Number.NEGATIVE_INFINITY).set(sum)
  f.get(entry).i32(8).op('i32.add').tee(pointer).get(entry).at('i32.load', 4).i32(4).op('i32.mul', 'i32.add').set(end)
  countUp(f, pointer, 4, end, () => {
    f.get(sum)
      .get(pointer)
      .at('i32.load')
      .at('f64.load')
      .op(kind === 'sum' ? 'f64.add' : 'f64.max')
      .set(sum)
  })
  f.get(entry).at('i32.load').get(sum).at('f64.store')
  return f
}
