import { defineOptimizer } from '../language/definition.ts'
import { eigen, qr } from '../language/factorizations.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { relativeRate } from '../language/relative-rate.ts'
import { type ParameterShape, type SlotFacts, shaped, zeros } from '../language/slots.ts'
import { biasCorrection, ema, type Value, where } from '../language/value.ts'
import { newtonSchulz } from '../parts/newton-schulz.ts'
import { outputsAsRows } from '../parts/oriented.ts'
import { adamW } from './adam-w.ts'

const rankOf = ({ outputs, inputs }: ParameterShape, options: SlotFacts['options']) =>
  Math.min(options.rank as number, outputs, inputs)

/**
 * COSMOS: SOAP in the few directions in which gradients are large, Muon in all others.
 *
 * ```text
 * M ← β1 M + g;  ĝ ← (g + β1 M) / (1 + β1 (1 - β1ᵗ) / (1 - β1))
 * P ← qr(β2 P S + (1 - β2) gᵀg P)                                      first: the r leading eigenvectors of gᵀg
 * S ← β2 TᵀS T + (1 - β2) (g P)ᵀ(g P)                                  T: old Pᵀ times P
 * V ← β2 V + (1 - β2) (g P)²
 * A ← (ĝ P) / (√(V / (1 - β2ᵗ)) + ε) Pᵀ
 * N ← orthogonalized(ĝ - ĝ P Pᵀ), as long as 1
 * U ← A + γ √(m n) N
 * θ ← (1 - η λ) θ - η ρ √(m n) U / ‖U‖
 * ```
 *
 * Defaults of the official code: η 1e-3, β1 0.9, β2 0.999, ε 1e-8, γ (`muonShare`) 0.2, ρ (`ratio`) 0.1, λ 0, `rank` r 64, at most the
 * smaller side. State: `M`, shaped like the parameter, `P` and `V`, inputs or outputs times r, and `S`, r squared. Columns are
 * the inputs, [whichever way the parameter is kept](../layout.md). For matrices; everything else goes to `fallback`, by default
 * AdamW at η.
 *
 * Where r is the smaller side nothing is left for the second part, and it is left out, since rounding would be all that is made orthogonal. The
 * official iteration runs in bfloat16. Older versions of the official code forgot P and S.
 *
 * Liu, Xu, Li, Wang, Zhang, Huang, Zhao 2025, COSMOS: A hybrid adaptive optimizer for memory-efficient training of LLMs, arXiv 2502.17410.
 */
export const cosmos = defineOptimizer({
  name: 'cosmos',
  title: 'COSMOS',
  family: 'matrix',
  paper: {
    title: 'COSMOS: A hybrid adaptive optimizer for memory-efficient training of LLMs',
    authors: 'Liu, Xu, Li, Wang, Zhang, Huang, Zhao',
    year: 2025,
    arxiv: '2502.17410',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    muonShare: nonNegative(0.2),
    ratio: nonNegative(0.1),
    weightDecay: nonNegative(0),
  },
  options: { rank: 64, newtonSchulzSteps: 5 },
  state: {
    M: zeros(),
    P: shaped((shape, options) => [1, shape.inputs, rankOf(shape, options)]),
    S: shaped((shape, options) => [1, rankOf(shape, options), rankOf(shape, options)]),
    V: shaped((shape, options) => [1, shape.outputs, rankOf(shape, options)]),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 1e-1), beta1: oneOf(0.9, 0.95), ratio: oneOf(0.05, 0.1, 0.2, 0.5) },
  largestGradient: 1e15,
  accepts: ({ rank }) => rank === 2,
  needs: 'a matrix',
  fallback: () => adamW({ learningRate: relativeRate(1), weightDecay: 0 }),
  rule({ p, g: gradient, t, state, hyper, options, shape, every, firstSteps }) {
    const { beta1, beta2, epsilon } = hyper
    const g = outputsAsRows(gradient, shape)
    const M = outputsAsRows(state.M, shape).times(beta1).plus(g)
    const weights = biasCorrection(beta1, t).over(biasCorrection(beta1, beta1.lifted(1)))
    const smoothed = g.plus(M.times(beta1)).over(weights.times(beta1).plus(1))

    const leading = () => eigen(g.transposed().matmul(g)).vectors.matmul(last(state.P))
    const power = ema(state.P.matmul(state.S), g.transposed().matmul(g.matmul(state.P)), beta2)
    const P = firstSteps(
      1,
      leading,
      every(1, () => qr(power).q, state.P),
    )
    const turned = state.P.transposed().matmul(P)
    const low = g.matmul(P)
    const S = ema(turned.transposed().matmul(state.S.matmul(turned)), low.transposed().matmul(low), beta2)
    const V = ema(state.V, low.square(), beta2)

    const root = V.over(biasCorrection(beta2, t)).sqrt().plus(epsilon)
    const inside = smoothed.matmul(P)
    const A = inside.over(root).matmul(P.transposed())
    const scale = Math.sqrt(shape.size)
    const outside = () => {
      const N = newtonSchulz(smoothed.minus(inside.matmul(P.transposed())), options.newtonSchulzSteps)
      return A.plus(N.over(N.norm().plus(epsilon)).times(hyper.muonShare.times(scale)))
    }
    const U = rankOf(shape, options) < Math.min(shape.outputs, shape.inputs) ? outside() : A
    const step = U.over(U.norm().plus(epsilon)).times(hyper.ratio.times(scale))
    const kept = outputsAsRows(M, shape)
    return { direction: outputsAsRows(step, shape).as(p), state: { M: kept, P, S, V } }
  },
})

/** What picks the last columns of a matrix of as many columns as P has rows, the very last first. */
function last(P: Value): Value {
  const mirrored = P.columnIndex()
    .times(-1)
    .plus(P.rows - 1)
  return where(P.rowIndex().equals(mirrored), 1, 0)
}
