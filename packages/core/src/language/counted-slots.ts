import type { Slot, SlotFacts } from './slots.ts'
import type { Value } from './value.ts'

/** Several slots of one kind, which a rule reads and writes as a list. */
export interface CountedSlots<Name extends string> {
  /** For the definition's `state`: `name1`, `name2`, ... */
  readonly slots: Readonly<Record<`${Name}${number}`, Slot>>
  /** Their values, as many as there are. */
  read(state: Readonly<Record<`${Name}${number}`, Value>>): Value[]
  /** The new state; values that are left out at the end keep what they have. */
  write(values: readonly Value[]): Record<`${Name}${number}`, Value>
}

/**
 * A counted slot: a queue of the last gradients, a number for each of several discounts, sums for each dimension.
 *
 * ```ts
 * import { countedSlots, zeros } from 'fallline'
 * const gradients = countedSlots('g', 4, zeros())
 * console.log(Object.keys(gradients.slots)) // g1, g2, g3, g4
 * ```
 *
 * @param name state is called `name1`, `name2`, ... in checkpoints.
 * @param most how many there can be.
 * @param slot what each of them is, or each by its place from 0.
 * @param count how many there are for a parameter and options; default `most`.
 */
export function countedSlots<const Name extends string>(
  name: Name,
  most: number,
  slot: Slot | ((index: number) => Slot),
  count: (facts: SlotFacts) => number = () => most,
): CountedSlots<Name> {
  type Numbered = `${Name}${number}`
  const names = Array.from({ length: most }, (_, index): Numbered => `${name}${index + 1}`)
  const entries = names.map((numbered, index): [string, Slot] => {
    const own = typeof slot === 'function' ? slot(index) : slot
    return [numbered, { ...own, when: (facts) => count(facts) > index && (own.when?.(facts) ?? true) }]
  })
  return {
    slots: Object.fromEntries(entries) as Record<Numbered, Slot>,
    read: (state) => names.flatMap((numbered) => state[numbered] ?? []),
    write: (values) =>
      Object.fromEntries(values.map((value, index) => [names[index]!, value])) as Record<Numbered, Value>,
  }
}
