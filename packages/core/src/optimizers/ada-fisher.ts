import { defineOptimizer } from '../language/definition.ts'
import { relativeRate } from '../language/relative-rate.ts'
import { adaFisherParts, adaFisherRule } from '../parts/ada-fisher-rule.ts'
import { adamW } from './adam-w.ts'

/**
 * AdaFisher: {@link adam} with a diagonal of the Fisher information, of the layer that the weights belong to, in the place of the root
 * of the second moment.
 *
 * ```text
 * H ← γ/10 H + γ/100 n(mean a²)            per input of the layer, from 1 on, every k-th step
 * S ← γ/10 S + γ/100 n(mean s²)            per output;  n(x) = (x - min x) / (max x - min x + 1e-6)
 * F = S Hᵀ + Λ
 * m ← β m + (1 - β) (g + λ θ)
 * θ ← θ - η (m / (1 - βᵗ)) / F
 * ```
 *
 * a are the inputs of a dense layer and s the gradients of an example's own loss with respect to its outputs: see
 * {@link layerStatistics}, of which the inputs `activationSquares` and `outputGradientSquares` are asked for, at the steps 1, 1 + k and so on.
 * Defaults of the official code: η 1e-3, β 0.9, γ (`gamma`) 0.8, Λ (`damping`) 1e-3, λ 0 coupled, k (`statisticsPeriod`) 100. State: `m`,
 * shaped like the parameter, `H`, a number per input, and `S`, a number per output. A bias takes part as the last column of the
 * weights, `[out, in + 1]`. Everything that is no matrix goes to AdamW with the same learning rate, or to `fallback`.
 *
 * As in the official code the averages are those above, where the paper has γ1 S + γ2 n(mean s²) with 0.92 and 0.008. There s are gradients
 * of the mean loss, as many times smaller as the batch is large, so that 1e-6 means more beside them. There layers of
 * convolution and of normalization have statistics too, which are not here: a kernel whose statistics of patches are known can be declared
 * as its matrix.
 *
 * Gomes, Zhang, Belilovsky, Wolf, Hosseini 2024, AdaFisher: Adaptive Second Order Optimization via Fisher Information,
 * arXiv 2405.16397.
 */
export const adaFisher = defineOptimizer({
  name: 'adaFisher',
  title: 'AdaFisher',
  family: 'curvature',
  paper: {
    title: 'AdaFisher: Adaptive Second Order Optimization via Fisher Information',
    authors: 'Gomes, Zhang, Belilovsky, Wolf, Hosseini',
    year: 2024,
    arxiv: '2405.16397',
  },
  ...adaFisherParts,
  decay: 'coupled',
  fallback: () => adamW({ learningRate: relativeRate(1), weightDecay: 0 }),
  rule: adaFisherRule,
})
