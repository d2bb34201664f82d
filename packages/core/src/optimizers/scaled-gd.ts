import { defineOptimizer } from '../language/definition.ts'
import { svd } from '../language/factorizations.ts'
import { logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { type Input, shapedInput } from '../language/inputs.ts'
import { relativeRate } from '../language/relative-rate.ts'
import type { ParameterShape } from '../language/slots.ts'
import { dampedInverse } from '../parts/damped-inverse.ts'
import { sgd } from './sgd.ts'

/** How many columns a factor has, or rows where it lies transposed: its shorter side. */
const rankOf = ({ outputs, inputs }: ParameterShape) => Math.min(outputs, inputs)

/**
 * ScaledGD(λ): gradient descent on a factor of a low-rank matrix, preconditioned so that it converges as fast for singular values that
 * are far apart, from small random numbers and with a rank that is chosen too large.
 *
 * ```text
 * X ← X - η g (Xᵀ X + λ I)⁻¹               X of n rows and r columns, n ≥ r; transposed where it has fewer rows
 * ```
 *
 * For the matrix X Xᵀ that is all. For L Rᵀ each factor takes the Gram matrix of the other, L ← L - η g (Rᵀ R + λ I)⁻¹: with
 * `gram: 'partner'` the input `partnerGram` supplies it, Rᵀ R for L and Lᵀ L for R. Defaults: η 0.1, λ (`damping`) 1e-3. No state. The paper takes a
 * constant η below 1 and λ of the order of the square of the smallest singular value of X, that is of the smallest eigenvalue of X Xᵀ. Everything that is no matrix
 * goes to SGD with the same learning rate, or to `fallback`.
 *
 * Xu, Shen, Chi, Ma 2023, The Power of Preconditioning in Overparameterized Low-Rank Matrix Sensing, arXiv 2302.01186; two factors:
 * Tong, Ma, Chi 2021, Accelerating Ill-Conditioned Low-Rank Matrix Estimation via Scaled Gradient Descent, arXiv 2005.08898.
 */
export const scaledGd = defineOptimizer({
  name: 'scaledGd',
  title: 'ScaledGD(λ)',
  family: 'matrix',
  paper: {
    title: 'The Power of Preconditioning in Overparameterized Low-Rank Matrix Sensing',
    authors: 'Xu, Shen, Chi, Ma',
    year: 2023,
    arxiv: '2302.01186',
  },
  hyper: { learningRate: nonNegative(0.1), damping: smallDivisor(1e-3), weightDecay: nonNegative(0) },
  options: { gram: 'own' as 'own' | 'partner' },
  choices: { gram: ['own', 'partner'] },
  inputs: ({ gram }): Readonly<Record<string, Input>> =>
    gram === 'own'
      ? {}
      : {
          partnerGram: shapedInput('Rᵀ R, the products of the columns of the other factor R of L Rᵀ', (shape) => [
            1,
            rankOf(shape),
            rankOf(shape),
          ]),
        },
  state: {},
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 1), damping: oneOf(1e-4, 1e-3, 1e-2, 1e-1) },
  accepts: ({ rank }) => rank === 2,
  needs: 'a matrix',
  fallback: () => sgd({ learningRate: relativeRate(1) }),
  // The squares of where such a step leads are below the largest float32.
  largestGradient: 1e12,
  rule({ p, g, hyper, options, inputs }) {
    const wide = p.rows < p.columns
    const X = wide ? p.transposed() : p
    const ofOwn = () => {
      // Squares of singular values, because a Gram matrix in float32 loses the small ones.
      const { values, right } = svd(X)
      return right.transposed().over(values.square().plus(hyper.damping)).matmul(right)
    }
    const inverse = options.gram === 'own' ? ofOwn() : dampedInverse(inputs.partnerGram!, hyper.damping)
    return { direction: wide ? inverse.matmul(g) : g.matmul(inverse) }
  },
})
