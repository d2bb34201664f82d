import { type ComparisonOptions, percentilePruner } from './percentile.ts'
import type { Pruner } from './pruner.ts'

/**
 * Stops a trial whose best report so far is worse than the median of the best reports that complete trials had by the same step
 * (Golovin et al. 2017, Google Vizier, KDD). Otherwise as `percentilePruner`.
 */
export function medianPruner(options: ComparisonOptions = {}): Pruner {
  return { ...percentilePruner(50, options), name: 'median' }
}
