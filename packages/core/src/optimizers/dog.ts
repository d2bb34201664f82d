import { defineOptimizer } from '../language/definition.ts'
import { logUniform, nonNegative, smallDivisor } from '../language/hyperparameters.ts'
import { copyOfParameter, scalar, sharedScalar } from '../language/slots.ts'
import { where } from '../language/value.ts'

/**
 * DoG, distance over gradients: SGD whose step size is the largest distance from the start so far, divided by the root of
 * the sum of all squared gradient norms.
 *
 * ```text
 * r ← max(r, ‖θ - θ0‖)                     r = relativeDistance (1 + ‖θ0‖) at the first step
 * G ← G + ‖g‖²
 * θ ← θ - η r / √(G + ε) g
 * ```
 *
 * The norms are over all tensors. With `layerwise` (L-DoG) each tensor has its own r and G.
 *
 * Defaults of the official code: η 1 (leave it), relativeDistance 1e-6 (1e-4 for models with batch normalization), ε 1e-8,
 * λ 0 and coupled. An `initialStepSize` above 0 is the whole first step size, in place of η and relativeDistance. State:
 * `start` (θ0), shaped like the parameter; the numbers `distance` and `gradients`, shared by all tensors, or, layer-wise,
 * `layerDistance` and `layerGradients` of each.
 *
 * The paper's results are those of averaged iterates: `polynomialAverage(dog())`. In the official code every parameter
 * group has its own r and G; here all tensors of one `dog()` share them.
 *
 * Ivgi, Hinder, Carmon 2023, DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size Schedule, arXiv 2302.12022.
 */
export const dog = defineOptimizer({
  name: 'dog',
  title: 'DoG',
  family: 'stepSize',
  paper: {
    title: "DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size Schedule",
    authors: 'Ivgi, Hinder, Carmon',
    year: 2023,
    arxiv: '2302.12022',
  },
  hyper: {
    learningRate: nonNegative(1),
    relativeDistance: nonNegative(1e-6),
    initialStepSize: nonNegative(0),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  options: { layerwise: false },
  state: {
    start: copyOfParameter(),
    distance: sharedScalar(0, { when: ({ options }) => !options.layerwise }),
    gradients: sharedScalar(0, { when: ({ options }) => !options.layerwise }),
    layerDistance: scalar(0, { when: ({ options }) => options.layerwise === true }),
    layerGradients: scalar(0, { when: ({ options }) => options.layerwise === true }),
  },
  decay: 'coupled',
  search: { learningRate: logUniform(0.1, 10), relativeDistance: logUniform(1e-6, 1e-2) },
  rule({ p, g, state, hyper, options, disabled }) {
    const over = options.layerwise ? 'tensor' : 'all'
    const [oldDistance, oldGradients] = options.layerwise
      ? [state.layerDistance, state.layerGradients]
      : [state.distance, state.gradients]
    const initial = disabled('initialStepSize') ? p.norm(over).plus(1).times(hyper.relativeDistance) : 0
    const travelled = oldDistance.maximum(p.minus(state.start).norm(over))
    const first = travelled.equals(0)
    const distance = where(first, initial, travelled)
    const gradients = oldGradients.plus(g.square().sum(over))
    const root = gradients.plus(hyper.epsilon).sqrt()
    const stepSize = where(root.isGreaterThan(0), hyper.learningRate.times(distance).over(root), 0)
    return {
      direction: g,
      learningRate: disabled('initialStepSize') ? stepSize : where(first, hyper.initialStepSize, stepSize),
      state: options.layerwise ? { layerDistance: distance, layerGradients: gradients } : { distance, gradients },
    }
  },
})
