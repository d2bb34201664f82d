import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { shaped, zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * Adam with critical momenta: remembers the momenta of the steps with the largest gradients and adds their mean to the
 * current one, which carries it out of narrow minima.
 *
 * ```text
 * m ← β1 m + (1 - β1) g                   first step: m stays 0
 * u ← m + mean of the buffer
 * v ← β2 v + (1 - β2) u²
 * θ ← (1 - η λ) θ - η (u / (1 - β1ᵗ)) / (√(v / (1 - β2ᵗ)) + ε)
 * the buffer takes m, at the first step g, with priority n = Σ ‖g‖ of all tensors: while it is not full, and then in place
 *   of its smallest priority where n is above that
 * priorities ← priorityDecay · priorities
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.9, 0.999), ε 1e-8, λ 0 decoupled, `capacity` 5, `priorityDecay` 0.7. State:
 * `m` and `v`, shaped like the parameter, `buffer`, `capacity` times that, and `priorities`, one number per place. A step
 * reads and writes the whole buffer. The first step only fills it.
 *
 * With `perTensor` n is the norm of the tensor alone, the official `synced=False`. The mean is over what the buffer holds,
 * as in the official code, whose AMSGrad, random replacement and buffers of other precision are left out.
 *
 * Malviya, Mordido, Baratin, Babanezhad Harikandeh, Huang, Lacoste-Julien, Pascanu, Chandar 2023, Promoting Exploration in
 * Memory-Augmented Adam using Critical Momenta, arXiv 2307.09638.
 */
export const adamCriticalMomenta = defineOptimizer({
  name: 'adamCriticalMomenta',
  title: 'Adam with critical momenta',
  family: 'adaptive',
  paper: {
    title: 'Promoting Exploration in Memory-Augmented Adam using Critical Momenta',
    authors: 'Malviya, Mordido, Baratin, Babanezhad Harikandeh, Huang, Lacoste-Julien, Pascanu, Chandar',
    year: 2023,
    arxiv: '2307.09638',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
    priorityDecay: decayRate(0.7),
  },
  options: { capacity: 5, perTensor: false },
  state: {
    m: zeros(),
    v: zeros(),
    buffer: shaped(({ size }, { capacity }) => [1, Number(capacity), size]),
    priorities: shaped((_, { capacity }) => [1, Number(capacity), 1]),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 3e-2), priorityDecay: oneOf(0.7, 0.99) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options, shape }) {
    const { beta1, beta2 } = hyper
    const { capacity, perTensor } = options
    const first = t.equals(1)
    const held = t.minus(1).minimum(capacity)
    const m = where(first, 0, ema(state.m, g, beta1))
    const u = m.plus(state.buffer.sum('rows').as(g).over(held.maximum(1)))
    const v = emaOfSquare(state.v, u, beta2)
    const root = v.sqrt().over(biasCorrection(beta2, t).sqrt()).plus(hyper.epsilon)

    const priority = perTensor ? g.norm() : g.norm().sum('all')
    const smallest = state.priorities.negated().largest().negated()
    const place = state.priorities.rowIndex()
    // The first of equals: counted from the end, the largest.
    const fromEnd = where(state.priorities.equals(smallest), place.negated().plus(capacity), 0).largest()
    const full = held.isAtLeast(capacity)
    const taken = where(full, where(priority.isGreaterThan(smallest), fromEnd.negated().plus(capacity), -1), held)
    const replaced = place.equals(taken)
    const momentum = where(first, g, m).as([1, 1, shape.size])
    return {
      direction: where(first, 0, u.over(root).over(biasCorrection(beta1, t))),
      state: {
        m,
        v,
        buffer: where(replaced, momentum, state.buffer),
        priorities: where(replaced, priority, state.priorities).times(hyper.priorityDecay),
      },
    }
  },
})
