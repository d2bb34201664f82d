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
import { biasCorrection, ema, type Value, where } from '../language/value.ts'
import { centralized } from '../parts/centralized.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { positiveNegative } from '../parts/positive-negative.ts'
import { clippedByUnit, unitNorm } from '../parts/unit-norm.ts'

/** Averages of squares below are those of gradients that float32 cannot square. */
const smallest = 1e-37

/**
 * Ranger21: AdaPNM (positive-negative momentum) with nine further ideas: adaptive gradient clipping, centralized gradients,
 * normalized gradients, softplus of the denominator, stable weight decay, norm loss, Lookahead, a linear warm-up, and a warm-down
 * at the end. MADGRAD can take the place of the core; the {@link chebyshev} steps that the code offers too are a schedule.
 *
 * ```text
 * ‖·‖ᵤ: over the inputs of each output, by the layout; over the whole of a vector
 * g ← g min(1, clipping max(‖θ‖ᵤ, clippingEpsilon) / ‖g‖ᵤ)
 * g ← g - mean of g over the inputs of each output              two or more dimensions
 * g ← g / (standard deviation of g + 1e-8)                      more than two elements
 * mₜ ← β1² mₜ₋₂ + (1 - β1²) g
 * v ← β2 v + (1 - β2) g²,   v̂ ← max(v̂, v),   σ ← √(mean of v / (1 - β2ᵗ)) over all tensors
 * θ ← (1 - η λ / σ) θ
 * θ ← (1 - 2 η normLoss (1 - 1 / (‖θ‖ᵤ + ε))) θ
 * θ ← θ - η (2 mₜ - mₜ₋₁) / √((1 + β2)² + β2²) / (1 - β1ᵗ) / softplus(√v̂ / √(1 - β2ᵗ) + ε)
 * every k steps:  φ ← φ + α (θ - φ),  θ ← φ
 *
 * totalSteps T above 0:
 * W = ⌈2 / (1 - β2)⌉, but ⌊0.22 T⌋ where that is above 0.45 T;   S = ⌊warmdownStart T⌋
 * η ← η min(1, t / W)                                              t < S
 * η ← η - (η - finalRate) min(1, (t + 1 - S) / (T - S + 1))        from S on
 *
 * core 'madgrad':  c = η √t,  σ ← ∛(mean of v / (1 - β2ᵗ)),  decay by 1 - c λ / σ, and in the place of the step
 * s ← s + c g,  w ← w + c g²
 * θ ← μ θ + (1 - μ) (θ₀ - s / softplus(∛w))
 * ```
 *
 * Defaults of the official code: β (0.9, 0.999), ε 1e-8, λ 1e-4, clipping 0.01, clippingEpsilon 1e-3, softplus 50, normLoss
 * 1e-4, warmdownStart 0.72, finalRate 3e-5, k (`lookaheadPeriod`) 5, α (`lookaheadAlpha`) 0.5, μ (`momentum`, of MADGRAD only) 0.9; its η is required, 1e-3 here.
 * `clipping`, `softplus` and `normLoss` 0 are off. State: `odd`, `even` (the averages of every second gradient), `v`,
 * `vMaximum` (v̂) with `amsgrad` and `slow` (φ), shaped like the parameter; with the core of MADGRAD `s`, `w`, `start` (θ₀, after
 * the first decay), `v` and `slow`.
 *
 * What the official code means is here, not what it does: it decays and applies the norm loss to the last tensor only,
 * and never updates v̂. It also normalizes the gradients of mₜ a second time, which makes them larger by the fraction 1e-8 over
 * the standard deviation before normalization: nothing for gradients of usual size, 1e-5 where clipping leaves a deviation of
 * 1e-3, and half of them or more below 1e-8. Its AdaBelief is not here: it computes a variance that nothing reads, and goes
 * uphill in every second step. The official code must know the length of the run; here `totalSteps` 0 (default) leaves warm-up and
 * warm-down to a schedule. `warmupSteps` above 0 is W. As there the noise is scaled with β2.
 *
 * Wright, Demeure 2021, Ranger21: a synergistic deep learning optimizer, arXiv 2106.13731.
 */
export const ranger21 = defineOptimizer({
  name: 'ranger21',
  title: 'Ranger21',
  family: 'adaptive',
  paper: {
    title: 'Ranger21: a synergistic deep learning optimizer',
    authors: 'Wright, Demeure',
    year: 2021,
    arxiv: '2106.13731',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(1e-4),
    clipping: nonNegative(0.01),
    clippingEpsilon: smallDivisor(1e-3),
    softplus: nonNegative(50),
    normLoss: nonNegative(1e-4),
    lookaheadPeriod: stepCount(5),
    lookaheadAlpha: fraction(0.5),
    momentum: decayRate(0.9),
    totalSteps: nonNegative(0),
    warmupSteps: nonNegative(0),
    warmdownStart: fraction(0.72),
    finalRate: nonNegative(3e-5),
  },
  options: { core: 'pnm' as 'pnm' | 'madgrad', centralize: true, normalize: true, amsgrad: true },
  choices: { core: ['pnm', 'madgrad'] },
  state: {
    odd: zeros({ when: ({ options }) => options.core === 'pnm' }),
    even: zeros({ when: ({ options }) => options.core === 'pnm' }),
    s: zeros({ when: ({ options }) => options.core === 'madgrad' }),
    w: zeros({ when: ({ options }) => options.core === 'madgrad' }),
    start: zeros({ when: ({ options }) => options.core === 'madgrad' }),
    v: zeros(),
    vMaximum: zeros({ when: ({ options }) => options.core === 'pnm' && options.amsgrad === true }),
    slow: copyOfParameter(),
  },
  decay: 'own',
  search: { learningRate: logUniform(1e-4, 3e-2), weightDecay: oneOf(0, 1e-4, 1e-3) },
  largestGradient: largestSquared,
  rule({ p, g: gradient, t, step, state, hyper, options, shape, every, disabled, ownWeightDecay }) {
    const { beta1, beta2, epsilon, clipping, clippingEpsilon, softplus, normLoss } = hyper
    const learningRate = disabled('totalSteps')
      ? hyper.learningRate
      : warmedUpAndDown(hyper, step, disabled('warmupSteps'))
    const pNorm = unitNorm(p, shape)
    const clipped = disabled('clipping')
      ? gradient
      : clippedByUnit(gradient, pNorm.maximum(clippingEpsilon).times(clipping), shape)
    const centered = options.centralize ? centralized(clipped, shape) : clipped
    const g = options.normalize && shape.size > 2 ? centered.over(deviation(centered, shape.size).plus(1e-8)) : centered

    const v = emaOfSquare(state.v, g, beta2)
    const correction = biasCorrection(beta2, t)
    const madgrad = options.core === 'madgrad'
    const weight = madgrad ? learningRate.times(t.sqrt()) : learningRate
    const mean = v.over(correction).mean('all')
    const stable = where(
      mean.isGreaterThan(smallest),
      ownWeightDecay.over(madgrad ? mean.power(1 / 3) : mean.sqrt()),
      0,
    )
    const decayed = stable.times(weight).negated().plus(1)
    const pull = p.lifted(1).minus(p.lifted(1).over(pNorm.times(decayed.abs()).plus(epsilon)))
    const kept = pull.times(normLoss.times(learningRate).times(-2)).plus(1).times(decayed)
    const smooth = (root: Value) => (disabled('softplus') ? root : root.times(softplus).softplus().over(softplus))
    const synchronizes = every(hyper.lookaheadPeriod, () => true, false)
    /** The new parameter from the decayed one and the one that the step leads to. */
    const finish = (moved: (shrunk: Value) => Value) => {
      const fast = moved(p.as(shape.matrix).times(kept).as(p))
      if (!synchronizes) return { parameter: fast }
      const slow = ema(state.slow, fast, hyper.lookaheadAlpha.negated().plus(1))
      return { parameter: slow, state: { slow } }
    }

    if (madgrad) {
      const s = state.s.plus(g.times(weight))
      const w = state.w.plus(g.times(weight.sqrt()).square()).limited()
      const root = smooth(w.power(1 / 3))
      const start = where(t.equals(1), p.as(shape.matrix).times(kept).as(p), state.start)
      return {
        direction: where(root.isGreaterThan(0), s.over(root), 0),
        state: { s, w, v, start },
        apply: (direction, project) => finish((shrunk) => project(ema(shrunk, start.minus(direction), hyper.momentum))),
      }
    }
    const vMaximum = options.amsgrad ? state.vMaximum.maximum(v) : v
    const denominator = smooth(vMaximum.sqrt().over(correction.sqrt()).plus(epsilon))
    const { momentum, state: averages } = positiveNegative({
      g,
      hyper: { beta0: beta1.lifted(1), beta1 },
      state,
      every,
    })
    const noise = beta2.plus(1).square().plus(beta2.square()).over(5).sqrt()
    return {
      direction: momentum.over(noise.times(biasCorrection(beta1, t))).over(denominator),
      state: { ...averages, v, ...(options.amsgrad ? { vMaximum } : {}) },
      apply: (direction, project) => finish((shrunk) => project(shrunk.minus(direction.times(learningRate)))),
    }
  },
})

type Length = Readonly<
  Record<'learningRate' | 'beta2' | 'totalSteps' | 'warmupSteps' | 'warmdownStart' | 'finalRate', Value>
>

/** The rate of a run whose length is known. */
function warmedUpAndDown(
  { learningRate, beta2, totalSteps, warmupSteps, warmdownStart, finalRate }: Length,
  step: Value,
  automatic: boolean,
): Value {
  const untuned = beta2.minus(1).power(-1).times(2).floor().negated()
  const shortened = () => where(untuned.isGreaterThan(totalSteps.times(0.45)), totalSteps.times(0.22).floor(), untuned)
  const warmup = automatic ? shortened() : warmupSteps
  const start = totalSteps.times(warmdownStart).floor()
  const progress = step.plus(1).minus(start).over(totalSteps.minus(start).plus(1)).minimum(1)
  const down = learningRate.minus(learningRate.minus(finalRate).times(progress))
  return where(step.isAtLeast(start), down, learningRate.times(step.over(warmup.maximum(1)).minimum(1)))
}

/** The standard deviation over the tensor, of a sample. */
function deviation(g: Value, size: number): Value {
  const sum = g.sum()
  return g
    .square()
    .sum()
    .minus(sum.square().over(size))
    .over(size - 1)
    .maximum(0)
    .sqrt()
}
