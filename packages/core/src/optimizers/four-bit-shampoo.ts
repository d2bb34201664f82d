import { countedSlots } from '../language/counted-slots.ts'
import { defineOptimizer } from '../language/definition.ts'
import { householderQr } from '../language/factorizations.ts'
import {
  decayRate,
  fraction,
  logUniform,
  nonNegative,
  oneOf,
  smallDivisor,
  stepCount,
} from '../language/hyperparameters.ts'
import { type ParameterShape, type SlotFacts, shaped, zeros } from '../language/slots.ts'
import { biasCorrection, ema, type Value, where } from '../language/value.ts'
import { identityLike } from '../parts/diagonal.ts'
import { largestOfEach } from '../parts/inverse-root.ts'
import { type CodedAs, codedMatrices } from '../parts/linear-square-codes.ts'
import { elementsOf, modeGram, modeProduct, type Sizes } from '../parts/modes.ts'
import { cutIntoBlocks, joinBlocks, type TensorBlocks, tensorBlocksOf } from '../parts/tensor-blocks.ts'

type Facts = SlotFacts['options']

/** The dimension of the outputs and all others as two sides, without those of one element, cut into blocks; vectors have no preconditioner. */
function blocksOfMatrix({ shape, layout }: ParameterShape, options: Facts): TensorBlocks {
  const sizes = shape.filter((size) => size !== 1)
  const split = layout === 'outputFirst' ? 1 : sizes.length - 1
  const sides = sizes.length < 2 ? [] : [elementsOf(sizes.slice(0, split)), elementsOf(sizes.slice(split))]
  return tensorBlocksOf(sides, options.blockSize as number)
}

const sizesOf = (shape: ParameterShape, options: Facts): Sizes => blocksOfMatrix(shape, options).sizes
const countOf = (shape: ParameterShape, options: Facts) => blocksOfMatrix(shape, options).count

const bitsOf = { fourBit: 4, eightBit: 8, float32: 32 } as const

function keptAs({ storage, leastSize, codeBlock }: Facts): CodedAs {
  return {
    bits: bitsOf[storage as keyof typeof bitsOf],
    leastSize: leastSize as number,
    block: codeBlock as number,
  }
}

const bases = codedMatrices('basis', 'coded', sizesOf, countOf, keptAs)
const roots = codedMatrices('root', 'exact', sizesOf, countOf, keptAs)
const eigenvalues = countedSlots(
  'eigenvalue',
  2,
  (index) =>
    shaped((shape, options) => [countOf(shape, options), 1, sizesOf(shape, options)[index] ?? 1], { exact: true }),
  ({ shape, options }) => sizesOf(shape, options).length,
)

/**
 * 4-bit Shampoo: Shampoo around gradient descent or Adam, with its matrices in codes of four bits. Statistics are kept as eigenvectors and eigenvalues,
 * because rounding those moves roots far less than rounding the matrix.
 *
 * ```text
 * every 100 steps, for both sides of the matrix (S from ε I on, V from I):
 *   V ← 3/2 V - 1/2 V Vᵀ V                     once, for what rounding took from orthogonality
 *   A ← β V diag(S) Vᵀ + (1 - β) GGᵀ           GᵀG for the other side
 *   V ← qr(A V);  S ← diag(Vᵀ A V);            V is kept in codes
 * every 500 steps:
 *   V ← 3/2 V - 1/2 V Vᵀ V                     four times
 *   P ← V diag(S + ε max S)^(-1/4) Vᵀ;         but for its diagonal kept in codes
 * u ← P₁ G P₂;  u ← u ‖G‖ / (‖u‖ + 1e-12)
 * 'sgd':    M ← μ M + u + λ θ;  θ ← θ - η M;   nesterov: u + λ θ + μ M in its place
 * 'adamW':  Adam with u in the place of the gradient;  θ ← θ - η λ θ
 * ```
 *
 * A code stands for one of 16 numbers from -1 to 1, r |r| for evenly spaced r, with 0 for the last below it, times the largest size in its block of
 * `codeBlock` (64) elements of an eigenvector or of a row of P. `storage: 'eightBit'` has 256 numbers, `'float32'` keeps V and P as they are, as are
 * in any case those of fewer than `leastSize` (4096) elements; such V are not made orthogonal again. The shape is seen as the dimension of
 * its outputs times all others; vectors have no matrices, but their u is scaled too. In the first `plainSteps` u is the gradient.
 *
 * Defaults of the official code: η 0.1 (0.001 there for `'adamW'`), μ 0.9, Adam's β 0.9 and 0.999 and δ (`epsilon`) 1e-8, β (`statisticsBeta`) 0.95, ε
 * (`ridge`) 1e-6, λ 0, periods 100 and 500, `basisRectifications` 1 and `rootRectifications` 4, `blockSize` 1200. Sides longer than that are cut into blocks, of which the last
 * is kept as large as the others. `storage` is `'float32'` there unless told otherwise. State: `M`, or `m` and `v`, shaped like the parameter, and
 * for each side of n elements `eigenvalue` (n), `basisCode` and `rootCode` (n² of four bits; with eight bits also `basisLowCode` and `rootLowCode`),
 * `basisScale` and `rootScale` (n for each block of a row), and `rootDiagonal` (n); or `basis` and `root` (n²). At 1024 x 1024 the matrices take 2.27
 * bytes for each number of the parameter, where float32 takes 16.01. In jax-js and TensorFlow.js codes take float32 too.
 *
 * The paper finds V by a randomized decomposition; the official code, as here, by one QR step from the last V, with the signs that LAPACK gives, since
 * the numbers are not the same for both signs. Half of a byte belongs to another row there where n is odd. Where gradients have low rank,
 * eigenvectors of eigenvalues near 0 are what rounding makes them, in float32 other ones than in float64, and codes of them too.
 *
 * Wang, Zhou, Li, Huang 2024, 4-bit Shampoo for memory-efficient network training, arXiv 2405.18144.
 */
export const fourBitShampoo = defineOptimizer({
  name: 'fourBitShampoo',
  title: '4-bit Shampoo',
  family: 'matrix',
  paper: {
    title: '4-bit Shampoo for memory-efficient network training',
    authors: 'Wang, Zhou, Li, Huang',
    year: 2024,
    arxiv: '2405.18144',
  },
  hyper: {
    learningRate: nonNegative(0.1),
    momentum: fraction(0.9),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    statisticsBeta: decayRate(0.95),
    ridge: smallDivisor(1e-6),
    statisticsPeriod: stepCount(100),
    rootPeriod: stepCount(500),
    weightDecay: nonNegative(0),
  },
  options: {
    base: 'sgd' as 'sgd' | 'adamW',
    nesterov: false,
    storage: 'fourBit' as 'fourBit' | 'eightBit' | 'float32',
    plainSteps: 0,
    blockSize: 1200,
    leastSize: 4096,
    codeBlock: 64,
    basisRectifications: 1,
    rootRectifications: 4,
  },
  choices: { base: ['sgd', 'adamW'], storage: ['fourBit', 'eightBit', 'float32'] },
  limits: { plainSteps: [0], basisRectifications: [0], rootRectifications: [0] },
  state: {
    M: zeros({ when: ({ options }) => options.base === 'sgd' }),
    m: zeros({ when: ({ options }) => options.base === 'adamW' }),
    v: zeros({ when: ({ options }) => options.base === 'adamW' }),
    ...eigenvalues.slots,
    ...bases.slots,
    ...roots.slots,
  },
  decay: 'own',
  search: {
    learningRate: logUniform(1e-3, 1),
    momentum: oneOf(0, 0.9, 0.95),
    statisticsBeta: oneOf(0.9, 0.95, 0.99),
    statisticsPeriod: oneOf(10, 100),
    rootPeriod: oneOf(50, 500),
  },
  largestGradient: 1e15,
  rule({ p, g, t, state, hyper, options, shape, every, firstSteps, ownWeightDecay }) {
    const { statisticsBeta, ridge } = hyper
    const blocks = blocksOfMatrix(shape, options)
    const { sizes } = blocks
    const as = keptAs(options)
    const G = cutIntoBlocks(g, blocks)

    const held = { values: eigenvalues.read(state), basis: bases.read(state, as) }
    // All eigenvalues are above 0 once there are any.
    const isBegun = held.values.map((values) => largestOfEach(values).isGreaterThan(0))
    const oldValues = held.values.map((values, side) => where(isBegun[side]!, values, ridge))
    const oldBases = held.basis.map(({ matrix }, side) => where(isBegun[side]!, matrix, identityLike(matrix)))
    const rectified = (basis: Value, side: number, times: number) => {
      let V = basis
      const { isCoded } = held.basis[side]!
      for (let count = 0; isCoded && count < times; count++)
        V = V.times(1.5).minus(V.matmul(V.transposed()).matmul(V).times(0.5))
      return V
    }
    const counted = () => {
      const next = oldBases.map((basis, side) => {
        const V = rectified(basis.transposed(), side, options.basisRectifications)
        const old = V.times(oldValues[side]!).matmul(V.transposed())
        const A = ema(old, modeGram(G, sizes, side), statisticsBeta)
        const { q } = householderQr(A.matmul(V))
        return { values: q.times(A.matmul(q)).sum('rows'), basis: q.transposed() }
      })
      return {
        values: next.map(({ values }) => values),
        coded: bases.write(
          next.map(({ basis }) => basis),
          as,
        ),
      }
    }
    const statistics = every(hyper.statisticsPeriod, counted, {
      values: held.values,
      coded: slotsOf(bases.slots, state),
    })
    const kept = { ...eigenvalues.write(statistics.values), ...statistics.coded }

    const rooted = () => {
      const next = bases.read(statistics.coded, as).map(({ matrix }, side) => {
        const values = statistics.values[side]!
        const isBegun = largestOfEach(values).isGreaterThan(0)
        const S = where(isBegun, values, ridge)
        const V = rectified(where(isBegun, matrix, identityLike(matrix)).transposed(), side, options.rootRectifications)
        const half = V.times(S.plus(largestOfEach(S).times(ridge)).power(-1 / 8))
        return half.matmul(half.transposed())
      })
      return roots.write(next, as)
    }
    const P = every(hyper.rootPeriod, rooted, slotsOf(roots.slots, state))

    // Rounded to codes a root is not symmetric any more: L G R.
    const [left, right] = roots.read(P, as).map(({ matrix }) => matrix)
    const turned = left && right ? modeProduct(modeProduct(G, sizes, 0, left.transposed()), sizes, 1, right) : G
    const preconditioned = joinBlocks(turned, blocks, g)
    const scaled = preconditioned.times(g.norm().over(preconditioned.norm().plus(1e-12)))
    const u = options.plainSteps > 0 ? firstSteps(options.plainSteps, () => g, scaled) : scaled
    const decay = p.times(ownWeightDecay)
    const own = { ...kept, ...P }
    if (options.base === 'adamW') {
      const { beta1, beta2, epsilon } = hyper
      const m = ema(state.m!, u, beta1)
      const v = ema(state.v!, u.square(), beta2)
      const step = m.over(biasCorrection(beta1, t)).over(v.over(biasCorrection(beta2, t)).sqrt().plus(epsilon))
      return { direction: step.plus(decay), state: { ...own, m, v } }
    }
    const decayed = u.plus(decay)
    const M = state.M!.times(hyper.momentum).plus(decayed)
    return { direction: options.nesterov ? decayed.plus(M.times(hyper.momentum)) : M, state: { ...own, M } }
  },
})

/** Those values of state that slots of these names have. */
function slotsOf(
  slots: Readonly<Record<string, unknown>>,
  state: Readonly<Record<string, Value>>,
): Record<string, Value> {
  return Object.fromEntries(Object.entries(state).filter(([name]) => Object.hasOwn(slots, name)))
}
