import { defineOptimizer } from '../language/definition.ts'
import { fraction, logUniform, nonNegative, oneOf, positive, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'

/** Variances stay below, so that the sum of two is a float32. */
const limit = 1e38

/**
 * VSGD: stochastic gradients as noisy measurements of a true gradient that wanders; stochastic variational inference
 * estimates it and both variances.
 *
 * ```text
 * bg, bh at step 1: their priors 2 γ, 2 K γ;  a = 2 γ + 1 + 1e-4
 * sg ← bg / a,  sh ← bh / a                  bg / (a - 1), bh / (a - 1) at step 1
 * σ² ← sg sh / (sg + sh)
 * μ  ← (sh μ₋ + sg g) / (sg + sh)            μ₋ is the previous μ
 * bg ← (1 - ρ1) bg + ρ1 (2 γ + σ² + (μ - μ₋)²)          ρ1 = t^-τ1
 * bh ← (1 - ρ2) bh + ρ2 (2 K γ + σ² + (μ - g)²)         ρ2 = t^-τ2
 * θ  ← (1 - η λ) θ - η μ / (√(μ² + σ²) + ε)
 * ```
 *
 * Defaults of the official code: η 0.1, K (`varianceRatio`) 30, γ (`priorStrength`) 1e-8, τ1 0.81, τ2 0.9, ε 1e-8, λ 0
 * decoupled. State: `mean` (μ), `gradientVariance` (bg) and `noiseVariance` (bh), shaped like the parameter.
 *
 * The squares of differences are written out in the official code, which loses digits; here they are kept together.
 *
 * Chen, Kuzina, Esmaeili, Tomczak 2024, Variational Stochastic Gradient Descent for Deep Neural Networks,
 * arXiv 2404.06549.
 */
export const vsgd = defineOptimizer({
  name: 'vsgd',
  title: 'VSGD',
  family: 'adaptive',
  paper: {
    title: 'Variational Stochastic Gradient Descent for Deep Neural Networks',
    authors: 'Chen, Kuzina, Esmaeili, Tomczak',
    year: 2024,
    arxiv: '2404.06549',
  },
  hyper: {
    learningRate: nonNegative(0.1),
    varianceRatio: positive(30),
    priorStrength: positive(1e-8),
    tau1: fraction(0.81),
    tau2: fraction(0.9),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  state: { mean: zeros(), gradientVariance: zeros(), noiseVariance: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 0.3), weightDecay: oneOf(0, 0.01, 0.1) },
  rule({ g, t, state, hyper }) {
    const { varianceRatio, priorStrength, epsilon } = hyper
    const prior = priorStrength.times(2)
    const noisePrior = prior.times(varianceRatio)
    const shape = prior.plus(1).plus(1e-4)
    const variance = (now: typeof g, first: typeof g) => where(t.equals(1), first.over(shape.minus(1)), now.over(shape))
    const ofGradient = variance(state.gradientVariance, prior)
    const ofNoise = variance(state.noiseVariance, noisePrior)
    const trust = ofGradient.over(ofGradient.plus(ofNoise))
    const mean = state.mean.plus(g.minus(state.mean).times(trust))
    const uncertainty = ofNoise.times(trust)
    const root = mean.square().plus(uncertainty).minimum(limit).sqrt()
    const square = (x: typeof g) => x.square().minimum(limit)
    const mix = (old: typeof g, value: typeof g, rate: typeof g) =>
      old.times(rate.negated().plus(1)).plus(value.times(rate)).minimum(limit)
    const gradientSquare = uncertainty.plus(prior).plus(square(mean.minus(state.mean)))
    const noiseSquare = uncertainty.plus(noisePrior).plus(square(mean.minus(g)))
    return {
      direction: mean.over(root.plus(epsilon)),
      state: {
        mean,
        gradientVariance: mix(state.gradientVariance, gradientSquare, t.power(hyper.tau1.negated())),
        noiseVariance: mix(state.noiseVariance, noiseSquare, t.power(hyper.tau2.negated())),
      },
    }
  },
})
