import { type Slot, zeros } from '../language/slots.ts'
import type { Value } from '../language/value.ts'

/** Slots `g1` to `gn` for the gradients of the last steps, the newest first; `kept` says how many of them the options ask for. */
export function queueOfGradients(longest: number, kept: (options: Readonly<Record<string, unknown>>) => number) {
  const names = Array.from({ length: longest }, (_, index) => `g${index + 1}`)
  return {
    slots: Object.fromEntries(
      names.map((name, index) => [name, zeros({ when: ({ options }) => kept(options) > index })]),
    ) as Record<string, Slot>,
    /** The gradient and `count` before it, the newest first. */
    read: (g: Value, state: Readonly<Record<string, Value>>, count: number): Value[] => [
      g,
      ...names.slice(0, count).map((name) => state[name]!),
    ],
    /** The new state: the oldest of `gradients` falls out. */
    shifted: (gradients: readonly Value[]): Record<string, Value> =>
      Object.fromEntries(gradients.slice(0, -1).map((gradient, index) => [names[index]!, gradient])),
  }
}
