/** A function's value and gradient at a place. */
export interface Slope {
  readonly value: number
  readonly gradient: readonly number[]
}

function inner(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * b[index]!, 0)
}

/**
 * A local minimum of a smooth function of few variables: BFGS with halved steps until the value has fallen enough (Nocedal and Wright
 * 2006, Numerical Optimization, algorithms 3.1 and 6.1). Values that are not finite count as too large.
 */
export function minimize(
  slopeAt: (place: readonly number[]) => Slope,
  start: readonly number[],
  steps: number,
): number[] {
  const size = start.length
  const identity = () => start.map((_, row) => start.map((_, column) => (row === column ? 1 : 0)))
  let inverse = identity()
  let place = [...start]
  let { value, gradient } = slopeAt(place)
  for (let step = 0; step < steps; step++) {
    let direction = inverse.map((row) => -inner(row, gradient))
    if (!(inner(direction, gradient) < 0)) {
      inverse = identity()
      direction = gradient.map((part) => -part)
    }
    // No variable, which are logarithms here, moves by more than 2 at a time.
    let length = Math.min(1, 2 / Math.max(...direction.map(Math.abs)))
    const slope = inner(direction, gradient)
    if (!(slope < -1e-9)) break
    let next: { place: number[]; slope: Slope } | undefined
    for (let half = 0; half < 20 && !next; half++, length /= 2) {
      const tried = place.map((part, index) => part + length * direction[index]!)
      const found = slopeAt(tried)
      if (found.value <= value + 1e-4 * length * slope) next = { place: tried, slope: found }
    }
    if (!next) break
    const moved = next.place.map((part, index) => part - place[index]!)
    const turned = next.slope.gradient.map((part, index) => part - gradient[index]!)
    const curvature = inner(moved, turned)
    if (curvature > 1e-12) {
      const pushed = inverse.map((row) => inner(row, turned))
      const scale = (1 + inner(turned, pushed) / curvature) / curvature
      for (let row = 0; row < size; row++) {
        for (let column = 0; column < size; column++) {
          inverse[row]![column]! +=
            scale * moved[row]! * moved[column]! -
            (pushed[row]! * moved[column]! + moved[row]! * pushed[column]!) / curvature
        }
      }
    }
    place = next.place
    value = next.slope.value
    gradient = next.slope.gradient
  }
  return place
}
