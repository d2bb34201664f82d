import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive, real, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'

/**
 * LARS: momentum over gradients that are scaled, tensor by tensor, to a fixed share of the tensor's length.
 *
 * ```text
 * r ← trustCoefficient ‖θ‖ / (‖g‖ + λ ‖θ‖ + ε)      norms over the tensor; 1 where either norm is 0
 * u ← r (g + λ θ)
 * b ← μ b + (1 - dampening) u                        b ← u at the first step
 * θ ← θ - η b                                        nesterov: θ - η (u + μ b)
 * ```
 *
 * Defaults: η 1, μ 0.9, trustCoefficient 1e-3, λ 5e-4 (the paper's; timm, a restatement of NVIDIA's LARC, has μ and λ 0),
 * ε 1e-8, dampening 0. `alwaysAdapt: false` sets r to 1 for tensors without weight decay, which is timm's default;
 * `trustClip` keeps η r at most 1 before momentum. State: `b`, shaped like the parameter; none when μ is 0.
 *
 * As in timm the learning rate is outside of the momentum; the paper has it inside, which is the same while it is constant.
 * Decay is the rule's own; other styles leave λ out of r.
 *
 * You, Gitman, Ginsburg 2017, Large Batch Training of Convolutional Networks, arXiv 1708.03888.
 */
export const lars = defineOptimizer({
  name: 'lars',
  title: 'LARS',
  family: 'layerwise',
  paper: {
    title: 'Large Batch Training of Convolutional Networks',
    authors: 'You, Gitman, Ginsburg',
    year: 2017,
    arxiv: '1708.03888',
  },
  hyper: {
    learningRate: nonNegative(1),
    momentum: decayRate(0.9),
    dampening: real(0),
    trustCoefficient: positive(1e-3),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(5e-4),
  },
  options: { nesterov: false, trustClip: false, alwaysAdapt: true },
  state: { b: zeros({ when: ({ disabled }) => !disabled('momentum') }) },
  decay: 'own',
  search: { learningRate: logUniform(0.1, 100), momentum: oneOf(0, 0.9), weightDecay: oneOf(0, 5e-4) },
  rule({ p, g, t, state, hyper, options, disabled, ownWeightDecay }) {
    const { momentum, dampening, trustCoefficient, epsilon, learningRate } = hyper
    const parameterNorm = p.norm()
    const gradientNorm = g.norm()
    const size = gradientNorm.plus(parameterNorm.times(ownWeightDecay)).plus(epsilon)
    const both = parameterNorm.isGreaterThan(0).and(gradientNorm.isGreaterThan(0))
    const ratio = where(both, parameterNorm.times(trustCoefficient).over(size), 1)
    const adapts = options.alwaysAdapt || !disabled('weightDecay')
    const trust = !adapts ? ratio.lifted(1) : options.trustClip ? ratio.over(learningRate).minimum(1) : ratio
    const u = g.plus(p.times(ownWeightDecay)).times(trust)
    if (disabled('momentum')) return { direction: u }
    const b = where(t.equals(1), u, state.b.times(momentum).plus(u.times(dampening.negated().plus(1))))
    return { direction: options.nesterov ? u.plus(b.times(momentum)) : b, state: { b } }
  },
})
