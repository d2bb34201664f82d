import type { OnlineMethod } from '../../learner.ts'
import { norm, plus } from '../../vector.ts'

/**
 * Optimistic online mirror descent, with |x|² / 2 for its map: x = Π(x̂ - η M), M a guess of the gradient (by default the last one), then
 * x̂⁺ = Π(x̂ - η ∇f(x)). With η = D / √(δ + 4 G² + Σ |∇f(x) - M|²) the regret is O(√(σ² + Σ²)), the variance and the drift of the losses added up,
 * for convex smooth ones (the paper's theorem 5): constant where the losses stay the same, O(√T) at worst. With strong
 * convexity α, η = 2 / (α t), and a regret of O(log T).
 */
export const optimisticMirrorDescent: OnlineMethod = {
  name: 'optimisticMirrorDescent',
  title: 'Optimistic online mirror descent',
  paper:
    'S. Chen, Y.-J. Zhang, W.-W. Tu, P. Zhao, L. Zhang (2023), Optimistic Online Mirror Descent for Bridging Stochastic and Adversarial Online Convex Optimization, arXiv 2302.04552',
  learner(start, { lipschitz, diameter, strongConvexity, project }) {
    const into = (x: Float64Array) => (project ? Float64Array.from(project(x)) : x)
    let hidden = into(start)
    let guess: Float64Array = new Float64Array(start.length)
    let [point, surprise, t] = [hidden, 0, 1]
    const step = () =>
      strongConvexity > 0 ? 2 / (strongConvexity * t) : diameter / Math.sqrt(1 + 4 * lipschitz ** 2 + surprise)
    return {
      get point() {
        return point
      },
      update(gradient, hint = gradient) {
        hidden = into(plus(hidden, -step(), gradient))
        surprise += norm(plus(gradient, -1, guess)) ** 2
        guess = hint
        t++
        point = into(plus(hidden, -step(), guess))
      },
    }
  },
}
