import type { Graph } from '../graph/graph.ts'
import type { Node } from '../graph/node.ts'
import type { ParameterShape } from '../language/slots.ts'
import type { Output, SlotStorage } from './program.ts'
import type { ChainElement } from './resolve.ts'
import type { TracedParameter, TraceSettings } from './trace.ts'

/** How wrappers have the state of what they wrap kept in memory. */
export interface Keeping {
  /**
   * All slots as they are to be kept.
   * @param elements all optimizers and wrappers of a parameter.
   * @param traced what they are with all state in float32.
   */
  slots(
    elements: readonly ChainElement[],
    shape: ParameterShape,
    settings: TraceSettings,
    traced: TracedParameter,
  ): readonly SlotStorage[]
  /** The value of a slot that is kept with others. */
  read(graph: Graph, slot: SlotStorage): Node
  /** All that is stored for new values. */
  write(graph: Graph, slots: readonly SlotStorage[], outputs: readonly Output[]): readonly Output[]
}
