import { Matrix, solve } from 'ml-matrix'
import type { Random } from '../random.ts'
import { directionsUpTo } from './parts/directions.ts'
import { frontsOf, type Table, tableOf } from './parts/domination.ts'
import { byFronts, checkGenetic, type GeneticOptions, surviving } from './parts/several-objectives.ts'

/**
 * NSGA-III: survivors by fronts, and within one so that all reference directions have followers (Deb and Jain 2014, An Evolutionary
 * Many-Objective Optimization Algorithm Using Reference-Point-Based Nondominated Sorting Approach, Part I, IEEE Transactions on Evolutionary
 * Computation 18). The directions are the largest set of Das and Dennis that is not larger than the population. For three objectives and
 * more. Trials that violate constraints come after those that do not, by how much.
 *
 * @throws RangeError for a population below 2, a crossover outside of [0, 1] and an index below 0
 */
export function nsga3(options: GeneticOptions = {}) {
  return surviving('nsga3', checkGenetic('nsga3', options), {
    survive(trials, count, objectives, random) {
      const table = tableOf(trials, objectives)
      const references = directionsUpTo(objectives, count)
      return byFronts(frontsOf(table), count, (front, room, before) =>
        niched(table, before, front, room, references, random),
      ).map((row) => trials[row]!)
    },
    parents: (trials, _, random) => () => random.pick(trials),
  })
}

/** Those of a front that fill the emptiest niches. */
function niched(
  table: Table,
  before: readonly number[],
  front: readonly number[],
  room: number,
  references: readonly (readonly number[])[],
  random: Random,
): number[] {
  const rows = [...before, ...front]
  const scaled = normalized(table, rows)
  const nearest = new Map(rows.map((row, index) => [row, associated(scaled[index]!, references)]))
  const followers = references.map(() => 0)
  for (const row of before) followers[nearest.get(row)!.reference]!++
  const left = new Set(front)
  const chosen: number[] = []
  const open = new Set(references.keys())
  while (chosen.length < room) {
    const least = Math.min(...[...open].map((reference) => followers[reference]!))
    const reference = random.pick([...open].filter((each) => followers[each] === least))
    const candidates = [...left].filter((row) => nearest.get(row)!.reference === reference)
    if (candidates.length === 0) {
      open.delete(reference)
      continue
    }
    const row =
      least === 0
        ? candidates.reduce((a, b) => (nearest.get(b)!.distance < nearest.get(a)!.distance ? b : a))
        : random.pick(candidates)
    chosen.push(row)
    left.delete(row)
    followers[reference]!++
  }
  return chosen
}

/** The reference direction that a vector is nearest to, and its distance from the line along it. */
export function associated(
  vector: readonly number[],
  references: readonly (readonly number[])[],
): { reference: number; distance: number } {
  let best = { reference: 0, distance: Infinity }
  for (const [reference, direction] of references.entries()) {
    const square = direction.reduce((sum, value) => sum + value * value, 0)
    const along = direction.reduce((sum, value, objective) => sum + value * vector[objective]!, 0) / square
    const distance = Math.hypot(...vector.map((value, objective) => value - along * direction[objective]!))
    if (distance < best.distance) best = { reference, distance }
  }
  return best
}

/**
 * Losses less the ideal point, in units of the intercepts of the plane through the extreme points; of the ranges where there is no such
 * plane.
 */
export function normalized({ losses, objectives }: Table, rows: readonly number[]): number[][] {
  const vectors = rows.map((row) => Array.from(losses.subarray(row * objectives, (row + 1) * objectives)))
  const ideal = Array.from({ length: objectives }, (_, objective) =>
    vectors.reduce((least, vector) => Math.min(least, vector[objective]!), Infinity),
  )
  const shifted = vectors.map((vector) => vector.map((value, objective) => value - ideal[objective]!))
  const extremes = ideal.map((_, axis) => {
    const height = (vector: readonly number[]) =>
      Math.max(...vector.map((value, objective) => (objective === axis ? value : value * 1e6)))
    return shifted.reduce((a, b) => (height(b) < height(a) ? b : a))
  })
  const widest = ideal.map((_, objective) => shifted.reduce((most, vector) => Math.max(most, vector[objective]!), 0))
  const intercepts = interceptsOf(extremes) ?? widest
  return shifted.map((vector) => vector.map((value, objective) => value / (intercepts[objective]! || 1)))
}

function interceptsOf(extremes: readonly (readonly number[])[]): number[] | null {
  const matrix = new Matrix(extremes.map((row) => [...row]))
  try {
    const plane = solve(matrix, Matrix.ones(extremes.length, 1)).to1DArray()
    const intercepts = plane.map((value) => 1 / value)
    return intercepts.every((value) => value > 1e-10 && Number.isFinite(value)) ? intercepts : null
  } catch {
    return null
  }
}
