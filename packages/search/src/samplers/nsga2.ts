import { frontsOf, type Table, tableOf } from './parts/domination.ts'
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
      return byFronts(frontsOf(table), count, (front, room) => {
        const distances = crowding(table, front)
        const order = front.map((_, index) => index).sort((a, b) => distances[b]! - distances[a]! || a - b)
        return order.slice(0, room).map((index) => front[index]!)
      }).map((row) => trials[row]!)
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

/** For each row of a front the sum over objectives of the distance of its neighbours, in the front's range; Infinity at the ends. */
export function crowding({ losses, objectives }: Table, front: readonly number[]): number[] {
  const distances = new Array<number>(front.length).fill(0)
  for (let objective = 0; objective < objectives; objective++) {
    const value = (index: number) => losses[front[index]! * objectives + objective]!
    const order = front.map((_, index) => index).sort((a, b) => value(a) - value(b) || a - b)
    const range = value(order.at(-1)!) - value(order[0]!)
    distances[order[0]!] = Infinity
    distances[order.at(-1)!] = Infinity
    if (range === 0) continue
    for (let place = 1; place < order.length - 1; place++) {
      distances[order[place]!]! += (value(order[place + 1]!) - value(order[place - 1]!)) / range
    }
  }
  return distances
}
