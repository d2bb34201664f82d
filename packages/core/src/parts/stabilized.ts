import { biasCorrection, ema, type Value, where } from '../language/value.ts'

/** The numbers per tensor that stabilizing gradients keeps. */
export interface Averages {
  readonly largest: Value
  readonly norm: Value
  readonly squaredNorm: Value
}

/** The decay rates of those averages, and ε. */
export interface Rates {
  readonly maximumDecay: Value
  readonly normDecay: Value
  readonly squaredNormDecay: Value
  readonly epsilon: Value
}

/**
 * The two gradient steps of Stable-SPAM (Huang et al. 2025, arXiv 2502.17055): elements above the average of the largest
 * element are scaled down as if the largest were that average; then the tensor gets the norm that Adam would give it. `t` is
 * the count of steps that corrects the averages.
 */
export function stabilized(g: Value, state: Averages, rates: Rates, t: Value): { gradient: Value; state: Averages } {
  const { maximumDecay, normDecay, squaredNormDecay, epsilon } = rates
  const maximum = g.abs().largest().maximum(0)
  const largest = ema(state.largest, maximum, maximumDecay)
  const usual = largest.over(biasCorrection(maximumDecay, t))
  const shrink = where(maximum.isGreaterThan(0), usual.over(maximum).limited(), 1)
  const clipped = where(g.abs().isGreaterThan(usual), g.times(shrink), g)
  const length = clipped.norm()
  const norm = ema(state.norm, length, normDecay)
  const squaredNorm = ema(state.squaredNorm, length.square(), squaredNormDecay)
  const root = squaredNorm.over(biasCorrection(squaredNormDecay, t)).sqrt().plus(epsilon)
  const target = norm.over(biasCorrection(normDecay, t)).over(root)
  const gradient = clipped.times(where(length.isGreaterThan(0), target.over(length).limited(), 0))
  return { gradient, state: { largest, norm, squaredNorm } }
}
