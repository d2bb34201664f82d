/** The code generator: turns the loops and scalars of a Plan into kernel functions. */

import type { Plan } from '../../plan/plan.ts'
import type { FunctionBuilder } from './assembler.ts'
import { EntryLayout } from './entry.ts'
import { isFlat, LoopGenerator, readsAhead } from './loop.ts'
import { stagedKernels } from './staging.ts'

/** What a kernel function of a plan does: a loop, or the scalars or the commit of one of its stages. */
export type KernelTable = { readonly loops: readonly number[]; readonly stages: ReadonlyMap<number, number> }

/** What only plans need whose loops are not all flat, or that have numbers of their own. */
export type Gathering = typeof import('./gathering.ts')

/** Whether a plan needs it. */
export function gathers({ loops, stages, scalars }: Plan): boolean {
  return (
    scalars.length > 0 ||
    loops.some((loop) => loop.staged || !isFlat(loop)) ||
    stages.some(({ kind }) => kind === 'scalars' || kind === 'commit')
  )
}

/**
 * The kernel functions of one plan; `add` gives each its place in the table of functions, `help` takes the functions that
 * these call.
 * @param gathering for a plan that `gathers`.
 */
export function generateKernels(
  plan: Plan,
  prefix: string,
  add: (kernel: FunctionBuilder) => number,
  help: (helper: FunctionBuilder) => void,
  gathering: Gathering | undefined,
): KernelTable {
  const layout = gathering ? new gathering.GatheringEntryLayout(plan) : new EntryLayout(plan)
  for (const { storage } of plan.arrays) {
    if (storage === 'float32') continue
    help(stagedKernels().decode(storage))
    help(stagedKernels().encode(storage))
  }
  const loops = plan.loops.map((loop, index) => {
    const name = `${prefix}_loop_${index}`
    if (!loop.staged && isFlat(loop) && !readsAhead(plan))
      return add(new LoopGenerator(plan, layout, loop, name).generate())
    const { againName, GatheringLoopGenerator, isTakenAgain, loopAgain } = gathering!
    const Generator = loop.staged ? stagedKernels().LoopGenerator : GatheringLoopGenerator
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
      stages.set(index, add(gathering!.scalarFunction(plan, layout, name, stage)))
    } else if (stage.kind === 'commit') {
      const name = `${prefix}_${stage.shared ? 'commitShared' : 'commit'}`
      stages.set(index, add(gathering!.commitFunction(plan, layout, name, stage.outputs)))
    }
  })
  return { loops, stages }
}
