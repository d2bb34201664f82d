import { defineOptimizer } from '../language/definition.ts'
import { decayRate, fraction, logUniform, nonNegative, oneOf, stepCount } from '../language/hyperparameters.ts'
import type { Input } from '../language/inputs.ts'
import { layerStatistics } from '../language/layer-statistics.ts'
import { relativeRate } from '../language/relative-rate.ts'
import { type SlotFacts, shaped, zeros } from '../language/slots.ts'
import type { Value } from '../language/value.ts'
import { outputsAsRows } from '../parts/oriented.ts'
import { coefficientsOf, type Structure, structuredFactors, structures } from '../parts/structured-factor.ts'
import { adamW } from './adam-w.ts'

type Options = { readonly inputStructure: Structure; readonly outputStructure: Structure }

const structureOf = (options: SlotFacts['options'], side: 'inputs' | 'outputs') =>
  (options as Options)[side === 'inputs' ? 'inputStructure' : 'outputStructure']

/** A factor, which starts as the identity: with a diagonal that is all ones, or with a 1 before zeros. */
function factor(side: 'inputs' | 'outputs') {
  const form = (whole: boolean) =>
    shaped((shape, options) => coefficientsOf(structureOf(options, side), shape[side]), {
      start: whole ? 'identity' : 1,
      when: ({ options }) => (structureOf(options, side) !== 'diagonal') === whole,
    })
  const momentum = shaped((shape, options) => coefficientsOf(structureOf(options, side), shape[side]))
  return { whole: form(true), diagonal: form(false), momentum }
}

const [ofInputs, ofOutputs] = [factor('inputs'), factor('outputs')]

/**
 * SINGD, structured inverse-free natural gradient descent: the gradient of a dense layer's weights between Kronecker factors of the
 * inverse of the Fisher information, which are themselves learnt, by a natural gradient descent within matrices of a structure. Nothing
 * is inverted.
 *
 * ```text
 * U = P(Kᵀ A K), V = P(Cᵀ S C)             A = mean a aᵀ, S = mean s sᵀ, every T-th step; P projects onto the structure
 * M_K ← α M_K + ½ (tr(V)/o U + δ tr(Cᵀ C)/o P(Kᵀ K) - I)             o outputs, i inputs
 * M_C ← α M_C + ½ (tr(U)/i V + δ tr(Kᵀ K)/i P(Cᵀ C) - I)
 * K ← K - β K M_K,  C ← C - β C M_C        both from the old K and C
 * u = C Cᵀ g K Kᵀ + λ θ
 * b ← μ b + u
 * θ ← θ - η b
 * ```
 *
 * a are the inputs of the layer and s the gradients of an example's own loss with respect to its outputs: see {@link layerStatistics}.
 * `activationMoment` and `outputGradientMoment` are asked for at the steps 1, 1 + T and so on, or `activationSquares` and
 * `outputGradientSquares` where a factor is diagonal. `inputStructure` (of K) and `outputStructure` (of C) are `'dense'`, `'diagonal'`,
 * `'lowerToeplitz'` or `'upperToeplitz'`, triangles of which each diagonal is one number; P then gives each diagonal the mean of its
 * counterparts on both sides, added up. `form: 'ikfac'` replaces the traces over o and i by 1, as K-FAC has it; take α 0 with it.
 * With `normalizesRate` ½ becomes ½ (1 - α), and β is divided by the largest number of M, if that is above 1.
 *
 * Defaults of the official code: η 1e-3, μ 0.9, δ (`damping`) 1e-3, α (`factorMomentum`) 0.5, λ 0, T (`factorPeriod`) 10, β (`factorRate`)
 * 0.01, dense, `'ingd'`. State: `b`, shaped like the parameter, and for each factor it and its momentum: a matrix, or a number for
 * each row, and one more for Toeplitz. A bias takes part as the last weight of each output, `[out, in + 1]`. Everything that is no matrix goes to AdamW,
 * or to `fallback`.
 *
 * Toeplitz factors are multiplied as the matrices that they stand for, at the cost of dense ones. There other structures exist: blocks,
 * hierarchies and triangles with diagonal parts. Its convolutions are here only for kernels that are declared as their matrix. There gradients of a mean loss
 * are multiplied by the size of the batch where `loss_average` says so; here s is an example's own anyway.
 *
 * Lin, Dangel, Eschenhagen, Neklyudov, Kristiadi, Turner, Makhzani 2023, Structured Inverse-Free Natural Gradient: Memory-Efficient &
 * Numerically-Stable KFAC, arXiv 2312.05705; dense factors: Lin, Duruisseaux, Leok, Nielsen, Khan, Schmidt 2023, Simplifying
 * Momentum-based Positive-definite Submanifold Optimization with Applications to Deep Learning, arXiv 2302.09738.
 */
export const singd = defineOptimizer({
  name: 'singd',
  title: 'SINGD',
  family: 'curvature',
  paper: {
    title: 'Structured Inverse-Free Natural Gradient: Memory-Efficient & Numerically-Stable KFAC',
    authors: 'Lin, Dangel, Eschenhagen, Neklyudov, Kristiadi, Turner, Makhzani',
    year: 2023,
    arxiv: '2312.05705',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    momentum: fraction(0.9),
    damping: nonNegative(1e-3),
    factorMomentum: decayRate(0.5),
    weightDecay: nonNegative(0),
    factorPeriod: stepCount(10),
    factorRate: nonNegative(0.01),
  },
  options: {
    inputStructure: 'dense' as Structure,
    outputStructure: 'dense' as Structure,
    form: 'ingd' as 'ingd' | 'ikfac',
    normalizesRate: false,
  },
  choices: { inputStructure: structures, outputStructure: structures, form: ['ingd', 'ikfac'] },
  inputs: ({ inputStructure, outputStructure }): Readonly<Record<string, Input>> => ({
    ...(inputStructure === 'diagonal'
      ? { activationSquares: layerStatistics.activationSquares }
      : { activationMoment: layerStatistics.activationMoment }),
    ...(outputStructure === 'diagonal'
      ? { outputGradientSquares: layerStatistics.outputGradientSquares }
      : { outputGradientMoment: layerStatistics.outputGradientMoment }),
  }),
  state: {
    b: zeros(),
    K: ofInputs.whole,
    diagonalK: ofInputs.diagonal,
    momentumK: ofInputs.momentum,
    C: ofOutputs.whole,
    diagonalC: ofOutputs.diagonal,
    momentumC: ofOutputs.momentum,
  },
  decay: 'own',
  search: {
    learningRate: logUniform(1e-4, 1e-1),
    damping: oneOf(1e-4, 1e-3, 1e-2),
    factorRate: oneOf(1e-3, 1e-2, 1e-1),
    factorPeriod: oneOf(1, 10),
  },
  accepts: ({ rank }) => rank === 2,
  needs: 'the weights of a dense layer',
  fallback: () => adamW({ learningRate: relativeRate(1), weightDecay: 0 }),
  rule({ p, g, state, hyper, options, inputs, shape, every, ownWeightDecay }) {
    const [ofK, ofC] = [structuredFactors[options.inputStructure], structuredFactors[options.outputStructure]]
    const K = options.inputStructure === 'diagonal' ? state.diagonalK : state.K
    const C = options.outputStructure === 'diagonal' ? state.diagonalC : state.C
    const { momentumK, momentumC } = state
    const renewal = () => {
      const A = inputs.activationMoment ?? inputs.activationSquares
      const S = inputs.outputGradientMoment ?? inputs.outputGradientSquares
      const [U, KK] = [ofK.projected(K, A), ofK.projected(K)]
      const [V, CC] = [ofC.projected(C, S), ofC.projected(C)]
      const trace = (value: Value) => (options.form === 'ikfac' ? 1 : value)
      const alpha = hyper.factorMomentum
      const share = options.normalizesRate ? alpha.negated().plus(1).times(0.5) : 0.5
      const averaged = (old: Value, curvature: Value, square: Value, identity: Value, traces: [Value | 1, Value | 1]) =>
        old
          .times(alpha)
          .plus(
            curvature.times(traces[0]).plus(square.times(hyper.damping).times(traces[1])).minus(identity).times(share),
          )
      const MK = averaged(momentumK, U, KK, ofK.identity(K), [trace(ofC.meanTrace(V)), trace(ofC.meanTrace(CC))])
      const MC = averaged(momentumC, V, CC, ofC.identity(C), [trace(ofK.meanTrace(U)), trace(ofK.meanTrace(KK))])
      const rate = (M: Value) =>
        options.normalizesRate ? hyper.factorRate.over(M.abs().largest().maximum(1)) : hyper.factorRate
      return {
        K: K.minus(ofK.product(K, MK).times(rate(MK))),
        C: C.minus(ofC.product(C, MC).times(rate(MC))),
        momentumK: MK,
        momentumC: MC,
      }
    }
    const next = every(hyper.factorPeriod, renewal, { K, C, momentumK, momentumC }, 'first')
    const left = ofC.outer(next.C, outputsAsRows(g, shape))
    const natural = outputsAsRows(ofK.outer(next.K, left.transposed()).transposed(), shape).as(g)
    const b = state.b.times(hyper.momentum).plus(natural.plus(p.times(ownWeightDecay)))
    return {
      direction: b,
      state: {
        b,
        [options.inputStructure === 'diagonal' ? 'diagonalK' : 'K']: next.K,
        [options.outputStructure === 'diagonal' ? 'diagonalC' : 'C']: next.C,
        momentumK: next.momentumK,
        momentumC: next.momentumC,
      },
    }
  },
})
