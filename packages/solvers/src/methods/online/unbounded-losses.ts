import type { OnlineMethod } from '../../learner.ts'
import { norm, plus } from '../../vector.ts'

/**
 * For losses whose gradients grow with the choice, |g| ≤ G + L |x - start|, over all of space: x minimizes ⟨Σ g, x⟩ + ψ(|x - start|), where ψ is the
 * sum of a regularizer without parameters, whose slope 3 √(2 V log(1 + r / α)) with V = G² t rises slowly, and L √t r², which
 * holds back what the growth of the gradients could do. The regret is O(G |u| √(T log T) + L |u|² √T), shown to be the best there is. Deviation:
 * the paper's centred mirror descent in the form that follows the regularized leader; same regularizers, own constants.
 */
export const unboundedLosses: OnlineMethod = {
  name: 'unboundedLosses',
  title: 'Learning with unbounded losses',
  paper: 'A. Jacobsen, A. Cutkosky (2023), Unconstrained Online Learning with Unbounded Losses, arXiv 2306.04923',
  learner(start, { lipschitz, growth, wealth }) {
    let sum: Float64Array = new Float64Array(start.length)
    let [point, t] = [start, 1]
    return {
      get point() {
        return point
      },
      update(gradient) {
        sum = plus(sum, 1, gradient)
        t++
        const pull = norm(sum)
        const root = Math.sqrt(t)
        const alpha = wealth / (lipschitz * root * Math.log(t + 1) ** 2)
        const slope = (r: number) => 3 * lipschitz * root * Math.sqrt(2 * Math.log1p(r / alpha)) + 2 * growth * root * r
        point = pull === 0 ? start : plus(start, -inverse(slope, pull) / pull, sum)
      },
    }
  },
}

/** r with a slope of `height`, which rises from 0. */
function inverse(slope: (r: number) => number, height: number): number {
  let high = 1
  while (slope(high) < height && high < 1e300) high *= 2
  let low = 0
  for (let k = 0; k < 80; k++) {
    const middle = (low + high) / 2
    if (slope(middle) < height) low = middle
    else high = middle
  }
  return (low + high) / 2
}
