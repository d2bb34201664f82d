import { defineOptimizer } from '../language/definition.ts'
import { relativeRate } from '../language/relative-rate.ts'
import { adaFisherParts, adaFisherRule } from '../parts/ada-fisher-rule.ts'
import { adamW } from './adam-w.ts'

/**
 * AdaFisherW: {@link adaFisher} with weight decay apart from the gradient.
 *
 * ```text
 * H, S, F as in AdaFisher
 * m ← β m + (1 - β) g
 * θ ← (1 - η λ) θ - η (m / (1 - βᵗ)) / F
 * ```
 *
 * Defaults of the official code: η 1e-3, β 0.9, γ (`gamma`) 0.8, Λ (`damping`) 1e-3, λ 0, `statisticsPeriod` 100. Inputs, state, parameters
 * and deviations are those of AdaFisher.
 *
 * Gomes, Zhang, Belilovsky, Wolf, Hosseini 2024, AdaFisher: Adaptive Second Order Optimization via Fisher Information,
 * arXiv 2405.16397.
 */
export const adaFisherW = defineOptimizer({
  name: 'adaFisherW',
  title: 'AdaFisherW',
  family: 'curvature',
  paper: {
    title: 'AdaFisher: Adaptive Second Order Optimization via Fisher Information',
    authors: 'Gomes, Zhang, Belilovsky, Wolf, Hosseini',
    year: 2024,
    arxiv: '2405.16397',
  },
  ...adaFisherParts,
  decay: 'decoupled',
  fallback: () => adamW({ learningRate: relativeRate(1), weightDecay: 0 }),
  rule: adaFisherRule,
})
