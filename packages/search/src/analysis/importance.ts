import { random } from '../random.ts'
import type { Space } from '../space/space.ts'
import type { TrialRecord } from '../study/trial.ts'
import { type Objective, signOf } from '../study/view.ts'

/** How much a parameter has to do with how good trials are. */
export interface Importance {
  /** With dots, as in `Dimension`. */
  readonly name: string
  /** Its share of what all parameters have to do with it, from 0 to 1. */
  readonly share: number
  /** Of the share, between the 5th and the 95th percentile of studies drawn from these trials (bootstrap). */
  readonly interval: readonly [low: number, high: number]
  /**
   * Share of studies with the same trials and shuffled values in which it has at least as much to do with them: above 0.05 there is no
   * sign that it has an effect at all. Of values that a sampler has chosen by what it saw before, it says too little.
   */
  readonly chance: number
  /** How many trials have it. */
  readonly trials: number
}

/** What can be chosen about importances. */
export interface ImportanceOptions {
  /** Index of the objective. Default: 0. */
  readonly objective?: number
  /** Of drawing and shuffling. Default: 0. */
  readonly seed?: number
  /** How many studies are drawn, and how many shuffled. Default: 100. */
  readonly repetitions?: number
}

/** The fewest trials that say anything. */
export const enoughTrials = 20
/** More trials than these are thinned out evenly. */
const mostTrials = 2000
/** Which part of the trials counts as good. */
const goodShare = 0.1
const gridSize = 32

/**
 * How important each parameter is for being among the best tenth of the trials: the Pearson divergence of its distribution there from
 * its distribution in all of them, estimated by kernels (Watanabe, Bansal, Hutter 2023, PED-ANOVA: Efficiently Quantifying Hyperparameter
 * Importance in Arbitrary Subspaces, arXiv 2304.10255). A parameter that exists under a variant is judged among the trials that have it.
 * Two parameters that matter only together look unimportant.
 *
 * @returns by share, largest first; `null` when fewer than 20 trials are complete, which say nothing
 */
export function importances(
  space: Space,
  objectives: readonly Objective[],
  records: readonly TrialRecord[],
  { objective = 0, seed = 0, repetitions = 100 }: ImportanceOptions = {},
): readonly Importance[] | null {
  const chosen = objectives[objective]
  if (!chosen) throw new RangeError(`there is no objective ${objective}: this study has ${objectives.length}`)
  const sign = signOf(chosen.direction)
  const complete = records.filter(({ state, values }) => state === 'complete' && Number.isFinite(values![objective]!))
  if (complete.length < enoughTrials) return null
  const kept = thinned(complete, mostTrials)
  const losses = kept.map(({ values }) => sign * values![objective]!)
  const draws = random(seed, 'importances')
  const columns = space.dimensions.map(({ domain }, dimension) => {
    const places = kept.flatMap(({ point }, index) => (point[dimension] === null ? [] : [index]))
    const size = domain.kind === 'choice' ? domain.values.length : null
    return { coordinates: kept.map(({ point }) => point[dimension] ?? 0), places, size }
  })
  const all = kept.map((_, index) => index)
  const raw = columns.map((column) => divergence(column, column.places, losses))
  const measured = shares(raw)
  const drawn: number[][] = []
  const exceeded = columns.map(() => 0)
  for (let repetition = 0; repetition < repetitions; repetition++) {
    const counts = new Map<number, number>()
    for (let index = 0; index < all.length; index++) {
      const place = draws.integer(0, all.length - 1)
      counts.set(place, (counts.get(place) ?? 0) + 1)
    }
    const resampled = (places: readonly number[]) =>
      places.flatMap((place) => Array<number>(counts.get(place) ?? 0).fill(place))
    drawn.push(shares(columns.map((column) => divergence(column, resampled(column.places), losses))))
    const shuffled = draws.shuffle(losses)
    for (const [dimension, column] of columns.entries()) {
      if (divergence(column, column.places, shuffled) >= raw[dimension]!) exceeded[dimension]!++
    }
  }
  return space.dimensions
    .map(({ name }, dimension): Importance => {
      const sorted = drawn.map((row) => row[dimension]!).sort((a, b) => a - b)
      const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!
      return {
        name,
        share: measured[dimension]!,
        interval: [at(0.05), at(0.95)],
        chance: (exceeded[dimension]! + 1) / (repetitions + 1),
        trials: columns[dimension]!.places.length,
      }
    })
    .sort((a, b) => b.share - a.share)
}

interface Column {
  readonly coordinates: readonly number[]
  /** Which trials have the parameter. */
  readonly places: readonly number[]
  /** How many values it has; `null` for numbers. */
  readonly size: number | null
}

function thinned<T>(items: readonly T[], most: number): readonly T[] {
  if (items.length <= most) return items
  return Array.from({ length: most }, (_, index) => items[Math.floor((index * items.length) / most)]!)
}

function shares(values: readonly number[]): number[] {
  const total = values.reduce((sum, value) => sum + value, 0)
  return values.map((value) => (total > 0 ? value / total : 0))
}

/** The Pearson divergence of the best trials' distribution from that of all, on a grid; 0 where too few trials have the parameter. */
function divergence({ coordinates, size }: Column, places: readonly number[], losses: readonly number[]): number {
  if (places.length < enoughTrials) return 0
  const ordered = [...places].sort((a, b) => losses[a]! - losses[b]!)
  const best = ordered.slice(0, Math.max(5, Math.ceil(goodShare * places.length)))
  const density = (chosen: readonly number[]) =>
    size === null ? kernelDensity(coordinates, chosen) : frequencies(coordinates, chosen, size)
  const [good, every] = [density(best), density(places)]
  return every.reduce((sum, value, index) => sum + (value > 0 ? value * (good[index]! / value - 1) ** 2 : 0), 0)
}

function frequencies(coordinates: readonly number[], places: readonly number[], size: number): number[] {
  // One more for each value, so that one that was never tried divides nothing by 0.
  const counts = Array<number>(size).fill(1)
  for (const place of places) counts[coordinates[place]!]!++
  return counts.map((count) => count / (places.length + size))
}

/** Probabilities of the cells of a grid by Gaussian kernels with the bandwidth of Scott's rule, and one even kernel as a prior. */
function kernelDensity(coordinates: readonly number[], places: readonly number[]): number[] {
  const values = places.map((place) => coordinates[place]!)
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
  const bandwidth = Math.max(1 / gridSize, 1.059 * deviation * values.length ** -0.2)
  const cells = Array<number>(gridSize).fill(0)
  const counts = Array<number>(gridSize).fill(0)
  for (const value of values) counts[Math.min(gridSize - 1, Math.floor(value * gridSize))]!++
  for (let from = 0; from < gridSize; from++) {
    if (counts[from] === 0) continue
    const weights = cells.map((_, to) => Math.exp(-0.5 * ((to - from) / gridSize / bandwidth) ** 2))
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    for (let to = 0; to < gridSize; to++) cells[to]! += (counts[from]! * weights[to]!) / total
  }
  return cells.map((cell) => (cell + 1 / gridSize) / (values.length + 1))
}
