import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { relativeRate } from '../language/relative-rate.ts'
import { copyOfParameter, zeros } from '../language/slots.ts'
import { ema, where } from '../language/value.ts'
import { adamRule } from '../parts/adam-rule.ts'
import { largestSquared } from '../parts/ema-of-square.ts'
import { newtonSchulz } from '../parts/newton-schulz.ts'
import { varianceReduced } from '../parts/variance-reduced.ts'
import { adamW } from './adam-w.ts'

/**
 * MARS: variance reduction in the manner of STORM in front of AdamW, Lion or a matrix step.
 *
 * ```text
 * c ← g + γ β1 / (1 - β1) (g - g₋)            g₋ 0 at the first step
 * c ← c / max(1, ‖c‖)                         norm over the tensor
 * m ← β1 m + (1 - β1) c
 * adamW:    v ← β2 v + (1 - β2) c²,  d ← (m / (1 - β1ᵗ)) / (√(v / (1 - β2ᵗ)) + ε)
 * lion:     d ← sign(m)
 * shampoo:  d ← √max(1, outputs / inputs) orthogonalized m    five Newton-Schulz steps as in Muon
 * θ ← (1 - η λ) θ - η d
 * ```
 *
 * Defaults of the official code: form adamW, η 3e-3, β (0.95, 0.99), γ 0.025, ε 1e-8, λ 0. g₋ is the gradient of the step
 * before, on its own batch: the approximate MARS. With `exact: true` it is the gradient of this batch at the parameters of
 * the step before; that takes a second evaluation, the first of the two, and `minimize`. State: `m` and `previous`, shaped
 * like the parameter; `v` with adamW, `vMaximum` with `amsgrad`, `previousParameter` with `exact`.
 *
 * As in the official code only tensors of exactly two dimensions take part; the others go to `fallback`, by default AdamW
 * with η 3e-3, β (0.9, 0.95), ε 1e-8, λ 0.1. `matricesOnly: false` (the official `optimize_1d`) is MARS for all of them;
 * what is not a matrix then takes the form adamW in the place of shampoo. With g₋ 0 the first c is g (1 + γ β1 / (1 - β1)).
 * The official Newton-Schulz iteration runs in bfloat16, here in float32. With `exact` the tensors of the fallback stay where
 * they are in both evaluations, and wrappers and coupled decay change the gradient of the second only.
 *
 * Yuan, Liu, Wu, Zhou, Gu 2024, MARS: Unleashing the Power of Variance Reduction for Training Large Models,
 * arXiv 2411.10438.
 */
export const mars = defineOptimizer({
  name: 'mars',
  title: 'MARS',
  family: 'adaptive',
  paper: {
    title: 'MARS: Unleashing the Power of Variance Reduction for Training Large Models',
    authors: 'Yuan, Liu, Wu, Zhou, Gu',
    year: 2024,
    arxiv: '2411.10438',
  },
  hyper: {
    learningRate: nonNegative(3e-3),
    beta1: decayRate(0.95),
    beta2: decayRate(0.99),
    gamma: nonNegative(0.025),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  options: { form: 'adamW' as 'adamW' | 'lion' | 'shampoo', matricesOnly: true, amsgrad: false, exact: false },
  choices: { form: ['adamW', 'lion', 'shampoo'] },
  state: {
    m: zeros(),
    previous: zeros(),
    v: zeros({ when: isAdam }),
    vMaximum: zeros({ when: (facts) => isAdam(facts) && facts.options.amsgrad === true }),
    previousParameter: copyOfParameter({ when: ({ options }) => options.exact === true }),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 3e-2), gamma: oneOf(0.01, 0.025, 0.05) },
  accepts: ({ rank }, { matricesOnly }) => rank === 2 || !matricesOnly,
  needs: 'a tensor of two dimensions',
  fallback: () => adamW({ learningRate: relativeRate(1), beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1 }),
  // Between the evaluations the two parameters change places.
  evaluations: ({ exact }) =>
    exact
      ? [
          {
            wants: ['gradient'],
            at: ({ p, state }) => ({ parameter: state.previousParameter, state: { previousParameter: p } }),
          },
          {
            wants: ['gradient'],
            at: ({ p, g, state }) => ({
              parameter: state.previousParameter,
              state: { previousParameter: p, previous: g },
            }),
          },
        ]
      : [],
  largestGradient: largestSquared,
  rule(context) {
    const { p, g, t, state, hyper, options, shape } = context
    const previous = options.exact ? where(t.isGreaterThan(1), state.previous, 0) : state.previous
    const kept = options.exact ? { previousParameter: p } : { previous: g }
    const c = varianceReduced(g, previous, hyper.gamma, hyper.beta1)
    if (isAdam({ options, shape })) {
      const adam = adamRule({ ...context, g: c })
      return { direction: adam.direction, state: { ...adam.state, ...kept } }
    }
    const m = ema(state.m, c, hyper.beta1)
    if (options.form === 'lion') return { direction: m.sign(), state: { m, ...kept } }
    const factor = Math.sqrt(Math.max(1, p.outputs / p.inputs))
    const momentum = m.over(hyper.beta1.negated().plus(1))
    return { direction: newtonSchulz(momentum, 5, hyper.epsilon).times(factor), state: { m, ...kept } }
  },
})

type Facts = { readonly shape: { readonly rank: number }; readonly options: Readonly<Record<string, unknown>> }

function isAdam({ shape, options }: Facts): boolean {
  return options.form === 'adamW' || (options.form === 'shampoo' && shape.rank !== 2)
}
