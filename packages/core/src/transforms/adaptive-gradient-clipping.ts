import { defineTransform } from '../language/definition.ts'
import { positive, smallDivisor } from '../language/hyperparameters.ts'
import { type Value, where } from '../language/value.ts'

/**
 * Adaptive gradient clipping (AGC): keeps the gradient of each output unit below a share of the unit's length.
 *
 * ```text
 * bound ← clipping max(‖θᵢ‖, epsilon)
 * gᵢ ← gᵢ bound / ‖gᵢ‖                      where ‖gᵢ‖ > bound
 * ```
 *
 * A unit i is an output (by the layout of the parameter); scalars and vectors are one unit. Defaults of the official code: `clipping`
 * 0.01, `epsilon` 1e-3. No state; one more read of gradient and parameter. The paper leaves the last layer unclipped: `groups`.
 *
 * Brock, De, Smith, Simonyan 2021, High-Performance Large-Scale Image Recognition Without Normalization, arXiv 2102.06171.
 */
export const adaptiveGradientClipping = defineTransform({
  name: 'adaptiveGradientClipping',
  title: 'Adaptive gradient clipping',
  paper: {
    title: 'High-Performance Large-Scale Image Recognition Without Normalization',
    authors: 'Brock, De, Smith, Simonyan',
    year: 2021,
    arxiv: '2102.06171',
  },
  hyper: { clipping: positive(0.01), epsilon: smallDivisor(1e-3) },
  gradient({ p, g, hyper, shape }) {
    const norm = (x: Value) => x.as(shape.matrix).norm('inputs')
    const bound = norm(p).maximum(hyper.epsilon).times(hyper.clipping)
    const length = norm(g)
    const scale = where(length.isGreaterThan(bound), bound.over(length), 1)
    return { gradient: g.as(shape.matrix).times(scale).as(g) }
  },
})
