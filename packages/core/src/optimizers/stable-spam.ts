import { defineOptimizer } from '../language/definition.ts'
import {
  decayRate,
  fraction,
  logUniform,
  nonNegative,
  oneOf,
  smallDivisor,
  stepCount,
} from '../language/hyperparameters.ts'
import { scalar, zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { cosineDecay } from '../parts/cosine-decay.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { stabilized } from '../parts/stabilized.ts'

/**
 * Stable-SPAM: Adam on gradients whose spikes are clipped and whose norm is normalized, with moments that are forgotten at
 * regular intervals.
 *
 * ```text
 * s ← s + 1
 * M ← γ3 M + (1 - γ3) max|g|;   M̂ = M / (1 - γ3ˢ);   g ← g M̂ / max|g|  where |g| > M̂
 * n ← γ1 n + (1 - γ1) ‖g‖;      q ← γ2 q + (1 - γ2) ‖g‖²
 * g ← g / ‖g‖ (n / (1 - γ1ˢ)) / (√(q / (1 - γ2ˢ)) + ε)
 * s ← 1                          when t is a multiple of resetPeriod
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * θ ← (1 - η λ) θ - η (m / (1 - β1ˢ)) / (√(v / (1 - β2ˢ)) + ε)
 * m, v ← 0                       when s = 1, after the step
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.9, 0.999), γ (0.7, 0.9, 0.999) as `normDecay`, `squaredNormDecay` and
 * `maximumDecay`, ε 1e-8, λ 0, resetPeriod 1000. With `totalSteps` above 0 β1 and γ1 are multiplied by a cosine from 1 to
 * `finalScale` (0.5). State: `m` and `v`, shaped like the parameter, and the numbers M, n, q and s per tensor.
 *
 * As in the official code the step of a reset still uses the old moments, with s = 1, and the moments are 0 after it; the
 * paper resets before. There `normDecay` -1 stands for β1.
 *
 * Huang, Hu, Jaiswal, Liu, Tian, Wang, Liu 2025, Stable-SPAM: How to Train in 4-Bit More Stably than 16-Bit Adam,
 * arXiv 2502.17055.
 */
export const stableSpam = defineOptimizer({
  name: 'stableSpam',
  title: 'Stable-SPAM',
  family: 'adaptive',
  paper: {
    title: 'Stable-SPAM: How to Train in 4-Bit More Stably than 16-Bit Adam',
    authors: 'Huang, Hu, Jaiswal, Liu, Tian, Wang, Liu',
    year: 2025,
    arxiv: '2502.17055',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    normDecay: decayRate(0.7),
    squaredNormDecay: decayRate(0.9),
    maximumDecay: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
    resetPeriod: stepCount(1000),
    totalSteps: nonNegative(0),
    finalScale: fraction(0.5),
  },
  options: { amsgrad: false },
  state: {
    m: zeros(),
    v: zeros(),
    vMaximum: zeros({ when: ({ options }) => options.amsgrad === true }),
    largest: scalar(0),
    norm: scalar(0),
    squaredNorm: scalar(0),
    s: scalar(0),
    sinceReset: scalar(0),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 3e-2), resetPeriod: oneOf(500, 1000) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options, disabled }) {
    const { beta2, epsilon, totalSteps } = hyper
    const progress = t.over(totalSteps.plus(1)).minimum(1)
    const scale = disabled('totalSteps') ? 1 : cosineDecay(1, hyper.finalScale, progress)
    const beta1 = hyper.beta1.times(scale)
    const next = state.sinceReset.plus(1)
    const resets = next.isAtLeast(hyper.resetPeriod)
    const s = where(resets, 1, state.s.plus(1))
    const stable = stabilized(g, state, { ...hyper, normDecay: hyper.normDecay.times(scale) }, state.s.plus(1))
    const m = ema(state.m, stable.gradient, beta1)
    const v = emaOfSquare(state.v, stable.gradient, beta2)
    const vMaximum = options.amsgrad ? state.vMaximum.maximum(v) : v
    const root = vMaximum.sqrt().over(biasCorrection(beta2, s).sqrt())
    const kept = where(resets, 0, 1)
    return {
      direction: m.over(biasCorrection(beta1, s)).over(root.plus(epsilon)),
      state: {
        ...stable.state,
        m: m.times(kept),
        v: v.times(kept),
        ...(options.amsgrad && { vMaximum }),
        s,
        sinceReset: where(resets, 0, next),
      },
    }
  },
})
