import { defineOptimizer } from '../language/definition.ts'
import { eigen, qr } from '../language/factorizations.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor, stepCount } from '../language/hyperparameters.ts'
import { type ParameterShape, zeros } from '../language/slots.ts'
import { biasCorrection, ema, type Value } from '../language/value.ts'
import { decayedAfter } from '../parts/decayed-after.ts'
import { mergedSizes, modeGram, modeMatrices, modeProduct } from '../parts/modes.ts'
import { descending } from '../parts/ordered.ts'
import { spreadBases } from '../parts/spread-bases.ts'

type Options = { maximumSize: number; mergesDimensions: boolean; preconditionsVectors: boolean; spreads: boolean }

/** The sizes of the dimensions as the rule sees them, and which of them have a basis. */
function sidesOf({ shape, rank }: ParameterShape, options: Options) {
  const { maximumSize, mergesDimensions, preconditionsVectors } = options
  const sizes = rank > 1 && mergesDimensions ? mergedSizes(shape, maximumSize) : shape
  const modes = [...sizes.keys()].filter((mode) => sizes[mode]! <= maximumSize && (rank > 1 || preconditionsVectors))
  return { sizes, modes }
}

function sizesWithBasis(shape: ParameterShape, options: Options): readonly number[] {
  const { sizes, modes } = sidesOf(shape, options)
  return modes.map((mode) => sizes[mode]!)
}

const grams = modeMatrices('gram', sizesWithBasis)
const bases = modeMatrices('basis', sizesWithBasis)
const nextBases = spreadBases<Options>((shape, options) => (options.spreads ? sizesWithBasis(shape, options) : []))

/**
 * SOAP: Adam in the eigenbasis of Shampoo's preconditioner, which turns slowly.
 *
 * ```text
 * first step: GGᵢ ← (1 - βₛ) GᵢGᵢᵀ;  Qᵢ ← eigenvectors of GGᵢ;  θ stays
 * g' ← g in the basis:  each dimension i of g times Qᵢ
 * m ← β₁ m + (1 - β₁) g'
 * v ← β₂ v + (1 - β₂) g'²
 * u ← m / (√v + ε) out of the basis:  each dimension i times Qᵢᵀ
 * θ ← θ - η √(1 - β₂ᵗ) / (1 - β₁ᵗ) u;  then θ ← θ - η λ θ
 * GGᵢ ← βₛ GGᵢ + (1 - βₛ) GᵢGᵢᵀ          Gᵢ: g unfolded along dimension i
 * every 10 steps, in descending order of diag(QᵢᵀGGᵢQᵢ) (v likewise):  Qᵢ ← qr(GGᵢ Qᵢ),  m turned into the new basis
 * ```
 *
 * Defaults of the official code: η 3e-3, β₁ 0.95, β₂ 0.95, ε 1e-8, λ 0.01, a new basis every 10 steps (`basisPeriod`), and βₛ
 * (`shampooBeta`) 0.95, like β₂. State: `m` and `v`, shaped like the parameter and kept in the basis, and for every
 * dimension of at most `maximumSize` (10,000) `gram` and `basis`, its size squared each; other dimensions, and those of
 * vectors unless `preconditionsVectors`, stay as they are. `mergesDimensions` takes neighbouring dimensions together as long as
 * their product is at most `maximumSize`. `normalizesGradients` scales the update to a root mean square of 1, `correctsBias: false` leaves
 * the factor of the step size out.
 *
 * `spreads` spreads the QR factors over the steps between, so that no step takes much longer than the others: a basis is begun at the steps 1,
 * 11, 21 and so on, gets more orthonormal columns at each, and is taken at the steps 10, 20, 30. It needs for every basis the state
 * `part`, as large, and the row `rank`; with a period of 1 nothing changes but the order of the columns, which m and v share.
 *
 * As in the official code t counts from the second step, weight decay comes after the step, ε is not corrected, and v is put into the new order at a
 * new basis, but not turned. pytorch_optimizer's SOAP counts the first step, takes the new basis one step earlier and
 * keeps m out of the basis.
 *
 * Vyas, Morwani, Zhao, Kwun, Shapira, Brandfonbrener, Janson, Kakade 2024, SOAP: Improving and stabilizing Shampoo using Adam, arXiv
 * 2409.11321.
 */
export const soap = defineOptimizer({
  name: 'soap',
  title: 'SOAP',
  family: 'matrix',
  paper: {
    title: 'SOAP: Improving and stabilizing Shampoo using Adam',
    authors: 'Vyas, Morwani, Zhao, Kwun, Shapira, Brandfonbrener, Janson, Kakade',
    year: 2024,
    arxiv: '2409.11321',
  },
  hyper: {
    learningRate: nonNegative(3e-3),
    beta1: decayRate(0.95),
    beta2: decayRate(0.95),
    shampooBeta: decayRate(0.95),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0.01),
    basisPeriod: stepCount(10),
  },
  options: {
    maximumSize: 10_000,
    mergesDimensions: false,
    preconditionsVectors: false,
    normalizesGradients: false,
    correctsBias: true,
    spreads: false,
  },
  state: { m: zeros(), v: zeros(), ...grams.slots, ...bases.slots, ...nextBases.slots },
  decay: 'own',
  search: {
    learningRate: logUniform(1e-4, 1e-1),
    beta1: oneOf(0.9, 0.95),
    beta2: oneOf(0.95, 0.99),
    basisPeriod: oneOf(1, 10, 100),
  },
  largestGradient: 1e15,
  rule(context) {
    const { p, g, t, state, hyper, options, shape, every, firstSteps } = context
    const { beta1, beta2, shampooBeta, epsilon } = hyper
    const { sizes, modes } = sidesOf(shape, options)
    const GG = grams.read(state).map((old, index) => ema(old, modeGram(g, sizes, modes[index]!), shampooBeta))
    const Q = bases.read(state)
    const turned = (x: Value, matrices: readonly Value[]) =>
      matrices.reduce((y, matrix, index) => modeProduct(y, sizes, modes[index]!, matrix), x)
    const transposed = (matrices: readonly Value[]) => matrices.map((matrix) => matrix.transposed())

    const start = () => {
      const vectors = GG.map((gram) => eigen(gram).vectors)
      const begun = options.spreads ? nextBases.begin(GG, vectors, t) : {}
      return { direction: p.times(0), state: { ...grams.write(GG), ...bases.write(vectors), ...begun } }
    }
    const gradient = turned(g, Q)
    const m = ema(state.m, gradient, beta1)
    const v = ema(state.v, gradient.square(), beta2)
    const u = turned(m.over(v.sqrt().plus(epsilon)), transposed(Q))
    const update = options.normalizesGradients ? u.over(u.square().mean().sqrt().plus(1e-30)) : u
    const steps = t.minus(1)
    const correction = biasCorrection(beta2, steps).sqrt().over(biasCorrection(beta1, steps))
    const step = options.correctsBias ? update.times(correction) : update

    const into = (next: readonly Value[]) => ({ m: turned(turned(m, transposed(Q)), next), ...bases.write(next) })
    const held = { m, v, ...bases.write(Q) }
    const renewed = () => {
      const order = Q.map((basis, index) => descending(basis.times(GG[index]!.matmul(basis)).sum('rows')))
      const next = Q.map((basis, index) => qr(GG[index]!.matmul(basis.matmul(order[index]!))).q)
      return { v: turned(v, order), ...into(next) }
    }
    const inParts = () => {
      const { next, state } = nextBases.advance(context, hyper.basisPeriod, GG, Q)
      return { ...state, ...every(hyper.basisPeriod, () => ({ v, ...into(next) }), held) }
    }
    const turning = options.spreads ? inParts() : every(hyper.basisPeriod, renewed, held, 'first')
    const later = { direction: decayedAfter(step, context), state: { ...grams.write(GG), ...turning } }
    return firstSteps(1, start, later)
  },
})
