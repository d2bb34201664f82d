import type { Table } from './domination.ts'

/**
 * For each row of a front the sum over objectives of the distance of its neighbours, in the front's range; Infinity at the ends (Deb,
 * Pratap, Agarwal, Meyarivan 2002). Distances that infinite losses leave undefined count nothing.
 */
export function crowding({ losses, objectives }: Table, front: readonly number[]): number[] {
  const distances = new Array<number>(front.length).fill(0)
  for (let objective = 0; objective < objectives; objective++) {
    const value = (index: number) => losses[front[index]! * objectives + objective]!
    const order = front.map((_, index) => index).sort((a, b) => value(a) - value(b) || a - b)
    const range = value(order.at(-1)!) - value(order[0]!)
    distances[order[0]!] = Infinity
    distances[order.at(-1)!] = Infinity
    for (let place = 1; place < order.length - 1; place++) {
      const gap = (value(order[place + 1]!) - value(order[place - 1]!)) / range
      if (!Number.isNaN(gap)) distances[order[place]!]! += gap
    }
  }
  return distances
}

/** So many rows of a front, those first whose neighbours are far. */
export function leastCrowded(table: Table, front: readonly number[], count: number): number[] {
  const distances = crowding(table, front)
  const order = front.map((_, index) => index).sort((a, b) => distances[b]! - distances[a]! || a - b)
  return order.slice(0, count).map((index) => front[index]!)
}
