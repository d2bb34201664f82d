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
import { copyOfParameter, zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { orthogonalTo } from '../parts/orthogonal-to.ts'
import { clippedByUnit, unitNorm } from '../parts/unit-norm.ts'
import { warmedUp } from '../parts/warmed-up.ts'

/**
 * Ranger25: ADOPT and AdEMAMix together, with orthogonal gradients, adaptive gradient clipping, cautious masking, the step size of
 * StableAdamW and Lookahead.
 *
 * ```text
 * g ← g - θ ⟨θ, g⟩ / ⟨θ, θ⟩, at the norm of g                 orthogonal
 * θ ← (1 - η λ) θ
 * g ← g min(1, 0.01 max(‖θ‖ᵤ, 1e-3) / ‖g‖ᵤ)                  ‖·‖ᵤ: over the inputs of each output, over the whole of a vector
 * u ← g / max(√v, ε), at most ⁴√t in size                     v before the step
 * m ← β1 m + (1 - β1) u,   s ← β3 s + (1 - β3) u
 * v ← β2 v + (1 - β2) g²
 * m̂ ← m where m g > 0, else 0, times size / (agreeing + 1)    cautious
 * ρ ← max(1, √(mean of g² / max(v, ε²)))                      stable; else 1
 * θ ← θ - η / (ρ (1 - β1ᵗ)) (m̂ + α s) / (√(v / (1 - β2ᵗ)) + ε)
 * every k steps:  φ ← φ + a (θ - φ),  θ ← φ
 * ```
 *
 * Defaults of the library: η 1e-3, β (0.9, 0.98, 0.9999), α 5, ε 1e-8, λ 1e-3, k (`lookaheadPeriod`) 5, a (`lookaheadAlpha`) 0.5;
 * `orthogonal`, `cautious` and `stable` are on. With `warmupSteps` above 0 α grows and β3 lengthens over so many steps, as in
 * {@link adEMAMix}. State: `m`, `s` (slow), `v` and `slow` (φ), shaped like the parameter.
 *
 * There is no paper: the idea and this order are those of pytorch_optimizer. It divides by √v twice, so where gradients are small its
 * first steps are long, of the size η / |g|. There the step of a tensor is divided by ρ of all tensors
 * before it too, and a tensor of one element, which has no orthogonal direction, is given what rounding leaves. Both are left
 * out, and so is arc tangent in the place of ε.
 *
 * Kim 2025, Ranger25, https://github.com/kozistr/pytorch_optimizer.
 */
export const ranger25 = defineOptimizer({
  name: 'ranger25',
  title: 'Ranger25',
  family: 'adaptive',
  paper: { title: 'Ranger25', authors: 'Kim', year: 2025, url: 'https://github.com/kozistr/pytorch_optimizer' },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.98),
    beta3: decayRate(0.9999),
    alpha: nonNegative(5),
    warmupSteps: nonNegative(0),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(1e-3),
    lookaheadPeriod: stepCount(5),
    lookaheadAlpha: fraction(0.5),
  },
  options: { orthogonal: true, cautious: true, stable: true },
  state: { m: zeros(), s: zeros(), v: zeros(), slow: copyOfParameter() },
  decay: 'own',
  search: { learningRate: logUniform(1e-4, 3e-2), alpha: oneOf(2, 5, 8) },
  largestGradient: largestSquared,
  rule({ p, g: given, t, state, hyper, options, shape, every, disabled, ownWeightDecay }) {
    const { learningRate, beta1, beta2, epsilon } = hyper
    const shrunk = p.times(learningRate.times(ownWeightDecay).negated().plus(1))
    const direct = options.orthogonal ? orthogonalTo(p, given, shape) : given
    const g = clippedByUnit(direct, unitNorm(shrunk, shape).maximum(1e-3).times(0.01), shape)
    const limit = t.power(0.25)
    const u = g.over(state.v.sqrt().maximum(epsilon)).minimum(limit).maximum(limit.negated())
    const m = ema(state.m, u, beta1)
    const warming = !disabled('warmupSteps')
    const alpha = warming ? hyper.alpha.times(t.over(hyper.warmupSteps).minimum(1)) : hyper.alpha
    const s = ema(state.s, u, warming ? warmedUp(beta1, hyper.beta3, t, hyper.warmupSteps) : hyper.beta3)
    const v = emaOfSquare(state.v, g, beta2)
    const agrees = m.sign().times(g).isGreaterThan(0)
    const share = where(agrees, 1, 0).sum().plus(1).over(Math.max(1, shape.size))
    const masked = options.cautious ? where(agrees, m, 0).over(share) : m
    const ratio = options.stable ? g.over(v.sqrt().maximum(epsilon)).square().mean().sqrt().maximum(1) : t.lifted(1)
    const root = v.sqrt().over(biasCorrection(beta2, t).sqrt()).plus(epsilon)
    const synchronizes = every(hyper.lookaheadPeriod, () => true, false)
    return {
      direction: masked
        .plus(s.times(alpha))
        .over(root)
        .over(ratio.times(biasCorrection(beta1, t))),
      state: { m, s, v },
      apply(direction, project) {
        const fast = project(shrunk.minus(direction.times(learningRate)))
        if (!synchronizes) return { parameter: fast }
        const slow = ema(fast, state.slow, hyper.lookaheadAlpha)
        return { parameter: slow, state: { slow } }
      },
    }
  },
})
