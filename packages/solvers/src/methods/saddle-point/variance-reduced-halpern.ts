import { Draws } from '../../draws.ts'
import type { SaddleMethod } from '../../field.ts'
import { maximumNorm } from '../../vector.ts'

/**
 * Halpern's iteration, z⁺ = λ z⁰ + (1 - λ) z - η F̃ with λ = 2 / (k + 4): every step is pulled towards the start, the less so the later. F̃ is F
 * itself with probability p = 4 / (k + 5), k at most √n, and otherwise the last F̃ moved by the difference of a few parts. For parts that are
 * 1 / L-cocoercive on average and η ≤ 1 / (4 L), the last iterate has |F| = O(L |z⁰ - z*| / k), after O(n + √n L / ε) parts.
 * A game without `parts` is Halpern's iteration with F itself. Convergence is said only of F itself. Deviation: of the paper's two
 * algorithms this is the first; a monotone field that is not cocoercive needs its second, with an inner solver for the resolvent.
 */
export const varianceReducedHalpern: SaddleMethod = {
  name: 'varianceReducedHalpern',
  title: 'Variance-reduced Halpern iteration',
  paper:
    'X. Cai, A. Alacaoglu, J. Diakonikolas (2023), Variance Reduced Halpern Iteration for Finite-Sum Monotone Inclusions, arXiv 2310.02987',
  *solve(field, start, { step, tolerance, batch, seed }) {
    const draws = new Draws(seed)
    const { parts } = field.game
    const root = Math.sqrt(parts?.count ?? 1)
    const drawn = batch ?? Math.ceil(root)
    if (!(drawn >= 1)) throw new RangeError(`batch: ${drawn} is not at least 1`)
    const full = (z: Float64Array): Float64Array => {
      if (!parts) return field.at(z)
      const sum = new Float64Array(z.length)
      for (let part = 0; part < parts.count; part++) {
        field.part(z, part).forEach((element, i) => {
          sum[i]! += element / parts.count
        })
      }
      return sum
    }
    let before = start
    let estimate = full(start)
    let exact = true
    for (let [k, z] = [0, start]; ; k++) {
      if (k > 0) {
        exact = !parts || drawn >= parts.count || draws.uniform() < 4 / (Math.min(k, root) + 5)
        if (exact) estimate = full(z)
        else {
          const next = estimate.slice()
          for (let draw = 0; draw < drawn; draw++) {
            const part = draws.below(parts!.count)
            const [there, was] = [field.part(z, part), field.part(before, part)]
            for (let i = 0; i < z.length; i++) next[i]! += (there[i]! - was[i]!) / drawn
          }
          estimate = next
        }
      }
      if (!exact && maximumNorm(estimate) <= tolerance) {
        estimate = full(z)
        exact = true
      }
      yield field.state(z, estimate)
      if (exact && maximumNorm(estimate) <= tolerance) return { kind: 'converged', test: 'residual' }
      const pull = 2 / (k + 4)
      before = z
      z = z.map((element, i) => pull * start[i]! + (1 - pull) * element - step * estimate[i]!)
    }
  },
}
