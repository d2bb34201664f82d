import { crowding, leastCrowded } from './parts/crowding.ts'
import { frontsOf, tableOf } from './parts/domination.ts'
import { byFronts, checkGenetic, type GeneticOptions, surviving } from './parts/several-objectives.ts'

/**
 * NSGA-II: survivors by fronts, and within one by how far their neighbours are apart; parents by binary tournaments on the same (Deb,
 * Pratap, Agarwal, Meyarivan 2002, A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, IEEE Transactions on Evolutionary
 * Computation 6). Trials that violate constraints come after those that do not, by how much.
 *
 * @throws RangeError for a population below 2, a crossover outside of [0, 1] and an index below 0
 */
export function nsga2(options: GeneticOptions = {}) {
  return surviving('nsga2', checkGenetic('nsga2', options), {
    survive(trials, count, objectives) {
      const table = tableOf(trials, objectives)
      const rows = byFronts(frontsOf(table), count, (front, room) => leastCrowded(table, front, room))
      return rows.map((row) => trials[row]!)
    },
    parents(trials, objectives, random) {
      const table = tableOf(trials, objectives)
      const [rank, distance] = [new Float64Array(table.count), new Float64Array(table.count)]
      for (const [place, front] of frontsOf(table).entries()) {
        const distances = crowding(table, front)
        for (const [index, row] of front.entries()) {
          rank[row] = place
          distance[row] = distances[index]!
        }
      }
      return () => {
        const [a, b] = [random.integer(0, table.count - 1), random.integer(0, table.count - 1)]
        const isFirst = rank[a] === rank[b] ? distance[a]! >= distance[b]! : rank[a]! < rank[b]!
        return trials[isFirst ? a : b]!
      }
    },
  })
}
