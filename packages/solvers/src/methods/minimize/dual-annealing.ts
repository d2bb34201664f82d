import { Draws } from '../../draws.ts'
import type { Minimizer } from '../../method.ts'
import type { State } from '../../state.ts'
import { watched } from './basin-hopping.ts'
import { lbfgsb, limits } from './l-bfgs-b.ts'

const chains = 1000
const firstTemperature = 5230
/** q of the distribution that visits, and of the one that accepts. */
const [visiting, accepting] = [2.62, -5]
/** No jump is longer, before it is wrapped into the bounds. */
const longestJump = 1e8
/** After how many chains without a better point a descent is tried all the same. */
const patience = 100

/**
 * Generalized simulated annealing: C. Tsallis and D. Stariolo, Generalized simulated annealing, Physica A 233 (1996), with descents as in
 * Y. Xiang, D. Sun, W. Fan and X. Gong, Physics Letters A 233 (1997), and the constants of SciPy. Jumps are of a distorted Cauchy-Lorentz
 * distribution, all variables at once and then one after the other, and wrapped into the bounds; the temperature of chain t is
 *
 *     T(t) = T(1) (2^(q-1) - 1) / ((1 + t)^(q-1) - 1),
 *
 * and a jump up by Δ is accepted with probability (1 - (1 - a) Δ (k+1) / T)^(1/(1-a)) in step k of a chain. Where a chain has found a better point, L-BFGS-B goes
 * down from it.
 */
export const dualAnnealing: Minimizer = {
  name: 'dual-annealing',
  title: 'Dual annealing',
  paper: 'Tsallis and Stariolo 1996; Xiang, Sun, Fan and Gong 1997',
  takes: { bounds: true, needsBounds: true, global: true },
  *solve(problem, start, tolerances, seed) {
    const n = problem.size
    const [lower, upper] = limits(problem)
    const random = new Draws(seed)
    const jump = visits(random)
    const run: { last?: State } = {}
    const end = yield* watched(run, lbfgsb.solve(problem, start, tolerances, seed))
    if (end.kind === 'unbounded' || n === 0) return end
    let best = run.last!
    let [x, value] = [best.point, best.value]
    let idle = 0
    for (let chain = 0; chain < chains; chain++) {
      const q = visiting - 1
      const temperature = (firstTemperature * (2 ** q - 1)) / ((chain + 2) ** q - 1)
      let better: { point: Float64Array; value: number } | undefined
      for (let k = 0; k < 2 * n; k++) {
        const jumped = x.map((element, i) => {
          if (k >= n && i !== k - n) return element
          return wrapped(element + jump(temperature), lower[i]!, upper[i]!)
        })
        const there = problem.value(jumped)
        const rise = there - value
        const chance = 1 - ((1 - accepting) * rise * (chain + 1)) / temperature
        if (rise < 0 || (chance > 0 && random.uniform() <= chance ** (1 / (1 - accepting)))) {
          ;[x, value] = [jumped, there]
          if (there < (better ?? best).value) better = { point: jumped, value: there }
        }
      }
      idle = better ? 0 : idle + 1
      if (better || idle === patience) {
        idle = 0
        const descent: { last?: State } = {}
        const ended = yield* watched(descent, lbfgsb.solve(problem, better?.point ?? x, tolerances, seed))
        if (ended.kind === 'unbounded') return ended
        if (descent.last!.value < best.value) {
          best = descent.last!
          ;[x, value] = [best.point, best.value]
        }
      }
      yield { ...best, evaluations: problem.evaluations }
    }
    return { kind: 'converged', test: 'schedule' }
  },
}

/** Draws from the visiting distribution, as a ratio of normal numbers. */
function visits(random: Draws): (temperature: number) => number {
  const q = visiting
  const shape = 1 / (q - 1) - 0.5
  const scale = (Math.sqrt(Math.PI) * (q - 1) ** (4 - q)) / (2 ** ((2 - q) / (q - 1)) * (3 - q))
  const constant = (Math.PI * (1 - shape)) / Math.sin(Math.PI * (1 - shape)) / gamma(2 - shape)
  return (temperature) => {
    const width = (constant / (scale * temperature ** (1 / (q - 1)))) ** (-(q - 1) / (3 - q))
    const jump = (random.normal() * width) / Math.abs(random.normal()) ** ((q - 1) / (3 - q))
    if (Math.abs(jump) <= longestJump) return jump
    return Math.sign(jump) * longestJump * random.uniform()
  }
}

/** Γ(x) for x > 0: Stirling's series at x + 10, and back by Γ(x + 1) = x Γ(x). */
function gamma(x: number): number {
  const far = x + 10
  const series = 1 / (12 * far) - 1 / (360 * far ** 3) + 1 / (1260 * far ** 5)
  let value = Math.sqrt((2 * Math.PI) / far) * (far / Math.E) ** far * Math.exp(series)
  for (let k = 9; k >= 0; k--) value /= x + k
  return value
}

/** Into an interval whose ends are joined. */
function wrapped(element: number, lower: number, upper: number): number {
  const width = upper - lower
  if (width === 0) return lower
  const over = (element - lower) % width
  const inside = lower + (over < 0 ? over + width : over)
  return Math.min(upper, Math.max(lower, inside))
}
