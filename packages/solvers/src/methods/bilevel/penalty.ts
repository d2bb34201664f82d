import type { BilevelMethod, Levels } from '../../levels.ts'
import { norm, plus } from '../../vector.ts'

const mostInner = 10_000

/**
 * The penalty method: x descends ψ(x) = (min_y (σ f + g)(x, y) - min_z g(x, z)) / σ with σ = 1 / λ fixed, whose gradient
 * ∇x f(x, y) + (∇x g(x, y) - ∇x g(x, z)) / σ is within O(σ) of the hypergradient under the paper's small-error conditions. Both minima
 * are found anew from where they were, each to a tenth of the accuracy that the gradient needs. `growth` is not used.
 */
export const penalty: BilevelMethod = {
  name: 'penalty',
  title: 'Penalty method',
  paper:
    'J. Kwon, D. Kwon, S. Wright, R. Nowak (2023), On Penalty Methods for Nonconvex Bilevel Optimization and First-Order Stochastic Approximation, arXiv 2309.01753',
  *solve(levels, start, { step, innerStep, penalty: lambda, tolerance }) {
    let { x, y } = start
    let z = y
    for (let accuracy = 1; ; ) {
      z = lowest((at) => levels.gy(x, at), z, innerStep, accuracy / (10 * lambda))
      // (σ f + g), of about the curvature of g.
      y = lowest(
        (at) => plus(levels.gy(x, at), 1 / lambda, levels.fy(x, at)),
        y,
        innerStep / (1 + 1 / lambda),
        accuracy / (10 * lambda),
      )
      const slope = hypergradient(levels, x, y, z, lambda)
      const next = levels.project(plus(x, -step, slope))
      const length = norm(plus(x, -1, next)) / step
      yield { x, y: z, residual: length + accuracy / 5 }
      if (length + accuracy / 5 <= tolerance) return { kind: 'converged', test: 'residual' }
      if (length > accuracy / 5) x = next
      accuracy = Math.max(tolerance, Math.min(accuracy, length)) / (length <= accuracy / 5 ? 2 : 1)
    }
  },
}

function hypergradient(levels: Levels, x: Float64Array, y: Float64Array, z: Float64Array, lambda: number) {
  return plus(plus(levels.fx(x, y), lambda, levels.gx(x, y)), -lambda, levels.gx(x, z))
}

function lowest(
  gradient: (at: Float64Array) => Float64Array,
  from: Float64Array,
  step: number,
  enough: number,
): Float64Array {
  let y = from
  for (let t = 0; t < mostInner; t++) {
    const slope = gradient(y)
    if (!(norm(slope) > enough)) return y
    y = plus(y, -step, slope)
  }
  return y
}
