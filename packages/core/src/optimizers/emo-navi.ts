import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { lossInput } from '../language/inputs.ts'
import { zeros } from '../language/slots.ts'
import { ema } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { emoNaviPaper, lossResponse, lossState, withShadow } from '../parts/loss-response.ts'

/**
 * EmoNavi: Adam without bias correction whose steps follow the course of the loss. It needs the loss:
 * `step({ inputs: { loss } })` or `minimize`.
 *
 * ```text
 * s ← 0.7 s + 0.3 L,   l ← 0.99 l + 0.01 L         both start at the first loss
 * x ← tanh(sensitivity (l - s) / max(l, 1e-5))
 * c ← 1 where |x| ≤ 0.125,   1 + x up to 0.625,   1 - |x| above
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * θ ← (1 - η λ) θ - η c m / (√v + ε)
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.9, 0.999), ε 1e-8, λ 0.01 decoupled, sensitivity 1; with 0 the loss has no
 * effect. Meant for losses above 0. State: `m` and `v`, shaped like the parameter; `short`, `long` and `updates`, numbers
 * shared by all tensors.
 *
 * With `shadow` the parameters have a slow copy φ, the state `shadow`, by which they are replaced in part before a step after
 * a sudden change of the loss: θ ← 0.25 θ + c φ where |x| > 0.75; else φ follows, φ ← φ + 0.1 (θ - φ) where |x| > 0.25 and
 * φ + 0.1 c (θ - φ) elsewhere. The official code has it too, off, and says to leave it so: θ shrinks, as c is below 0.25 then.
 *
 * This is version 3.1 of the official code without the flag that suggests to stop. Version 3.6 chooses between two averages
 * by comparing numbers that differ by rounding only. The first steps are about three times as long as those of Adam. In
 * pytorch_optimizer the loss has no effect without shadow parameters.
 *
 * muooon 2025, EmoNavi, github.com/muooon/EmoNavi.
 */
export const emoNavi = defineOptimizer({
  name: 'emoNavi',
  title: 'EmoNavi',
  family: 'adaptive',
  paper: emoNaviPaper,
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0.01),
    sensitivity: nonNegative(1),
  },
  options: { shadow: false },
  inputs: { loss: lossInput },
  state: {
    m: zeros(),
    v: zeros(),
    ...lossState,
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 3e-2), beta2: oneOf(0.99, 0.999) },
  largestGradient: largestSquared,
  rule(context) {
    const { g, state, hyper, inputs, options } = context
    const { averages, ...response } = lossResponse(inputs.loss, state, hyper.sensitivity)
    const m = ema(state.m, g, hyper.beta1)
    const v = emaOfSquare(state.v, g, hyper.beta2)
    const direction = m.over(v.sqrt().plus(hyper.epsilon)).times(response.factor)
    if (!options.shadow) return { direction, state: { m, v, ...averages } }
    const shadowed = withShadow(direction, response, context, state.shadow)
    return { direction: shadowed.direction, state: { m, v, shadow: shadowed.shadow, ...averages } }
  },
})
