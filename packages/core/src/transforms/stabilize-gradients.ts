import { defineTransform } from '../language/definition.ts'
import { decayRate, smallDivisor } from '../language/hyperparameters.ts'
import { scalar } from '../language/slots.ts'
import { stabilized } from '../parts/stabilized.ts'

/**
 * The gradient steps of Stable-SPAM around any optimizer: clips spikes, then normalizes the norm of each tensor.
 *
 * ```text
 * M ← γ3 M + (1 - γ3) max|g|;   M̂ = M / (1 - γ3ᵗ);   g ← g M̂ / max|g|  where |g| > M̂
 * n ← γ1 n + (1 - γ1) ‖g‖;      q ← γ2 q + (1 - γ2) ‖g‖²
 * g ← g / ‖g‖ (n / (1 - γ1ᵗ)) / (√(q / (1 - γ2ᵗ)) + ε)
 * ```
 *
 * Defaults of the official code: γ (0.7, 0.9, 0.999) as `normDecay`, `squaredNormDecay` and `maximumDecay`, ε 1e-8. State:
 * three numbers per tensor; two more reads of the gradient. {@link stableSpam} adds the resets of the moments.
 *
 * Huang, Hu, Jaiswal, Liu, Tian, Wang, Liu 2025, Stable-SPAM: How to Train in 4-Bit More Stably than 16-Bit Adam,
 * arXiv 2502.17055.
 */
export const stabilizeGradients = defineTransform({
  name: 'stabilizeGradients',
  title: 'Stable-SPAM gradients',
  paper: {
    title: 'Stable-SPAM: How to Train in 4-Bit More Stably than 16-Bit Adam',
    authors: 'Huang, Hu, Jaiswal, Liu, Tian, Wang, Liu',
    year: 2025,
    arxiv: '2502.17055',
  },
  hyper: {
    normDecay: decayRate(0.7),
    squaredNormDecay: decayRate(0.9),
    maximumDecay: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
  },
  state: { largest: scalar(0), norm: scalar(0), squaredNorm: scalar(0) },
  gradient: ({ g, t, state, hyper }) => stabilized(g, state, hyper, t),
})
