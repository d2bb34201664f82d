import { Draws } from './draws.ts'

/** What `buyInformation` takes besides the losses. */
export interface InformationOptions {
  /** Price of each piece of information. Default 1. */
  readonly price?: number
  /** Draw the threshold: better in the mean, 1.58 instead of 2 times the best. Default false. */
  readonly randomized?: boolean
  /** Stop when as much has been paid as this share of the loss. Default 1, or drawn. */
  readonly threshold?: number
  /** Default 0. */
  readonly seed?: number
}

export interface InformationResult {
  /** How many pieces were bought. */
  readonly bought: number
  /** What all of it has cost: information, and the loss that is left. */
  readonly cost: number
  readonly threshold: number
}

/**
 * Decides when to stop paying for information: before any, and after each piece, an expected loss X of acting now is known, which further pieces
 * can only lower in the mean (a super-martingale). Stops as soon as the price paid reaches z X. For z = 1 the expected cost is at most
 * twice that of the best stopping rule that knows the process, up to one price; with z drawn from the density exp(z) / (e - 1) on
 * [0, 1], e / (e - 1) times. Both are tight, as in renting skis.
 *
 * M. Ma, C. Tzamos (2023), Buying Information for Stochastic Optimization, arXiv 2306.03607.
 *
 * @param losses X before any information, after the first piece, and so on; no more are taken than are bought. Where they end, it acts.
 * @throws RangeError for a loss below 0, no losses, or a price that is not above 0.
 */
export function buyInformation(losses: Iterable<number>, options: InformationOptions = {}): InformationResult {
  const { price = 1, randomized = false, seed = 0 } = options
  if (!(price > 0)) throw new RangeError(`price: ${price} is not above 0`)
  // The inverse of the distribution (exp(z) - 1) / (e - 1).
  const drawn = randomized ? Math.log1p((Math.E - 1) * new Draws(seed).uniform()) : 1
  const threshold = options.threshold ?? drawn
  let bought = -1
  let loss = Number.NaN
  for (const next of losses) {
    bought++
    if (!(next >= 0)) throw new RangeError(`losses: ${next} after ${bought} pieces of information is not at least 0`)
    loss = next
    if (bought * price >= threshold * loss) break
  }
  if (bought < 0) throw new RangeError('losses: there are none')
  return { bought, cost: bought * price + loss, threshold }
}
