import { defineTransform } from '../language/definition.ts'
import { listLossGradients, lossGradients } from '../language/loss-gradients.ts'
import { withoutConflict } from '../parts/without-conflict.ts'

/**
 * ConFIG: of several losses, the gradient that lowers all of them at the same rate, relative to their own gradients; the
 * wrapped optimizer gets it.
 *
 * ```text
 * uᵢ ← gᵢ / ‖gᵢ‖
 * x ← Σ wᵢ uᵢ with ⟨uᵢ, x⟩ = 1 for all i          w solves the equations of the products of the uᵢ
 * v ← x / ‖x‖
 * g ← (Σ ⟨gᵢ, v⟩) v                               its length shrinks with the conflict
 * ```
 *
 * The inputs `gradientOfLoss1`, `gradientOfLoss2`, ... are the gradients of the `losses` (default 2) alone; the products run
 * over all tensors. No state; one more read of each gradient. A gradient that depends on those before it, or is 0, gets no
 * weight; the official code solves least squares, which differs only then. Equal weights and projected length, the
 * defaults of the official code.
 *
 * Liu, Chu, Thuerey 2024, ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks, arXiv 2408.11104.
 */
export const conflictFree = defineTransform({
  name: 'conflictFree',
  title: 'ConFIG',
  paper: {
    title: 'ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks',
    authors: 'Liu, Chu, Thuerey',
    year: 2024,
    arxiv: '2408.11104',
  },
  hyper: {},
  options: { losses: 2 },
  inputs: ({ losses }) => lossGradients(losses),
  gradient: ({ inputs, options }) => ({ gradient: withoutConflict(listLossGradients(inputs, options.losses)) }),
})
