import type { SaddleMethod } from '../../field.ts'
import { maximumNorm, plus } from '../../vector.ts'

/**
 * Extragradient (G. Korpelevich 1976): the field is taken half a step ahead, z' = z - η F(z), z⁺ = z - η F(z'). For a field that is
 * L-Lipschitz and ρ-comonotone, ⟨F(u) - F(v), u - v⟩ ≥ -ρ |F(u) - F(v)|² with ρ < 1 / (8 L), the last iterate has |F|² = O(1 / k) when
 * 4 ρ ≤ η ≤ 1 / (2 L). Two values of F for each iteration.
 */
export const extragradient: SaddleMethod = {
  name: 'extragradient',
  title: 'Extragradient',
  paper:
    'E. Gorbunov, A. Taylor, S. Horváth, G. Gidel (2023), Convergence of Proximal Point and Extragradient-Based Methods Beyond Monotonicity: the Case of Negative Comonotonicity, arXiv 2210.13831',
  *solve(field, start, { step, tolerance }) {
    for (let z = start; ; ) {
      const here = field.at(z)
      yield field.state(z, here)
      if (maximumNorm(here) <= tolerance) return { kind: 'converged', test: 'residual' }
      z = plus(z, -step, field.at(plus(z, -step, here)))
    }
  },
}
