import { countedSlots } from '../language/counted-slots.ts'
import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { type ParameterShape, shaped, zeros } from '../language/slots.ts'
import { ema, type Value } from '../language/value.ts'
import { largestSquared } from '../parts/ema-of-square.ts'
import { sumOfSquares } from '../parts/sum-of-squares.ts'

/** How many dimensions have sums of their own. */
const most = 4

/** The dimensions that have sums of their own: all of them, those before the last three as one. */
function axesOf({ shape, rank }: ParameterShape): readonly number[] {
  if (rank <= most) return shape
  const leading = shape.slice(0, -3).reduce((product, size) => product * size, 1)
  return [leading, ...shape.slice(-3)]
}

/** How the parameter is seen so that one dimension is its rows, or its columns where nothing follows. */
function viewOf(axes: readonly number[], axis: number): [number, number, number] {
  const product = (sizes: readonly number[]) => sizes.reduce((result, size) => result * size, 1)
  const [before, size, after] = [product(axes.slice(0, axis)), axes[axis]!, product(axes.slice(axis + 1))]
  return axis === axes.length - 1 ? [1, before, size] : [before, size, after]
}

/** For each dimension of parameters that have several, one number per index. */
const sums = countedSlots(
  'a',
  most,
  (axis) =>
    shaped((shape) => {
      const axes = axesOf(shape)
      return axis === axes.length - 1 ? [1, 1, axes[axis]!] : [1, axes[axis]!, 1]
    }),
  ({ shape }) => (shape.rank > 1 ? axesOf(shape).length : 0),
)

/**
 * SM3: {@link adagrad} in little memory: an element's sum of squares is bounded by the smallest of the sums that are kept
 * for its row, its column and so on.
 *
 * ```text
 * s  ← min over the dimensions d of a_d + g²       a_d: one number per index of that dimension
 * a_d ← max of s over all other dimensions
 * m  ← μ m + (1 - μ) g / √(s + ε)
 * θ  ← θ - η m
 * ```
 *
 * Defaults: η 0.1, ε 1e-30 as in the official code, which asks for μ: 0.9 as in the paper's experiments. State: `m`, shaped
 * like the parameter, none when μ is 0; `a1`, `a2`, ..., as many numbers as the dimensions have indices; for vectors and scalars
 * `s`, which is Adagrad. Of more than four dimensions those before the last three count as one.
 *
 * This is the paper's SM3-II, as in the official code.
 *
 * Anil, Gupta, Koren, Singer 2019, Memory-Efficient Adaptive Optimization, arXiv 1901.11150.
 */
export const sm3 = defineOptimizer({
  name: 'sm3',
  title: 'SM3',
  family: 'adaptive',
  paper: {
    title: 'Memory-Efficient Adaptive Optimization',
    authors: 'Anil, Gupta, Koren, Singer',
    year: 2019,
    arxiv: '1901.11150',
  },
  hyper: { learningRate: nonNegative(0.1), momentum: decayRate(0.9), epsilon: smallDivisor(1e-30) },
  state: {
    m: zeros({ when: ({ disabled }) => !disabled('momentum') }),
    s: zeros({ when: ({ shape }) => shape.rank < 2 }),
    ...sums.slots,
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 1), momentum: oneOf(0, 0.9) },
  largestGradient: largestSquared,
  rule({ p, g, state, hyper, shape, disabled }) {
    if (shape.size === 0) return { direction: g }
    const next: Record<string, Value> = {}
    let s: Value
    if (shape.rank < 2) {
      s = sumOfSquares(state.s, g)
      next.s = s
    } else {
      const axes = axesOf(shape)
      const bounds = sums.read(state).map((sum, axis) => sumOfSquares(sum, g.as(viewOf(axes, axis))).as(p))
      s = bounds.reduce((smallest, bound) => smallest.minimum(bound))
      const largest = axes.map((size, axis) => {
        const [before, , after] = viewOf(axes, axis)
        const seen = s.as(viewOf(axes, axis))
        if (axis === axes.length - 1) return seen.largest('rows')
        const each = after !== 1 ? seen.largest('columns') : seen
        return before !== 1 ? each.as([1, before, size]).largest('rows').as([1, size, 1]) : each
      })
      Object.assign(next, sums.write(largest))
    }
    const u = g.times(s.plus(hyper.epsilon).reciprocalSqrt())
    if (disabled('momentum')) return { direction: u, state: next }
    const m = ema(state.m, u, hyper.momentum)
    return { direction: m, state: { ...next, m } }
  },
})
