import type { BilevelMethod } from '../../levels.ts'
import { norm, plus, scaled } from '../../vector.ts'

/**
 * LV-HBA: the lower level, with constraints G(x, y) ≤ 0 that couple it to x, is replaced by g(x, y) ≤ v(x, y, z), v the proximal Lagrangian value
 * min over θ, max over λ ≥ 0 of g(x, θ) + λ · G(x, θ) + |θ - y|² / (2 γ) - |λ - z|² / (2 γ), which is smooth. In one loop θ and λ take a step
 * towards their saddle, then (x, y) a projected one on f / c + g - v, and z one; c grows. Neither second derivatives nor a
 * strongly convex lower level are needed. The residual is the length of the last moves over their steps.
 */
export const lvHba: BilevelMethod = {
  name: 'lvHba',
  title: 'Lagrangian value function Hessian-free bilevel algorithm (LV-HBA)',
  paper:
    'W. Yao, C. Yu, S. Zeng, J. Zhang (2024), Constrained Bi-Level Optimization: Proximal Lagrangian Value Function Approach and Hessian-free Algorithm, arXiv 2401.16164',
  *solve(levels, start, { step, innerStep, penalty, growth, proximal, tolerance }) {
    const { constraints } = levels.problem
    let { x, y } = start
    let theta = y
    let z = constraints ? new Float64Array(constraints.values(x, y).length) : new Float64Array(0)
    let lambda = z
    const along = (rows: readonly ArrayLike<number>[] | undefined, size: number) => {
      const sum = new Float64Array(size)
      rows?.forEach((row, i) => {
        for (let j = 0; j < size; j++) sum[j]! += lambda[i]! * row[j]!
      })
      return sum
    }
    for (let k = 1; ; k++) {
      const weight = 1 / (penalty * k ** growth)
      const oldTheta = theta
      const oldLambda = lambda
      const g = constraints?.values(x.slice(), theta.slice()) ?? []
      const ofTheta = plus(
        plus(levels.gy(x, theta), 1, along(constraints?.jacobianY(x.slice(), theta.slice()), y.length)),
        1 / proximal,
        plus(theta, -1, y),
      )
      theta = plus(theta, -innerStep, ofTheta)
      lambda = lambda.map((each, i) => Math.max(0, each - innerStep * (-g[i]! + (each - z[i]!) / proximal)))

      const ofX = plus(
        plus(plus(scaled(weight, levels.fx(x, y)), 1, levels.gx(x, y)), -1, levels.gx(x, theta)),
        -1,
        along(constraints?.jacobianX(x.slice(), theta.slice()), x.length),
      )
      const ofY = plus(plus(scaled(weight, levels.fy(x, y)), 1, levels.gy(x, y)), -1 / proximal, plus(y, -1, theta))
      let [nextX, nextY] = [levels.project(plus(x, -step, ofX)), plus(y, -step, ofY)]
      if (constraints) {
        const [px, py] = constraints.project(nextX.slice(), nextY.slice())
        ;[nextX, nextY] = [Float64Array.from(px), Float64Array.from(py)]
      }
      const nextZ = z.map((each, i) => Math.max(0, each - (step * (each - lambda[i]!)) / proximal))
      const moves =
        (norm(plus(nextX, -1, x)) + norm(plus(nextY, -1, y)) + norm(plus(nextZ, -1, z))) / step +
        (norm(plus(theta, -1, oldTheta)) + norm(plus(lambda, -1, oldLambda))) / innerStep
      // What moves is scaled by 1 / c, as f is.
      const residual = moves / weight
      yield { x, y, residual }
      if (residual <= tolerance) return { kind: 'converged', test: 'residual' }
      ;[x, y, z] = [nextX, nextY, nextZ]
    }
  },
}
