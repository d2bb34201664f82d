import type { BilevelMethod } from '../../levels.ts'
import { norm, plus } from '../../vector.ts'

/**
 * F²SA: first-order steps on the Lagrangian f(x, y) + λ (g(x, y) - g(x, z)), in which z follows the lower level's minimum and y the one that f pulls
 * it to. T steps of z and y, one of x, then λ grows. At the minima over y and z its gradient in x is the hypergradient up to O(1 / λ)
 * (the paper's lemma 3.1), with no second derivative anywhere. Deviation: deterministic, so without the momentum of its F³SA; noise comes
 * with the gradients that are given.
 */
export const f2sa: BilevelMethod = {
  name: 'f2sa',
  title: 'Fully first-order stochastic approximation (F²SA)',
  paper:
    'J. Kwon, D. Kwon, S. Wright, R. Nowak (2023), A Fully First-Order Method for Stochastic Bilevel Optimization, arXiv 2301.10945',
  *solve(levels, start, { step, innerStep, inner, penalty, growth, tolerance }) {
    let { x, y } = start
    let z = y
    for (let k = 1; ; k++) {
      const lambda = penalty * k ** growth
      let [leftY, leftZ] = [0, 0]
      for (let t = 0; t < inner; t++) {
        const ofZ = levels.gy(x, z)
        const ofY = plus(levels.fy(x, y), lambda, levels.gy(x, y))
        z = plus(z, -innerStep, ofZ)
        // The curvature of f + λ g is about λ times that of g.
        y = plus(y, -innerStep / (1 + lambda), ofY)
        ;[leftY, leftZ] = [norm(ofY), norm(ofZ)]
      }
      const slope = plus(plus(levels.fx(x, y), lambda, levels.gx(x, y)), -lambda, levels.gx(x, z))
      const next = levels.project(plus(x, -step, slope))
      const residual = norm(plus(x, -1, next)) / step + leftY + lambda * leftZ
      yield { x, y: z, residual }
      if (residual <= tolerance) return { kind: 'converged', test: 'residual' }
      x = next
    }
  },
}
