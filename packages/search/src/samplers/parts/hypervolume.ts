type Points = readonly (readonly number[])[]

/**
 * The volume that points dominate within a reference point: of the union of the boxes between each and the reference. Exact, by slicing
 * along the last objective (Knowles 2002; While, Hingston, Barone, Huband 2006, A Faster Algorithm for Calculating Hypervolume), in time
 * `O(n log n)` for two objectives and `O(n^(m - 1))` for m.
 *
 * @param points `[count][m]`, smaller is better; those that are not below the reference in every objective add nothing
 */
export function hypervolume(points: Points, reference: readonly number[]): number {
  const below = points.filter((point) => point.every((value, objective) => value < reference[objective]!))
  return volume(below, reference, reference.length)
}

function volume(points: Points, reference: readonly number[], objectives: number): number {
  if (points.length === 0) return 0
  const last = objectives - 1
  if (objectives === 1) return reference[0]! - Math.min(...points.map((point) => point[0]!))
  const sorted = [...points].sort((a, b) => a[last]! - b[last]!)
  if (objectives === 2) return area(sorted, reference)
  let total = 0
  for (const [index, point] of sorted.entries()) {
    const height = (sorted[index + 1]?.[last] ?? reference[last]!) - point[last]!
    if (height > 0) total += height * volume(sorted.slice(0, index + 1), reference, last)
  }
  return total
}

/** Of points in the order of their second objective. */
function area(sorted: Points, reference: readonly number[]): number {
  let total = 0
  let width = 0
  for (const [index, [first = 0, second = 0]] of sorted.entries()) {
    width = Math.max(width, reference[0]! - first)
    total += width * ((sorted[index + 1]?.[1] ?? reference[1]!) - second)
  }
  return total
}
