import { defineOptimizer } from '../language/definition.ts'
import { fraction, logUniform, nonNegative, oneOf, positive } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'

/**
 * Rprop: only signs of gradients; the step of an element grows while its sign stays and shrinks when it turns. For full
 * batches: noise turns signs.
 *
 * ```text
 * s ← clamp(s growth)  where g g₋ > 0;  clamp(s shrinkage)  where g g₋ < 0;  s starts at 1
 * g ← 0                where g g₋ < 0
 * θ ← θ - η s sign(g)
 * g₋ ← g
 * clamp(s) = min(max(s, minimumScale), maximumScale)      minimumScale not above maximumScale
 * ```
 *
 * Defaults of PyTorch: η 0.01, shrinkage 0.5, growth 1.2, steps between 1e-6 and 50, which with η 0.01 are the scales 1e-4 and
 * 5000. State: `s` and `sign`, the sign of g₋, shaped like the parameter. What was never moved has sign 0.
 *
 * This is the variant without weight-backtracking (iRprop-), as in PyTorch. There the steps themselves are kept, and the learning rate
 * is only where they start; here they are multiples of it, which is the same while it is constant and lets schedules act.
 *
 * Riedmiller, Braun 1993, A direct adaptive method for faster backpropagation learning: the RPROP algorithm. Igel, Hüsken
 * 2000, Improving the Rprop Learning Algorithm.
 */
export const rprop = defineOptimizer({
  name: 'rprop',
  title: 'Rprop',
  family: 'sign',
  paper: {
    title: 'A direct adaptive method for faster backpropagation learning: the RPROP algorithm',
    authors: 'Riedmiller, Braun',
    year: 1993,
    url: 'https://doi.org/10.1109/ICNN.1993.298623',
  },
  hyper: {
    learningRate: nonNegative(0.01),
    shrinkage: fraction(0.5),
    growth: positive(1.2),
    minimumScale: nonNegative(1e-4),
    maximumScale: positive(5000),
  },
  ordered: [['minimumScale', 'maximumScale']],
  state: { s: zeros(), sign: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 1e-1), growth: oneOf(1.05, 1.2, 1.5) },
  rule({ g, t, state, hyper }) {
    const agreement = g.sign().times(state.sign)
    const old = where(t.equals(1), 1, state.s)
    const turned = agreement.isLessThan(0)
    const factor = where(agreement.isGreaterThan(0), hyper.growth, where(turned, hyper.shrinkage, 1))
    const s = old.times(factor).maximum(hyper.minimumScale).minimum(hyper.maximumScale)
    const sign = where(turned, 0, g.sign())
    return { direction: s.times(sign), state: { s, sign } }
  },
})
