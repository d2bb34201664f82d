/** The code generator: turns the loops and scalars of a Plan into kernel functions. */

import type { Plan } from '../../plan/plan.ts'
import type { FunctionBuilder } from './assembler.ts'
import { EntryLayout } from './entry.ts'
import { againName, isTakenAgain, LoopGenerator } from './loop.ts'
import { commitFunction, scalarFunction } from './scalars.ts'
import { stagedKernels } from './staging.ts'
import { loopAgain } from './sums.ts'

/** What a kernel function of a plan does: a loop, or the scalars or the commit of one of its stages. */
export type KernelTable = { readonly loops: readonly number[]; readonly stages: ReadonlyMap<number, number> }

/**
 * The kernel functions of one plan; `add` gives each its place in the table of functions, `help` takes the functions that
 * these call.
 */
export function generateKernels(
  plan: Plan,
  prefix: string,
  add: (kernel: FunctionBuilder) => number,
  help: (helper: FunctionBuilder) => void,
): KernelTable {
  const layout = new EntryLayout(plan)
  for (const { storage } of plan.arrays) {
    if (storage === 'float32') continue
    help(stagedKernels().decode(storage))
    help(stagedKernels().encode(storage))
  }
  const loops = plan.loops.map((loop, index) => {
    const name = `${prefix}_loop_${index}`
    const Generator = loop.staged ? stagedKernels().LoopGenerator : LoopGenerator
    loop.reductions.forEach((reduction, position) => {
      if (!isTakenAgain(loop, reduction)) return
      const again = loopAgain(loop, reduction)
      help(new Generator(plan, layout, again, index, againName(name, position), true).generateAgain())
    })
    return add(new Generator(plan, layout, loop, index, name).generate())
  })
  const stages = new Map<number, number>()
  plan.stages.forEach((stage, index) => {
    if (stage.kind === 'scalars') {
      const name = `${prefix}_${stage.beforeTotals ? 'combine' : 'scalars'}_${stage.level}`
      stages.set(index, add(scalarFunction(plan, layout, name, stage)))
    } else if (stage.kind === 'commit') {
      const name = `${prefix}_${stage.shared ? 'commitShared' : 'commit'}`
      stages.set(index, add(commitFunction(plan, layout, name, stage.outputs)))
    }
  })
  return { loops, stages }
}
