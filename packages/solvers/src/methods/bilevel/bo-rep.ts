import type { BilevelMethod } from '../../levels.ts'
import { norm, plus, scaled } from '../../vector.ts'

/**
 * BO-REP: x moves by normalized momentum, x⁺ = x - η m / |m|, m a mean of the hypergradients ∇x f - ∂xy g w, so that smoothness that grows with
 * the gradient does no harm; y is refined at first, then updated every `period` iterations; w follows the solution of
 * ∂yy g w = ∇y f by gradient steps. A step has length η: x ends that near a stationary point, and no nearer. The products with second
 * derivatives are differences of gradients. Deviation: the first refinement runs until the lower gradient is a thousandth, and η falls to η / √k, which needs
 * no horizon.
 */
export const boRep: BilevelMethod = {
  name: 'boRep',
  title: 'Bilevel optimization with initial refinement and periodic updates (BO-REP)',
  paper:
    'J. Hao, X. Gong, M. Liu (2024), Bilevel Optimization under Unbounded Smoothness: A New Algorithm and Convergence Analysis, arXiv 2401.09587',
  *solve(levels, start, { step, innerStep, inner, momentum, period, tolerance }) {
    let { x, y } = start
    const first = norm(levels.gy(x, y))
    for (let t = 0; t < 1000 * inner; t++) {
      const slope = levels.gy(x, y)
      if (!(norm(slope) > 1e-3 * first)) break
      y = plus(y, -innerStep, slope)
    }
    let w: Float64Array = new Float64Array(y.length)
    let m: Float64Array | undefined
    for (let k = 0; ; k++) {
      if (k % period === 0) for (let t = 0; t < inner; t++) y = plus(y, -innerStep, levels.gy(x, y))
      const target = levels.fy(x, y)
      for (let t = 0; t < inner; t++) {
        const { yy } = levels.secondAlong(x, y, w)
        w = w.map((element, i) => element - innerStep * (yy[i]! - target[i]!))
      }
      const { yy, xy } = levels.secondAlong(x, y, w)
      const slope = plus(levels.fx(x, y), -1, xy)
      m = m ? plus(scaled(momentum, m), 1 - momentum, slope) : slope
      const residual = norm(slope) + norm(plus(yy, -1, target)) + norm(levels.gy(x, y))
      yield { x, y, residual }
      if (residual <= tolerance) return { kind: 'converged', test: 'residual' }
      const length = norm(m)
      if (length > 0) x = levels.project(plus(x, -step / (Math.sqrt(k + 1) * length), m))
    }
  },
}
