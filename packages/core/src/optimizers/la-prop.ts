import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor, stepCount } from '../language/hyperparameters.ts'
import { scalar, zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * LaProp: momentum over gradients that are already divided by their size, so that β1 and β2 can be chosen freely.
 *
 * ```text
 * v ← β2 v + (1 - β2) g²
 * n ← β2 n + (1 - β2) g;  v - n² in the place of v from the 11th step        centered
 * m ← β1 m + (1 - β1) η g / (√(v / (1 - β2ᵗ)) + ε)
 * r ← β1 r + (1 - β1) η                      one number; η (1 - β1ᵗ) while η is constant
 * θ ← (1 - λ) (θ - (η / r) m)
 * ```
 *
 * Defaults of the official code: η 4e-4, β (0.9, 0.999), ε 1e-15, λ 0. Decay does not depend on the learning rate
 * (`independent`); in that style it acts after the step here, as in the official code. State: `m` and `v`, shaped like the
 * parameter, `r`, one number per tensor; `mean` with `centered`, `vMaximum` with `amsgrad`.
 *
 * The official `centered` fails with an error; this is what it says, with v - n² held at 0 or above. Its first
 * `stepsBeforeCentering` (10) steps, during which `amsgrad` has no effect, are not centred.
 *
 * Ziyin, Wang, Ueda 2020, LaProp: Separating Momentum and Adaptivity in Adam, arXiv 2002.04839.
 */
export const laProp = defineOptimizer({
  name: 'laProp',
  title: 'LaProp',
  family: 'adaptive',
  paper: {
    title: 'LaProp: Separating Momentum and Adaptivity in Adam',
    authors: 'Ziyin, Wang, Ueda',
    year: 2020,
    arxiv: '2002.04839',
  },
  hyper: {
    learningRate: nonNegative(4e-4),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-15),
    weightDecay: nonNegative(0),
    stepsBeforeCentering: stepCount(10),
  },
  options: { centered: false, amsgrad: false },
  state: {
    m: zeros(),
    v: zeros(),
    r: scalar(0),
    mean: zeros({ when: ({ options }) => options.centered === true }),
    vMaximum: zeros({ when: ({ options }) => options.amsgrad === true }),
  },
  decay: 'independent',
  search: { learningRate: logUniform(1e-4, 3e-2), beta1: oneOf(0.9, 0.95), beta2: oneOf(0.95, 0.999) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options, decay }) {
    const { beta1, beta2, epsilon, learningRate } = hyper
    const v = emaOfSquare(state.v, g, beta2)
    const early = () => t.isAtMost(hyper.stepsBeforeCentering)
    const mean = options.centered ? ema(state.mean, g, beta2) : undefined
    const variance = mean ? where(early(), v, v.minus(mean.square()).maximum(0)) : v
    const largest = options.amsgrad ? state.vMaximum.maximum(variance) : undefined
    const vMaximum = largest && mean ? where(early(), state.vMaximum, largest) : largest
    const used = vMaximum && mean ? where(early(), v, vMaximum) : (vMaximum ?? variance)
    const root = used.sqrt().over(biasCorrection(beta2, t).sqrt())
    const m = ema(state.m, g.times(learningRate).over(root.plus(epsilon)), beta1)
    const r = ema(state.r, learningRate, beta1)
    const kept = hyper.weightDecay.negated().plus(1)
    return {
      direction: m.times(where(r.isGreaterThan(0), r.power(-1), 0)),
      learningRate: decay === 'independent' ? learningRate.times(kept) : learningRate,
      state: { m, v, r, ...(mean && { mean }), ...(vMaximum && { vMaximum }) },
    }
  },
})
