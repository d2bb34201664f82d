import { type SeenTrial, violation } from '../../study/view.ts'

/** The losses of trials as numbers in one flat array, and by how much each violates constraints. */
export interface Table {
  readonly count: number
  readonly objectives: number
  /** `[count, objectives]` by rows; all finite. */
  readonly losses: Float64Array
  /** `[count]`; Infinity for trials without losses. */
  readonly violations: Float64Array
}

/** Losses of trials. Infinite ones are put as far beyond the finite ones of their objective as these reach, and 1 more. */
export function tableOf(trials: readonly SeenTrial[], objectives: number): Table {
  const losses = new Float64Array(trials.length * objectives)
  const violations = new Float64Array(trials.length)
  for (const [row, trial] of trials.entries()) {
    const given = trial.state === 'complete' ? trial.losses : null
    violations[row] = given ? violation(trial) : Infinity
    for (let objective = 0; objective < objectives; objective++) {
      losses[row * objectives + objective] = given?.[objective] ?? Infinity
    }
  }
  for (let objective = 0; objective < objectives; objective++) {
    let [low, high] = [Infinity, -Infinity]
    for (let at = objective; at < losses.length; at += objectives) {
      if (!Number.isFinite(losses[at])) continue
      low = Math.min(low, losses[at]!)
      high = Math.max(high, losses[at]!)
    }
    if (low > high) [low, high] = [0, 0]
    const beyond = high - low + 1
    for (let at = objective; at < losses.length; at += objectives) {
      if (losses[at] === Infinity) losses[at] = high + beyond
      else if (losses[at] === -Infinity) losses[at] = low - beyond
    }
  }
  return { count: trials.length, objectives, losses, violations }
}

/**
 * Whether a row dominates another under constraints: it violates them less, or both violate them equally and it is at least as good in all
 * objectives and better in one (Deb, Pratap, Agarwal, Meyarivan 2002).
 */
export function dominates({ losses, violations, objectives }: Table, a: number, b: number): boolean {
  if (violations[a] !== violations[b]) return violations[a]! < violations[b]!
  let isBetter = false
  for (let objective = 0; objective < objectives; objective++) {
    const [mine, other] = [losses[a * objectives + objective]!, losses[b * objectives + objective]!]
    if (mine > other) return false
    if (mine < other) isBetter = true
  }
  return isBetter
}

/** The rows by fronts: those that no row dominates, those that no other row dominates, and so on, in time `O(objectives count^2)`. */
export function frontsOf(table: Table): number[][] {
  const { count } = table
  const above = new Int32Array(count)
  const below: number[][] = Array.from({ length: count }, () => [])
  for (let a = 0; a < count; a++) {
    for (let b = a + 1; b < count; b++) {
      const [winner, loser] = dominates(table, a, b) ? [a, b] : dominates(table, b, a) ? [b, a] : [-1, -1]
      if (winner < 0) continue
      below[winner]!.push(loser)
      above[loser]!++
    }
  }
  const fronts: number[][] = []
  let front = Array.from({ length: count }, (_, row) => row).filter((row) => above[row] === 0)
  while (front.length > 0) {
    fronts.push(front)
    const next: number[] = []
    for (const row of front) for (const loser of below[row]!) if (--above[loser]! === 0) next.push(loser)
    front = next.sort((a, b) => a - b)
  }
  return fronts
}
