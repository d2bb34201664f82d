import { defineTransform } from '../language/definition.ts'
import { decayRate, real } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'

/**
 * Adaptive braking: a gradient counts less when it points along the momentum and more when it points against it, which damps
 * the oscillations that delayed gradients cause.
 *
 * ```text
 * g ← (1 - ρ ⟨g, v⟩ / (‖g‖ ‖v‖)) g          over each filter; no factor where either norm is 0
 * v ← μ v + g
 * ```
 *
 * Around `sgd({ momentum })` with the same μ, v is the optimizer's own momentum and the method is that of the paper. Defaults:
 * ρ (`braking`) 0.2, μ (`momentum`) 0.9. State: `v`, shaped like the parameter.
 *
 * As in the paper every filter, that is the weights of one output, has a cosine of its own; a vector counts as one filter.
 * `per: 'tensor'` takes one for the whole tensor.
 *
 * Venigalla, Kosson, Chiley, Köster 2020, Adaptive Braking for Mitigating Gradient Delay, arXiv 2007.01397.
 */
export const adaptiveBraking = defineTransform({
  name: 'adaptiveBraking',
  title: 'Adaptive braking',
  paper: {
    title: 'Adaptive Braking for Mitigating Gradient Delay',
    authors: 'Venigalla, Kosson, Chiley, Köster',
    year: 2020,
    arxiv: '2007.01397',
  },
  hyper: { braking: real(0.2), momentum: decayRate(0.9) },
  options: { per: 'filter' as 'filter' | 'tensor' },
  choices: { per: ['filter', 'tensor'] },
  state: { v: zeros() },
  gradient({ g, state, hyper, options, shape }) {
    const [filters, v] = [g.as(shape.matrix), state.v.as(shape.matrix)]
    const axis = options.per === 'filter' ? 'inputs' : 'tensor'
    const length = filters.norm(axis).times(v.norm(axis))
    const cosine = where(length.isGreaterThan(0), filters.times(v).sum(axis).over(length), 0)
    const gradient = filters.times(cosine.times(hyper.braking).negated().plus(1)).as(g)
    return { gradient, state: { v: state.v.times(hyper.momentum).plus(gradient) } }
  },
})
