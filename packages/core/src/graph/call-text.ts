import { routineOf } from '../routines/table.ts'
import type { NodeOf } from './node.ts'

/** A matrix function and its operands as text: the results of one call have the same. */
export function callText({ routine, inputs, dimensions }: NodeOf<'routine'>): string {
  return `${routine}:${inputs.map(({ id }) => id)}:${routineOf(routine).sized ? dimensions : ''}`
}
