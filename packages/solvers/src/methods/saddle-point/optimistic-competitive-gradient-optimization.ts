import type { SaddleMethod } from '../../field.ts'
import { maximumNorm, plus } from '../../vector.ts'
import { competitiveMove } from './competitive.ts'

/**
 * Optimistic CGO: the competitive move is taken twice from the same point, first to look ahead and then with the field and the interaction
 * found there, z' = z + η d(z), z⁺ = z + η d(z'). It reaches saddle points of strictly α-coherent games. `ratio` is α.
 */
export const optimisticCompetitiveGradientOptimization: SaddleMethod = {
  name: 'optimisticCompetitiveGradientOptimization',
  title: 'Optimistic competitive gradient optimization (OCGO)',
  paper: 'A. Vyas, K. Azizzadenesheli (2022), Competitive Gradient Optimization, arXiv 2205.14232',
  *solve(field, start, { step, ratio, tolerance }) {
    for (let z = start; ; ) {
      const here = field.at(z)
      yield field.state(z, here)
      if (maximumNorm(here) <= tolerance) return { kind: 'converged', test: 'residual' }
      const ahead = plus(z, step, competitiveMove(field, z, here, ratio))
      z = plus(z, step, competitiveMove(field, ahead, field.at(ahead), ratio))
    }
  },
}
