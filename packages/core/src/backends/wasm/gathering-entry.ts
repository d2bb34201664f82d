import type { Loop, Plan } from '../../plan/plan.ts'
import { provided } from '../../storage/provided.ts'
import { EntryLayout } from './entry.ts'
import { hasNarrowColumns, putAside } from './sums.ts'

/** The layout of an entry for all plans. */
export class GatheringEntryLayout extends EntryLayout {
  constructor(plan: Plan) {
    super(plan)
    plan.loops.forEach((loop, index) => {
      if (loop.view) this.add({ kind: 'geometry', loop: index }, 4)
      loop.reductions.forEach((_, reduction) => {
        this.add({ kind: 'partial', loop: index, reduction }, 2)
        if (hasNarrowColumns(loop, loop.reductions[reduction]!)) this.add({ kind: 'narrow', loop: index, reduction })
      })
      for (const register of putAside(loop)) this.add({ kind: 'aside', loop: index, register })
      loop.body.forEach((instruction, position) => {
        if (instruction.operation === 'broadcast' && instruction.apart)
          this.add({ kind: 'apart', loop: index, position }, 2)
      })
    })
    for (const scalar of plan.scalars) {
      if (scalar.kind === 'slot') this.add({ kind: 'number', key: scalar.key })
      if (scalar.kind === 'total') this.add({ kind: 'total', key: scalar.key })
    }
    for (const { target } of plan.scalarOutputs)
      if (target.kind === 'slot') this.add({ kind: 'number', key: target.key })
  }

  protected override addArrays(loop: Loop, plan: Plan): void {
    super.addArrays(loop, plan)
    for (const use of loop.reductions) if (use.over !== 'all') this.add({ kind: 'array', array: use.array })
    if (loop.staged) for (const word of provided().words(plan, loop)) this.add(word, 3)
  }
}
