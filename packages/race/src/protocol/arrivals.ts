import type { RunRecord } from '../results.ts'
import { type Arrival, miss } from '../statistics/ratios.ts'

/** When a run reached each target, in gradients: after one evaluation and at most by the next. */
export function arrivalsOf({ gradientsToTarget, curve }: Pick<RunRecord, 'gradientsToTarget' | 'curve'>): Arrival[] {
  return gradientsToTarget.map((by) => {
    if (by === null) return miss
    const index = curve.gradients.indexOf(by)
    return { after: index <= 0 ? 0 : curve.gradients[index - 1]!, by }
  })
}

/** The same in optimizer steps, which is what the time of a step is multiplied with. */
export function arrivalsInSteps({
  gradientsToTarget,
  curve,
}: Pick<RunRecord, 'gradientsToTarget' | 'curve'>): Arrival[] {
  return gradientsToTarget.map((by) => {
    if (by === null) return miss
    const index = curve.gradients.indexOf(by)
    return { after: index <= 0 ? 0 : curve.step[index - 1]!, by: curve.step[index]! }
  })
}
