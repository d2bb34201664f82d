/** A graph in which eigendecompositions are of other matrices than those that the rule gives. */

import type { Routine } from '../routines/routine.ts'
import type { RoutineName } from '../routines/table.ts'
import type { Dimensions, Node } from './node.ts'
import { WholeGraph } from './whole-graph.ts'

export class DelayingGraph extends WholeGraph {
  /** The matrix to decompose in the place of one, as long as there is another. */
  instead: ((matrix: Node) => Node) | undefined

  override routine(
    routine: RoutineName,
    declared: Routine,
    operands: readonly Node[],
    caller: string = routine,
    asked?: Dimensions,
  ): Node[] {
    const { instead } = this
    const taken = routine === 'eigen' && instead ? operands.map(instead) : operands
    return super.routine(routine, declared, taken, caller, asked)
  }
}
