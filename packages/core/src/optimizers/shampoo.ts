import { defineOptimizer } from '../language/definition.ts'
import { eigen, matrixPower } from '../language/factorizations.ts'
import { fraction, logUniform, nonNegative, oneOf, smallDivisor, stepCount } from '../language/hyperparameters.ts'
import { type ParameterShape, zeros } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'
import { identityLike } from '../parts/diagonal.ts'
import { mergedSizes, modeGram, modeMatrices, modeProduct } from '../parts/modes.ts'
import { spreadBases } from '../parts/spread-bases.ts'

type Options = { mergesDimensions: boolean; mergedSize: number; spreads: boolean }

/** The sizes of the dimensions as the rule sees them; vectors have no preconditioners. */
function sizesOf({ shape }: ParameterShape, { mergesDimensions, mergedSize }: Options): readonly number[] {
  const sizes = mergesDimensions ? mergedSizes(shape, mergedSize).filter((size) => size > 1) : shape
  return sizes.length < 2 ? [] : sizes
}

const statistics = modeMatrices('statistic', sizesOf)
const preconditioners = modeMatrices('preconditioner', sizesOf, 'identity')

const sizesInParts = (shape: ParameterShape, options: Options) => (options.spreads ? sizesOf(shape, options) : [])
const bases = modeMatrices('basis', sizesInParts)
const nextBases = spreadBases(sizesInParts)

/**
 * Shampoo: a preconditioning matrix for every dimension of a tensor, from the gradients unfolded along it, with a step as long as that of a
 * simpler optimizer.
 *
 * ```text
 * Sᵢ ← β Sᵢ + (1 - β) GᵢGᵢᵀ                 of the k dimensions, from ε I on; with β = 1 the plain sum
 * Sᵢ ← Sᵢ + ε λ_max(Sᵢ) I;  Pᵢ ← Sᵢ^(-1 / 2k)
 * u ← g, each dimension i times Pᵢ
 * u ← u ‖ĝ‖ / ‖u‖ + λ θ                     ĝ: g, or g / (√Σ g² + δ)
 * M ← μ M + u;  nesterov: M ← μ M + u once more
 * θ ← θ - η M
 * ```
 *
 * Defaults of the official code but for η, which is 1 there: μ 0.9, β 1, ε 1e-12, λ 0, `graft: 'sgd'` (`'adagrad'` with δ 1e-6),
 * statistics and preconditioners anew at every step (`statisticsPeriod`, `preconditionerPeriod`). State: `M`, shaped like the parameter,
 * `statistic` and `preconditioner` of every dimension, its size squared each, and with `graft: 'adagrad'` one more `s`. `exponent` p above 0 makes the
 * power -1 / p. Vectors have no preconditioner. `mergesDimensions` takes neighbouring dimensions together as long as their product is at most
 * `mergedSize` (128), after which a small tensor is a vector; the official code does so unless told otherwise. In the first
 * `graftedSteps` the simpler optimizer acts alone, with a momentum `b` of its own.
 *
 * `spreads` spreads the work for the powers over the steps of a period k (`preconditionerPeriod`), so that none takes much longer than the
 * others: eigenvectors are those of the first S, and then follow by one orthogonal iteration a period, Qᵢ ← qr(Sᵢ Qᵢ), as in SOAP (Vyas et
 * al. 2024), with eigenvalues diag(Qᵢᵀ Sᵢ Qᵢ). It begins at the steps 1, k + 1, 2k + 1 and so on and gives P at the steps k, 2k, 3k. State for
 * every dimension: `basis` and `part`, as large as S, and the row `rank`. Nothing is added to the diagonal of the S that is kept.
 *
 * As in the official code the second μ M + u of Nesterov's momentum stays in M, and what is added to the diagonal stays in S. Powers
 * come from eigenvalues, of which none is taken to be below 0, where the official code iterates coupled Newton steps to 1e-6, and gives up,
 * sometimes at once, when the largest error of an element grows by a fifth. Its cutting of large dimensions into
 * blocks is not here: every dimension has one matrix. There weight decay acts twice on what has no preconditioner.
 *
 * Gupta, Koren, Singer 2018, Shampoo: Preconditioned stochastic tensor optimization, arXiv 1802.09568; Anil, Gupta, Koren, Regan,
 * Singer 2020, Scalable second order optimization for deep learning, arXiv 2002.09018.
 */
export const shampoo = defineOptimizer({
  name: 'shampoo',
  title: 'Shampoo',
  family: 'matrix',
  paper: {
    title: 'Shampoo: Preconditioned stochastic tensor optimization',
    authors: 'Gupta, Koren, Singer',
    year: 2018,
    arxiv: '1802.09568',
  },
  hyper: {
    learningRate: nonNegative(0.01),
    momentum: fraction(0.9),
    beta: fraction(1),
    epsilon: smallDivisor(1e-12),
    delta: smallDivisor(1e-6),
    weightDecay: nonNegative(0),
    statisticsPeriod: stepCount(1),
    preconditionerPeriod: stepCount(1),
  },
  options: {
    graft: 'sgd' as 'sgd' | 'adagrad',
    nesterov: true,
    exponent: 0,
    mergesDimensions: false,
    mergedSize: 128,
    graftedSteps: 0,
    spreads: false,
  },
  choices: { graft: ['sgd', 'adagrad'] },
  limits: { exponent: [0], graftedSteps: [0] },
  state: {
    M: zeros(),
    s: zeros({ when: ({ options }) => options.graft === 'adagrad' }),
    b: zeros({ when: ({ options }) => (options.graftedSteps as number) > 0 }),
    ...statistics.slots,
    ...preconditioners.slots,
    ...bases.slots,
    ...nextBases.slots,
  },
  decay: 'own',
  search: {
    learningRate: logUniform(1e-3, 1),
    momentum: oneOf(0, 0.9, 0.95),
    beta: oneOf(0.95, 0.99, 1),
    epsilon: oneOf(1e-12, 1e-8, 1e-6),
    preconditionerPeriod: oneOf(1, 10, 100),
  },
  largestGradient: 1e15,
  rule(context) {
    const { p, g, t, state, hyper, options, shape, every, firstSteps, ownWeightDecay } = context
    const { momentum, beta, epsilon } = hyper
    const sizes = sizesOf(shape, options)
    const old = statistics.read(state)
    const diagonals = () => ({ isFirst: true, begun: old.map((each) => identityLike(each).times(epsilon)) })
    const { isFirst, begun } = firstSteps(1, diagonals, { isFirst: false, begun: old })
    const share = where(beta.equals(1), 1, beta.lifted(1).minus(beta))
    const summed = () => begun.map((each, mode) => each.times(beta).plus(modeGram(g, sizes, mode).times(share)))
    const added = every(hyper.statisticsPeriod, summed, begun)
    const power = -1 / (options.exponent > 0 ? options.exponent : 2 * sizes.length)
    const ridge = (values: Value) => values.largest().times(epsilon)
    const renewed = () => ({
      P: added.map((each) => matrixPower(each, power, (values) => values.maximum(0).plus(ridge(values)))),
      S: added.map((each) => each.plus(identityLike(each).times(ridge(eigen(each).values)))),
    })
    const held = { P: preconditioners.read(state), S: added }
    const atOnce = () => ({ ...every(hyper.preconditionerPeriod, renewed, held), found: {} })
    const inParts = () => {
      const Q = isFirst ? added.map((each) => eigen(each).vectors) : bases.read(state)
      const { next, state: work } = isFirst
        ? { next: Q, state: nextBases.begin(added, Q, t) }
        : nextBases.advance(context, hyper.preconditionerPeriod, added, Q)
      const taken = () => {
        const P = next.map((basis, mode) => {
          const values = basis.times(added[mode]!.matmul(basis)).sum('rows').maximum(0)
          const half = basis.times(values.plus(ridge(values)).power(power / 2))
          return half.matmul(half.transposed())
        })
        return { P, Q: next }
      }
      const found = every(hyper.preconditionerPeriod, taken, { P: held.P, Q })
      return { P: found.P, S: added, found: { ...work, ...bases.write(found.Q) } }
    }
    const { P, S, found } = options.spreads ? inParts() : atOnce()

    const s = options.graft === 'adagrad' ? state.s.plus(g.square()) : undefined
    const simple = s ? g.over(s.sqrt().plus(hyper.delta)) : g
    const decayed = (update: Value) => update.plus(p.times(ownWeightDecay))
    const moved = (old: Value, update: Value, added = update) => {
      const first = old.times(momentum).plus(added)
      return options.nesterov ? first.times(momentum).plus(update) : first
    }
    const own = { ...(s ? { s } : {}), ...statistics.write(S), ...preconditioners.write(P), ...found }
    const preconditioned = P.reduce((x, matrix, mode) => modeProduct(x, sizes, mode, matrix), g)
    const u = decayed(preconditioned.times(simple.norm().over(preconditioned.norm().plus(1e-16))))
    const M = moved(state.M, u)
    const later = { direction: M, state: { ...own, M } }
    if (options.graftedSteps === 0) return later
    const grafted = () => {
      const b = moved(state.b, decayed(simple), options.graft === 'sgd' ? decayed(g) : g)
      return { direction: b, state: { ...own, b, M: state.M.times(momentum).plus(decayed(simple)) } }
    }
    return firstSteps(options.graftedSteps, grafted, later)
  },
})
