import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { relativeRate } from '../language/relative-rate.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'
import { asMatrix, newtonSchulz } from '../parts/newton-schulz.ts'
import { adamW } from './adam-w.ts'

/**
 * AdaMuon: the orthogonal step of Muon, divided by the root of a second moment of its own, and brought to the size of a step of
 * AdamW.
 *
 * ```text
 * b ← μ b + (1 - μ) g
 * u ← (1 - μ) g + μ b                      nesterov; else b
 * O ← Newton-Schulz(sign u)
 * v ← μ v + (1 - μ) O²
 * q ← O / (√v + ε)
 * θ ← (1 - η λ) θ - η 0.2 √(smallest · largest dimension) q / (‖q‖ + ε)
 * ```
 *
 * `form: 'first'` is the rule as it was first published: Newton-Schulz of u itself, v ← β2 v + (1 - β2) O², divided by 1 - β2ᵗ,
 * and the factor 0.2 √(smallest · the larger of the last two dimensions).
 *
 * Defaults of the official code: η 0.02, μ 0.95, nesterov true, ε 1e-8, λ 0.01, β2 0.999 (`form: 'first'` only), 5
 * Newton-Schulz steps. State: `b` and `v`, shaped like the parameter.
 *
 * For hidden matrices only. What has fewer than two dimensions goes to `fallback`, by default AdamW with β (0.9, 0.95), ε 1e-10,
 * λ 0 and the same rate, since the steps are of one size. Convolution kernels of four dimensions are one matrix of outputs and inputs,
 * other ranks a batch of matrices in their last two, with one norm of q for the whole tensor, as in the official code.
 *
 * The sign of a number near zero depends on rounding. The official iteration runs in bfloat16, here in float32.
 *
 * Si, Zhang, Shen 2025, AdaMuon: Adaptive Muon Optimizer, arXiv 2507.11005.
 */
export const adaMuon = defineOptimizer({
  name: 'adaMuon',
  title: 'AdaMuon',
  family: 'matrix',
  paper: {
    title: 'AdaMuon: Adaptive Muon Optimizer',
    authors: 'Si, Zhang, Shen',
    year: 2025,
    arxiv: '2507.11005',
  },
  hyper: {
    learningRate: nonNegative(0.02),
    momentum: decayRate(0.95),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0.01),
  },
  options: { form: 'current' as 'current' | 'first', nesterov: true, newtonSchulzSteps: 5 },
  choices: { form: ['current', 'first'] },
  state: { b: zeros(), v: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 1e-1), momentum: oneOf(0.9, 0.95), weightDecay: oneOf(0, 0.01, 0.1) },
  accepts: ({ rank }) => rank >= 2,
  needs: 'a matrix',
  fallback: () => adamW({ learningRate: relativeRate(1), beta1: 0.9, beta2: 0.95, epsilon: 1e-10, weightDecay: 0 }),
  rule({ p, g, t, state, hyper, options, shape }) {
    const { momentum, beta2, epsilon } = hyper
    const first = options.form === 'first'
    const b = ema(state.b, g, momentum)
    const u = options.nesterov ? ema(b, g, momentum) : b
    const orthogonal = newtonSchulz(asMatrix(first ? u : u.sign(), shape), options.newtonSchulzSteps).as(p)
    const v = ema(state.v, orthogonal.square(), first ? beta2 : momentum)
    const quotient = orthogonal.over((first ? v.over(biasCorrection(beta2, t)) : v).sqrt().plus(epsilon))
    const largest = Math.max(...(first ? shape.shape.slice(-2) : shape.shape))
    const size = 0.2 * Math.sqrt(Math.min(...shape.shape) * largest)
    return { direction: quotient.over(quotient.norm().plus(epsilon)).times(size), state: { b, v } }
  },
})
