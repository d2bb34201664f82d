import { countedSlots } from '../language/counted-slots.ts'
import type { CommonContext, OptionSpecification } from '../language/definition.ts'
import { orthonormalize } from '../language/factorizations.ts'
import { type ParameterShape, type Slot, type SlotFacts, scalar, shaped } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'
import { largestOfEach } from './inverse-root.ts'
import { modeMatrices, mostModes, type Sizes } from './modes.ts'
import { ranks } from './ordered.ts'

type State = Readonly<Record<string, Value>>

/** Bases of symmetric matrices, one for each mode of a tensor, that are found by a bounded part of the work at every step. */
export interface SpreadBases {
  /** For the definition's `state`. */
  readonly slots: Readonly<Record<string, Slot>>
  /** State for the first step, when the bases there are known. */
  begin(matrices: readonly Value[], bases: readonly Value[], t: Value): State
  /** The work of a step: the next bases, which are whole at the last step of a period, and the new state. */
  advance(
    context: Pick<CommonContext<string, OptionSpecification, string, string>, 'every' | 't' | 'state'>,
    period: Value,
    matrices: readonly Value[],
    bases: readonly Value[],
  ): { readonly next: Value[]; readonly state: State }
}

/** Float32 cannot tell eigenvalues from 0 that are smaller beside the largest. */
const negligible = 1e-6

/**
 * An orthogonal iteration for each period k, Q ← qr(S Q) with the columns in descending order of diag(Qᵀ S Q), whose work is spread over the
 * steps, so that none takes much longer than the others.
 *
 * ```text
 * steps 1, k + 1, 2k + 1, ...:  N ← S Q, its columns ranked by diag(Qᵀ S Q)
 * every step but the last of a period:  the next columns of N by rank are made orthonormal to those before
 * steps k, 2k, 3k, ...:  Q ← N is there to be taken
 * ```
 *
 * Vectors with an eigenvalue of at most 1e-6 of the largest come last, as they are. Columns are ranked and not moved, so that what is kept in the basis keeps its place. State for every mode: `part` (N) and `rank`, a row,
 * and the share that is `done`. With a period of 1 all of it happens within each step.
 *
 * @param sizesOf the sizes of the modes that have a matrix; none where nothing is spread.
 * @param countOf of how many tensors of these sizes.
 */
export function spreadBases<Options>(
  sizesOf: (shape: ParameterShape, options: Options) => Sizes,
  countOf: (shape: ParameterShape, options: Options) => number = () => 1,
): SpreadBases {
  const parts = modeMatrices('part', sizesOf, 0, countOf)
  const sizes = ({ shape, options }: Pick<SlotFacts, 'shape' | 'options'>) => sizesOf(shape, options as Options)
  const row = (index: number) =>
    shaped((shape, options) => [countOf(shape, options as Options), 1, sizes({ shape, options })[index] ?? 1])
  const places = countedSlots('rank', mostModes, row, (facts) => sizes(facts).length)
  const begun = (matrices: readonly Value[], bases: readonly Value[], t: Value) => {
    const all = matrices.map((matrix, mode) => {
      const basis = bases[mode]!
      const power = matrix.matmul(basis)
      const values = basis.times(power).sum('rows')
      const isNegligible = values.isAtMost(largestOfEach(values).times(negligible))
      return { power: where(isNegligible, basis, power), order: ranks(where(isNegligible, 0, values)) }
    })
    return { powers: all.map(({ power }) => power), order: all.map(({ order }) => order), done: t.times(0) }
  }
  return {
    slots: { ...parts.slots, ...places.slots, done: scalar(0, { when: (facts) => sizes(facts).length > 0 }) },
    begin(matrices, bases, t) {
      if (matrices.length === 0) return {}
      const { powers, order, done } = begun(matrices, bases, t)
      return { ...parts.write(powers), ...places.write(order), done }
    },
    advance({ every, t, state }, period, matrices, bases) {
      if (matrices.length === 0) return { next: [], state: {} }
      const held = { powers: parts.read(state), order: places.read(state), done: state.done! }
      const { powers, order, done } = every(period, () => begun(matrices, bases, t), held, 'first')
      const share = shareOfPeriod(t, period)
      const next = powers.map((power, mode) => {
        const rank = order[mode]!
        // A column is made orthogonal to all before it, so the work grows with the square of their number.
        const isBelow = (share: Value) => rank.isLessThan(share.sqrt().times(power.columns).floor())
        return orthonormalize(power, where(isBelow(done), -1, where(isBelow(share), rank.over(power.columns), 1)))
      })
      return { next, state: { ...parts.write(next), ...places.write(order), done: share } }
    },
  }
}

/** How much of the work of a period is done when a step ends: all before its last step, which has to take what it has come to. */
function shareOfPeriod(t: Value, period: Value): Value {
  const before = t.minus(1)
  const inPeriod = before.minus(before.over(period).floor().times(period))
  return inPeriod.plus(1).over(period.minus(1).maximum(1)).minimum(1)
}
