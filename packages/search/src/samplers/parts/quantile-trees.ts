/** What is predicted for a row of features. */
export type Predictor = (row: readonly number[]) => number

/** How trees are boosted. */
export interface BoostingOptions {
  /** Trees. Default: 50. */
  readonly rounds?: number
  /** Share of each tree that is added. Default: 0.2. */
  readonly rate?: number
  /** Splits from the root to a leaf at most. Default: 3. */
  readonly depth?: number
  /** Rows in a leaf at least. Default: 3. */
  readonly leastLeaf?: number
}

/** The empirical quantile: of the sorted values the one of rank ceil(level * count), at least the first. */
export function quantileOf(values: readonly number[], level: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(level * sorted.length) - 1))]!
}

/**
 * The quantile of targets given features by gradient boosting (Friedman 2001, Greedy Function Approximation: A Gradient Boosting Machine,
 * algorithm 1 with the pinball loss): each tree splits where the signs of the residuals differ most, and its leaves are quantiles of the
 * residuals.
 *
 * @param level of the quantile, between 0 and 1
 */
export function boostQuantile(
  rows: readonly (readonly number[])[],
  targets: readonly number[],
  level: number,
  { rounds = 50, rate = 0.2, depth = 3, leastLeaf = 3 }: BoostingOptions = {},
): Predictor {
  const base = quantileOf(targets, level)
  const trees: Predictor[] = []
  const residuals = targets.map((target) => target - base)
  for (let round = 0; round < rounds; round++) {
    const leaf = (members: readonly number[]): Predictor => {
      const value =
        rate *
        quantileOf(
          members.map((index) => residuals[index]!),
          level,
        )
      return () => value
    }
    const grow = (members: readonly number[], left: number): Predictor => {
      const split = left > 0 ? bestSplit(rows, residuals, members, level, leastLeaf) : null
      if (split === null) return leaf(members)
      const { feature, threshold } = split
      const isLow = (index: number) => rows[index]![feature]! < threshold
      const low = grow(members.filter(isLow), left - 1)
      const high = grow(
        members.filter((index) => !isLow(index)),
        left - 1,
      )
      return (row) => (row[feature]! < threshold ? low(row) : high(row))
    }
    const tree = grow([...rows.keys()], depth)
    for (const [index, row] of rows.entries()) residuals[index]! -= tree(row)
    trees.push(tree)
  }
  return (row) => trees.reduce((sum, tree) => sum + tree(row), base)
}

function bestSplit(
  rows: readonly (readonly number[])[],
  residuals: readonly number[],
  members: readonly number[],
  level: number,
  leastLeaf: number,
): { feature: number; threshold: number } | null {
  const slope = (index: number) => (residuals[index]! > 0 ? level : level - 1)
  const total = members.reduce((sum, index) => sum + slope(index), 0)
  let best: { feature: number; threshold: number } | null = null
  let largest = (total * total) / members.length + 1e-9
  for (const feature of rows[0]!.keys()) {
    const order = members.toSorted((a, b) => rows[a]![feature]! - rows[b]![feature]!)
    let sum = 0
    for (let count = 1; count < order.length; count++) {
      sum += slope(order[count - 1]!)
      const [below, above] = [rows[order[count - 1]!]![feature]!, rows[order[count]!]![feature]!]
      if (below === above || count < leastLeaf || order.length - count < leastLeaf) continue
      const gain = (sum * sum) / count + (total - sum) ** 2 / (order.length - count)
      if (gain <= largest) continue
      largest = gain
      best = { feature, threshold: (below + above) / 2 }
    }
  }
  return best
}

/**
 * Quantiles of targets given features whose intervals hold what they say for new rows (Romano, Patterson and Candes 2019, Conformalized
 * Quantile Regression): the interval between the quantiles of level a and 1 - a is widened on both sides by the
 * ceil((n + 1) (1 - 2 a))-th smallest of the n distances by which targets for calibration are outside of it, negative inside.
 *
 * @param lows levels below 1/2
 * @returns for a row, the quantiles of each level and then, in reverse, of 1 minus each; infinite where calibration has too few targets
 */
export function conformalize(
  fit: { readonly rows: readonly (readonly number[])[]; readonly targets: readonly number[] },
  calibration: { readonly rows: readonly (readonly number[])[]; readonly targets: readonly number[] },
  lows: readonly number[],
  options: BoostingOptions = {},
): (row: readonly number[]) => number[] {
  const count = calibration.targets.length
  const intervals = lows.map((low) => {
    const [below, above] = [low, 1 - low].map((level) => boostQuantile(fit.rows, fit.targets, level, options))
    const outside = calibration.rows
      .map((row, index) =>
        Math.max(below!(row) - calibration.targets[index]!, calibration.targets[index]! - above!(row)),
      )
      .sort((a, b) => a - b)
    const rank = Math.ceil((count + 1) * (1 - 2 * low) - 1e-9)
    const widening = outside[rank - 1] ?? Infinity
    return { below: below!, above: above!, widening }
  })
  return (row) => [
    ...intervals.map(({ below, widening }) => below(row) - widening),
    ...intervals.map(({ above, widening }) => above(row) + widening).reverse(),
  ]
}
