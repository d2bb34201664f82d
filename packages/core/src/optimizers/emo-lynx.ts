import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf } from '../language/hyperparameters.ts'
import { lossInput } from '../language/inputs.ts'
import { zeros } from '../language/slots.ts'
import { ema } from '../language/value.ts'
import { emoNaviPaper, lossResponse, lossState, withShadow } from '../parts/loss-response.ts'

/**
 * EmoLynx: Lion whose steps follow the course of the loss as in `emoNavi`. It needs the loss:
 * `step({ inputs: { loss } })` or `minimize`.
 *
 * ```text
 * c ← the factor of emoNavi, from the losses so far
 * u ← sign(β1 m + (1 - β1) g)
 * m ← β2 m + (1 - β2) g
 * θ ← (1 - η λ) θ - η c u
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.9, 0.999), λ 0.01 decoupled, sensitivity 1; with 0 the loss has no effect and
 * this is Lion. Earlier versions and pytorch_optimizer have β2 0.99. Meant for losses above 0. State: `m`, shaped like the
 * parameter; `short`, `long` and `updates`, numbers shared by all tensors.
 *
 * This is version 3.1 of the official code without the flag that suggests to stop; `shadow` is that of `emoNavi`.
 *
 * muooon 2025, EmoNavi, github.com/muooon/EmoNavi.
 */
export const emoLynx = defineOptimizer({
  name: 'emoLynx',
  title: 'EmoLynx',
  family: 'sign',
  paper: emoNaviPaper,
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    weightDecay: nonNegative(0.01),
    sensitivity: nonNegative(1),
  },
  options: { shadow: false },
  inputs: { loss: lossInput },
  state: {
    m: zeros(),
    ...lossState,
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-5, 1e-2), beta2: oneOf(0.99, 0.999) },
  rule(context) {
    const { g, state, hyper, inputs, options } = context
    const { averages, ...response } = lossResponse(inputs.loss, state, hyper.sensitivity)
    const direction = ema(state.m, g, hyper.beta1).sign().times(response.factor)
    const m = ema(state.m, g, hyper.beta2)
    if (!options.shadow) return { direction, state: { m, ...averages } }
    const shadowed = withShadow(direction, response, context, state.shadow)
    return { direction: shadowed.direction, state: { m, shadow: shadowed.shadow, ...averages } }
  },
})
