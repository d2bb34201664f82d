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
import { biasCorrection, ema } from '../language/value.ts'
import { centralized } from '../parts/centralized.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { rectify } from '../parts/rectify.ts'

/**
 * Ranger: RAdam with centralized gradients inside Lookahead.
 *
 * ```text
 * g ← g - mean of g over the inputs of each output              two or more dimensions
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * N ≥ 5:  d ← r √(1 - β2ᵗ) / (1 - β1ᵗ) (m / (√v + ε) + λ θ)     N, r as in RAdam
 * else:   d ← 1 / (1 - β1ᵗ) (m + λ θ)
 * θ ← θ - η d
 * every k steps:  φ ← φ + α (θ - φ),  θ ← φ
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.95, 0.999), ε 1e-5, λ 0, k (`lookaheadPeriod`) 6, α (`lookaheadAlpha`) 0.5.
 * State: `m`, `v` and `slow` (φ), shaped like the parameter.
 *
 * As in the official code decay is scaled like the step. pytorch_optimizer's Ranger goes uphill while N is below 5: it
 * takes RAdam's mark of an undefined step size, -1, for a factor.
 *
 * Wright 2019, Ranger: a synergistic optimizer, https://github.com/lessw2020/Ranger-Deep-Learning-Optimizer.
 */
export const ranger = defineOptimizer({
  name: 'ranger',
  title: 'Ranger',
  family: 'adaptive',
  paper: {
    title: 'Ranger: a synergistic optimizer',
    authors: 'Wright',
    year: 2019,
    url: 'https://github.com/lessw2020/Ranger-Deep-Learning-Optimizer',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.95),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-5),
    weightDecay: nonNegative(0),
    lookaheadPeriod: stepCount(6),
    lookaheadAlpha: fraction(0.5),
  },
  options: { centralize: true },
  state: { m: zeros(), v: zeros(), slow: copyOfParameter() },
  decay: 'own',
  search: { learningRate: logUniform(1e-4, 3e-2), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule({ p, g: gradient, t, state, hyper, options, shape, every, ownWeightDecay }) {
    const { learningRate, beta1, beta2, epsilon, lookaheadPeriod, lookaheadAlpha } = hyper
    const g = options.centralize ? centralized(gradient, shape) : gradient
    const m = ema(state.m, g, beta1)
    const v = emaOfSquare(state.v, g, beta2)
    const start = biasCorrection(beta1, t).power(-1)
    const scale = rectify(start, start.lifted(1), beta2, t, start)
    const synchronizes = every(lookaheadPeriod, () => true, false)
    return {
      direction: rectify(m.times(start), v.sqrt().plus(epsilon), beta2, t, m.times(start)),
      state: { m, v },
      apply: (direction, project) => {
        const fast = project(p.minus(direction.plus(p.times(ownWeightDecay.times(scale))).times(learningRate)))
        if (!synchronizes) return { parameter: fast }
        const slow = ema(fast, state.slow, lookaheadAlpha)
        return { parameter: slow, state: { slow } }
      },
    }
  },
})
