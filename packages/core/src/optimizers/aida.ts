import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema, type Value, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { rectify } from '../parts/rectify.ts'

/**
 * Aida: AdaBelief with a narrower range of step sizes: gradient and momentum are projected onto each other before their
 * difference counts as disbelief.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * a ← g, b ← m;  K times:  a, b ← ⟨a, b⟩ / (‖a‖² + ξ) a,  ⟨a, b⟩ / (‖b‖² + ξ) b        per tensor
 * v ← β2 v + (1 - β2) (a - b)² + ε
 * θ ← θ - η (m / (1 - β1ᵗ)) / (√v / √(1 - β2ᵗ) + ε′)
 * ```
 *
 * Defaults: η 1e-3, β (0.9, 0.999), K (`projections`) 2, ξ 1e-20, ε 1e-8 and the same for ε′ (`rootEpsilon`), λ 0 coupled.
 * State: `m` and `v`, shaped like the parameter, and `vMaximum` with `amsgrad: true`. One more read of gradient and m for
 * the inner products: a stays a multiple of g and b of m, so three sums do for any K.
 *
 * As in AdaBelief ε is added to v itself at every step. `rectify: true` is RAdam's rectification as AdaBelief has it, with
 * plain momentum while it is undefined.
 *
 * Zhang, Niwa, Kleijn 2022, On Suppressing Range of Adaptive Stepsizes of Adam to Improve Generalisation Performance (first
 * as A DNN Optimizer that Improves over AdaBelief by Suppression of the Adaptive Stepsize Range), arXiv 2203.13273.
 */
export const aida = defineOptimizer({
  name: 'aida',
  title: 'Aida',
  family: 'adaptive',
  paper: {
    title: 'On Suppressing Range of Adaptive Stepsizes of Adam to Improve Generalisation Performance',
    authors: 'Zhang, Niwa, Kleijn',
    year: 2022,
    arxiv: '2203.13273',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    rootEpsilon: smallDivisor(1e-8),
    xi: nonNegative(1e-20),
    weightDecay: nonNegative(0),
  },
  options: { projections: 2, rectify: false, amsgrad: false },
  state: { m: zeros(), v: zeros(), vMaximum: zeros({ when: ({ options }) => options.amsgrad === true }) },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-4, 3e-2), weightDecay: oneOf(0, 1e-4, 1e-3) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options }) {
    const { beta1, beta2, epsilon, rootEpsilon, xi } = hyper
    const m = ema(state.m, g, beta1)
    const [gg, mm, gm] = [g.times(g).sum(), m.times(m).sum(), g.times(m).sum()]
    let [ofG, ofM] = [g.lifted(1), g.lifted(1)]
    for (let k = 0; k < options.projections; k++) {
      const inner = ofG.times(ofM).times(gm)
      const project = (share: Value, square: Value) => {
        const denominator = share.square().times(square).plus(xi)
        return where(denominator.isGreaterThan(0), share.times(inner).over(denominator), 0)
      }
      ;[ofG, ofM] = [project(ofG, gg), project(ofM, mm)]
    }
    const v = emaOfSquare(state.v, m.times(ofM).minus(g.times(ofG)), beta2).plus(epsilon)
    const vMaximum = options.amsgrad ? state.vMaximum.maximum(v) : v
    const newState = options.amsgrad ? { m, v, vMaximum } : { m, v }
    const mHat = m.over(biasCorrection(beta1, t))
    const correction = biasCorrection(beta2, t).sqrt()
    const root = vMaximum.sqrt()
    if (!options.rectify) {
      return { direction: mHat.over(root.over(correction).plus(rootEpsilon)), state: newState }
    }
    return { direction: rectify(mHat, root.plus(rootEpsilon), beta2, t, mHat), state: newState }
  },
})
