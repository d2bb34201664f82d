import { defineOptimizer } from '../language/definition.ts'
import { qr } from '../language/factorizations.ts'
import { decayRate, logUniform, nonNegative, oneOf, seed, smallDivisor } from '../language/hyperparameters.ts'
import { relativeRate } from '../language/relative-rate.ts'
import { type ParameterShape, shaped, zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'
import { largestSquared } from '../parts/ema-of-square.ts'
import { subspaceOf } from '../parts/subspace.ts'
import { adamW } from './adam-w.ts'

/**
 * Dion: orthonormal steps of low rank, by one power iteration a step from the factor of the step before; what the rank leaves out
 * of the momentum stays in it.
 *
 * ```text
 * M ← M + g
 * P ← orthonormal columns of M Q (QR), R ← Mᵀ P         `powerIterations` times, with Q ← R between
 * M ← M - (1 - μ) P Rᵀ
 * Q ← R / (‖R‖ + ε)                                     norms of columns
 * θ ← (1 - η λ) θ - η √(outputs / inputs) P Qᵀ
 * ```
 *
 * Q starts with N(0, 1) and belongs to the shorter side, the inputs of a square matrix, which is as above where there are fewer inputs
 * than outputs, else transposed; with `side: 'inputs'` always to the inputs. Its rank is `rank`, or, where that is 0 (default), the
 * length of the shorter side divided by `rankDivisor` (default 1), rounded up to a multiple of `rankMultiple` (default 1); never more than
 * that length. Defaults of the official code: η 0.01, μ 0.95, ε 1e-8, λ 0.01, one power iteration. State: `m` (M), shaped like
 * the parameter, and `basis` (Q).
 *
 * A column of R shorter than 1e-6 of the longest is the rounding of a momentum of lower rank: it makes no step and leaves that of Q as it
 * is. The official code makes it as long as the others.
 *
 * For hidden matrices only. What has other than two dimensions goes to `fallback`, by default AdamW with the official settings β
 * (0.9, 0.95), ε 1e-8, λ 0.01 and the same rate. Of the official code `side: 'inputs'` is dion_simple.py, the default
 * dion_reference.py. Its ways to make P orthonormal differ by rounding.
 *
 * Ahn, Xu, Abreu, Fan, Magakyan, Sharma, Zhan, Langford 2025, Dion: Distributed Orthonormalized Updates, arXiv 2504.05295.
 */
export const dion = defineOptimizer({
  name: 'dion',
  title: 'Dion',
  family: 'matrix',
  paper: {
    title: 'Dion: Distributed Orthonormalized Updates',
    authors: 'Ahn, Xu, Abreu, Fan, Magakyan, Sharma, Zhan, Langford',
    year: 2025,
    arxiv: '2504.05295',
  },
  hyper: {
    learningRate: nonNegative(0.01),
    momentum: decayRate(0.95),
    epsilon: smallDivisor(1e-8),
    seed: seed(),
    weightDecay: nonNegative(0.01),
  },
  options: {
    side: 'shorter' as 'shorter' | 'inputs',
    rank: 0,
    rankDivisor: 1,
    rankMultiple: 1,
    powerIterations: 1,
  },
  choices: { side: ['shorter', 'inputs'] },
  limits: { rank: [0] },
  state: { m: zeros(), basis: shaped((shape, options) => seenAs(shape, options as unknown as Options).basis) },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 1e-1), momentum: oneOf(0.9, 0.95) },
  largestGradient: largestSquared,
  accepts: ({ rank }) => rank === 2,
  needs: 'a matrix',
  fallback: () => adamW({ learningRate: relativeRate(1), beta1: 0.9, beta2: 0.95, weightDecay: 0.01 }),
  rule({ g, state, hyper, options, shape, every, firstSteps, random }) {
    const { basis: dimensions, lay, restore } = seenAs(shape, options)
    const drawn = () => random.normal({ seed: hyper.seed, dimensions })
    const before = firstSteps(1, drawn, state.basis)
    // As rows the side that Q belongs to.
    const m = lay(state.m.plus(g))
    // Without its factors a step of nothing is taken, and the gradient stays in the momentum.
    const none = { p: lay(state.m).transposed().matmul(before).times(0), r: before.times(0) }
    const factored = () => {
      let { p, r } = { p: none.p, r: before }
      for (let iteration = 0; iteration < options.powerIterations; iteration++) {
        p = qr(m.transposed().matmul(r)).q
        r = m.matmul(p)
      }
      return { p, r }
    }
    const { p, r } = every(1, factored, none)
    // Relative to the largest number, so that float32 holds the squares.
    const size = r.abs().largest().maximum(1e-36)
    const relative = r.over(size)
    const length = relative.norm('rows')
    const counts = length.isGreaterThan(length.largest().times(1e-6))
    const direction = relative.over(length.plus(hyper.epsilon.over(size)))
    const basis = where(counts, direction, before)
    const left = m.minus(r.matmul(p.transposed()).times(hyper.momentum.negated().plus(1)))
    const scale = Math.sqrt(shape.outputs / Math.max(shape.inputs, 1))
    const step = where(counts, direction, 0).matmul(p.transposed())
    return { direction: restore(step).times(scale), state: { m: restore(left), basis } }
  },
})

interface Options {
  readonly side: 'shorter' | 'inputs'
  readonly rank: number
  readonly rankDivisor: number
  readonly rankMultiple: number
}

function seenAs(shape: ParameterShape, { side, rank, rankDivisor, rankMultiple }: Options) {
  const share = Math.ceil(Math.min(shape.outputs, shape.inputs) / rankDivisor)
  const rounded = Math.ceil(share / rankMultiple) * rankMultiple
  return subspaceOf(shape, { side, rank: rank === 0 ? rounded : rank })
}
