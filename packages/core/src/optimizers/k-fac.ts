import { defineOptimizer } from '../language/definition.ts'
import {
  decayRate,
  fraction,
  logUniform,
  nonNegative,
  oneOf,
  smallDivisor,
  stepCount,
} from '../language/hyperparameters.ts'
import { layerStatistics } from '../language/layer-statistics.ts'
import { relativeRate } from '../language/relative-rate.ts'
import { shaped, zeros } from '../language/slots.ts'
import { ema, where } from '../language/value.ts'
import { dampedInverse } from '../parts/damped-inverse.ts'
import { meanTrace } from '../parts/diagonal.ts'
import { outputsAsRows } from '../parts/oriented.ts'
import { adamW } from './adam-w.ts'

/**
 * K-FAC: natural gradient descent with the Fisher information of a dense layer's weights taken for a Kronecker product of two matrices.
 *
 * ```text
 * A ← ε A + (1 - ε) mean a aᵀ              every k₁-th step; ε = min(1 - 1/n, β) at the n-th time
 * S ← ε S + (1 - ε) mean s sᵀ
 * π = √((tr A / i) / (tr S / o))           i inputs, o outputs; or π = `dampingRatio`, where that is not 0
 * A⁻ = (A + π √γ I)⁻¹, S⁻ = (S + √γ / π I)⁻¹     every k₂-th step
 * u = S⁻ g A⁻
 * ν = min(1, √(κ / (η² |Σ u g|)))          the sum over all parameters that K-FAC moves
 * b ← μ b + ν u + λ θ
 * θ ← θ - η b
 * ```
 *
 * a are the inputs of the layer and s the gradients of an example's own loss with respect to its outputs: see {@link layerStatistics}, of
 * which the inputs `activationMoment` and `outputGradientMoment` are asked for, at the steps 1, 1 + k₁ and so on. For the Fisher information
 * the labels for s are drawn from the predictions of the model; with those of the data it is the empirical one.
 *
 * Averages, π and factored damping are those of the paper (sections 5 and 6.3); KL clipping, momentum and the cadences those of the implementations
 * in use, whose defaults are taken: η 1e-3, μ 0.9, β (`statisticsDecay`) 0.95, γ (`damping`) 1e-3, κ (`klClip`, 0 for none) 1e-3, λ 0, no `dampingRatio`,
 * k₁ (`statisticsPeriod`) 10, k₂ (`inversePeriod`) 100. State: `b`, shaped like the parameter, `A` and `inverseA`, inputs² numbers each,
 * `S` and `inverseS`, outputs² each. A bias takes part as the last weight of each output, `[out, in + 1]`. Everything that is no
 * matrix goes to AdamW, or to `fallback`.
 *
 * The paper's quadratic model, which sets η, μ and γ from products with the exact Fisher information, is not here, nor its block-tridiagonal
 * form. Where all a or all s are 0, π is 1. `scaleByWidth` scales γ and π by the width of a layer, as Ishikawa and Karakida do (arXiv
 * 2312.12226).
 *
 * Martens, Grosse 2015, Optimizing Neural Networks with Kronecker-factored Approximate Curvature, arXiv 1503.05671; KL clipping: Ba,
 * Grosse, Martens 2017, Distributed Second-Order Optimization using Kronecker-Factored Approximations, section 5.
 */
export const kfac = defineOptimizer({
  name: 'kfac',
  title: 'K-FAC',
  family: 'curvature',
  paper: {
    title: 'Optimizing Neural Networks with Kronecker-factored Approximate Curvature',
    authors: 'Martens, Grosse',
    year: 2015,
    arxiv: '1503.05671',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    momentum: fraction(0.9),
    statisticsDecay: decayRate(0.95),
    damping: smallDivisor(1e-3),
    dampingRatio: nonNegative(0),
    klClip: nonNegative(1e-3),
    weightDecay: nonNegative(0),
    statisticsPeriod: stepCount(10),
    inversePeriod: stepCount(100),
  },
  inputs: {
    activationMoment: layerStatistics.activationMoment,
    outputGradientMoment: layerStatistics.outputGradientMoment,
  },
  state: {
    b: zeros(),
    A: shaped(({ inputs }) => [1, inputs, inputs]),
    S: shaped(({ outputs }) => [1, outputs, outputs]),
    inverseA: shaped(({ inputs }) => [1, inputs, inputs]),
    inverseS: shaped(({ outputs }) => [1, outputs, outputs]),
  },
  decay: 'own',
  search: {
    learningRate: logUniform(1e-3, 1),
    damping: oneOf(1e-3, 1e-2, 1e-1),
    klClip: oneOf(1e-3, 1e-2),
    statisticsPeriod: oneOf(1, 10),
    inversePeriod: oneOf(10, 100),
  },
  // Products with the inverses, and of what they give with the gradient, stay below the largest float32.
  largestGradient: 1e15,
  accepts: ({ rank }) => rank === 2,
  needs: 'the weights of a dense layer',
  fallback: () => adamW({ learningRate: relativeRate(1), weightDecay: 0 }),
  rule({ p, g, t, state, hyper, inputs, shape, every, disabled, ownWeightDecay }) {
    const { learningRate, statisticsDecay, damping } = hyper
    const times = t.minus(1).over(hyper.statisticsPeriod).floor().plus(1)
    const epsilon = times.minus(1).over(times).minimum(statisticsDecay)
    const { A, S } = every(
      hyper.statisticsPeriod,
      () => ({
        A: ema(state.A, inputs.activationMoment, epsilon),
        S: ema(state.S, inputs.outputGradientMoment, epsilon),
      }),
      { A: state.A, S: state.S },
      'first',
    )
    const inverses = () => {
      const fromTraces = () => {
        const [a, s] = [meanTrace(A), meanTrace(S)]
        return where(a.isGreaterThan(0).and(s.isGreaterThan(0)), a.over(s).sqrt(), 1)
      }
      const pi = disabled('dampingRatio') ? fromTraces() : hyper.dampingRatio
      const root = damping.sqrt()
      return { inverseA: dampedInverse(A, pi.times(root)), inverseS: dampedInverse(S, root.over(pi)) }
    }
    const { inverseA, inverseS } = every(
      hyper.inversePeriod,
      inverses,
      { inverseA: state.inverseA, inverseS: state.inverseS },
      'first',
    )
    const u = outputsAsRows(inverseS.matmul(outputsAsRows(g, shape)).matmul(inverseA), shape).as(g)
    const clipped = () => {
      const change = u.times(g).sum('all').abs().times(learningRate.square())
      return u.times(hyper.klClip.over(change).sqrt().minimum(1))
    }
    const natural = disabled('klClip') ? u : clipped()
    const b = state.b.times(hyper.momentum).plus(natural).plus(p.times(ownWeightDecay))
    return { direction: b, state: { b, A, S, inverseA, inverseS } }
  },
})
