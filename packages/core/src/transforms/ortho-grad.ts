import { defineTransform } from '../language/definition.ts'
import { orthogonalTo } from '../parts/orthogonal-to.ts'

/**
 * OrthoGrad: takes from the gradient of each tensor what only lengthens or shortens the tensor, and keeps the gradient's norm.
 *
 * ```text
 * u ← g - θ ⟨θ, g⟩ / ⟨θ, θ⟩
 * g ← u ‖g‖ / ‖u‖                          over the tensor; unchanged where θ is 0, 0 where ‖u‖ is at most 1e-6 ‖g‖
 * ```
 *
 * No hyperparameters, no state; two more reads of gradient and parameter. The official code adds 1e-30 to both denominators.
 * A tensor of one element has no other direction and is left as it is.
 *
 * Prieto, Barsbey, Mediano, Birdal 2025, Grokking at the Edge of Numerical Stability, arXiv 2501.04697.
 */
export const orthoGrad = defineTransform({
  name: 'orthoGrad',
  title: 'OrthoGrad',
  paper: {
    title: 'Grokking at the Edge of Numerical Stability',
    authors: 'Prieto, Barsbey, Mediano, Birdal',
    year: 2025,
    arxiv: '2501.04697',
  },
  hyper: {},
  gradient: ({ p, g, shape }) => ({ gradient: orthogonalTo(p, g, shape) }),
})
