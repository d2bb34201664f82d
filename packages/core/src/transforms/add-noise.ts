import { defineTransform } from '../language/definition.ts'
import { nonNegative, seed } from '../language/hyperparameters.ts'

/**
 * Adds Gaussian noise to the gradients whose variance fades with the steps: `g ← g + √(variance / tᵠ) ξ`, ξ standard normal
 * and φ the `fading`. `addNoise(sgd())` is `noisy_sgd` of optax.
 *
 * Defaults: variance 0.01 and fading 0.55, both of optax, seed 0. The paper's variance is that over (1 + t)ᵠ with t from 0,
 * the same. No state: noise is drawn anew from seed, step and name of the tensor.
 *
 * Neelakantan, Vilnis, Le, Sutskever, Kaiser, Kurach, Martens 2015, Adding Gradient Noise Improves Learning for Very Deep
 * Networks, arXiv 1511.06807.
 */
export const addNoise = defineTransform({
  name: 'addNoise',
  title: 'Gradient noise',
  paper: {
    title: 'Adding Gradient Noise Improves Learning for Very Deep Networks',
    authors: 'Neelakantan, Vilnis, Le, Sutskever, Kaiser, Kurach, Martens',
    year: 2015,
    arxiv: '1511.06807',
  },
  hyper: { variance: nonNegative(0.01), fading: nonNegative(0.55), seed: seed() },
  gradient({ g, t, random, hyper: { variance, fading, seed } }) {
    const deviation = variance.over(t.power(fading)).sqrt()
    return { gradient: g.plus(random.normal({ seed }).times(deviation)) }
  },
})
