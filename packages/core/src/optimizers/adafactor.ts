import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive, smallDivisor } from '../language/hyperparameters.ts'
import { columns, rows, type SlotFacts, zeros } from '../language/slots.ts'
import { biasCorrection, ema, type Value, where } from '../language/value.ts'

/**
 * Adafactor: squared gradients of a matrix kept as one average per row and one per column.
 *
 * ```text
 * β2ₜ ← 1 - t^-c
 * r   ← β2ₜ r + (1 - β2ₜ) mean over columns(g² + ε1)         one number per row
 * k   ← β2ₜ k + (1 - β2ₜ) mean over rows(g² + ε1)            one number per column
 * u   ← g / √(r / mean(r)) / √k                              not a matrix: v as in Adam, u ← g / √v
 * u   ← u / max(1, RMS(u) / d)                               update clipping
 * α   ← η ρₜ max(ε2, RMS(θ)),   ρₜ = min(0.01, 1 / √t)       relative step and parameter scale
 * θ   ← θ - α u                                              with β1 above 0: m ← β1 m + (1 - β1) α u;  θ ← θ - m
 * ```
 *
 * Defaults: ε1 1e-30, ε2 1e-3, clipping threshold d 1 (0 is off), decay exponent c 0.8, β1 0 (off), λ 0. The learning rate
 * η multiplies the relative step and is 1; with `relativeStep: false` there is no ρₜ and η itself is the step size, so give
 * one. `scaleParameter: false` leaves out RMS(θ). `secondMomentDecay: 'adam'` takes β2 (1 - β2^(t-1)) / (1 - β2^t) with
 * `beta2` instead of the power of t. State: rows and columns of matrices (`factored`), else `v`; `m` only with β1.
 *
 * `form: 'original'` (default) is the authors' tensor2tensor code: only tensors of exactly two dimensions are factored,
 * and without parameter scale ρₜ is 20 times smaller. `form: 'transformers'` is Hugging Face's: everything from two
 * dimensions up is factored over its last two, ρₜ is not made smaller, and `warmupInitialization` takes
 * ρₜ = min(1e-6 t, 1 / √t). Weight decay (θ ← (1 - α λ) θ) is theirs. The authors add 1e-30 times the mean of g² to β2ₜ and
 * α to steer a compiler; it changes nothing in float64 and is left out. Float32 sees gradients of at
 * most 1e15. At a learning rate of exactly 0 θ stands still even
 * with β1, where both would go on with m.
 *
 * AdaLomo (Lv, Yan, Guo, Lv, Qiu 2023, arXiv 2310.10195) is this rule without m during the backward pass: `relativeStep: false`, with a
 * learning rate such as 5e-4. It replays the trajectories of its authors' code.
 *
 * Shazeer, Stern 2018, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, arXiv 1804.04235.
 */
export const adafactor = defineOptimizer({
  name: 'adafactor',
  title: 'Adafactor',
  family: 'adaptive',
  paper: {
    title: 'Adafactor: Adaptive Learning Rates with Sublinear Memory Cost',
    authors: 'Shazeer, Stern',
    year: 2018,
    arxiv: '1804.04235',
  },
  hyper: {
    learningRate: nonNegative(1),
    beta1: decayRate(0),
    beta2: decayRate(0.999),
    decayExponent: positive(0.8),
    epsilon1: smallDivisor(1e-30),
    epsilon2: smallDivisor(1e-3),
    clippingThreshold: nonNegative(1),
    weightDecay: nonNegative(0),
  },
  options: {
    form: 'original' as 'original' | 'transformers',
    factored: true,
    relativeStep: true,
    scaleParameter: true,
    warmupInitialization: false,
    secondMomentDecay: 'power' as 'power' | 'adam',
  },
  choices: { form: ['original', 'transformers'], secondMomentDecay: ['power', 'adam'] },
  state: {
    r: rows({ when: isFactored }),
    k: columns({ when: isFactored }),
    v: zeros({ when: (facts) => !isFactored(facts) }),
    m: zeros({ when: ({ disabled }) => !disabled('beta1') }),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(0.1, 30), decayExponent: oneOf(0.5, 0.8) },
  largestGradient: 1e15,
  rule({ p, g, t, state, hyper, options, shape, disabled }) {
    const { beta1, epsilon1, epsilon2, clippingThreshold } = hyper
    const beta2 = options.secondMomentDecay === 'adam' ? adamDecay(hyper.beta2, t) : powerDecay(hyper.decayExponent, t)
    const square = g.square().plus(epsilon1)
    const factored = isFactored({ shape, options })
    const averages: { r?: Value; k?: Value; v?: Value } = {}
    let u: Value
    if (factored) {
      const r = ema(state.r, square.mean('columns'), beta2)
      const k = ema(state.k, square.mean('rows'), beta2)
      u = g.times(r.over(r.mean('rows')).reciprocalSqrt()).times(k.reciprocalSqrt())
      Object.assign(averages, { r, k })
    } else {
      const v = ema(state.v, square, beta2)
      u = g.times(v.reciprocalSqrt())
      Object.assign(averages, { v })
    }
    if (!disabled('clippingThreshold')) u = u.over(rootMeanSquare(u).over(clippingThreshold).maximum(1))
    const relative = options.relativeStep ? hyper.learningRate.times(relativeStep(t, options)) : hyper.learningRate
    const learningRate = options.scaleParameter ? relative.times(rootMeanSquare(p).maximum(epsilon2)) : relative
    if (disabled('beta1')) return { direction: u, learningRate, state: averages }
    const m = ema(state.m, u.times(learningRate), beta1)
    const direction = where(learningRate.isGreaterThan(0), m.over(learningRate), 0)
    return { direction, learningRate, state: { ...averages, m } }
  },
})

type Options = SlotFacts['options']

function isFactored({ shape, options }: Pick<SlotFacts, 'shape' | 'options'>): boolean {
  return options.factored === true && (options.form === 'transformers' ? shape.rank >= 2 : shape.rank === 2)
}

function powerDecay(exponent: Value, t: Value): Value {
  return t.power(exponent.negated()).negated().plus(1)
}

function adamDecay(beta2: Value, t: Value): Value {
  return beta2.times(biasCorrection(beta2, t.minus(1))).over(biasCorrection(beta2, t))
}

function relativeStep(t: Value, options: Options): Value {
  const limit = options.form === 'transformers' && options.warmupInitialization ? t.times(1e-6) : 0.01
  const step = t.reciprocalSqrt().minimum(limit)
  return options.form === 'original' && !options.scaleParameter ? step.times(0.05) : step
}

function rootMeanSquare(x: Value): Value {
  return x.square().mean().sqrt()
}
