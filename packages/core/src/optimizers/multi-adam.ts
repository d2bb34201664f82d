import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, smallDivisor } from '../language/hyperparameters.ts'
import { listLossGradients, lossGradients, mostLosses, slotsPerLoss } from '../language/loss-gradients.ts'
import { biasCorrection, ema, type Value } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * MultiAdam: an Adam for each of several losses, whose updates are averaged, so that no loss outweighs another by its scale.
 *
 * ```text
 * for each of n losses:  gᵢ ← gᵢ + λ θ;  mᵢ ← β1 mᵢ + (1 - β1) gᵢ;  vᵢ ← β2 vᵢ + (1 - β2) gᵢ²
 * θ ← θ - η / n Σ (mᵢ / (1 - β1ᵗ)) / (√(vᵢ / (1 - β2ᵗ)) + ε)
 * ```
 *
 * The inputs `gradientOfLoss1`, `gradientOfLoss2`, ... are the gradients of the `losses` (default 2, at most 8) alone; the
 * gradient of their sum is not used. Defaults of the official code: β (0.99, 0.99), η 1e-3, ε 1e-8, λ 0, added to
 * every gradient. State: m and v for every loss.
 *
 * Yao, Su, Hao, Liu, Su, Zhu 2023, MultiAdam: Parameter-wise Scale-invariant Optimizer for Multiscale Training of
 * Physics-informed Neural Networks, arXiv 2306.02816.
 */
export const multiAdam = defineOptimizer({
  name: 'multiAdam',
  title: 'MultiAdam',
  family: 'adaptive',
  paper: {
    title:
      'MultiAdam: Parameter-wise Scale-invariant Optimizer for Multiscale Training of Physics-informed Neural Networks',
    authors: 'Yao, Su, Hao, Liu, Su, Zhu',
    year: 2023,
    arxiv: '2306.02816',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.99),
    beta2: decayRate(0.99),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  options: { losses: 2 },
  limits: { losses: [1, mostLosses] },
  inputs: ({ losses }) => lossGradients(losses),
  state: { ...slotsPerLoss('m'), ...slotsPerLoss('v') },
  decay: 'own',
  search: { learningRate: logUniform(1e-4, 1e-1) },
  // The gradients of the losses are limited in the rule: it reads no other.
  largestGradient: largestSquared,
  rule({ p, t, state, hyper, inputs, options, decay, ownWeightDecay }) {
    const { beta1, beta2, epsilon } = hyper
    const added = p.times(decay === 'coupled' ? hyper.weightDecay : ownWeightDecay)
    const next: Record<string, Value> = {}
    const updates = listLossGradients(inputs, options.losses).map((alone, index) => {
      const gradient = alone.plus(added).limitedInSize(largestSquared)
      const m = ema(state[`m${index + 1}`]!, gradient, beta1)
      const v = emaOfSquare(state[`v${index + 1}`]!, gradient, beta2)
      next[`m${index + 1}`] = m
      next[`v${index + 1}`] = v
      return m.over(biasCorrection(beta1, t)).over(v.sqrt().over(biasCorrection(beta2, t).sqrt()).plus(epsilon))
    })
    return { direction: updates.reduce((sum, update) => sum.plus(update)).over(options.losses), state: next }
  },
})
