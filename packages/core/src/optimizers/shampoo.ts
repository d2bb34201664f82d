import { defineOptimizer } from '../language/definition.ts'
import { eigen, matrixPower } from '../language/factorizations.ts'
import {
  fraction,
  logUniform,
  nonNegative,
  oneOf,
  positive,
  smallDivisor,
  stepCount,
} from '../language/hyperparameters.ts'
import { type ParameterShape, zeros } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'
import { identityLike } from '../parts/diagonal.ts'
import { inverseRoot, isFiniteMatrix, largestEigenvalue, largestOfEach } from '../parts/inverse-root.ts'
import { mergedSizes, modeGram, modeMatrices, modeProduct } from '../parts/modes.ts'
import { spreadBases } from '../parts/spread-bases.ts'
import { cutIntoBlocks, joinBlocks, lengthOfBlocks, tensorBlocksOf } from '../parts/tensor-blocks.ts'

type Options = { mergesDimensions: boolean; blockSize: number; spreads: boolean }

/** The dimensions as the rule sees them, cut into blocks; vectors have no preconditioners. */
function blocksOfTensor({ shape }: ParameterShape, { mergesDimensions, blockSize }: Options) {
  const sizes = mergesDimensions ? mergedSizes(shape, blockSize).filter((size) => size > 1) : shape
  return tensorBlocksOf(sizes.length < 2 ? [] : sizes, blockSize)
}

const sizesOf = (shape: ParameterShape, options: Options) => blocksOfTensor(shape, options).sizes
const countOf = (shape: ParameterShape, options: Options) => blocksOfTensor(shape, options).count
const statistics = modeMatrices('statistic', sizesOf, 0, countOf)
const preconditioners = modeMatrices('preconditioner', sizesOf, 'identity', countOf)

const sizesInParts = (shape: ParameterShape, options: Options) => (options.spreads ? sizesOf(shape, options) : [])
const bases = modeMatrices('basis', sizesInParts, 0, countOf)
const nextBases = spreadBases(sizesInParts, countOf)

/**
 * Shampoo: a preconditioning matrix for every dimension of a tensor, from the gradients unfolded along it, with a step as long as that of a
 * simpler optimizer. With blocks, and roots by coupled Newton iterations, its scalable form.
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
 * Defaults of the official code but for η, which is 1 there, and the size of blocks, 128 there: μ 0.9, β 1, ε 1e-12, λ 0, `graft: 'sgd'`
 * (`'adagrad'` with δ 1e-6), statistics and preconditioners anew at every step (`statisticsPeriod`, `preconditionerPeriod`). State: `M`,
 * shaped like the parameter, `statistic` and `preconditioner` of every dimension, its size squared each, and with `graft: 'adagrad'` one
 * more `s`. `exponent` p above 0 makes the power -1 / p. Vectors have no preconditioner, and a side of one element has the factor 1.
 * `graft: 'none'` leaves u as long as it is, as in the paper. In the first `graftedSteps` the simpler optimizer acts alone, with a momentum `b` of its own.
 *
 * A dimension of more than `blockSize` (1024) elements is cut into blocks of as many, and each block has matrices of its own; the last
 * block is kept as large as the others. `mergesDimensions` takes neighbouring dimensions together as long as their product is at most
 * `blockSize`, after which a small tensor is a vector; the official code does so unless told otherwise.
 *
 * `roots: 'eigen'` takes powers of eigenvalues, of which none counts as below 0; `'coupledNewton'` iterates as the official code does,
 * with matrix products alone, at most `rootSteps` (20) times, which is enough for ε 1e-6; 1e-12 needs 40 and float64. A root that is
 * not finite, or whose |M - I| is above `largestResidual` (0.1), is not taken: the one before it stays.
 *
 * `spreads` spreads the work for the powers over the steps of a period k (`preconditionerPeriod`), so that none takes much longer than the
 * others: eigenvectors are those of the first S, and then follow by one orthogonal iteration a period, Qᵢ ← qr(Sᵢ Qᵢ), as in SOAP (Vyas et
 * al. 2024), with eigenvalues diag(Qᵢᵀ Sᵢ Qᵢ). It begins at the steps 1, k + 1, 2k + 1 and so on and gives P at the steps k, 2k, 3k. State for
 * every dimension: `basis` and `part`, as large as S, and the row `rank`. Nothing is added to the diagonal of the S that is kept. Coupled
 * Newton iterations, which have no eigenvectors, cannot be spread: `roots: 'coupledNewton'` with `spreads` is an error.
 *
 * As in the official code the second μ M + u of Nesterov's momentum stays in M, and what is added to the diagonal stays in S. Deviations:
 * the official code takes whatever its iteration ends with, at most 100 steps, and finds λ_max from a random vector; there weight decay
 * acts twice on what has no preconditioner. pytorch_optimizer's ScalableShampoo is this rule with other defaults, β 0.999 and ε 1e-6
 * among them.
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
    largestResidual: positive(0.1),
  },
  options: {
    graft: 'sgd' as 'sgd' | 'adagrad' | 'none',
    nesterov: true,
    exponent: 0,
    blockSize: 1024,
    mergesDimensions: false,
    roots: 'eigen' as 'eigen' | 'coupledNewton',
    rootSteps: 20,
    graftedSteps: 0,
    spreads: false,
  },
  choices: { graft: ['sgd', 'adagrad', 'none'], roots: ['eigen', 'coupledNewton'] },
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
    const { p: parameter, g, t, state, hyper, options, shape, every, firstSteps, ownWeightDecay } = context
    const { momentum, beta, epsilon } = hyper
    if (options.spreads && options.roots !== 'eigen') {
      throw new Error(`Shampoo: with spreads, roots must be 'eigen', as only bases are spread, not '${options.roots}'`)
    }
    const blocks = blocksOfTensor(shape, options)
    const { sizes } = blocks
    const G = cutIntoBlocks(g, blocks)
    const old = statistics.read(state)
    // Where a block is filled up with zeros, its statistics stay 0.
    const lengths = old.map((each, mode) => lengthOfBlocks(blocks, mode, each))
    const identities = old.map((each, mode) => where(each.rowIndex().isLessThan(lengths[mode]!), identityLike(each), 0))
    const diagonals = () => ({ isFirst: true, begun: identities.map((each) => each.times(epsilon)) })
    const { isFirst, begun } = firstSteps(1, diagonals, { isFirst: false, begun: old })
    const share = where(beta.equals(1), 1, beta.lifted(1).minus(beta))
    const summed = () => begun.map((each, mode) => each.times(beta).plus(modeGram(G, sizes, mode).times(share)))
    const added = every(hyper.statisticsPeriod, summed, begun)

    const p = options.exponent > 0 ? options.exponent : 2 * sizes.length
    const ridge = (values: Value) => largestOfEach(values).times(epsilon)
    const held = { P: preconditioners.read(state), S: added }
    // Each block keeps its own root where the next is no good; a side of one element has nothing to turn.
    const orHeld = (root: Value, isGood: Value, mode: number) => {
      const old = held.P[mode]!
      return where(isGood.and(old.lifted(1).isLessThan(lengths[mode]!)), root, old)
    }
    const byEigenvalues = (S: Value, mode: number) => {
      const root = matrixPower(S, -1 / p, (values) => values.maximum(0).plus(ridge(values)))
      const next = S.plus(identities[mode]!.times(ridge(eigen(S).values)))
      return { S: next, P: orHeld(root, isFiniteMatrix(root), mode) }
    }
    const byIteration = (statistic: Value, mode: number) => {
      const identity = identities[mode]!
      const S = statistic.plus(identity.times(largestEigenvalue(statistic).times(epsilon)))
      const { root, residual } = inverseRoot(S, p, options.rootSteps, identity)
      const isGood = isFiniteMatrix(root).and(residual.isAtMost(hyper.largestResidual))
      return { S, P: orHeld(root, isGood, mode) }
    }
    const renewed = () => {
      const next = added.map(options.roots === 'eigen' ? byEigenvalues : byIteration)
      return { P: next.map(({ P }) => P), S: next.map(({ S }) => S) }
    }
    const atOnce = () => ({ ...every(hyper.preconditionerPeriod, renewed, held), found: {} })
    const inParts = () => {
      const Q = isFirst ? added.map((each) => eigen(each).vectors) : bases.read(state)
      const { next, state: work } = isFirst
        ? { next: Q, state: nextBases.begin(added, Q, t) }
        : nextBases.advance(context, hyper.preconditionerPeriod, added, Q)
      const taken = () => {
        const P = next.map((basis, mode) => {
          const values = basis.times(added[mode]!.matmul(basis)).sum('rows').maximum(0)
          const half = basis.times(values.plus(ridge(values)).power(-0.5 / p))
          const root = half.matmul(half.transposed())
          return orHeld(root, isFiniteMatrix(root), mode)
        })
        return { P, Q: next }
      }
      const found = every(hyper.preconditionerPeriod, taken, { P: held.P, Q })
      return { P: found.P, S: added, found: { ...work, ...bases.write(found.Q) } }
    }
    const { P, S, found } = options.spreads ? inParts() : atOnce()

    const s = options.graft === 'adagrad' ? state.s.plus(g.square()) : undefined
    const simple = s ? g.over(s.sqrt().plus(hyper.delta)) : g
    const decayed = (update: Value) => update.plus(parameter.times(ownWeightDecay))
    const moved = (old: Value, update: Value, added = update) => {
      const first = old.times(momentum).plus(added)
      return options.nesterov ? first.times(momentum).plus(update) : first
    }
    const own = { ...(s ? { s } : {}), ...statistics.write(S), ...preconditioners.write(P), ...found }
    const turned = P.reduce((x, matrix, mode) => modeProduct(x, sizes, mode, matrix), G)
    const preconditioned = joinBlocks(turned, blocks, g)
    const length = () => simple.norm().over(preconditioned.norm().plus(1e-16))
    const u = decayed(options.graft === 'none' ? preconditioned : preconditioned.times(length()))
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
