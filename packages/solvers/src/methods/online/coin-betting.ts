import type { OnlineMethod } from '../../learner.ts'
import { dot, plus } from '../../vector.ts'

/**
 * Coin betting by Krichevsky and Trofimov: the share of the wealth that is bet on each coordinate of -g / G is the mean of what has come before,
 * x = start + (-Σ g / G) / t · (ε - Σ g · (x - start) / G). No step size, and for every u at once the regret is at most
 * G (|u - start| √(T log(1 + 24 T² |u - start|² / ε²)) + ε (1 - 1 / (e √(π T)))) (the paper's corollary 5). Gradients must be
 * at most G long: a longer one ends in an error, as the wealth could be lost.
 */
export const coinBetting: OnlineMethod = {
  name: 'coinBetting',
  title: 'Coin betting',
  paper: 'F. Orabona, D. Pál (2016), Coin Betting and Parameter-Free Online Learning, arXiv 1602.04128',
  learner(start, { lipschitz, wealth: epsilon }) {
    let sum: Float64Array = new Float64Array(start.length)
    let [point, wealth, t] = [start, epsilon, 1]
    return {
      get point() {
        return point
      },
      update(gradient) {
        const coin = gradient.map((element) => -element / lipschitz)
        const length = Math.sqrt(dot(coin, coin))
        if (length > 1 + 1e-9) {
          throw new RangeError(`lipschitz: a gradient of length ${length * lipschitz} is longer than ${lipschitz}`)
        }
        wealth += dot(coin, plus(point, -1, start))
        sum = plus(sum, 1, coin)
        t++
        point = plus(start, wealth / t, sum)
      },
    }
  },
}
