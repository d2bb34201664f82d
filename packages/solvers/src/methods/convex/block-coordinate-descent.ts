import { CholeskyDecomposition, Matrix } from 'ml-matrix'
import type { ConvexMethod } from '../../convex-problem.ts'
import { Draws } from '../../draws.ts'
import { dot, maximumNorm } from '../../vector.ts'

const decrease = 1e-4
const nearBound = 1e-8

/**
 * Block coordinate descent, τ variables at a time (`blockSize`). `block` says which: 'greedy' takes the τ that promise most by their own models
 * min over d of ∇ᵢ d + Lᵢ d² / 2 within the bounds, which is the rule GSD with variable blocks; 'fixed' the best of n / τ given blocks by the same
 * measure; 'random' any τ. On the block it takes Newton's step, variables at a bound that the slope presses them to being left out (two-metric
 * projection). On a quadratic each step lowers f by at least the sum of ∇ᵢ² / (2 τ Lᵢ) over the block; the set of variables at their
 * bounds is that of the minimum after a finite number of steps, and where the other variables fit in a block, so is the minimum itself.
 *
 * Lᵢ is the curvature at the start and later wherever the block is, which is the constant only for quadratics; a search by halving stands for
 * the rest. Columns of the Hessian come from `hessianProduct`, or from differences of gradients. Of constraints it takes bounds.
 * Greedy blocks gain most in the beginning: to a high accuracy of an ill-conditioned quadratic random ones can need fewer steps.
 * The residual is the largest element of the projected gradient.
 */
export const blockCoordinateDescent: ConvexMethod = {
  name: 'blockCoordinateDescent',
  title: 'Greedy block coordinate descent',
  paper:
    "J. Nutini, I. Laradji, M. Schmidt (2017), Let's Make Block Coordinate Descent Converge Faster: Faster Greedy Rules, Message-Passing, Active-Set Complexity, and Superlinear Convergence, arXiv 1712.08859",
  *solve(problem, start, { tolerance, seed, blockSize = 5, block = 'greedy' }) {
    const n = start.length
    const size = Math.max(1, Math.min(n, Math.trunc(blockSize)))
    const draws = new Draws(seed)
    const into = (element: number, i: number) =>
      Math.min(problem.upper?.[i] ?? Infinity, Math.max(problem.lower?.[i] ?? -Infinity, element))
    const column = (i: number) => problem.hessianProduct(x, new Float64Array(n).fill(1, i, i + 1), gradient)
    const positive = (curvature: number) => (curvature > 1e-12 && curvature < Infinity ? curvature : 1)

    let x = start
    let value = problem.value(x)
    let gradient = problem.gradient(x, value)
    let curvatures: Float64Array | undefined
    for (;;) {
      const residual = maximumNorm(gradient.map((slope, i) => x[i]! - into(x[i]! - slope, i)))
      yield { point: x, value, residual }
      if (residual <= tolerance) return { kind: 'converged', test: 'residual' }
      if (Number.isNaN(residual)) return { kind: 'failed', reason: 'the gradient is not a number' }
      curvatures ??= Float64Array.from(x, (_, i) => positive(column(i)[i]!))

      const promise = gradient.map((slope, i) => {
        const d = into(x[i]! - slope / curvatures![i]!, i) - x[i]!
        return -(slope * d + (curvatures![i]! * d * d) / 2)
      })
      const chosen = choose(promise, size, block, draws)
      const free = chosen.filter((i) => {
        const atLower = gradient[i]! > 0 && x[i]! <= (problem.lower?.[i] ?? -Infinity) + nearBound
        const atUpper = gradient[i]! < 0 && x[i]! >= (problem.upper?.[i] ?? Infinity) - nearBound
        return !atLower && !atUpper
      })
      const columns = free.map(column)
      free.forEach((i, k) => {
        curvatures![i] = positive(columns[k]![i]!)
      })
      const direction = new Float64Array(n)
      for (const i of chosen) direction[i] = -gradient[i]! / (size * curvatures[i]!)
      if (free.length > 0) {
        const rows = free.map((i, k) => free.map((j, l) => (columns[l]![i]! + columns[k]![j]!) / 2))
        const factors = new CholeskyDecomposition(new Matrix(rows))
        if (rows.flat().every(Number.isFinite) && factors.isPositiveDefinite()) {
          const newton = factors.solve(Matrix.columnVector(free.map((i) => -gradient[i]!)))
          free.forEach((i, k) => {
            direction[i] = newton.get(k, 0)
          })
        }
      }

      let step = 1
      let trial = x
      let there = value
      for (; ; step /= 2) {
        trial = x.map((element, i) => (direction[i] === 0 ? element : into(element + step * direction[i]!, i)))
        there = problem.value(trial)
        const slope = dot(
          gradient,
          trial.map((element, i) => element - x[i]!),
        )
        if (there <= value + decrease * slope + 1e-15 * Math.abs(value)) break
        if (step < 1e-18) return { kind: 'failed', reason: 'the line search found no lower point' }
      }
      x = trial
      value = there
      gradient = problem.gradient(x, value)
    }
  },
}

/** The variables of the next block. */
function choose(promise: Float64Array, size: number, block: 'greedy' | 'fixed' | 'random', draws: Draws): number[] {
  const all = Array.from(promise, (_, i) => i)
  if (block === 'greedy') return all.sort((i, j) => promise[j]! - promise[i]!).slice(0, size)
  if (block === 'fixed') {
    const blocks = Array.from({ length: Math.ceil(all.length / size) }, (_, k) => all.slice(k * size, (k + 1) * size))
    const total = (of: number[]) => of.reduce((sum, i) => sum + promise[i]!, 0)
    return blocks.reduce((best, next) => (total(next) > total(best) ? next : best))
  }
  for (let k = 0; k < size; k++) {
    const other = k + draws.below(all.length - k)
    ;[all[k], all[other]] = [all[other]!, all[k]!]
  }
  return all.slice(0, size)
}
