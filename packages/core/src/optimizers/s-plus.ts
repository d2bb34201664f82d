import { defineOptimizer } from '../language/definition.ts'
import { eigen } from '../language/factorizations.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor, stepCount } from '../language/hyperparameters.ts'
import { type SlotFacts, scalar, shaped, zeros } from '../language/slots.ts'
import { biasCorrection, ema, type Value } from '../language/value.ts'
import { identityLike } from '../parts/diagonal.ts'

const has = ({ shape, options }: SlotFacts, side: 0 | 1): boolean =>
  shape.rank === 2 && shape.shape[side]! < (options.maximumSize as number)

const square = (side: 0 | 1, start: 0 | 'identity') =>
  shaped(({ shape }) => [1, shape[side] ?? 1, shape[side] ?? 1], { start, when: (facts) => has(facts, side) })

/**
 * SPlus: signs in the eigenbasis of Shampoo's preconditioner, which may be old, since a sign is bounded whatever the basis.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * L ← β2 L + (1 - β2) g gᵀ;  R ← β2 R + (1 - β2) gᵀ g
 * θ ← θ - η' QL sign(QLᵀ m QR) QRᵀ          η' = 2 η / (rows + columns)
 * x̄ ← ρ x̄ + (1 - ρ) θ;  then θ ← (1 - η' λ) θ
 * after the first step and every 100 steps:  QL, QR ← eigenvectors of L + ε I, R + ε I
 * ```
 *
 * Defaults of the official code: η 0.1, β1 0.9, β2 0.999, ρ 0.999, ε 1e-30, λ 0.01, bases every 100 steps (`basisPeriod`). State:
 * `m` and `average`, shaped like the parameter, and of every dimension below `maximumSize` (10,000) `L` and `QL` or `R` and
 * `QR`, its size squared each. What is not a matrix, or has a dimension above `maximumSize`, takes η' = 1e-3 η (`plainRate`); without
 * bases the step is the sign of m. Train at the fast parameters, evaluate with `evaluationParameters()`, x̄ / (1 - ρᵗ).
 *
 * As in the official code for PyTorch x̄ averages what the step gives, before weight decay; that for optax in the same repository averages what
 * enters it and decays before. ε is far below rounding in float32: it only says what a matrix of zeros has for a basis.
 *
 * Frans, Levine, Abbeel 2025, A stable whitening optimizer for efficient neural network training, arXiv 2506.07254.
 */
export const sPlus = defineOptimizer({
  name: 'sPlus',
  title: 'SPlus',
  family: 'matrix',
  paper: {
    title: 'A stable whitening optimizer for efficient neural network training',
    authors: 'Frans, Levine, Abbeel',
    year: 2025,
    arxiv: '2506.07254',
  },
  hyper: {
    learningRate: nonNegative(0.1),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    averaging: decayRate(0.999),
    epsilon: smallDivisor(1e-30),
    plainRate: nonNegative(1e-3),
    weightDecay: nonNegative(0.01),
    basisPeriod: stepCount(100),
  },
  options: { maximumSize: 10_000 },
  state: {
    m: zeros(),
    average: zeros({ exact: true }),
    weight: scalar(1),
    L: square(0, 0),
    R: square(1, 0),
    QL: square(0, 'identity'),
    QR: square(1, 'identity'),
  },
  decay: 'own',
  search: {
    learningRate: logUniform(1e-3, 1),
    beta1: oneOf(0.9, 0.95),
    beta2: oneOf(0.99, 0.999),
    averaging: oneOf(0.99, 0.999),
    basisPeriod: oneOf(10, 100),
  },
  largestGradient: 1e15,
  rule({ g, t, p, state, hyper, options, shape, every, firstSteps, ownWeightDecay }) {
    const { learningRate, beta1, beta2, averaging, epsilon } = hyper
    const [rows = 1, columns = 1] = shape.shape
    const { QL, QR } = state
    const m = ema(state.m, g, beta1)
    const sides: Record<string, Value> = {}
    if (QL) sides.L = ema(state.L, g.matmul(g.transposed()), beta2)
    if (QR) sides.R = ema(state.R, g.transposed().matmul(g), beta2)
    const left = (x: Value, matrix: Value | undefined) => (matrix ? matrix.matmul(x) : x)
    const right = (x: Value, matrix: Value | undefined) => (matrix ? x.matmul(matrix) : x)
    const inBasis = right(left(m, QL?.transposed()), QR)
    const direction = right(left(inBasis.sign(), QL), QR?.transposed())
    const isMatrix = shape.rank === 2 && Math.max(rows, columns) <= options.maximumSize
    const scale = isMatrix ? 2 / Math.max(rows + columns, 1) : hyper.plainRate
    const basisOf = (matrix: Value) => eigen(matrix.plus(identityLike(matrix).times(epsilon))).vectors
    const bases = () => Object.fromEntries(Object.entries(sides).map(([side, matrix]) => [`Q${side}`, basisOf(matrix)]))
    const held = { ...(QL && { QL }), ...(QR && { QR }) }
    const renewed = firstSteps(1, bases, every(hyper.basisPeriod, bases, held))
    return {
      direction,
      state: { m, weight: biasCorrection(averaging, t), ...sides, ...renewed },
      apply: (direction, project) => {
        const rate = learningRate.times(scale)
        const moved = project(p.minus(direction.times(rate)))
        const parameter = moved.times(rate.times(ownWeightDecay).negated().plus(1))
        return { parameter, state: { average: ema(state.average, moved, averaging) } }
      },
    }
  },
  average: ({ state }) => state.average.over(state.weight),
})
