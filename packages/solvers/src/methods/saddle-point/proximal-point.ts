import type { Field, SaddleMethod } from '../../field.ts'
import { maximumNorm, norm, plus } from '../../vector.ts'
import { solveLinear } from './linear.ts'

const mostInner = 30

/**
 * The proximal point method (B. Martinet 1970, R. T. Rockafellar 1976): z⁺ = z - η F(z⁺). For a ρ-comonotone field and η > 2 ρ the last
 * iterate has |F| = O(1 / k), and diverges in the worst case for η < 2 ρ (the paper's tight condition). Each step is an equation,
 * solved by Newton's method with DF from differences; a step counts as exact when its residual is a billionth of |F|.
 */
export const proximalPoint: SaddleMethod = {
  name: 'proximalPoint',
  title: 'Proximal point',
  paper:
    'E. Gorbunov, A. Taylor, S. Horváth, G. Gidel (2023), Convergence of Proximal Point and Extragradient-Based Methods Beyond Monotonicity: the Case of Negative Comonotonicity, arXiv 2210.13831',
  *solve(field, start, { step, tolerance }) {
    let here = field.at(start)
    for (let z = start; ; ) {
      yield field.state(z, here)
      if (maximumNorm(here) <= tolerance) return { kind: 'converged', test: 'residual' }
      const next = resolvent(field, z, here, step)
      if (!next)
        return {
          kind: 'failed',
          reason: `the equation of a step of ${step} has no solution that Newton's method finds`,
        }
      ;[z, here] = next
    }
  },
}

/** z⁺ with z⁺ + η F(z⁺) = z, and F there. */
function resolvent(
  field: Field,
  z: Float64Array,
  here: Float64Array,
  step: number,
): [Float64Array, Float64Array] | undefined {
  let [w, at] = [z, here]
  const enough = 1e-9 * step * norm(here)
  for (let inner = 0; inner < mostInner; inner++) {
    const error = w.map((element, i) => element + step * at[i]! - z[i]!)
    if (norm(error) <= enough) return [w, at]
    const direction = solveLinear(
      (d) => plus(d, step, field.along(w, d, at)),
      error.map((element) => -element),
    )
    if (!direction) return undefined
    let lower = false
    for (let share = 1; share > 1e-6; share /= 2) {
      const trial = plus(w, share, direction)
      const there = field.at(trial)
      if (norm(trial.map((element, i) => element + step * there[i]! - z[i]!)) < norm(error)) {
        ;[w, at, lower] = [trial, there, true]
        break
      }
    }
    // Differences have no more digits than that.
    if (!lower) return norm(error) <= 1e4 * enough ? [w, at] : undefined
  }
  return undefined
}
