import type { EquationMethod } from '../../method.ts'

/**
 * Brent's method in one variable: keeps two points between which the sign changes, and goes on by the parabola of the inverse function
 * through the last three, or by the secant; where these do not shrink the bracket fast enough, by its middle. It ends where the bracket is as
 * small as rounding and the tolerance of the step let it be, also at a jump through zero.
 */
export const brent: EquationMethod = {
  name: 'brent',
  title: 'Brent, within a bracket',
  paper: 'R. P. Brent (1973), Algorithms for Minimization without Derivatives, chapter 4',
  takes: { variables: 'one', bracket: 'needed' },
  *solve(problem, _start, tolerances, { bracket }) {
    const f = (x: number) => problem.at(Float64Array.of(x)).residuals[0]!
    // b is the best point, a the one before, and c lies on the other side of the zero.
    let [a, b] = bracket!
    let [fa, fb] = [f(a), f(b)]
    const state = () => ({
      point: Float64Array.of(b),
      value: (fb * fb) / 2,
      residual: Math.abs(fb),
      step: Math.abs(b - a),
      evaluations: problem.evaluations,
    })
    if (Number.isNaN(fa) || Number.isNaN(fb) || fa * fb > 0 || Math.sign(fa) * Math.sign(fb) > 0) {
      yield state()
      return { kind: 'failed', reason: `bracket: ${fa} at ${a} and ${fb} at ${b} must differ in sign` }
    }
    // At zero rounding is no measure.
    const floor = 1e-3 * Number.EPSILON * (b - a)
    let [c, fc] = [a, fa]
    let [step, before] = [b - a, b - a]
    for (;;) {
      if (Math.abs(fc) < Math.abs(fb)) {
        ;[a, b, c] = [b, c, b]
        ;[fa, fb, fc] = [fb, fc, fb]
      }
      yield state()
      const tolerance = 2 * Number.EPSILON * Math.abs(b) + (tolerances.step * Math.abs(b)) / 2 + floor
      const half = (c - b) / 2
      if (fb === 0) return { kind: 'converged', test: 'residual' }
      if (Math.abs(half) <= tolerance) return { kind: 'converged', test: 'step' }

      const middle = () => {
        step = half
        before = half
      }
      if (Math.abs(before) < tolerance || Math.abs(fa) <= Math.abs(fb)) middle()
      else {
        const s = fb / fa
        let [p, q] = [2 * half * s, 1 - s]
        if (a !== c) {
          const [t, r] = [fa / fc, fb / fc]
          p = s * (2 * half * t * (t - r) - (b - a) * (r - 1))
          q = (t - 1) * (r - 1) * (s - 1)
        }
        if (p > 0) q = -q
        else p = -p
        if (2 * p < Math.min(3 * half * q - Math.abs(tolerance * q), Math.abs(before * q))) {
          before = step
          step = p / q
        } else middle()
      }
      ;[a, fa] = [b, fb]
      b += Math.abs(step) > tolerance ? step : Math.sign(half) * tolerance
      fb = f(b)
      if (Number.isNaN(fb)) return { kind: 'failed', reason: `equations: NaN at ${b}, within the bracket` }
      if (Math.sign(fb) === Math.sign(fc)) {
        ;[c, fc] = [a, fa]
        before = b - a
        step = before
      }
    }
  },
}
