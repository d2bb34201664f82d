import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, positive, seed, stepCount } from '../language/hyperparameters.ts'
import { type ParameterShape, zeros } from '../language/slots.ts'
import { ema, type Value, where } from '../language/value.ts'
import {
  applied,
  appliedTransposed,
  balanced,
  factorSlots,
  gramFor,
  inverses,
  isMatrix,
  type Sides,
  upperTriangle,
} from '../parts/kronecker.ts'
import { inverseOrder, permuted } from '../parts/modes.ts'
import { boundByLongest } from '../parts/norm-bound.ts'
import {
  clippedInNorm,
  inputsToFit,
  largestFitted,
  pairToFit,
  psgdPaper,
  psgdSearch,
  renewalsOf,
} from '../parts/psgd.ts'

type Options = { maximumSize: number; maximumPercent: number }

/** A parameter as the matrix whose two factors are smallest together: the sizes of its dimensions, their order, and those of the matrix. */
interface Matrix {
  readonly sizes: readonly number[]
  readonly order: readonly number[]
  readonly matrix: readonly [rows: number, columns: number]
}

/**
 * Of three dimensions and more the order and the split that make rows² + columns² least: the first of them, with outputs before inputs before
 * the rest. Dimensions of one element change nothing.
 */
function matrixOf({ shape, rank, size, layout, outputFirst }: ParameterShape): Matrix {
  if (rank < 2) return { sizes: [size], order: [0], matrix: [1, size] }
  if (rank === 2) return { sizes: shape, order: [0, 1], matrix: shape as [number, number] }
  // The places of outputs, inputs and the rest among the dimensions as they are stored.
  const places = [...outputFirst.keys()]
  const stored = layout === 'outputFirst' ? places : [...places.slice(2), 1, 0]
  const sizes = stored.map((place) => outputFirst[place]!)
  const long = places.filter((place) => outputFirst[place] !== 1)
  const product = (chosen: readonly number[]) => chosen.reduce((all, place) => all * outputFirst[place]!, 1)
  let best: { places: readonly number[]; rows: number } = { places: long, rows: 1 }
  let least = Number.POSITIVE_INFINITY
  for (const candidate of orders(long)) {
    for (let split = 1; split < candidate.length; split++) {
      const rows = product(candidate.slice(0, split))
      const cost = rows ** 2 + (size / rows) ** 2
      if (cost < least) [best, least] = [{ places: candidate, rows }, cost]
    }
  }
  const single = places.filter((place) => outputFirst[place] === 1)
  const order = [...single, ...best.places].map((place) => stored.indexOf(place))
  return { sizes, order, matrix: [best.rows, size / best.rows] }
}

/** All orders of a list, in lexicographic order. */
function* orders(list: readonly number[]): Generator<readonly number[]> {
  if (list.length < 2) yield list
  else for (const first of list) for (const rest of orders(list.filter((one) => one !== first))) yield [first, ...rest]
}

function sidesOf(shape: ParameterShape, { maximumSize, maximumPercent }: Options): Sides {
  const { matrix } = matrixOf(shape)
  const [rows, columns] = matrix
  const dense = (size: number, other: number) =>
    size > 1 && size <= maximumSize && size <= (maximumPercent / 100) * other
  return { sizes: matrix, matrices: [dense(rows, columns), dense(columns, rows)] }
}

const factors = factorSlots(2, sidesOf)

/**
 * PSGD with the affine group: every parameter is seen as a matrix, and P = QᵀQ with Q of two upper triangles, for its rows and for its
 * columns, is fitted so that P g has uncorrelated elements of size 1, or so that P is the inverse of the Hessian's absolute value.
 *
 * ```text
 * A ← Q₁ G Q₂ᵀ;  B ← Q₁⁻ᵀ V Q₂⁻¹                 V: normal random numbers; for curvature A is of H v and B of v
 * Q₁ ← Q₁ - μ triu(A Aᵀ - B Bᵀ) Q₁ / ‖A Aᵀ + B Bᵀ‖
 * Q₂ ← Q₂ - μ triu(AᵀA - BᵀB) Q₂ / ‖AᵀA + BᵀB‖
 * m ← b m + (1 - b) g
 * u ← P m = Q₁ᵀQ₁ M Q₂ᵀQ₂, scaled to a norm over all tensors of at most `maximumNorm`
 * θ ← θ - η u
 * ```
 *
 * `fits: 'curvature'` takes the inputs `probe`, v of N(0, 1), and `hessianVectorProduct`, H v, wanted whenever P moves. ‖·‖ is a lower bound,
 * from the longest row or column. `normalizer: 'difference'` divides by the bound of what moves Q, for which μ 0.01 is advised.
 *
 * A vector is a matrix of one row; of more than two dimensions those are rows, in whichever order, that make rows² + columns² least. Rows or
 * columns that are one, more than `maximumSize` or more than `maximumPercent` per cent of the others have a diagonal.
 *
 * Defaults of the official code: η 1e-2, μ 0.1 (`preconditionerRate`), no momentum, no `maximumNorm` (0), but `fits: 'gradient'`, where it has
 * curvature, and a `maximumSize` of 1024, where it has none. State: `factor1` and `factor2`, rows² and columns² numbers, or `diagonal1` and
 * `diagonal2`, with momentum also m. Each factor starts at a multiple of the identity, together (n / ‖g‖²)^(1/4), for curvature
 * (‖v‖² / ‖H v‖²)^(1/4), or `initialScale` with `scalesByGradient: false`.
 *
 * Deviations: P moves at every `preconditionerPeriod`-th step, and factors are given the same largest element every `balancePeriod` steps, where
 * the official code draws whether to, the latter with a probability of 0.01. A first gradient of zeros gives
 * a scale of 1. Where gradients stay zero P grows from step to step, there and here; float32 holds factors below 1e9.
 *
 * Pooladzandi, Li 2024, Curvature-Informed SGD via General Purpose Lie-Group Preconditioners, arXiv 2402.11858; the group is of Li 2018,
 * Preconditioner on Matrix Lie Group for SGD, arXiv 1809.10232.
 */
export const psgdAffine = defineOptimizer({
  name: 'psgdAffine',
  title: 'PSGD Affine',
  family: 'matrix',
  paper: psgdPaper,
  hyper: {
    learningRate: nonNegative(1e-2),
    momentum: decayRate(0),
    preconditionerRate: nonNegative(0.1),
    initialScale: positive(1),
    maximumNorm: nonNegative(0),
    weightDecay: nonNegative(0),
    preconditionerPeriod: stepCount(1),
    balancePeriod: stepCount(100),
    seed: seed(),
  },
  options: {
    fits: 'gradient' as 'gradient' | 'curvature',
    normalizer: 'sum' as 'sum' | 'difference',
    scalesByGradient: true,
    maximumSize: 1024,
    maximumPercent: 1_000_000,
  },
  choices: { fits: ['gradient', 'curvature'], normalizer: ['sum', 'difference'] },
  limits: { maximumSize: [0], maximumPercent: [0] },
  inputs: inputsToFit,
  state: { m: zeros({ when: ({ disabled }) => !disabled('momentum') }), ...factors.slots },
  decay: 'decoupled',
  search: {
    learningRate: logUniform(1e-4, 1e-1),
    ...psgdSearch,
  },
  largestGradient: largestFitted,
  rule(context) {
    const { g, inputs, state, hyper, options, shape, disabled, every, random } = context
    // What has no elements has nothing to whiten.
    if (shape.size === 0) return { direction: g, state: {} }
    const sides = sidesOf(shape, options)
    const { sizes } = sides
    const given = matrixOf(shape)
    const lay = (x: Value) => permuted(x, given.sizes, given.order).as([1, sizes[0]!, sizes[1]!])
    const { order, sizes: back } = inverseOrder(given.sizes, given.order)
    const restore = (x: Value) => permuted(x, back, order).as(g)

    const m = disabled('momentum') ? g : ema(state.m!, g, hyper.momentum)
    const pair = pairToFit(options.fits, inputs)
    const h = pair ? pair.h : g

    const scale = () => (options.scalesByGradient ? normScale(h, pair?.v) : hyper.initialScale)
    const old = factors.read(state, sides)
    const { first, renews } = renewalsOf(context, hyper.preconditionerPeriod)
    const started = () => {
      const size = scale().sqrt()
      return old.map((Q) => Q.times(size))
    }
    const Q = first ? started() : old

    const renewed = () => {
      const A = applied(lay(h), sizes, Q)
      const v = lay(pair ? pair.v : random.normal({ seed: hyper.seed }))
      const B = appliedTransposed(v, sizes, inverses(Q))
      // Relative to the largest number, so that float32 holds the squares.
      const unit = A.abs().largest().maximum(B.abs().largest()).maximum(1e-30)
      return Q.map((q, mode) => {
        const term1 = gramFor(q, A.over(unit), sizes, mode)
        const term2 = gramFor(q, B.over(unit), sizes, mode)
        const difference = isMatrix(q) ? upperTriangle(term1.minus(term2)) : term1.minus(term2)
        const normalizing = options.normalizer === 'sum' ? term1.plus(term2) : difference
        const bound = isMatrix(q) ? boundByLongest(normalizing) : normalizing.abs().largest()
        const E = difference.times(hyper.preconditionerRate.over(bound.maximum(1e-30)))
        return q.minus(isMatrix(q) ? E.matmul(q) : E.times(q)).limitedInSize(1e9)
      })
    }
    const next = renews ? renewed() : Q
    // Of a multiple of the identity nothing is out of balance.
    const balances = !first && every(hyper.balancePeriod, () => true, false)
    const u = restore(appliedTransposed(applied(lay(m), sizes, next), sizes, next))
    return {
      direction: disabled('maximumNorm') ? u : clippedInNorm(u, hyper.maximumNorm),
      state: {
        ...(disabled('momentum') ? {} : { m }),
        ...factors.write(balances ? balanced(next) : next),
      },
    }
  },
})

/** √(‖v‖ / ‖h‖), without v √(√n / ‖h‖), the size of a Q for which QᵀQ h is as long as v; 1 where that is not known. */
function normScale(h: Value, v?: Value): Value {
  const size = h.norm()
  const aim = v ? v.norm() : h.count().sqrt()
  return where(size.isGreaterThan(0).and(aim.isGreaterThan(0)), aim.over(size.maximum(1e-30)).sqrt(), 1)
}
