import type { EquationMethod } from '../../method.ts'

/** As far as the second point is from the start, relative to it. */
const firstStep = 1e-4

/**
 * The secant method in one variable: goes to the zero of the line through the last two points, and a tenth as far where the equation is not
 * finite there. Its order is the golden ratio, with one evaluation an iteration.
 */
export const secant: EquationMethod = {
  name: 'secant',
  title: 'Secant',
  paper:
    'J. M. Ortega, W. C. Rheinboldt (1970), Iterative Solution of Nonlinear Equations in Several Variables, section 7.2',
  takes: { variables: 'one' },
  *solve(problem, start, tolerances) {
    const f = (x: number) => problem.at(Float64Array.of(x)).residuals[0]!
    let b = start[0]!
    let fb = f(b)
    let a = b
    const state = () => ({
      point: Float64Array.of(b),
      value: (fb * fb) / 2,
      residual: Math.abs(fb),
      step: Math.abs(b - a),
      evaluations: problem.evaluations,
    })
    yield state()
    if (Math.abs(fb) <= tolerances.residual) return { kind: 'converged', test: 'residual' }
    if (!Number.isFinite(fb)) return { kind: 'failed', reason: `equations: ${fb} at the start is not finite` }
    let step = firstStep * (Math.abs(b) || 1)
    for (;;) {
      let next = f(b + step)
      for (let shorter = 0; !Number.isFinite(next) && shorter < 30; shorter++) {
        step /= 10
        next = f(b + step)
      }
      if (!Number.isFinite(next)) return { kind: 'failed', reason: `equations: not finite next to ${b}` }
      const fa = fb
      a = b
      b += step
      fb = next
      yield state()
      if (Math.abs(fb) <= tolerances.residual) return { kind: 'converged', test: 'residual' }
      if (Math.abs(b - a) <= tolerances.step * Math.abs(b)) return { kind: 'converged', test: 'step' }
      if (fb === fa || a === b)
        return { kind: 'failed', reason: `the line through ${a} and ${b} has no zero: both give ${fb}` }
      step = (-fb * (b - a)) / (fb - fa)
    }
  },
}
