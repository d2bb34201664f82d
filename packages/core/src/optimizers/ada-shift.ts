import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { scalar, zeros } from '../language/slots.ts'
import { biasCorrection, ema, type Value, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { queueOfGradients } from '../parts/queue.ts'

/** The longest delay. */
const longest = 32

const queue = queueOfGradients(longest, ({ delay }) => Number(delay))

/**
 * AdaShift: Adam whose average of squares takes gradients that are some steps old, so that it does not depend on those in
 * the numerator.
 *
 * ```text
 * m ← Σ β1ⁱ gₜ₋ᵢ / Σ β1ⁱ                     i = 0 ... n - 1
 * v ← β2 v + (1 - β2) φ(gₜ₋ₙ²)               φ: the maximum or mean over the tensor, or nothing
 * θ ← θ - η m / (√(v / (1 - β2ᵗ⁻ⁿ)) + ε)     from step n + 1 on
 * ```
 *
 * Defaults of the official code: η 1e-3, n (`delay`) 10, β (0.9, 0.999), ε 1e-10, φ the maximum. State: `g1` to `gn`, the
 * last gradients, shaped like the parameter, and v, one number per tensor, or shaped like the parameter with
 * `reduction: 'none'`. Every step moves the queue along: n arrays read and n written. n is at most 32.
 *
 * Where v is 0 there is no step, as in the official code, which counts the correction from the first v above 0.
 * pytorch_optimizer's queue is one step shorter.
 *
 * Zhou, Zhang, Lu, Wang, Zhang, Yu 2018, AdaShift: Decorrelation and Convergence of Adaptive Learning Rate Methods,
 * arXiv 1810.00143.
 */
export const adaShift = defineOptimizer({
  name: 'adaShift',
  title: 'AdaShift',
  family: 'adaptive',
  paper: {
    title: 'AdaShift: Decorrelation and Convergence of Adaptive Learning Rate Methods',
    authors: 'Zhou, Zhang, Lu, Wang, Zhang, Yu',
    year: 2018,
    arxiv: '1810.00143',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-10),
    weightDecay: nonNegative(0),
  },
  options: { delay: 10, reduction: 'max' as 'max' | 'mean' | 'none' },
  limits: { delay: [1, longest] },
  choices: { reduction: ['max', 'mean', 'none'] },
  state: {
    ...queue.slots,
    v: zeros({ when: ({ options }) => options.reduction === 'none' }),
    vTensor: scalar(0, { when: ({ options }) => options.reduction !== 'none' }),
  },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-4, 3e-2), beta1: oneOf(0, 0.9) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options }) {
    const { beta1, beta2, epsilon } = hyper
    const { delay, reduction } = options
    const slots = state as Record<string, Value>
    const gradients = queue.read(g, state)
    const oldest = gradients.at(-1)!

    let [sum, weights] = [g, hyper.beta1.lifted(1)]
    for (let i = 1; i < delay; i++) {
      sum = sum.plus(gradients[i]!.times(beta1.power(i)))
      weights = weights.plus(beta1.power(i))
    }
    const square = reduction === 'max' ? oldest.abs().largest().maximum(0).square() : oldest.square().mean()
    const v = reduction === 'none' ? emaOfSquare(slots.v!, oldest, beta2) : ema(slots.vTensor!, square, beta2)
    const root = v.over(biasCorrection(beta2, t.minus(delay).maximum(1))).sqrt()
    const moves = v.isGreaterThan(0)
    return {
      direction: where(moves, sum.over(weights).over(root.plus(epsilon)), 0),
      state: { ...queue.shifted(gradients), ...(reduction === 'none' ? { v } : { vTensor: v }) },
    }
  },
})
