import { defineTransform } from '../language/definition.ts'
import { decayRate, nonNegative } from '../language/hyperparameters.ts'
import { shaped, zeros } from '../language/slots.ts'
import { ema, where } from '../language/value.ts'
import { ageOf } from '../parts/age.ts'

/**
 * Grokfast: adds the slow part of the gradients to the gradient, which makes generalization after overfitting come sooner.
 *
 * ```text
 * exponential:  h ← α h + (1 - α) g        h ← g at the first step
 * moving:       h ← mean of the last `window` gradients, this one included
 * g ← g + λ h
 * ```
 *
 * Defaults of the official code: the `exponential` average (Grokfast-EMA) with α (`alpha`) 0.98 and λ (`amplification`) 2;
 * `after` (default 0) is the number of steps before it begins; h starts at the first gradient and is not touched until then.
 * State: `h`, shaped like the parameter.
 *
 * With `average: 'moving'` (Grokfast-MA; `window` 100, where the official λ is 5) h is added once the window is full and
 * `after` steps are over. State: `gradients`, `window` times as large as the parameter, all of which a step reads and writes;
 * `alpha` has no effect. The official `filter_type` `sum` is `window` times λ; its form without warm-up is left out.
 *
 * pytorch_optimizer's GrokFastAdamW with coupled decay averages the decayed gradient, but starts at the bare one.
 *
 * Lee, Kang, Kim, Lee 2024, Grokfast: Accelerated Grokking by Amplifying Slow Gradients, arXiv 2405.20233.
 */
export const grokfast = defineTransform({
  name: 'grokfast',
  title: 'Grokfast',
  paper: {
    title: 'Grokfast: Accelerated Grokking by Amplifying Slow Gradients',
    authors: 'Lee, Kang, Kim, Lee',
    year: 2024,
    arxiv: '2405.20233',
  },
  hyper: { alpha: decayRate(0.98), amplification: nonNegative(2), after: nonNegative(0) },
  options: { average: 'exponential' as 'exponential' | 'moving', window: 100 },
  choices: { average: ['exponential', 'moving'] },
  state: {
    h: zeros({ when: ({ options }) => options.average === 'exponential' }),
    gradients: shaped(({ size }, { window }) => [1, Number(window), size], {
      when: ({ options }) => options.average === 'moving',
    }),
  },
  gradient({ g, t, state, hyper, options, shape }) {
    const begun = t.isGreaterThan(hyper.after)
    if (options.average === 'moving') {
      const { window } = options
      const newest = state.gradients.rowIndex().equals(ageOf(t, window).minus(1))
      const gradients = where(newest, g.as([1, 1, shape.size]), state.gradients)
      const amplification = where(begun.and(t.isAtLeast(window)), hyper.amplification, 0)
      return { gradient: g.plus(gradients.mean('rows').as(g).times(amplification)), state: { gradients } }
    }
    const old = where(t.equals(1), g, state.h)
    const h = where(begun, ema(old, g, hyper.alpha), old)
    return { gradient: g.plus(h.times(where(begun, hyper.amplification, 0))), state: { h } }
  },
})
