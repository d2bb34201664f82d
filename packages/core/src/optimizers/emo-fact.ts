import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { lossInput } from '../language/inputs.ts'
import { perInput, perOutput, zeros } from '../language/slots.ts'
import { ema, type Value } from '../language/value.ts'
import { largestSquared } from '../parts/ema-of-square.ts'
import { emoNaviPaper, lossResponse, lossState, withShadow } from '../parts/loss-response.ts'

/**
 * EmoFact: gradients divided by averages of their size per output and input, in steps that follow the course of the loss as in
 * `emoNavi`. It needs the loss: `step({ inputs: { loss } })` or `minimize`.
 *
 * ```text
 * c ← the factor of emoNavi, from the losses so far
 * tensors of two dimensions or more, g seen as a matrix of outputs and inputs, by the layout
 *   r ← β1 r + (1 - β1) √(mean over inputs of g² + ε)
 *   k ← β1 k + (1 - β1) √(mean over outputs of g² + ε)
 *   u ← g / (√(r k) + ε)
 * scalars and vectors
 *   v ← β1 v + (1 - β2) g²
 *   u ← g / (√v + ε)
 * θ ← (1 - η λ) θ - η c u
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.9, 0.999), ε 1e-8, λ 0.01 decoupled, sensitivity 1; with 0 the loss has no
 * effect. Meant for losses above 0. State: `r` and `k`, one number per output and input of the matrix, or `v`, shaped like the
 * parameter; `short`, `long` and `updates`, numbers shared by all tensors.
 *
 * This is version 3.1 of the official code without the flag that suggests to stop; `shadow` is that of `emoNavi`. With `signs` it is the later one of pytorch_optimizer, which keeps only the signs of u and divides m instead of g for vectors:
 * u = sign(g) for matrices and sign(m) for scalars and vectors. The divisors then have no effect and are left out; the state
 * is `m` for scalars and vectors.
 *
 * muooon 2025, EmoNavi, github.com/muooon/EmoNavi.
 */
export const emoFact = defineOptimizer({
  name: 'emoFact',
  title: 'EmoFact',
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
  options: { signs: false, shadow: false },
  inputs: { loss: lossInput },
  state: {
    r: perOutput({ when: ({ shape, options }) => shape.rank > 1 && !options.signs }),
    k: perInput({ when: ({ shape, options }) => shape.rank > 1 && !options.signs }),
    v: zeros({ when: ({ shape, options }) => shape.rank < 2 && !options.signs }),
    m: zeros({ when: ({ shape, options }) => shape.rank < 2 && options.signs === true }),
    ...lossState,
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 3e-2), beta1: oneOf(0.9, 0.95) },
  largestGradient: largestSquared,
  rule(context) {
    const { g, state, hyper, inputs, options, shape } = context
    const { beta1, beta2, epsilon } = hyper
    const { averages, ...response } = lossResponse(inputs.loss, state, hyper.sensitivity)
    const after = (u: Value, own: Readonly<Record<string, Value>>) => {
      const direction = u.times(response.factor)
      if (!options.shadow) return { direction, state: { ...own, ...averages } }
      const shadowed = withShadow(direction, response, context, state.shadow)
      return { direction: shadowed.direction, state: { ...own, shadow: shadowed.shadow, ...averages } }
    }
    if (options.signs) {
      if (shape.rank > 1) return after(g.sign(), {})
      const m = ema(state.m, g, beta1)
      return after(m.sign(), { m })
    }
    if (shape.rank > 1) {
      const matrix = g.as(shape.matrix)
      const size = (axis: 'inputs' | 'outputs') => matrix.square().mean(axis).plus(epsilon).limited().sqrt()
      const r = ema(state.r, size('inputs'), beta1)
      const k = ema(state.k, size('outputs'), beta1)
      return after(matrix.over(r.sqrt().times(k.sqrt()).plus(epsilon)).as(g), { r, k })
    }
    const share = beta2.negated().plus(1).sqrt()
    const v = state.v.times(beta1).plus(g.times(share).square()).limited()
    return after(g.over(v.sqrt().plus(epsilon)), { v })
  },
})
