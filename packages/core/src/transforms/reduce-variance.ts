import { defineTransform } from '../language/definition.ts'
import { decayRate, nonNegative } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { varianceReduced } from '../parts/variance-reduced.ts'

/**
 * The variance reduction of MARS around any optimizer.
 *
 * ```text
 * c ← g + γ β1 / (1 - β1) (g - g₋)          g₋ the previous gradient, 0 at the first step
 * g ← c / max(1, ‖c‖)                       norm over the tensor
 * ```
 *
 * Defaults of the official code: γ (`gamma`) 0.025, β1 (`beta1`) 0.95, that of the optimizer inside. State: `previous`, shaped
 * like the parameter. {@link mars} is the same with the settings of its paper.
 *
 * Yuan, Liu, Wu, Zhou, Gu 2024, MARS: Unleashing the Power of Variance Reduction for Training Large Models,
 * arXiv 2411.10438.
 */
export const reduceVariance = defineTransform({
  name: 'reduceVariance',
  title: 'MARS variance reduction',
  paper: {
    title: 'MARS: Unleashing the Power of Variance Reduction for Training Large Models',
    authors: 'Yuan, Liu, Wu, Zhou, Gu',
    year: 2024,
    arxiv: '2411.10438',
  },
  hyper: { gamma: nonNegative(0.025), beta1: decayRate(0.95) },
  state: { previous: zeros() },
  gradient({ g, state, hyper }) {
    return { gradient: varianceReduced(g, state.previous, hyper.gamma, hyper.beta1), state: { previous: g } }
  },
})
