import { defineTransform } from '../language/definition.ts'
import { fraction, stepCount } from '../language/hyperparameters.ts'
import { copyOfParameter } from '../language/slots.ts'
import { ema } from '../language/value.ts'

/**
 * Lookahead: every `period` steps the slow weights φ move towards the fast ones, which continue from there.
 *
 * ```text
 * every period steps:  φ ← φ + alpha (θ - φ);  θ ← φ
 * ```
 *
 * Defaults of the official code: `period` 5, `alpha` 0.8 (the paper's tables use 0.5 too). State: one copy of the
 * parameter, which costs bandwidth only on the steps that use it. The inner optimizer's state is left as it is
 * (the official code's `pullback_momentum: none`).
 *
 * Zhang, Lucas, Hinton, Ba 2019, Lookahead Optimizer: k steps forward, 1 step back, arXiv 1907.08610.
 */
export const lookahead = defineTransform({
  name: 'lookahead',
  title: 'Lookahead',
  paper: {
    title: 'Lookahead Optimizer: k steps forward, 1 step back',
    authors: 'Zhang, Lucas, Hinton, Ba',
    year: 2019,
    arxiv: '1907.08610',
  },
  hyper: { period: stepCount(5), alpha: fraction(0.8) },
  state: { slow: copyOfParameter() },
  parameter({ next, state, hyper, every }) {
    const synchronize = () => {
      const slow = ema(next, state.slow, hyper.alpha)
      return { parameter: slow, state: { slow } }
    }
    return every(hyper.period, synchronize, { parameter: next })
  },
})
