import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive } from '../language/hyperparameters.ts'
import { relativeRate } from '../language/relative-rate.ts'
import { scalar, zeros } from '../language/slots.ts'
import { ema } from '../language/value.ts'
import { asMatrix, newtonSchulz } from '../parts/newton-schulz.ts'
import { adamW } from './adam-w.ts'

/**
 * AdaGO: the orthogonal step of Muon with the step size of AdaGrad-Norm, from the norms of the gradients so far.
 *
 * ```text
 * b ← μ b + (1 - μ) g
 * O ← Newton-Schulz(b)
 * s ← min(‖g‖, γ)                          one number per tensor
 * v ← √(v² + s²)                           v = 1e-6 at first
 * α ← max(ε, η s / v)
 * θ ← (1 - α λ) θ - α O
 * ```
 *
 * Defaults: η 0.05, μ 0.95, γ 10 (`maximumNorm`), ε 5e-4 (`minimumRate`), λ 0, no Nesterov momentum, 5 Newton-Schulz steps. State:
 * `b`, shaped like the parameter, and one number `v`. `nesterov: true` makes (1 - μ) g + μ b orthogonal. The first step has size η
 * whatever the gradient; later ones shrink as 1 / √t while norms stay alike, down to ε.
 *
 * For hidden matrices only. What has fewer than two dimensions goes to `fallback`, by default AdamW with β (0.9, 0.95), ε 1e-10, λ 0
 * and a rate of 0.006 η, 3e-4 by default. Convolution kernels of four dimensions are one matrix of outputs and inputs, other ranks a batch of
 * matrices in their last two, with one norm for the whole tensor.
 *
 * Deviation: the paper has no weight decay. A well-known port divides by v² in the place of v; here it is v as in the paper.
 *
 * Zhang, Liu, Schaeffer 2025, AdaGrad Meets Muon: Adaptive Stepsizes for Orthogonal Updates, arXiv 2509.02981.
 */
export const adaGo = defineOptimizer({
  name: 'adaGo',
  title: 'AdaGO',
  family: 'matrix',
  paper: {
    title: 'AdaGrad Meets Muon: Adaptive Stepsizes for Orthogonal Updates',
    authors: 'Zhang, Liu, Schaeffer',
    year: 2025,
    arxiv: '2509.02981',
  },
  hyper: {
    learningRate: nonNegative(0.05),
    momentum: decayRate(0.95),
    maximumNorm: positive(10),
    minimumRate: nonNegative(5e-4),
    weightDecay: nonNegative(0),
  },
  options: { nesterov: false, newtonSchulzSteps: 5 },
  state: { b: zeros(), v: scalar(1e-6) },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 1), momentum: oneOf(0.9, 0.95), minimumRate: oneOf(1e-4, 5e-4) },
  accepts: ({ rank }) => rank >= 2,
  needs: 'a matrix',
  fallback: () => adamW({ learningRate: relativeRate(0.006), beta1: 0.9, beta2: 0.95, epsilon: 1e-10, weightDecay: 0 }),
  rule({ p, g, state, hyper, options, shape }) {
    const { momentum, maximumNorm, minimumRate } = hyper
    const b = ema(state.b, g, momentum)
    const chosen = options.nesterov ? ema(b, g, momentum) : b
    const orthogonal = newtonSchulz(asMatrix(chosen, shape), options.newtonSchulzSteps).as(p)
    const s = g.norm().minimum(maximumNorm)
    const v = state.v.square().plus(s.square()).sqrt()
    const learningRate = hyper.learningRate.times(s).over(v).maximum(minimumRate)
    return { direction: orthogonal, learningRate, state: { b, v } }
  },
})
