/** The kernels that put together what loops left, compute the numbers of a tensor, and store those kept as state. */

import { isMask, type LoopReduction, type NumberReference, type Plan } from '../../plan/plan.ts'
import { FunctionBuilder, kernelParameters, type Local } from './assembler.ts'
import { emitScalar } from './elements.ts'
import type { EntryLayout } from './entry.ts'
import { countUp, locals } from './library.ts'
import { emitNumber } from './numbers.ts'

type ScalarStage = Extract<Plan['stages'][number], { readonly kind: 'scalars' }>

interface Combination {
  readonly loop: number
  readonly reduction: number
}

export function scalarFunction(
  plan: Plan,
  layout: EntryLayout,
  name: string,
  { reductions, scalars }: ScalarStage,
): FunctionBuilder {
  const f = new FunctionBuilder(name, kernelParameters)
  const entry = f.parameters[0]!
  for (const combination of reductions) {
    const reduction = plan.loops[combination.loop]!.reductions[combination.reduction]!
    if (reduction.over === 'all') combineNumber(f, layout, combination, reduction)
    else combineColumns(f, layout, combination, reduction)
  }
  const locals = new Map<string, Local>()
  const nameOf = ({ kind, index }: NumberReference) => `${kind} ${index}`
  const value = (number: NumberReference): Local => {
    const known = locals.get(nameOf(number))
    if (known) return known
    const local = f.local(isMask(plan, number) && number.kind === 'scalar' ? 'i32' : 'f64')
    emitNumber(f, plan, layout, number)
    f.set(local)
    locals.set(nameOf(number), local)
    return local
  }
  const condition = (number: NumberReference): Local => {
    const local = value(number)
    if (local.type === 'i32') return local
    const truth = f.local('i32')
    f.get(local).f64(0).op('f64.ne').set(truth)
    return truth
  }
  for (const index of scalars) {
    const scalar = plan.scalars[index]!
    if (scalar.kind !== 'element') continue
    const { operation, mask } = scalar
    const logical = operation === 'and' || operation === 'not'
    const inputs = scalar.inputs.map((input, position) =>
      logical || (operation === 'select' && position === 0) ? condition(input) : value(input),
    )
    const local = f.local(mask ? 'i32' : 'f64')
    emitScalar(f, 'f64', operation, inputs)
    f.set(local)
    locals.set(nameOf({ kind: 'scalar', index }), local)
    f.get(entry).at('i32.load', layout.scalars)
    if (mask) f.f64(1).f64(0).get(local).op('select')
    else f.get(local)
    f.at('f64.store', 8 * index)
  }
  return f
}

/** Adds up (or takes the maximum of) the numbers that the chunks of a loop left, in order. */
function combineNumber(
  f: FunctionBuilder,
  layout: EntryLayout,
  combination: Combination,
  { reduction, scalar }: Extract<LoopReduction, { readonly over: 'all' }>,
): void {
  const entry = f.parameters[0]!
  const [pointer, end, sum] = [f.local('i32'), f.local('i32'), f.local('f64')]
  const word = layout.offset({ kind: 'partial', ...combination })
  const maximum = reduction === 'maximum'
  f.get(entry).at('i32.load', word).tee(pointer)
  f.get(entry)
    .at('i32.load', word + 4)
    .i32(8)
    .op('i32.mul', 'i32.add')
    .set(end)
  f.f64(maximum ? Number.NEGATIVE_INFINITY : 0).set(sum)
  f.get(pointer)
    .get(end)
    .op('i32.lt_u')
    .if(() => {
      f.loop(() => {
        f.get(sum)
          .get(pointer)
          .at('f64.load')
          .op(maximum ? 'f64.max' : 'f64.add')
          .set(sum)
        f.get(pointer).i32(8).op('i32.add').tee(pointer).get(end).op('i32.lt_u').branchIf(0)
      })
    })
  f.get(entry)
    .at('i32.load', layout.scalars)
    .get(sum)
    .at('f64.store', 8 * scalar)
}

/** Adds up the partial sums of each column over the slices of its batch. */
function combineColumns(
  f: FunctionBuilder,
  layout: EntryLayout,
  combination: Combination,
  { reduction, array }: Exclude<LoopReduction, { readonly over: 'all' }>,
): void {
  const entry = f.parameters[0]!
  const geometry = layout.offset({ kind: 'geometry', loop: combination.loop })
  const word = layout.offset({ kind: 'partial', ...combination })
  const local = locals(f, ['partial', 'stride', 'ofBatch', 'end', 'result', 'slice', 'behind', 'from', 'to'])
  const maximum = reduction === 'maximum'
  f.get(entry)
    .at('i32.load', geometry + 4)
    .i32(8)
    .op('i32.mul')
    .tee(local.stride)
  f.get(entry)
    .at('i32.load', geometry + 12)
    .op('i32.mul')
    .set(local.ofBatch)
  f.get(entry).at('i32.load', word).tee(local.partial)
  f.get(entry)
    .at('i32.load', word + 4)
    .get(local.stride)
    .op('i32.mul', 'i32.add')
    .set(local.end)
  f.get(entry)
    .at('i32.load', layout.offset({ kind: 'array', array }))
    .set(local.result)
  countUp(f, local.partial, local.ofBatch, local.end, () => {
    // Slice by slice, as they lie in memory, to the first of the batch.
    f.get(local.partial).get(local.stride).op('i32.add').tee(local.slice).set(local.from)
    f.get(local.partial).get(local.ofBatch).op('i32.add').set(local.behind)
    countUp(f, local.slice, local.stride, local.behind, () => {
      f.get(local.partial).set(local.to)
      f.get(local.slice).get(local.stride).op('i32.add').set(local.behind)
      countUp(f, local.from, 8, local.behind, () => {
        f.get(local.to).get(local.to).at('f64.load').get(local.from).at('f64.load')
        f.op(maximum ? 'f64.max' : 'f64.add').at('f64.store')
        f.get(local.to).i32(8).op('i32.add').set(local.to)
      })
      f.get(local.partial).get(local.ofBatch).op('i32.add').set(local.behind)
    })
    f.get(local.partial).tee(local.from).get(local.stride).op('i32.add').set(local.behind)
    countUp(f, local.from, 8, local.behind, () => {
      f.get(local.result).get(local.from).at('f64.load').op('f32.demote_f64').at('f32.store')
      f.get(local.result).i32(4).op('i32.add').set(local.result)
    })
  })
}

export function commitFunction(
  plan: Plan,
  layout: EntryLayout,
  name: string,
  outputs: readonly number[],
): FunctionBuilder {
  const f = new FunctionBuilder(name, kernelParameters)
  const values = outputs.map((output) => {
    const local = f.local('f64')
    emitNumber(f, plan, layout, plan.scalarOutputs[output]!.value)
    f.set(local)
    return local
  })
  outputs.forEach((output, index) => {
    const { target } = plan.scalarOutputs[output]!
    if (target.kind !== 'slot') return
    f.get(f.parameters[0]!)
      .at('i32.load', layout.offset({ kind: 'number', key: target.key }))
      .get(values[index]!)
      .at('f64.store')
  })
  return f
}
