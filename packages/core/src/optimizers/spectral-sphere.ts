import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive } from '../language/hyperparameters.ts'
import { relativeRate } from '../language/relative-rate.ts'
import { zeros } from '../language/slots.ts'
import { ema, type Value, where } from '../language/value.ts'
import { asMatrix, frobeniusNorm, newtonSchulz } from '../parts/newton-schulz.ts'
import { polarExpress } from '../parts/polar-express.ts'
import { adamW } from './adam-w.ts'

/**
 * Spectral sphere: steps of the same size in all directions, as Muon's, along a sphere on which the largest singular value of a matrix is R, and
 * back to that sphere before each of them.
 *
 * ```text
 * M ← β M + (1 - β) g;  nesterov: β M + (1 - β) g in its place;  G ← M / ‖M‖
 * σ, u, v ← the largest singular value of θ and its vectors;  Θ ← u vᵀ           power iteration from v = (1, ..., 1)
 * θ ← R / (σ + 1e-8) θ                                                                R = ρ √(outputs / inputs)
 * λ ← where h(λ) = ⟨Θ, msign(G + λ Θ)⟩ = 0, so that the step leaves σ as it is;  Φ ← msign(G + λ Θ)
 * θ ← θ - η R Φ                                                                  msign(U Σ Vᵀ) = U Vᵀ
 * ```
 *
 * h never falls with λ. A step from 0 towards the root, 0.001 long, is doubled until h changes its sign, ten times at most; what lies between is
 * then halved `solverSteps` times, and of all λ that were tried the one is taken where h is nearest to 0. Where ten steps find no change λ is 0, and Φ
 * Muon's. msign is `newtonSchulzSteps` steps of Newton-Schulz with the coefficients of Polar Express. In a square matrix h may jump from
 * below 0 to above where the sign of a singular value does; there these steps leave that singular value small, which is what h = 0 asks for.
 *
 * Defaults of the official code: η 3e-4, β 0.9, ρ (`radius`) 1, 8 steps of Newton-Schulz, 20 halvings, 20 power iterations: a step costs up to
 * 32 times as much as one of Muon. State: `M`, shaped like the parameter. Convolution kernels of four dimensions are one matrix, others a batch of
 * matrices in their last two dimensions; what has fewer than two dimensions goes to `fallback`, AdamW at the same rate unless another is given. There
 * is no weight decay: the way back to the sphere undoes it.
 *
 * The official code stops searching where |h| is at most 1e-8, iterates in bfloat16 in its first versions, and takes the coefficients with four
 * digits, the first of them for a norm without a margin of 1 %. Its later versions keep u and v, or draw the first v. Its
 * `retract-mode dynamic`, which comes back to the sphere by and by, and its other radii and scales are not here; its scale of steps has no ρ.
 * pytorch_optimizer's SpectralSphere never goes back to the sphere, and its steps have no R.
 *
 * Xie, Luo, Tang, Hu, Liu, Ren, Wang, Zhao, Yan, Su, Luo, Guo 2026, Controlled LLM training on spectral sphere, arXiv 2601.08393;
 * https://github.com/Unakar/Spectral-Ball-Optimizer.
 */
export const spectralSphere = defineOptimizer({
  name: 'spectralSphere',
  title: 'Spectral sphere',
  family: 'matrix',
  paper: {
    title: 'Controlled LLM training on spectral sphere',
    authors: 'Xie, Luo, Tang, Hu, Liu, Ren, Wang, Zhao, Yan, Su, Luo, Guo',
    year: 2026,
    arxiv: '2601.08393',
  },
  hyper: { learningRate: nonNegative(3e-4), momentum: decayRate(0.9), radius: positive(1) },
  options: { nesterov: true, newtonSchulzSteps: 8, solverSteps: 20, powerIterations: 20 },
  state: { M: zeros() },
  decay: 'own',
  search: { learningRate: logUniform(1e-4, 1e-1), momentum: oneOf(0.9, 0.95), radius: oneOf(0.5, 1, 2) },
  largestGradient: 1e15,
  accepts: ({ rank }) => rank >= 2,
  needs: 'a matrix',
  fallback: () => adamW({ learningRate: relativeRate(1), beta1: 0.9, beta2: 0.95, weightDecay: 0 }),
  rule({ p, g, state, hyper, options, shape }) {
    const M = ema(state.M, g, hyper.momentum)
    const average = asMatrix(options.nesterov ? ema(M, g, hyper.momentum) : M, shape)
    const G = average.over(frobeniusNorm(average).maximum(1e-8))
    const matrix = asMatrix(p, shape)
    const { sigma, left, right } = largestSingular(matrix, options.powerIterations)
    const theta = left.times(right)
    const step = (lambda: Value | number) =>
      newtonSchulz(G.plus(theta.times(lambda)), options.newtonSchulzSteps, 1e-7, polarExpress)
    const lambda = rootOf((at) => overEach(theta.times(step(at))), options.solverSteps)
    const R = hyper.radius.times(Math.sqrt(matrix.outputs / Math.max(matrix.inputs, 1)))
    const scale = where(sigma.isGreaterThan(0), R.over(sigma.plus(1e-8)), 1)
    return {
      direction: step(lambda).times(R).as(p),
      state: { M },
      apply: (direction, project) => ({
        parameter: project(matrix.times(scale).as(p).minus(direction.times(hyper.learningRate))),
      }),
    }
  },
})

/** The first step of the search for a root, and how often it is doubled. */
const firstStep = 1e-3
const doublings = 10

/** Where a function that never falls is nearest to 0, of some places around 0 and then `halvings` more: one for each matrix of a batch. */
function rootOf(h: (at: Value | number) => Value, halvings: number): Value {
  const start = h(0)
  const side = where(start.isLessThan(0), 1, -1)
  /** Below 0 at a distance from 0 at which the root has not been reached. */
  const beyond = (distance: Value | number) => h(side.times(distance)).times(side)
  const zero = side.times(0)
  let [near, far, isFound] = [zero, zero, zero]
  let [missNear, missFar, last] = [start.abs(), start.abs(), start.abs()]
  for (let doubling = 0; doubling < doublings; doubling++) {
    const [from, to] = [doubling, doubling + 1].map((count) => firstStep * (2 ** count - 1)) as [number, number]
    const value = beyond(to)
    const isFirst = where(value.isGreaterThan(0), isFound, 1).isLessThan(1)
    near = where(isFirst, from, near)
    far = where(isFirst, to, far)
    missNear = where(isFirst, last, missNear)
    missFar = where(isFirst, value, missFar)
    isFound = where(isFirst, 1, isFound)
    last = value.abs()
  }
  let best = where(missNear.isLessThan(missFar), near, far)
  let miss = missNear.minimum(missFar)
  for (let halving = 0; halving < halvings; halving++) {
    const middle = near.plus(far).times(0.5)
    const value = beyond(middle)
    const isBest = value.abs().isLessThan(miss)
    best = where(isBest, middle, best)
    miss = where(isBest, value.abs(), miss)
    const isBeyond = value.isGreaterThan(0)
    far = where(isBeyond, middle, far)
    near = where(isBeyond, near, middle)
  }
  return best.times(side)
}

/** The largest singular value of each matrix, with its vectors: one number per output, one per input. */
function largestSingular(matrix: Value, iterations: number): { sigma: Value; left: Value; right: Value } {
  const unit = (x: Value) => x.over(frobeniusNorm(x).maximum(1e-12))
  let along = matrix.sum('inputs')
  let right = matrix.sum('outputs')
  for (let iteration = 0; iteration < iterations; iteration++) {
    right = unit(matrix.times(along).sum('outputs'))
    along = matrix.times(right).sum('inputs')
  }
  const left = unit(along)
  return { sigma: overEach(left.times(along)), left, right }
}

/** The sum of each matrix of a batch. */
function overEach(x: Value): Value {
  return x.batch === 1 ? x.sum() : x.sum('columns').sum('rows')
}
