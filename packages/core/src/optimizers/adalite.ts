import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive, smallDivisor } from '../language/hyperparameters.ts'
import { perInput, perOutput, scalar, zeros } from '../language/slots.ts'
import { biasCorrection, ema, type Value, where } from '../language/value.ts'
import { largestSquared } from '../parts/ema-of-square.ts'

/**
 * Adalite: Adam-like steps on gradients as long as their tensor, with both moments of a matrix kept as an outer product.
 *
 * ```text
 * g ← g max(‖θ‖ / max(‖g‖, 1e-10), 1e-4)                    not for a single number
 * m ← c u rᵀ,  v ← s qᵀ / Σ s                               as they are kept, for matrices
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) (g - m)²
 * m ← m + (1 - softmax(v̄_outputs) softmax(v̄_inputs)ᵀ) (g - m)     v̄: means of v per output and per input; matrices only
 * θ ← θ - η ((m + (1 - β1) (g - m)) / √(v / (1 - β2ᵗ) + ε) + λ θ)
 * s ← Σ v per output,  q ← Σ v per input / Σ v
 * c ← m softmax(v̄_inputs / τ),  r ← mᵀ softmax(v̄_outputs / τ),  u ← cᵀ m r / (‖c‖² ‖r‖²)
 * ```
 *
 * Defaults of the code: η 1e-3, β (0.9, 0.999), ε 1e-6, τ 1, λ 0.01 inside the step. State: `m` and `v` for vectors and numbers; for
 * what has outputs and inputs one number per output, `c` and `s`, one per input, `r` and `q`, and `u`.
 *
 * There is no paper. This is the code as pytorch_optimizer has it, in which the sum over v divides twice; kernels, which it refuses,
 * are seen as outputs and inputs.
 *
 * euclaise 2023, Adalite, https://github.com/euclaise/supertrainer2000.
 */
export const adalite = defineOptimizer({
  name: 'adalite',
  title: 'Adalite',
  family: 'layerwise',
  paper: { title: 'Adalite', authors: 'euclaise', year: 2023, url: 'https://github.com/euclaise/supertrainer2000' },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-6),
    temperature: positive(1),
    weightDecay: nonNegative(0.01),
  },
  state: {
    m: zeros({ when: ({ shape }) => shape.rank < 2 }),
    v: zeros({ when: ({ shape }) => shape.rank < 2 }),
    c: perOutput({ when: ({ shape }) => shape.rank > 1 }),
    r: perInput({ when: ({ shape }) => shape.rank > 1 }),
    u: scalar(0, { when: ({ shape }) => shape.rank > 1 }),
    s: perOutput({ when: ({ shape }) => shape.rank > 1 }),
    q: perInput({ when: ({ shape }) => shape.rank > 1 }),
  },
  decay: 'own',
  search: { learningRate: logUniform(1e-4, 1e-1), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule({ p, g: given, t, state, hyper, shape, ownWeightDecay }) {
    const { beta1, beta2, epsilon, temperature } = hyper
    const number = shape.shape.reduce((sum, size) => sum + size, 0) <= 1
    const trust = p.norm().over(given.norm().maximum(1e-10)).maximum(1e-4)
    const g = (number ? given : given.times(trust)).as(shape.matrix)
    const moments = (oldM: Value, oldV: Value) => {
      const m = ema(oldM, g, beta1)
      return { m, v: ema(oldV, g.minus(m).square().limited(), beta2).limited() }
    }
    const stepOf = (m: Value, v: Value) => {
      const step = ema(m, g, beta1)
        .over(v.over(biasCorrection(beta2, t)).plus(epsilon).sqrt())
        .as(p)
      return step.plus(p.times(ownWeightDecay))
    }
    if (shape.rank < 2) {
      const { m, v } = moments(state.m.as(g), state.v.as(g))
      return { direction: stepOf(m, v), state: { m: m.as(p), v: v.as(p) } }
    }
    const outer = state.c.times(state.u).times(state.r)
    const { m: average, v } = moments(outer, state.s.times(state.q).over(state.s.sum().maximum(1e-10)))
    const [perOutput, perInput] = [v.mean('inputs').limited(), v.mean('outputs').limited()]
    const m = ema(average, g, softmax(perOutput).times(softmax(perInput)))
    const sum = perOutput.sum().times(shape.inputs)
    const c = m.times(softmax(perInput.over(temperature))).sum('inputs')
    const r = m.times(softmax(perOutput.over(temperature))).sum('outputs')
    const lengths = c.norm().times(r.norm())
    const direction = (x: Value) => where(x.norm().isGreaterThan(0), x.over(x.norm()), 0)
    const along = m.times(direction(c)).times(direction(r)).sum()
    return {
      direction: stepOf(m, v),
      state: {
        c,
        r,
        // cᵀ m r / max(‖c‖² ‖r‖², 1e-10), whose products float32 could not hold.
        u: where(lengths.isGreaterThan(0), along.over(lengths.maximum(lengths.power(-1).times(1e-10))), 0),
        s: perOutput.times(shape.inputs),
        q: perInput.times(shape.outputs).over(sum.maximum(1e-10)),
      },
    }
  },
})

function softmax(x: Value): Value {
  const powers = x.minus(x.largest()).exp()
  return powers.over(powers.sum())
}
