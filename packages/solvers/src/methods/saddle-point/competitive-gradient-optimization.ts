import type { SaddleMethod } from '../../field.ts'
import { maximumNorm, plus } from '../../vector.ts'
import { competitiveMove } from './competitive.ts'

/**
 * Competitive gradient optimization (CGO): the weight α of the interaction is free of the step, z⁺ = z + η d with (I + α M) d = -F, so that in
 * the limit of small steps the interaction stays, where competitive gradient descent (α = η) becomes plain descent and ascent. `ratio` is α.
 */
export const competitiveGradientOptimization: SaddleMethod = {
  name: 'competitiveGradientOptimization',
  title: 'Competitive gradient optimization (CGO)',
  paper: 'A. Vyas, K. Azizzadenesheli (2022), Competitive Gradient Optimization, arXiv 2205.14232',
  *solve(field, start, { step, ratio, tolerance }) {
    for (let z = start; ; ) {
      const here = field.at(z)
      yield field.state(z, here)
      if (maximumNorm(here) <= tolerance) return { kind: 'converged', test: 'residual' }
      z = plus(z, step, competitiveMove(field, z, here, ratio))
    }
  },
}
