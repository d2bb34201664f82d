import { defineOptimizer } from '../language/definition.ts'
import { logUniform, nonNegative, smallDivisor } from '../language/hyperparameters.ts'
import { copyOfParameter, zeros } from '../language/slots.ts'

/**
 * COCOB, continuous coin betting: every element bets on the sign of its next gradient, with what it has won so far. There is
 * no learning rate to find.
 *
 * ```text
 * L ← max(L, |g|)                         L starts at ε
 * G ← G + |g|
 * R ← max(R - g (θ - θ0), 0)
 * C ← C - g
 * θ ← θ0 + η C (L + R) / (L max(G + L, α L))
 * ```
 *
 * Defaults: α 100 (`alpha`), ε 1e-8, λ 0 and coupled, as in optax; η 1 multiplies the bet and is not in the paper: leave it.
 * State: `start` (θ0), `largest` (L), `sum` (G), `reward` (R) and `gradients` (C), shaped like the parameter.
 *
 * The learning rate of optax multiplies the gradient, of which the bets do not depend on the scale; this one acts.
 *
 * Orabona, Tommasi 2017, Training Deep Networks without Learning Rates Through Coin Betting, arXiv 1705.07795.
 */
export const cocob = defineOptimizer({
  name: 'cocob',
  title: 'COCOB',
  family: 'stepSize',
  paper: {
    title: 'Training Deep Networks without Learning Rates Through Coin Betting',
    authors: 'Orabona, Tommasi',
    year: 2017,
    arxiv: '1705.07795',
  },
  hyper: {
    learningRate: nonNegative(1),
    // From G, L at the least, it has no effect below 2.
    alpha: { ...nonNegative(100), minimum: 1 },
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  state: { start: copyOfParameter(), largest: zeros(), sum: zeros(), reward: zeros(), gradients: zeros() },
  decay: 'coupled',
  schedule: 'constant',
  search: { learningRate: logUniform(0.1, 10) },
  rule({ p, g, state, hyper }) {
    const largest = state.largest.maximum(hyper.epsilon).maximum(g.abs())
    const sum = state.sum.plus(g.abs()).limited()
    const won = state.reward.minus(g.times(p.minus(state.start)))
    const reward = won.maximum(0).limited()
    const gradients = state.gradients.minus(g).limitedInSize()
    // Everything over L, so that no sum of two huge numbers overflows.
    const wealth = reward.over(largest).plus(1).over(sum.over(largest).plus(1).maximum(hyper.alpha))
    return {
      direction: gradients.over(largest).times(wealth).negated(),
      state: { largest, sum, reward, gradients },
      apply: (direction) => ({ parameter: state.start.minus(direction.times(hyper.learningRate)) }),
    }
  },
})
