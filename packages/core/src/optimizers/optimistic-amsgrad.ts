import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { ema, type Value, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { combine, gram } from '../parts/products.ts'
import { queueOfGradients } from '../parts/queue.ts'
import { solveForOnes } from '../parts/without-conflict.ts'

/** The most past gradients. */
const most = 16

/** How many past gradients are kept. */
const pastOf = (options: Readonly<Record<string, unknown>>): number =>
  options.prediction === 'extrapolated' ? Number(options.pastGradients) : 0

const queue = queueOfGradients(most, pastOf)

/**
 * Optimistic AMSGrad: takes the next step before its gradient is known, with a guess of it, and takes that step back when
 * the gradient has come.
 *
 * ```text
 * v ← β2 v + (1 - β2) (g - guess)²
 * w ← max(w, v)
 * h ← β1 m + (1 - β1) g                     m after the step
 * θ ← θ + a - η h / (√w + ε)                a is the optimistic step before
 * guess ← g
 * a ← η (β1 m + (1 - β1) guess) / (√w + ε)  m before the step
 * θ ← θ - a
 * m ← h
 *
 * with `prediction: 'extrapolated'`, from step r + 1 on, x₀ ... xᵣ the last r + 1 gradients, the newest last:
 *   U ← (x₁ - x₀, ..., xᵣ - xᵣ₋₁);  z ← (UᵀU + λ I)⁻¹ 1
 *   guess ← Σ zᵢ xᵢ / Σ zᵢ,  i = 0 ... r - 1
 * ```
 *
 * Defaults: η 1e-3, β (0.9, 0.999), ε 1e-8 (the paper starts v at ε), weight decay 0 and decoupled; r (`pastGradients`) 5 as in
 * its experiments, at most 16; λ (`ridge`) 1e-8, ours.
 * State: `m`, `v`, `vMaximum`, `guess` and the optimistic step `ahead`, shaped like the parameter, and, when
 * extrapolating, the r gradients `g1` to `gr`.
 *
 * The guess of the next gradient is the last gradient, the choice of optimistic online learning, or the paper's extrapolation
 * from r past gradients, with products over all tensors. No bias correction, as in the paper.
 *
 * Wang, Li, Karimi, Li 2019, An Optimistic Acceleration of AMSGrad for Nonconvex Optimization, arXiv 1903.01435.
 */
export const optimisticAMSGrad = defineOptimizer({
  name: 'optimisticAMSGrad',
  title: 'Optimistic AMSGrad',
  family: 'adaptive',
  paper: {
    title: 'An Optimistic Acceleration of AMSGrad for Nonconvex Optimization',
    authors: 'Wang, Li, Karimi, Li',
    year: 2019,
    arxiv: '1903.01435',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
    ridge: positive(1e-8),
  },
  options: { prediction: 'last' as 'last' | 'extrapolated', pastGradients: 5 },
  limits: { pastGradients: [1, most] },
  choices: { prediction: ['last', 'extrapolated'] },
  state: {
    ...queue.slots,
    m: zeros(),
    v: zeros(),
    vMaximum: zeros(),
    guess: zeros(),
    ahead: zeros(),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 3e-2), beta2: oneOf(0.99, 0.999) },
  largestGradient: largestSquared,
  rule({ g, state, hyper, options, firstSteps }) {
    const { learningRate, beta1, beta2, epsilon } = hyper
    const past = pastOf(options)
    const slots = state as Record<'m' | 'v' | 'vMaximum' | 'guess' | 'ahead', Value> & Record<string, Value>
    const v = emaOfSquare(slots.v, g.minus(slots.guess), beta2)
    const vMaximum = slots.vMaximum.maximum(v)
    const root = vMaximum.sqrt().plus(epsilon)
    const m = ema(slots.m, g, beta1)
    const newestFirst = queue.read(g, state)
    const guess = past > 0 ? firstSteps(past, () => g, extrapolate([...newestFirst].reverse(), hyper.ridge)) : g
    const ahead = ema(slots.m, guess, beta1).over(root)
    const back = slots.ahead.times(where(learningRate.isGreaterThan(0), learningRate.power(-1), 0))
    return {
      direction: m.over(root).plus(ahead).minus(back),
      state: { ...queue.shifted(newestFirst), m, v, vMaximum, guess, ahead: ahead.times(learningRate) },
    }
  },
})

/** The combination of all but the last whose differences, combined alike, nearly vanish. */
function extrapolate(gradients: readonly Value[], ridge: Value): Value {
  const differences = gradients.slice(1).map((gradient, i) => gradient.minus(gradients[i]!))
  const products = gram(differences).map((row, i) => row.map((value, j) => (i === j ? value.plus(ridge) : value)))
  // Dividing all products by one number leaves the weights alone, and lets the elimination tell small from large.
  const trace = products.map((row, i) => row[i]!).reduce((sum, value) => sum.plus(value))
  const weights = solveForOnes(products.map((row) => row.map((value) => value.over(trace))))
  const sum = weights.reduce((total, weight) => total.plus(weight))
  return combine(
    gradients.slice(0, -1),
    weights.map((weight) => weight.over(sum)),
  )
}
