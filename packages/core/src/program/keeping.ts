import type { Graph } from '../graph/graph.ts'
import type { Node } from '../graph/node.ts'
import type { OptionSpecification } from '../language/definition.ts'
import type { ParameterShape } from '../language/slots.ts'
import type { HyperStore } from './hyper-store.ts'
import type { Output, Program, SlotStorage } from './program.ts'

/** How a wrapper has the state of what it wraps kept in memory. */
export interface Keeping {
  /**
   * The slots as they are to be kept.
   * @param slots those of what is wrapped, in float32.
   * @param programs all that read or write them, traced with these slots.
   * @param stream the name that random numbers follow.
   */
  choose(
    slots: readonly SlotStorage[],
    programs: readonly Program[],
    context: {
      readonly options: OptionSpecification
      readonly shape: ParameterShape
      readonly hyper: HyperStore
      readonly stream: string
    },
  ): readonly SlotStorage[]
  /** The value of a slot that is kept with others. */
  read(graph: Graph, slot: SlotStorage): Node
  /** All that is stored for a new value of a slot. */
  write(graph: Graph, slot: SlotStorage, output: Output): readonly Output[]
}
