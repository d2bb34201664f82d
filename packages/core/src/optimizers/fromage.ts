import { defineOptimizer } from '../language/definition.ts'
import { logUniform, nonNegative } from '../language/hyperparameters.ts'
import { scalar } from '../language/slots.ts'
import { where } from '../language/value.ts'

/**
 * Fromage: every tensor moves by the same share η of its length, then shrinks by what the step has lengthened it.
 *
 * ```text
 * θ ← (θ - η g ‖θ‖ / ‖g‖) / √(1 + η²)             norms over the tensor; no factor where either norm is 0
 * θ ← θ min(1, parameterBound ‖θ₀‖ / ‖θ‖)         with parameterBound above 0
 * ```
 *
 * Defaults of the official code: η 0.01, no bound (0; the official `p_bound=None`). State: none; with a bound the initial
 * norm, one number per tensor.
 *
 * Bernstein, Vahdat, Yue, Liu 2020, On the distance between two neural networks and the stability of learning,
 * arXiv 2002.03432.
 */
export const fromage = defineOptimizer({
  name: 'fromage',
  title: 'Fromage',
  family: 'layerwise',
  paper: {
    title: 'On the distance between two neural networks and the stability of learning',
    authors: 'Bernstein, Vahdat, Yue, Liu',
    year: 2020,
    arxiv: '2002.03432',
  },
  hyper: { learningRate: nonNegative(0.01), parameterBound: nonNegative(0) },
  state: { initialNorm: scalar(0, { when: ({ disabled }) => !disabled('parameterBound') }) },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 1e-1) },
  rule({ p, g, t, state, hyper, disabled }) {
    const { learningRate, parameterBound } = hyper
    const [parameterNorm, gradientNorm] = [p.norm(), g.norm()]
    const both = parameterNorm.isGreaterThan(0).and(gradientNorm.isGreaterThan(0))
    const length = learningRate.square().plus(1).sqrt()
    // θ - next = (1 - 1/length) θ + η u / length, and 1 - 1/length = η² / (length (length + 1)).
    const u = g.times(where(both, parameterNorm.over(gradientNorm).limited(), 1)).over(length)
    const direction = u.plus(p.times(learningRate.over(length.times(length.plus(1)))))
    if (disabled('parameterBound')) return { direction }
    const initialNorm = where(t.equals(1), parameterNorm, state.initialNorm)
    const next = p.minus(direction.times(learningRate))
    const bound = initialNorm.times(parameterBound)
    const nextNorm = next.norm()
    const kept = where(nextNorm.isGreaterThan(bound), bound.over(nextNorm), 1)
    const bounded = p.minus(next.times(kept)).times(where(learningRate.isGreaterThan(0), learningRate.power(-1), 0))
    return { direction: bounded, state: { initialNorm } }
  },
})
