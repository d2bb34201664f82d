import { defineOptimizer } from '../language/definition.ts'
import { logUniform, nonNegative, oneOf, seed, smallDivisor } from '../language/hyperparameters.ts'
import { perturbation } from '../parts/perturbation.ts'

/**
 * MeZO: stochastic gradient descent along one random direction, whose slope two losses tell. No gradients, no state;
 * needs `minimize`.
 *
 * ```text
 * z ~ N(0, 1)
 * c ← (L(θ + ε z) - L(θ - ε z)) / (2 ε)
 * θ ← (1 - η λ) θ - η c z
 * ```
 *
 * Defaults of the official code: ε 1e-3, λ 0; its learning rates lie between 1e-7 and 1e-6 for models of billions of
 * parameters, 1e-6 is the default here and small models take much more: a fraction 1 / (number of parameters) of a good
 * learning rate of SGD. The direction is not stored but drawn again, from seed, step and name of the tensor.
 *
 * Malladi, Gao, Nichani, Damian, Lee, Chen, Arora 2023, Fine-Tuning Language Models with Just Forward Passes, arXiv
 * 2305.17333.
 */
export const mezo = defineOptimizer({
  name: 'mezo',
  title: 'MeZO',
  family: 'gradientFree',
  paper: {
    title: 'Fine-Tuning Language Models with Just Forward Passes',
    authors: 'Malladi, Gao, Nichani, Damian, Lee, Chen, Arora',
    year: 2023,
    arxiv: '2305.17333',
  },
  hyper: { learningRate: nonNegative(1e-6), epsilon: smallDivisor(1e-3), weightDecay: nonNegative(0), seed: seed() },
  state: {},
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-7, 1e-1), epsilon: oneOf(1e-3, 1e-2) },
  evaluations: () => [
    { wants: ['loss'], at: (context) => ({ parameter: context.p.plus(perturbation(context)) }) },
    { wants: ['loss'], at: (context) => ({ parameter: context.p.minus(perturbation(context).times(2)) }) },
  ],
  origin: (context) => context.p.plus(perturbation(context)),
  rule({ p, losses, random, hyper, decay }) {
    const [above, below] = losses
    const slope = above!.minus(below!).over(hyper.epsilon.times(2))
    const estimate = random.normal({ seed: hyper.seed }).times(slope)
    return { direction: decay === 'coupled' ? estimate.plus(p.times(hyper.weightDecay)) : estimate }
  },
})
