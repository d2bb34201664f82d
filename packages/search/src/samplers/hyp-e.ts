import type { Random } from '../random.ts'
import { frontsOf, type Table, tableOf } from './parts/domination.ts'
import { byFronts, checkGenetic, type GeneticOptions, surviving } from './parts/several-objectives.ts'

/** Cells or random points that a volume is summed over. */
const mostSamples = 20_000

/**
 * HypE: survivors by fronts, and within one by the hypervolume that would be lost with them when others go too (Bader and Zitzler 2011, HypE:
 * An Algorithm for Fast Hypervolume-Based Many-Objective Optimization, Evolutionary Computation 19). Volumes are exact where the grid through
 * all points has at most 20000 cells, and estimated from as many random points otherwise; either way as one pass over flat arrays, after
 * Liang, Li, Yu, Sun, Cheng 2025, Bridging Evolutionary Multiobjective Optimization and GPU Acceleration via Tensorization, arXiv
 * 2503.20286.
 *
 * @throws RangeError for a population below 2, a crossover outside of [0, 1] and an index below 0
 */
export function hypE(options: GeneticOptions = {}) {
  return surviving('hypE', checkGenetic('hypE', options), {
    survive(trials, count, objectives, random) {
      const table = tableOf(trials, objectives)
      return byFronts(frontsOf(table), count, (front, room) => largest(table, front, room, random)).map(
        (row) => trials[row]!,
      )
    },
    parents(trials, objectives, random) {
      const table = tableOf(trials, objectives)
      const rank = new Int32Array(table.count)
      for (const [place, front] of frontsOf(table).entries()) for (const row of front) rank[row] = place
      return () => {
        const [a, b] = [random.integer(0, table.count - 1), random.integer(0, table.count - 1)]
        return trials[rank[a]! <= rank[b]! ? a : b]!
      }
    },
  })
}

interface Samples {
  readonly count: number
  /** `[count]` what each stands for. */
  readonly volumes: Float64Array
  /** `[count, points]` whether a point dominates a sample. */
  readonly dominated: Uint8Array
}

/** The rows that are left when those of the least value are removed one by one. */
function largest(table: Table, front: readonly number[], room: number, random: Random): number[] {
  const points = pointsOf(table, front)
  const samples = samplesOf(points, front.length, table.objectives, random)
  const left = front.map((_, index) => index)
  while (left.length > room) {
    const values = sharedVolumes(samples, front.length, left, left.length - room)
    let worst = 0
    for (const [index, value] of values.entries()) if (value < values[worst]!) worst = index
    left.splice(worst, 1)
  }
  return left.map((index) => front[index]!)
}

/** `[count, objectives]` in the range of the front, so that the reference point is 1.1 in every objective. */
function pointsOf({ losses, objectives }: Table, front: readonly number[]): Float64Array {
  const points = new Float64Array(front.length * objectives)
  for (let objective = 0; objective < objectives; objective++) {
    let [low, high] = [Infinity, -Infinity]
    for (const row of front) {
      low = Math.min(low, losses[row * objectives + objective]!)
      high = Math.max(high, losses[row * objectives + objective]!)
    }
    for (const [index, row] of front.entries()) {
      points[index * objectives + objective] = (losses[row * objectives + objective]! - low) / (high - low || 1)
    }
  }
  return points
}

/**
 * Samples of the box from the smallest coordinates to 1.1: the cells of the grid through all points, or random points.
 *
 * @param points `[count, objectives]` from 0 to 1
 */
export function samplesOf(points: Float64Array, count: number, objectives: number, random: Random): Samples {
  const reference = 1.1
  const bounds = Array.from({ length: objectives }, (_, objective) => {
    const values = Array.from({ length: count }, (_, index) => points[index * objectives + objective]!)
    return [...new Set(values), reference].sort((a, b) => a - b)
  })
  const cells = bounds.reduce((product, each) => product * (each.length - 1), 1)
  const isExact = cells <= mostSamples
  const total = isExact ? cells : mostSamples
  const volumes = new Float64Array(total)
  const dominated = new Uint8Array(total * count)
  const corner = new Float64Array(objectives)
  const box = bounds.reduce((product, each) => product * (reference - each[0]!), 1)
  for (let sample = 0; sample < total; sample++) {
    let volume = isExact ? 1 : box / total
    let cell = sample
    for (let objective = 0; objective < objectives; objective++) {
      const each = bounds[objective]!
      if (isExact) {
        const place = cell % (each.length - 1)
        cell = Math.floor(cell / (each.length - 1))
        corner[objective] = each[place]!
        volume *= each[place + 1]! - each[place]!
      } else corner[objective] = each[0]! + random.uniform() * (reference - each[0]!)
    }
    volumes[sample] = volume
    for (let index = 0; index < count; index++) {
      let isBelow = 1
      for (let objective = 0; objective < objectives; objective++) {
        if (points[index * objectives + objective]! > corner[objective]!) isBelow = 0
      }
      dominated[sample * count + index] = isBelow
    }
  }
  return { count: total, volumes, dominated }
}

/**
 * For each point of a set the volume that is expected to be lost with it when it and `removed - 1` others, drawn evenly, go:
 * `sum_i alpha_i lambda(H_i)` with `alpha_i = (1 / i) prod_(j < i) (removed - j) / (n - j)`, H_i what i points dominate, it among them.
 *
 * @param left indices of the set
 */
export function sharedVolumes(samples: Samples, count: number, left: readonly number[], removed: number): number[] {
  const shares = new Float64Array(left.length + 1)
  let product = 1
  for (let i = 1; i <= Math.min(removed, left.length); i++) {
    if (i > 1) product *= (removed - i + 1) / (left.length - i + 1)
    shares[i] = product / i
  }
  const values = new Array<number>(left.length).fill(0)
  for (let sample = 0; sample < samples.count; sample++) {
    const start = sample * count
    let by = 0
    for (const index of left) by += samples.dominated[start + index]!
    const share = shares[by]! * samples.volumes[sample]!
    if (share === 0) continue
    for (let place = 0; place < left.length; place++) {
      if (samples.dominated[start + left[place]!]) values[place]! += share
    }
  }
  return values
}
