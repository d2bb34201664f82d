import type { Minimizer } from '../../method.ts'
import { norm, plus } from '../../vector.ts'
import { limits } from './l-bfgs-b.ts'

/** What a rectangle has to promise below the best value, relative to it. */
const promise = 1e-4
const evaluationsPerVariable = 10_000

/** A box within the unit cube: its centre, and how often each side was cut into three. */
interface Rectangle {
  readonly centre: Float64Array
  readonly value: number
  readonly cuts: Uint16Array
}

/**
 * Dividing rectangles: D. Jones, C. Perttunen and B. Stuckman, Lipschitzian optimization without the Lipschitz constant, Journal of
 * Optimization Theory and Applications 79 (1993), in the form biased to local search of J. Gablonsky and C. Kelley (2001), which SciPy has
 * too: a rectangle's size is its longest side, and of each size only one is divided. In each iteration those are cut into three that some
 * Lipschitz constant would make the most promising: the lower right of the convex hull of sizes and values.
 *
 * It draws no random numbers, and ends where the longest side around the best point is the tolerance of the gradient (of the width
 * between the bounds), or after 10,000 evaluations for each variable (SciPy: 1,000). Values that are not finite count as higher than all others.
 */
export const direct: Minimizer = {
  name: 'direct',
  title: 'Dividing rectangles',
  paper: 'Jones, Perttunen and Stuckman 1993; Gablonsky and Kelley 2001',
  takes: { bounds: true, withoutGradient: true, needsBounds: true, global: true },
  *solve(problem, start, tolerances) {
    const n = problem.size
    const [lower, upper] = limits(problem)
    const open = [...lower.keys()].filter((i) => lower[i]! < upper[i]!)
    const place = (unit: Float64Array) =>
      problem.within(unit.map((element, i) => lower[i]! * (1 - element) + upper[i]! * element))
    let best = { point: start, value: problem.value(start) }
    const at = (centre: Float64Array): number => {
      const point = place(centre)
      const value = problem.value(point)
      if (value < best.value) best = { point, value }
      return value
    }
    if (open.length === 0) {
      yield { ...best, residual: 0, step: 0, evaluations: problem.evaluations }
      return { kind: 'converged', test: 'rectangle' }
    }
    const middle = new Float64Array(n).fill(0.5)
    let finest: Rectangle = { centre: middle, value: at(middle), cuts: new Uint16Array(n) }
    /** Rectangles by the cuts of their longest side; the lowest last. */
    const sizes = new Map<number, Rectangle[]>([[0, [finest]]])
    const leastCuts = ({ cuts }: Rectangle) => Math.min(...open.map((i) => cuts[i]!))
    for (let from = start; ; from = best.point) {
      const residual = 3 ** -leastCuts(finest)
      const step = norm(plus(best.point, -1, from))
      yield { ...best, residual, step, evaluations: problem.evaluations }
      if (best.value === -Infinity) return { kind: 'unbounded' }
      if (residual <= tolerances.gradient) return { kind: 'converged', test: 'rectangle' }
      if (problem.evaluations.values >= evaluationsPerVariable * n) return { kind: 'limit', of: 'evaluations' }
      for (const chosen of promising(sizes)) {
        for (const part of divided(chosen, open, at)) {
          const size = leastCuts(part)
          if (!sizes.has(size)) sizes.set(size, [])
          insert(sizes.get(size)!, part)
          if (part.value < finest.value || (part.value === finest.value && part.centre === finest.centre)) finest = part
        }
      }
    }
  },
}

/** Takes the potentially optimal rectangles out. */
function promising(sizes: Map<number, Rectangle[]>): Rectangle[] {
  const groups = [...sizes.entries()].filter(([, rectangles]) => rectangles.length > 0)
  const lowest = groups.map(([cuts, rectangles]) => {
    const rectangle = rectangles.at(-1)!
    return { cuts, side: 3 ** -cuts, rectangle, value: rectangle.value }
  })
  const finite = lowest.map(({ value }) => value).filter(Number.isFinite)
  const most = Math.max(...finite, 0)
  for (const entry of lowest) if (!Number.isFinite(entry.value)) entry.value = most + Math.abs(most) + 1
  lowest.sort((a, b) => b.side - a.side)
  const best = Math.min(...lowest.map(({ value }) => value))
  const chosen = lowest.filter(({ side, value }, k) => {
    const larger = lowest.slice(0, k)
    const smaller = lowest.slice(k + 1)
    const most = Math.min(...larger.map((other) => (other.value - value) / (other.side - side)))
    const least = Math.max(0, ...smaller.map((other) => (value - other.value) / (side - other.side)))
    if (!(least <= most)) return false
    return most === Infinity || value - most * side <= best - promise * Math.abs(best)
  })
  for (const { cuts } of chosen) sizes.get(cuts)!.pop()
  return chosen.map(({ rectangle }) => rectangle)
}

/** Into a list that goes down in value; of the same value, later ones come out later. */
function insert(rectangles: Rectangle[], rectangle: Rectangle): void {
  let [from, to] = [0, rectangles.length]
  while (from < to) {
    const middle = (from + to) >> 1
    if (rectangles[middle]!.value > rectangle.value) from = middle + 1
    else to = middle
  }
  rectangles.splice(from, 0, rectangle)
}

/** Cuts along all longest sides: those first whose new centres are best, so that good ones get large rectangles. */
function divided(rectangle: Rectangle, open: readonly number[], at: (centre: Float64Array) => number): Rectangle[] {
  const { centre, value, cuts } = rectangle
  const least = Math.min(...open.map((i) => cuts[i]!))
  const moved = (i: number, by: number) => centre.map((element, j) => (i === j ? element + by : element))
  const sides = open
    .filter((i) => cuts[i] === least)
    .map((i) => {
      const third = 3 ** -(least + 1)
      const pair = [moved(i, -third), moved(i, third)].map((point) => ({ point, value: at(point) }))
      return { i, pair, lowest: Math.min(...pair.map((end) => end.value)) }
    })
  sides.sort((a, b) => (a.lowest < b.lowest ? -1 : a.lowest > b.lowest ? 1 : a.i - b.i))
  const parts: Rectangle[] = []
  const now = cuts.slice()
  for (const { i, pair } of sides) {
    now[i]! += 1
    for (const end of pair) parts.push({ centre: end.point, value: end.value, cuts: now.slice() })
  }
  parts.push({ centre, value, cuts: now })
  return parts
}
