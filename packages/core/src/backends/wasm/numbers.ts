/** How kernels read the numbers of a plan. */

import type { NumberReference, Plan } from '../../plan/plan.ts'
import type { FunctionBuilder } from './assembler.ts'
import type { EntryLayout } from './entry.ts'

/** Emits the float64 value of a host argument, or of a scalar; that of a truth value of the device as an i32. */
export function emitNumber(
  f: FunctionBuilder,
  plan: Plan,
  layout: EntryLayout,
  { kind, index }: NumberReference,
): void {
  const entry = f.parameters[0]!
  if (kind === 'argument') {
    f.get(entry)
      .at('i32.load', layout.hostArguments)
      .at('f64.load', 8 * index)
    return
  }
  const scalar = plan.scalars[index]!
  if (scalar.kind === 'slot') {
    f.get(entry)
      .at('i32.load', layout.offset({ kind: 'number', key: scalar.key }))
      .at('f64.load')
  } else if (scalar.kind === 'total') {
    f.get(entry)
      .at('i32.load', layout.offset({ kind: 'total', key: scalar.key }))
      .at('f64.load')
  } else {
    f.get(entry)
      .at('i32.load', layout.scalars)
      .at('f64.load', 8 * index)
    if (scalar.mask) f.f64(0).op('f64.ne')
  }
}
