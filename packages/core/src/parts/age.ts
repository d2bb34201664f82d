import type { Operand, Value } from '../language/value.ts'

/** How many steps what begins anew at steps 1, 1 + period, 1 + 2 period and so on has had, this one included. */
export function ageOf(t: Value, period: Operand): Value {
  const before = t.minus(1)
  return before.minus(before.over(period).floor().times(period)).plus(1)
}
