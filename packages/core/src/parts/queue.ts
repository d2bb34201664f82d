import { countedSlots } from '../language/counted-slots.ts'
import { zeros } from '../language/slots.ts'
import type { Value } from '../language/value.ts'

/** Slots `g1` to `gn` for the gradients of the last steps, the newest first; `kept` says how many of them the options ask for. */
export function queueOfGradients(longest: number, kept: (options: Readonly<Record<string, unknown>>) => number) {
  const { slots, read, write } = countedSlots('g', longest, zeros(), ({ options }) => kept(options))
  return {
    slots,
    /** The gradient and those before it, the newest first. */
    read: (g: Value, state: Parameters<typeof read>[0]): Value[] => [g, ...read(state)],
    /** The new state: the oldest of `gradients` falls out. */
    shifted: (gradients: readonly Value[]) => write(gradients.slice(0, -1)),
  }
}
