import { defineTransform } from '../language/definition.ts'
import { listLossGradients, lossGradients } from '../language/loss-gradients.ts'
import { where } from '../language/value.ts'
import { combine, gram } from '../parts/products.ts'

/**
 * PCGrad, gradient surgery: of several losses, each gradient gives up the part that conflicts with another; the wrapped
 * optimizer gets their sum.
 *
 * ```text
 * for each loss i:  hᵢ ← gᵢ;  for each other loss j:  if ⟨hᵢ, gⱼ⟩ < 0:  hᵢ ← hᵢ - ⟨hᵢ, gⱼ⟩ / ‖gⱼ‖² gⱼ
 * g ← Σ hᵢ
 * ```
 *
 * The inputs `gradientOfLoss1`, `gradientOfLoss2`, ... are the gradients of the `losses` (default 2) alone; the products run
 * over all tensors. No state; one more read of each gradient. The paper goes through the others in random order, which
 * matters from three losses on; here loss i goes through i + 1, i + 2, ..., around to i - 1.
 *
 * Yu, Kumar, Gupta, Levine, Hausman, Finn 2020, Gradient Surgery for Multi-Task Learning, arXiv 2001.06782.
 */
export const pcGrad = defineTransform({
  name: 'pcGrad',
  title: 'PCGrad',
  paper: {
    title: 'Gradient Surgery for Multi-Task Learning',
    authors: 'Yu, Kumar, Gupta, Levine, Hausman, Finn',
    year: 2020,
    arxiv: '2001.06782',
  },
  hyper: {},
  options: { losses: 2 },
  inputs: ({ losses }) => lossGradients(losses),
  gradient({ inputs, options }) {
    const gradients = listLossGradients(inputs, options.losses)
    const products = gram(gradients)
    const count = gradients.length
    const zero = products[0]![0]!.times(0)
    const total = gradients.map(() => zero)
    for (let i = 0; i < count; i++) {
      // hᵢ as a combination of the gradients: what it needs are their products.
      const weights = gradients.map((_, k) => (k === i ? zero.plus(1) : zero))
      for (let step = 1; step < count; step++) {
        const j = (i + step) % count
        const product = weights.map((weight, k) => weight.times(products[k]![j]!)).reduce((sum, term) => sum.plus(term))
        weights[j] = weights[j]!.minus(where(product.isLessThan(0), product.over(products[j]![j]!), 0))
      }
      weights.forEach((weight, k) => {
        total[k] = total[k]!.plus(weight)
      })
    }
    return { gradient: combine(gradients, total) }
  },
})
