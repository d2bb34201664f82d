/** All vectors of `objectives` multiples of `1 / divisions` that sum to 1 (Das and Dennis 1998, Normal-Boundary Intersection). */
export function directions(objectives: number, divisions: number): number[][] {
  if (objectives === 1) return [[1]]
  const found: number[][] = []
  const extend = (prefix: readonly number[], left: number) => {
    if (prefix.length === objectives - 1) {
      found.push([...prefix, left].map((parts) => parts / divisions))
      return
    }
    for (let parts = 0; parts <= left; parts++) extend([...prefix, parts], left - parts)
  }
  extend([], divisions)
  return found
}

/** The largest set of directions of at most `count`, or the axes where there are more of these. */
export function directionsUpTo(objectives: number, count: number): number[][] {
  if (objectives === 1) return [[1]]
  let best = directions(objectives, 1)
  for (let divisions = 2; ; divisions++) {
    const next = directions(objectives, divisions)
    if (next.length > count) return best
    best = next
  }
}
