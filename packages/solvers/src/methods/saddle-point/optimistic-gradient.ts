import type { SaddleMethod } from '../../field.ts'
import { maximumNorm, plus } from '../../vector.ts'

/**
 * The optimistic gradient method (L. Popov 1980): the field of the last iteration stands for the one half a step ahead,
 * z⁺ = z - 2 η F(z) + η F(z⁻). One value of F for each iteration; last iterate as for extragradient, with a smaller range of ρ.
 */
export const optimisticGradient: SaddleMethod = {
  name: 'optimisticGradient',
  title: 'Optimistic gradient',
  paper:
    'E. Gorbunov, A. Taylor, S. Horváth, G. Gidel (2023), Convergence of Proximal Point and Extragradient-Based Methods Beyond Monotonicity: the Case of Negative Comonotonicity, arXiv 2210.13831',
  *solve(field, start, { step, tolerance }) {
    let before: Float64Array | undefined
    for (let z = start; ; ) {
      const here = field.at(z)
      yield field.state(z, here)
      if (maximumNorm(here) <= tolerance) return { kind: 'converged', test: 'residual' }
      const last = before ?? here
      z = plus(plus(z, -2 * step, here), step, last)
      before = here
    }
  },
}
