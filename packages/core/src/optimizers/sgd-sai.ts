import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { scalar, zeros } from '../language/slots.ts'
import { ema, where } from '../language/value.ts'

/**
 * SGD-SaI: SGD with momentum whose learning rate is scaled once, at initialization, by each tensor's gradient
 * signal-to-noise ratio. No second moment is kept.
 *
 * ```text
 * s ← ‖g‖ / (std(g) + ε)                   at the first gradient, then fixed; one number per tensor
 * m ← momentum m + (1 - momentum) g        m ← g at the first step
 * θ ← (1 - η λ) θ - η s m
 * ```
 *
 * Defaults of the official code (1.0.3): η 0.01, momentum 0.9, ε 1e-8, λ 0.01. The standard deviation is over all elements,
 * divided by n - 1. State: `m`, shaped like the parameter, none when momentum is 0; the number `ratio` (s) per tensor.
 *
 * A tensor of one element, or whose first gradient is the same everywhere, has no deviation: its ratio is ‖g‖ / ε, as in
 * the official code, and its steps are far too large. Give such tensors to another optimizer with `groups`, or raise ε.
 * A first gradient of all zeros would stop the official code for ever; here the ratio is then that of noise, √n.
 *
 * Xu, Xiang, Cai, Wen 2024, No More Adam: Learning Rate Scaling at Initialization is All You Need, arXiv 2412.11768.
 */
export const sgdSaI = defineOptimizer({
  name: 'sgdSaI',
  title: 'SGD-SaI',
  family: 'stepSize',
  paper: {
    title: 'No More Adam: Learning Rate Scaling at Initialization is All You Need',
    authors: 'Xu, Xiang, Cai, Wen',
    year: 2024,
    arxiv: '2412.11768',
  },
  hyper: {
    learningRate: nonNegative(0.01),
    momentum: decayRate(0.9),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0.01),
  },
  state: { m: zeros({ when: ({ disabled }) => !disabled('momentum') }), ratio: scalar(0) },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 1), weightDecay: oneOf(0, 0.01, 0.1) },
  rule({ g, t, state, hyper, shape, disabled, firstSteps }) {
    const measured = () => {
      const norm = g.norm()
      const spread = g.minus(g.mean()).square().sum()
      const deviation = spread.over(Math.max(shape.size - 1, 1)).sqrt()
      return where(norm.isGreaterThan(0), norm.over(deviation.plus(hyper.epsilon)), Math.sqrt(shape.size))
    }
    const ratio = firstSteps(1, measured, state.ratio)
    if (disabled('momentum')) return { direction: g.times(ratio), state: { ratio } }
    const m = where(t.equals(1), g, ema(state.m, g, hyper.momentum))
    return { direction: m.times(ratio), state: { m, ratio } }
  },
})
