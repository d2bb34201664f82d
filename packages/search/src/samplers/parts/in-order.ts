import type { Point } from '../../space/dimension.ts'
import type { View } from '../../study/view.ts'
import type { Proposal, Request, Sampler } from '../sampler.ts'

/** How far a sampler has come that goes through points one after the other. */
export type Progress = { readonly next: number }

/** Points of a sequence that break constraints one after the other after which the study is left to say so. */
const patience = 10_000

/**
 * Proposes the points of a sequence in their order. Trials that were enqueued take no place in it, and what has failed is not tried
 * again. Points that break a constraint are passed over; so are those that have been tried, where a space has finitely many or where
 * trials came from another study.
 *
 * @param points how many the sequence has; Infinity without an end
 * @param pointAt the point of an index from 0
 */
export function inOrder(
  name: string,
  points: (view: View) => number,
  pointAt: (view: View) => (index: number) => Point,
): Sampler<Progress> {
  return {
    name,
    severalObjectives: true,
    propose(view: View, { state }: Request<Progress>): Proposal<Progress> {
      const { space, ended, open } = view
      const count = points(view)
      const at = pointAt(view)
      const finite = space.size < Infinity || count < Infinity
      const tried = new Set(state === null || finite ? [...ended, ...open].map(({ point }) => point.join()) : [])
      // A small space that has been tried is gone through again.
      const allowed = (point: Point) =>
        (!tried.has(point.join()) || (count === Infinity && tried.size >= space.size)) && space.violated(point) === null
      const first = state?.next ?? 0
      for (let index = first; index < count; index++) {
        const point = at(index)
        const insists = count === Infinity && index - first >= patience
        if (insists || allowed(point)) return { kind: 'trial', point, state: { next: index + 1 } }
      }
      return { kind: 'end', reason: `all ${count} points were tried` }
    },
  }
}
