import type { SaddleMethod } from '../../field.ts'
import { maximumNorm, plus } from '../../vector.ts'
import { competitiveMove } from './competitive.ts'

/**
 * Competitive gradient descent: each player's move is the equilibrium of the bilinear approximation of the game, regularized,
 * z⁺ = z + η d with (I + η M) d = -F, M the mixed second derivatives. On a bilinear game it converges for every step η.
 */
export const competitiveGradient: SaddleMethod = {
  name: 'competitiveGradient',
  title: 'Competitive gradient descent',
  paper: 'F. Schäfer, A. Anandkumar (2019), Competitive Gradient Descent, arXiv 1905.12103',
  *solve(field, start, { step, tolerance }) {
    for (let z = start; ; ) {
      const here = field.at(z)
      yield field.state(z, here)
      if (maximumNorm(here) <= tolerance) return { kind: 'converged', test: 'residual' }
      z = plus(z, step, competitiveMove(field, z, here, step))
    }
  },
}
