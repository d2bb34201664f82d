import { Draws } from './draws.ts'
import type { Numbers } from './vector.ts'

export interface PrivateExpertsOptions {
  /** ε of the differential privacy. Default 1. */
  readonly privacy?: number
  /** T: how many rounds there may be. Default 1,000. */
  readonly horizon?: number
  /** L*: the total loss of the best expert is at most that. Default 0. */
  readonly bestLoss?: number
  /** β: how likely the bound of the regret may fail. Default 0.05. */
  readonly failure?: number
  /** K: how often another expert may be drawn. Default ⌈2 log₂ d + log₂ 1/β⌉. */
  readonly switches?: number
  /** Default 0. */
  readonly seed?: number
}

/** Follows experts without showing what single losses were. */
export interface PrivateExperts {
  /** Whom to follow in this round. */
  readonly choice: number
  /** How often another one was drawn. */
  readonly switches: number
  /** L: what the expert that is followed may lose, before noise. */
  readonly threshold: number
  /** @param losses of each expert in this round, from 0 to 1. */
  update(losses: Numbers): void
}

/**
 * Private prediction from d experts of which one loses nothing, or at most L*. An expert is followed until the sparse vector technique says that
 * what it has lost since it was drawn is above a threshold L; then one is drawn by the exponential mechanism, with probabilities
 * ∝ exp(-η max(Σ losses, L*) / 2), η = ε / (2 K), at most K times. A loss is part of the queries of one expert only, so that these have ε / 2 for all
 * of them, and the draws have the other half: the choices are ε-differentially private, whatever the losses. With probability 1 - β
 * the total loss is of the order L* log d + log² d / ε up to logarithms of T / β, whatever T, if losses do not depend on the choices.
 *
 * H. Asi, V. Feldman, T. Koren, K. Talwar (2023), Near-Optimal Algorithms for Private Online Optimization in the Realizable Regime, arXiv 2302.14154. It
 * follows its scheme for pure privacy; the constants of K and L, L = L* + 16 log(2 T / β) / ε + 4 log(d / β) / η, are our own. The
 * methods for approximate privacy, log^1.5 d / ε, and for convex losses are not here.
 *
 * Noise is drawn in float64 from a generator that is no secret: for experiments, not for secrets.
 *
 * @throws RangeError for no experts, a privacy, failure or horizon that does not fit; by `update` for losses outside of [0, 1] or of another number.
 */
export function privateExperts(count: number, options: PrivateExpertsOptions = {}): PrivateExperts {
  const { privacy = 1, horizon = 1000, bestLoss = 0, failure = 0.05, seed = 0 } = options
  if (!(Number.isInteger(count) && count >= 1)) throw new RangeError(`count: ${count} experts are not at least 1`)
  if (!(privacy > 0)) throw new RangeError(`privacy: ${privacy} is not above 0`)
  if (!(failure > 0 && failure < 1)) throw new RangeError(`failure: ${failure} is not between 0 and 1`)
  if (!(horizon >= 1)) throw new RangeError(`horizon: ${horizon} rounds are not at least 1`)
  if (!(bestLoss >= 0)) throw new RangeError(`bestLoss: ${bestLoss} is not at least 0`)
  const most = options.switches ?? Math.ceil(2 * Math.log2(count) - Math.log2(failure))
  if (!(most >= 1)) throw new RangeError(`switches: ${most} is not at least 1`)
  const draws = new Draws(seed)
  const half = privacy / 2
  const rate = half / most
  const laplace = (scale: number) => {
    const share = draws.uniform() - 0.5
    return -scale * Math.sign(share) * Math.log1p(-2 * Math.abs(share))
  }
  const threshold = bestLoss + (8 * Math.log((2 * horizon) / failure)) / half + (4 * Math.log(count / failure)) / rate

  const totals = new Float64Array(count)
  let choice = draws.below(count)
  let since = 0
  let switches = 0
  let noisy = threshold + laplace(2 / half)
  return {
    get choice() {
      return choice
    },
    get switches() {
      return switches
    },
    threshold,
    update(losses) {
      if (losses.length !== count) throw new RangeError(`losses: ${losses.length} were given for ${count} experts`)
      for (let i = 0; i < count; i++) {
        if (!(losses[i]! >= 0 && losses[i]! <= 1)) throw new RangeError(`losses[${i}]: ${losses[i]} is not from 0 to 1`)
      }
      for (let i = 0; i < count; i++) totals[i]! += losses[i]!
      since += losses[choice]!
      if (switches >= most || since + laplace(4 / half) < noisy) return
      const scores = totals.map((total) => Math.max(total, bestLoss))
      const least = Math.min(...scores)
      const weights = scores.map((score) => Math.exp((-rate * (score - least)) / 2))
      let rest = draws.uniform() * weights.reduce((sum, weight) => sum + weight, 0)
      choice = count - 1
      for (let i = 0; i < count; i++) {
        rest -= weights[i]!
        if (rest < 0) {
          choice = i
          break
        }
      }
      switches++
      since = 0
      noisy = threshold + laplace(2 / half)
    },
  }
}
