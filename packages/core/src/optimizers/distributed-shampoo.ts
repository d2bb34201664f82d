import { defineOptimizer } from '../language/definition.ts'
import { eigen, qr } from '../language/factorizations.ts'
import {
  decayRate,
  fraction,
  logUniform,
  nonNegative,
  oneOf,
  smallDivisor,
  stepCount,
} from '../language/hyperparameters.ts'
import { type ParameterShape, type SlotFacts, zeros } from '../language/slots.ts'
import { biasCorrection, ema, type Value, where } from '../language/value.ts'
import { diagonalOf, identityLike } from '../parts/diagonal.ts'
import { largestOfEach } from '../parts/inverse-root.ts'
import { elementsOf, modeGram, modeMatrices, modeProduct, type Sizes } from '../parts/modes.ts'
import { frobeniusNorm } from '../parts/newton-schulz.ts'
import { descending } from '../parts/ordered.ts'
import { cutIntoBlocks, joinBlocks, lengthOfBlocks, type TensorBlocks, tensorBlocksOf } from '../parts/tensor-blocks.ts'

type Options = { form: string; blockSize: number; dimensions: number }
type Facts = Pick<SlotFacts, 'options'>

/** The dimensions as the rule sees them, cut into blocks; a number is a vector of one element. */
function blocksOfTensor({ shape }: ParameterShape, { blockSize, dimensions }: Options): TensorBlocks {
  const sizes = dimensions > 0 ? mergedFromLast(shape, blockSize, dimensions) : shape
  return tensorBlocksOf(sizes.length > 0 ? sizes : [1], blockSize)
}

/** Neighbouring dimensions taken together from the last one on, until so many are left or the product would be above a limit. */
function mergedFromLast(sizes: Sizes, limit: number, dimensions: number): Sizes {
  const left = sizes.filter((size) => size !== 1)
  const merged: number[] = []
  while (left.length > 0) {
    const size = left.pop()!
    const last = merged[0]
    if (last !== undefined && merged.length + left.length + 1 > dimensions && last * size <= limit)
      merged[0] = last * size
    else merged.unshift(size)
  }
  return merged
}

const sizesOf = (shape: ParameterShape, options: Options) => blocksOfTensor(shape, options).sizes
const countOf = (shape: ParameterShape, options: Options) => blocksOfTensor(shape, options).count
const isCorrected = ({ options }: Facts) => options.form === 'eigenvalueCorrected'
const factors = modeMatrices('factor', sizesOf, 0, countOf)
const bases = modeMatrices(
  'basis',
  (shape, options: Options) => (isCorrected({ options }) ? sizesOf(shape, options) : []),
  'identity',
  countOf,
)
const roots = modeMatrices(
  'root',
  (shape, options: Options) => (isCorrected({ options }) ? [] : sizesOf(shape, options)),
  'identity',
  countOf,
)

/** Of the largest eigenvalue: what float32 cannot tell from 0 in a sum of squares. */
const negligible = 1e-7

/** Of the largest corrected eigenvalue: gradients turned in float32 are wrong by some 1e-7 of the largest, and 1e-5 of it are two digits more. */
const negligibleCorrected = 1e-10

/** In float32 alone: none of these is smaller beside the largest than this share. */
function told(values: Value, largest: Value, share: number): Value {
  const scale = largest.maximum(1e-30)
  return values.over(scale).raised(share).times(scale)
}

/**
 * Distributed Shampoo, Meta's: a preconditioning matrix for every dimension of every block of a tensor, as roots or, as in SOAP, as a basis
 * in which each element has an eigenvalue of its own.
 *
 * ```text
 * Aᵢ ← β₂ Aᵢ + (1 - β₂) GᵢGᵢᵀ             of the k dimensions; with β₂ = 1 the plain sum
 * m ← β₁ m + (1 - β₁) g;  f ← m / (1 - β₁ᵗ)
 * 'inverseRoot':  Pᵢ ← (Aᵢ / (1 - β₂ᵗ) + ε I)^(-1 / 2k);  u ← f, each dimension i times Pᵢ
 * 'eigenvalueCorrected':  Qᵢ ← eigenvectors of Aᵢ, in ascending order
 *   v ← β₂ v + (1 - β₂) (g, each dimension i times Qᵢ)²
 *   u ← f, each dimension i times Qᵢ;  u ← u / (√(v / (1 - β₂ᵗ)) + ε);  u ← u, each dimension i times Qᵢᵀ
 * graft:  u ← u ‖f̂‖ / (‖u‖ + 1e-16)          of each block; f̂: f as a simpler optimizer divides it
 * M ← μ M + u + λ θ;  nesterov: μ M + u + λ θ in its place
 * θ ← θ - η M
 * ```
 *
 * f̂ is f for `graft: 'sgd'`, f / (√s + δ) for the others: s ← Σ g² (`'adagrad'`) or γ s + (1 - γ) g² (`'rmsProp'`, and `'adam'`, which
 * divides by 1 - γᵗ), with γ `graftBeta2` and δ `graftEpsilon`. In the first `graftedSteps` f̂ is the step, if there is one; after them matrices are
 * renewed, and then at every multiple of `preconditionerPeriod`; they begin as I. Defaults of the official code: η 0.01, β₁ 0.9, β₂ 1, ε 1e-12, μ 0,
 * λ 0, no grafting, γ 0.999, δ 1e-10, a period of 1, `blockSize` 1024. State: `m` and, where they are asked for, `M`, `s` and `v`, shaped
 * like the parameter; `factor` and `root`, or `basis`, of every dimension, its size squared each.
 *
 * A dimension of more than `blockSize` elements is cut into blocks of as many, with matrices of their own; of a vector too, and a number is a
 * vector of one element. `inverseExponent` e above 0 makes powers A^-e, or v^e in the place of √v. `qrSteps` above 0 finds bases by as many steps of
 * the QR algorithm from the last basis on, fewer when what is beside the diagonal is at most `qrTolerance` (0.01) of the whole.
 *
 * `dimensions` above 0 takes neighbouring dimensions together, from the last on, as long as more than so many are left and their product is at
 * most `blockSize`. The official default is 1: a small tensor is then one vector with a full matrix. Here it is 0, which takes tensors as
 * they are, because a layer of 32 x 32 would have a matrix of 1024 x 1024.
 *
 * Eigenvalues below ε are moved up together, so that the least is ε. In float32 none counts as below 1e-7 of the largest, and no v as below
 * 1e-10 of the largest: there rounding would decide how far a step goes where gradients have no component. What
 * smaller ones would tell is lost, so matrices of low rank with a small ε need float64. A step is another one there.
 *
 * From the official code and not here: a second rate β₃ for f, dimensions without a matrix, trace scaling, KL-Shampoo, pseudo-inverses, and averages of
 * iterates, for which there are wrappers. It stops when a factorization fails too often; here the last good one stays.
 *
 * Shi, Lee, Iwasaki, Gallego-Posada, Li, Rangadurai, Mudigere, Rabbat 2023, A distributed data-parallel PyTorch implementation of the
 * distributed Shampoo optimizer for training neural networks at-scale, arXiv 2309.06497; Vyas et al. 2024, SOAP: Improving and
 * stabilizing Shampoo using Adam, arXiv 2409.11321.
 */
export const distributedShampoo = defineOptimizer({
  name: 'distributedShampoo',
  title: 'Distributed Shampoo',
  family: 'matrix',
  paper: {
    title:
      'A distributed data-parallel PyTorch implementation of the distributed Shampoo optimizer for training neural networks at-scale',
    authors: 'Shi, Lee, Iwasaki, Gallego-Posada, Li, Rangadurai, Mudigere, Rabbat',
    year: 2023,
    arxiv: '2309.06497',
  },
  hyper: {
    learningRate: nonNegative(0.01),
    beta1: decayRate(0.9),
    beta2: fraction(1),
    epsilon: smallDivisor(1e-12),
    momentum: fraction(0),
    graftBeta2: fraction(0.999),
    graftEpsilon: smallDivisor(1e-10),
    inverseExponent: nonNegative(0),
    weightDecay: nonNegative(0),
    preconditionerPeriod: stepCount(1),
    qrTolerance: fraction(0.01),
  },
  options: {
    form: 'inverseRoot' as 'inverseRoot' | 'eigenvalueCorrected',
    graft: 'none' as 'none' | 'sgd' | 'adagrad' | 'rmsProp' | 'adam',
    graftedSteps: 0,
    nesterov: false,
    correctsBias: true,
    blockSize: 1024,
    dimensions: 0,
    qrSteps: 0,
  },
  choices: {
    form: ['inverseRoot', 'eigenvalueCorrected'],
    graft: ['none', 'sgd', 'adagrad', 'rmsProp', 'adam'],
  },
  limits: { graftedSteps: [0], dimensions: [0], qrSteps: [0] },
  state: {
    m: zeros({ when: ({ disabled }) => !disabled('beta1') }),
    M: zeros({ when: ({ disabled }) => !disabled('momentum') }),
    s: zeros({ when: ({ options }) => !['none', 'sgd'].includes(options.graft as string) }),
    v: zeros({ when: isCorrected }),
    ...factors.slots,
    ...bases.slots,
    ...roots.slots,
  },
  decay: 'own',
  search: {
    learningRate: logUniform(1e-4, 1),
    beta2: oneOf(0.95, 0.99, 0.999, 1),
    epsilon: oneOf(1e-12, 1e-8, 1e-6),
    preconditionerPeriod: oneOf(1, 10, 100),
  },
  largestGradient: 1e15,
  rule(context) {
    const { p: parameter, g, t, state, hyper, options, shape, every, firstSteps, disabled, ownWeightDecay } = context
    const { beta1, beta2, epsilon } = hyper
    const blocks = blocksOfTensor(shape, options)
    const { sizes } = blocks
    const cut = (x: Value) => cutIntoBlocks(x, blocks)
    const joined = (x: Value) => joinBlocks(x, blocks, g)
    /** Each dimension times a matrix of its own. */
    const turned = (x: Value, matrices: readonly Value[]) =>
      matrices.reduce((y, matrix, mode) => modeProduct(y, sizes, mode, matrix), x)
    const added = (old: Value, x: Value, beta: Value) =>
      old.times(beta).plus(x.times(where(beta.equals(1), 1, beta.lifted(1).minus(beta))))
    /** What a sum with this rate is divided by. */
    const correctionOf = (beta: Value) => where(beta.equals(1), 1, biasCorrection(beta, t))

    const G = cut(g)
    const A = factors.read(state).map((old, mode) => added(old, modeGram(G, sizes, mode), beta2))
    const correction = options.correctsBias ? correctionOf(beta2) : beta2.lifted(1)
    /** The matrix to factor; where a block is filled up with zeros it has large eigenvalues, apart from all others. */
    const regular = (factor: Value, mode: number) => {
      const matrix = factor.over(correction)
      const length = lengthOfBlocks(blocks, mode, factor)
      const identity = identityLike(factor)
      const ridge = matrix.plus(identity.times(epsilon))
      if (typeof length === 'number') return ridge
      const size = frobeniusNorm(matrix).plus(1)
      return where(factor.rowIndex().isLessThan(length), ridge, identity.times(size.times(2)))
    }
    /** Renewed at the last of the first steps, and then once in a period. */
    const renewing = <T>(renewed: () => T, held: T) => {
      const regularly = every(hyper.preconditionerPeriod, renewed, held)
      const { graftedSteps } = options
      if (graftedSteps === 0) return regularly
      return firstSteps(graftedSteps, () => held, firstSteps(graftedSteps + 1, renewed, regularly))
    }

    const m = disabled('beta1') ? undefined : ema(state.m, g, beta1)
    const filtered = m ? (options.correctsBias ? m.over(biasCorrection(beta1, t)) : m) : g
    const F = cut(filtered)

    const byRoots = () => {
      const exponent = disabled('inverseExponent') ? 1 / (2 * sizes.length) : hyper.inverseExponent
      const negative = typeof exponent === 'number' ? -exponent : exponent.negated()
      const renewed = () =>
        A.map((factor, mode) => {
          const { values, vectors } = eigen(regular(factor, mode))
          const least = largestOfEach(values.negated()).negated()
          const positive = values.plus(epsilon.minus(least).maximum(0))
          return vectors
            .times(told(positive, largestOfEach(positive), negligible).power(negative))
            .matmul(vectors.transposed())
        })
      const P = renewing(renewed, roots.read(state))
      return { preconditioned: turned(F, P), own: roots.write(P) }
    }
    const byCorrectedEigenvalues = () => {
      const old = bases.read(state)
      const renewed = () =>
        A.map((factor, mode) => {
          const matrix = regular(factor, mode)
          return options.qrSteps > 0
            ? iterated(matrix, old[mode]!, options.qrSteps, hyper.qrTolerance)
            : eigen(matrix).vectors
        })
      const Q = renewing(renewed, old)
      const v = added(state.v, joined(turned(G, Q)).square(), beta2)
      const exponent = disabled('inverseExponent') ? undefined : hyper.inverseExponent
      const corrected = v.over(correction)
      const floored = told(corrected, corrected.largest(), negligibleCorrected)
      const scale = exponent ? floored.power(exponent) : floored.sqrt()
      const scaled = joined(turned(F, Q)).over(scale.plus(epsilon))
      const back = Q.map((basis) => basis.transposed())
      return { preconditioned: turned(cut(scaled), back), own: { v, ...bases.write(Q) } }
    }
    const { preconditioned, own } = options.form === 'inverseRoot' ? byRoots() : byCorrectedEigenvalues()

    const { graft } = options
    const graftBeta = graft === 'adagrad' ? t.lifted(1) : hyper.graftBeta2
    const s = graft === 'none' || graft === 'sgd' ? undefined : added(state.s, g.square(), graftBeta)
    const corrected = s && graft === 'adam' ? s.over(correctionOf(graftBeta)) : s
    const simple = corrected ? filtered.over(corrected.sqrt().plus(hyper.graftEpsilon)) : filtered
    const grafted = () => {
      const perBlock = (x: Value) => x.as([blocks.count, 1, elementsOf(sizes)])
      const u = perBlock(preconditioned)
      const ratio = frobeniusNorm(perBlock(cut(simple))).over(frobeniusNorm(u).plus(1e-16))
      return u.times(ratio).as(preconditioned)
    }
    const turnedStep = joined(graft === 'none' ? preconditioned : grafted())
    const early = graft === 'none' ? 0 : options.graftedSteps
    const u = early > 0 ? firstSteps(early, () => simple, turnedStep) : turnedStep
    const step = u.plus(parameter.times(ownWeightDecay))
    const kept = { ...(m ? { m } : {}), ...(s ? { s } : {}), ...factors.write(A), ...own }
    if (disabled('momentum')) return { direction: step, state: kept }
    const M = state.M.times(hyper.momentum).plus(step)
    return { direction: options.nesterov ? M.times(hyper.momentum).plus(step) : M, state: { ...kept, M } }
  },
})

/** Steps of the QR algorithm from a basis on, until what is beside the diagonal is small; columns in ascending order of their eigenvalues. */
function iterated(matrix: Value, basis: Value, steps: number, tolerance: Value): Value {
  let Q = basis
  let B = Q.transposed().matmul(matrix.matmul(Q))
  for (let step = 0; step < steps; step++) {
    const isDone = frobeniusNorm(B.minus(diagonalOf(B))).isAtMost(frobeniusNorm(B).times(tolerance))
    const { q, r } = qr(B)
    Q = where(isDone, Q, Q.matmul(q))
    B = where(isDone, B, r.matmul(q))
  }
  const values = diagonalOf(B).sum('rows')
  return Q.matmul(descending(values.negated()))
}
