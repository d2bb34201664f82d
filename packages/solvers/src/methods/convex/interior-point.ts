import { LuDecomposition, Matrix } from 'ml-matrix'
import type { ConvexMethod } from '../../convex-problem.ts'
import { dot, plus } from '../../vector.ts'

/**
 * The barrier method: minima of t f(x) - Σ log(b - a · x) for growing t, each by Newton's method from the last one. With ν half-spaces (inequalities
 * and bounds), f is within ν / t of its minimum on the path (section 5.3), and O(√ν log(ν / ε)) Newton steps do where t grows by
 * 1 + 1 / (13 √ν) (theorem 5.6). Deviation: t grows by 10 with damped steps, which is not proved and takes fewer. The start must be inside all
 * half-spaces. A state is given after each Newton step; the residual is ν / t where the path has been reached, Newton's decrement 1 / 4.
 */
export const interiorPoint: ConvexMethod = {
  name: 'interiorPoint',
  title: 'Interior point (barrier) method',
  paper:
    'Y. Nesterov, A. Nemirovski (1994), Interior Point Polynomial Algorithms in Convex Programming; S. Bubeck (2015), Convex Optimization: Algorithms and Complexity, arXiv 1405.4980, section 5.3',
  *solve(problem, start, { tolerance }) {
    const spaces = problem.halfSpaces()
    const slacksOf = (x: Float64Array) => spaces.map(({ normal, bound }) => bound - dot(normal, x))
    const broken = slacksOf(start).findIndex((slack) => !(slack > 0))
    if (broken >= 0)
      return { kind: 'failed', reason: `the start is not inside the set: half-space ${broken} has no slack` }
    const barrier = (x: Float64Array) => {
      const slacks = slacksOf(x)
      return slacks.some((slack) => !(slack > 0)) ? Infinity : -slacks.reduce((sum, slack) => sum + Math.log(slack), 0)
    }
    let [x, value, t] = [start, problem.value(start), 1]
    yield { point: x, value, residual: Infinity }
    for (;;) {
      const gradient = problem.gradient(x, value)
      const H = problem.hessian(x, gradient)
      const slacks = slacksOf(x)
      const slope = gradient.map((element) => t * element)
      const matrix = new Matrix(H.map((row) => Array.from(row, (element) => t * element)))
      spaces.forEach(({ normal }, i) => {
        for (let r = 0; r < x.length; r++) {
          slope[r]! += normal[r]! / slacks[i]!
          for (let c = 0; c < x.length; c++) {
            matrix.set(r, c, matrix.get(r, c) + (normal[r]! * normal[c]!) / slacks[i]! ** 2)
          }
        }
      })
      const factors = new LuDecomposition(matrix)
      if (x.length > 0 && factors.isSingular()) {
        return {
          kind: 'failed',
          reason: 'the Hessian is singular: f is flat where the set has no bound, or in float64 at this accuracy',
        }
      }
      const step = x.length > 0 ? Float64Array.from(factors.solve(Matrix.columnVector(slope)).to1DArray()) : x
      const decrement = Math.sqrt(Math.max(0, dot(slope, step)))
      const reached = decrement <= 1 / 4
      const gap = reached ? spaces.length / t : Infinity
      const here = barrier(x)
      let next = { x, value }
      for (let share = 1; share > 1e-12; share /= 2) {
        const trial = plus(x, -share, step)
        const wall = barrier(trial)
        if (wall === Infinity) continue
        const there = problem.value(trial)
        if (t * (there - value) + wall - here <= -0.01 * share * decrement ** 2) {
          next = { x: trial, value: there }
          break
        }
      }
      if (next.x === x) {
        // Values have no more digits; where f is linear or quadratic this step is proved to go down.
        const damped = plus(x, -1 / (1 + decrement), step)
        if (barrier(damped) === Infinity) {
          return { kind: 'failed', reason: 'no step of Newton lowers the barrier function' }
        }
        next = { x: damped, value: problem.value(damped) }
      }
      ;({ x, value } = next)
      yield { point: x, value, residual: gap }
      if (gap <= tolerance) return { kind: 'converged', test: 'residual' }
      if (reached) t *= 10
    }
  },
}
