import type { Field, SaddleMethod } from '../../field.ts'
import { maximumNorm } from '../../vector.ts'

/**
 * Extragradient whose minimizing player is `ratio` times slower (τ of the paper): z' = z - η Λ F(z), z⁺ = z - η Λ F(z'), Λ = 1 / τ on x and
 * 1 on y. For τ large enough its stable points are those that satisfy the second-order necessary condition of a local minimax point,
 * also where the Hessian of the maximizing player is degenerate; points that are none are avoided.
 */
export const twoTimescaleExtragradient: SaddleMethod = {
  name: 'twoTimescaleExtragradient',
  title: 'Two-timescale extragradient',
  paper:
    'J. Chae, K. Kim, D. Kim (2024), Two-timescale Extragradient for Finding Local Minimax Points, arXiv 2305.16242',
  defaults: { ratio: 10 },
  *solve(field, start, { step, ratio, tolerance }) {
    for (let z = start; ; ) {
      const here = field.at(z)
      yield field.state(z, here)
      if (maximumNorm(here) <= tolerance) return { kind: 'converged', test: 'residual' }
      z = moved(z, field.at(moved(z, here, field, step, ratio)), field, step, ratio)
    }
  },
}

function moved(z: Float64Array, along: Float64Array, { sizeX }: Field, step: number, ratio: number): Float64Array {
  return z.map((element, i) => element - (i < sizeX ? step / ratio : step) * along[i]!)
}
