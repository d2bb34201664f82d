import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf } from '../language/hyperparameters.ts'
import type { ParameterShape } from '../language/slots.ts'
import { scalar, zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'

/**
 * Amos: one step size per tensor, from the scale that its weights are expected to have in the end; learning rate and weight
 * decay fall by themselves.
 *
 * ```text
 * v ← β v + (1 - β) mean g²,   r = (1 - βᵗ) / v          per tensor
 * γ ← η² r mean g² / √(1 + ζ √η b)
 * u ← (η s √r g + ½ γ θ) / (1 + ζ √(η s) b)               s is the expected scale
 * b ← b + γ (1 + b)
 * θ ← θ - u                                               with momentum μ: the average of u
 * ```
 *
 * Defaults of the official code: β 0.999, ζ 0.25, no momentum; η is required there (1 / √batches of an epoch is its advice),
 * 1e-3 here. State: `v` and `b`, one number per tensor, and `m`, shaped like the parameter, with momentum: nothing else
 * adaptive is as small. One more read of the gradient.
 *
 * `scale` 0 chooses s by shape: ½ for vectors, √(2 / inputs) for matrices, √(1 / inputs) for more dimensions, a kernel's places aside.
 * The official code asks for s; give it by `groups`. With momentum the average is over u / η, which is the same for
 * a constant η. Its weight decay is ½ γ θ; it takes no other.
 *
 * Tian, Parikh 2022, Amos: An Adam-style Optimizer with Adaptive Weight Decay towards Model-Oriented Scale,
 * arXiv 2210.11693.
 */
export const amos = defineOptimizer({
  name: 'amos',
  title: 'Amos',
  family: 'layerwise',
  paper: {
    title: 'Amos: An Adam-style Optimizer with Adaptive Weight Decay towards Model-Oriented Scale',
    authors: 'Tian, Parikh',
    year: 2022,
    arxiv: '2210.11693',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta: decayRate(0.999),
    momentum: decayRate(0),
    zeta: nonNegative(0.25),
    scale: nonNegative(0),
  },
  state: { v: scalar(0), b: scalar(0), m: zeros({ when: ({ disabled }) => !disabled('momentum') }) },
  decay: 'own',
  search: { learningRate: logUniform(1e-4, 1e-1), momentum: oneOf(0, 0.9) },
  schedule: 'constant',
  rule({ p, g, t, state, hyper, shape, disabled }) {
    const { learningRate, beta, zeta } = hyper
    const scale = disabled('scale') ? hyper.scale.lifted(expectedScale(shape)) : hyper.scale
    const square = g.square().mean()
    const v = ema(state.v, square, beta)
    const inverse = biasCorrection(beta, t).over(v.maximum(2 ** -125))
    const { b } = state
    const slower = b.times(zeta.times(learningRate.sqrt())).plus(1).sqrt()
    // γ over η, which the framework multiplies with.
    const gamma = inverse.times(square).times(learningRate).over(slower)
    const decayed = b.times(zeta.times(learningRate.times(scale).sqrt())).plus(1)
    const step = g.times(inverse.sqrt().times(scale).over(decayed))
    const update = step.plus(p.times(gamma.times(0.5).over(decayed)))
    const newState = { v, b: b.plus(gamma.times(learningRate).times(b.plus(1))) }
    if (disabled('momentum')) return { direction: update, state: newState }
    const m = ema(state.m, update, hyper.momentum)
    return { direction: m, state: { ...newState, m } }
  },
})

/** What entries are about in the end, by shape alone. */
function expectedScale({ rank, outputFirst }: ParameterShape): number {
  if (rank < 2) return 0.5
  return Math.sqrt((rank === 2 ? 2 : 1) / Math.max(outputFirst[1]!, 1))
}
