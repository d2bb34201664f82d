import type { Point } from '../../space/dimension.ts'
import { type Space, spaceOf } from '../../space/space.ts'
import type { SeenTrial, View } from '../../study/view.ts'

/**
 * The part of a view in which a choice has one value: a space that has no other, and the trials there. Its points have 0 where those of
 * the whole space have the index of the value.
 */
export function restricted(view: View, dimension: number, index: number): View {
  const { space } = view
  const dimensions = space.dimensions.map((each, place) =>
    place === dimension && each.domain.kind === 'choice'
      ? { ...each, domain: { ...each.domain, values: [each.domain.values[index]!] } }
      : each,
  )
  const inner: Space = {
    ...spaceOf({ dimensions, constraints: space.constraints }),
    violated: (point) => space.violated(widened(point, dimension, index)),
  }
  const seen = (trial: SeenTrial): SeenTrial => ({ ...trial, point: widened(trial.point, dimension, 0) })
  const isInside = (trial: SeenTrial) => trial.point[dimension] === index
  return {
    ...view,
    space: inner,
    ended: view.ended.filter(isInside).map(seen),
    open: view.open.filter(isInside).map(seen),
    trial: (number) => {
      const trial = view.trial(number)
      return trial && isInside(trial) ? seen(trial) : undefined
    },
  }
}

/** A point with an index of a choice. */
export function widened(point: Point, dimension: number, index: number): Point {
  return point.map((coordinate, place) => (place === dimension ? index : coordinate))
}
