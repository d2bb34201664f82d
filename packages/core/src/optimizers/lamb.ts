import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { whereAgreeing } from '../parts/where-agreeing.ts'

/**
 * LAMB: Adam whose step in every tensor is as long as the tensor itself, for very large batches.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * u ← m / (√v + ε) + λ θ
 * θ ← θ - η φ(‖θ‖) / ‖u‖ u                 norms over the tensor; the ratio is 1 where either norm is 0
 * ```
 *
 * `form: 'paper'` (default) is the authors' later version as in cybertronai/pytorch-lamb: no bias correction, and φ clamps
 * to at most `maximumParameterNorm` (10). `form: 'nvidia'` is FusedLAMB as restated in timm: φ is the identity; `g` is first
 * scaled down to `maximumGradientNorm` (1) over all tensors (0 is off); m and v are bias-corrected unless `biasCorrection`
 * is false; the ratio is 1 for tensors without weight decay unless `alwaysAdapt`; `trustClip` keeps it at most 1;
 * `gradientAveraging: false` leaves the factor (1 - β1) out of m; `cautious` masks u before decay where it disagrees with g
 * (the transform of that name masks after the ratio). These settings have no effect on the paper's form.
 *
 * Defaults: η 1e-3, β (0.9, 0.999), ε 1e-6 and λ 0.01 (timm; cybertronai has λ 0). `adam: true` sets every ratio to 1,
 * for comparison. State: `m` and `v`, shaped like the parameter.
 *
 * Decay is the rule's own, inside the ratio. With `decay: 'decoupled'` it is outside (timm's `decoupled_decay`), and the
 * ratio takes ‖θ‖ after it.
 *
 * You, Li, Reddi, Hseu, Kumar, Bhojanapalli, Song, Demmel, Keutzer, Hsieh 2019, Large Batch Optimization for Deep Learning:
 * Training BERT in 76 minutes, arXiv 1904.00962.
 */
export const lamb = defineOptimizer({
  name: 'lamb',
  title: 'LAMB',
  family: 'layerwise',
  paper: {
    title: 'Large Batch Optimization for Deep Learning: Training BERT in 76 minutes',
    authors: 'You, Li, Reddi, Hseu, Kumar, Bhojanapalli, Song, Demmel, Keutzer, Hsieh',
    year: 2019,
    arxiv: '1904.00962',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-6),
    weightDecay: nonNegative(0.01),
    maximumParameterNorm: positive(10),
    maximumGradientNorm: nonNegative(1),
  },
  options: {
    form: 'paper' as 'paper' | 'nvidia',
    adam: false,
    biasCorrection: true,
    gradientAveraging: true,
    trustClip: false,
    alwaysAdapt: false,
    cautious: false,
  },
  choices: { form: ['paper', 'nvidia'] },
  state: { m: zeros(), v: zeros() },
  decay: 'own',
  search: { learningRate: logUniform(3e-4, 1e-1), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule({ p, g: gradient, t, state, hyper, options, decay, disabled, ownWeightDecay }) {
    const { beta1, beta2, epsilon, maximumGradientNorm, maximumParameterNorm } = hyper
    const nvidia = options.form === 'nvidia'
    const corrects = nvidia && options.biasCorrection
    const clips = nvidia && !disabled('maximumGradientNorm')
    const g = clips ? gradient.over(gradient.norm('all').over(maximumGradientNorm).maximum(1)) : gradient
    const m = nvidia && !options.gradientAveraging ? state.m.times(beta1).plus(g) : ema(state.m, g, beta1)
    const v = emaOfSquare(state.v, g, beta2)
    const mHat = corrects ? m.over(biasCorrection(beta1, t)) : m
    const root = corrects ? v.sqrt().over(biasCorrection(beta2, t).sqrt()) : v.sqrt()
    const step = mHat.over(root.plus(epsilon))
    const update = (nvidia && options.cautious ? whereAgreeing(step, step, g) : step).plus(p.times(ownWeightDecay))
    const adapts = !options.adam && (!nvidia || options.alwaysAdapt || !disabled('weightDecay'))
    if (!adapts) return { direction: update, state: { m, v } }
    const shrinks = decay === 'decoupled' && !disabled('weightDecay')
    const kept = shrinks ? hyper.learningRate.times(hyper.weightDecay).negated().plus(1).abs() : 1
    const parameterNorm = p.norm().times(kept)
    const updateNorm = update.norm()
    const reach = nvidia ? parameterNorm : parameterNorm.minimum(maximumParameterNorm)
    const both = parameterNorm.isGreaterThan(0).and(updateNorm.isGreaterThan(0))
    const ratio = where(both, reach.over(updateNorm), 1)
    const trust = nvidia && options.trustClip ? ratio.minimum(1) : ratio
    return { direction: update.times(trust), state: { m, v } }
  },
})
