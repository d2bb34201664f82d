import { type SeenTrial, violation } from '../../study/view.ts'

/** How good a trial is, most important first; smaller is better. */
type Grade = readonly [kind: number, first: number, second: number]

/** By kind: complete and feasible, stopped or paused before the end, infeasible, without a value. */
function gradeOf(trial: SeenTrial): Grade {
  const violated = violation(trial)
  if (violated > 0) return [2, violated, 0]
  if (trial.state === 'complete') return [0, trial.losses![0]!, 0]
  const last = trial.reports.at(-1)
  if (!last || (trial.state !== 'pruned' && trial.state !== 'paused')) return [3, 0, 0]
  return [1, -last.step, Number.isNaN(last.value) ? Infinity : last.value]
}

function isBetter(a: Grade, b: Grade): boolean {
  for (let part = 0; part < a.length; part++) if (a[part] !== b[part]) return a[part]! < b[part]!
  return false
}

/**
 * The best trials, best first; among equal ones those that come first. Complete trials that meet their constraints come before those
 * that were stopped, of which the ones that went further are better, then those with the smaller last report. Trials that violate
 * constraints follow by the sum of what they violate, and trials without a value are last. With several objectives complete trials are
 * ordered by fronts (which nothing outside of earlier fronts dominates), and within the last front that is taken by crowding distance
 * (Deb et al. 2002, A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II).
 */
export function bestTrials(trials: readonly SeenTrial[], count: number, objectives: number): SeenTrial[] {
  if (count < 1) return []
  const fronts = objectives > 1 ? bestByFronts(trials, count) : []
  if (fronts.length >= count) return fronts
  const kept: { trial: SeenTrial; grade: Grade }[] = []
  const wanted = count - fronts.length
  for (const trial of trials) {
    const grade = gradeOf(trial)
    if (objectives > 1 && grade[0] === 0) continue
    if (kept.length === wanted && !isBetter(grade, kept[wanted - 1]!.grade)) continue
    let place = kept.length
    while (place > 0 && isBetter(grade, kept[place - 1]!.grade)) place--
    kept.splice(place, 0, { trial, grade })
    if (kept.length > wanted) kept.pop()
  }
  return [...fronts, ...kept.map(({ trial }) => trial)]
}

function bestByFronts(trials: readonly SeenTrial[], count: number): SeenTrial[] {
  const chosen: SeenTrial[] = []
  let left = trials.filter((trial) => trial.state === 'complete' && violation(trial) === 0)
  left.sort((a, b) => {
    const place = a.losses!.findIndex((loss, index) => loss !== b.losses![index])
    return place < 0 ? 0 : a.losses![place]! - b.losses![place]!
  })
  while (left.length > 0 && chosen.length < count) {
    // In this order nothing is dominated by what comes later.
    const front: SeenTrial[] = []
    const others: SeenTrial[] = []
    for (const trial of left) (front.some((other) => dominates(other, trial)) ? others : front).push(trial)
    const room = count - chosen.length
    chosen.push(...(front.length <= room ? front : leastCrowded(front, room)))
    left = others
  }
  return chosen
}

function dominates({ losses: a }: SeenTrial, { losses: b }: SeenTrial): boolean {
  let isBelow = false
  for (let index = 0; index < a!.length; index++) {
    if (a![index]! > b![index]!) return false
    if (a![index]! < b![index]!) isBelow = true
  }
  return isBelow
}

function leastCrowded(front: readonly SeenTrial[], count: number): SeenTrial[] {
  const distances = new Map(front.map((trial) => [trial, 0]))
  for (const objective of front[0]!.losses!.keys()) {
    const loss = (trial: SeenTrial) => trial.losses![objective]!
    const order = front.toSorted((a, b) => (loss(a) === loss(b) ? 0 : loss(a) - loss(b)))
    const span = loss(order.at(-1)!) - loss(order[0]!)
    for (const [place, trial] of order.entries()) {
      const isEdge = place === 0 || place === order.length - 1
      const gap = isEdge ? Infinity : (loss(order[place + 1]!) - loss(order[place - 1]!)) / span
      distances.set(trial, distances.get(trial)! + (Number.isNaN(gap) ? 0 : gap))
    }
  }
  return front
    .toSorted((a, b) => {
      const [first, second] = [distances.get(a)!, distances.get(b)!]
      return first === second ? 0 : second - first
    })
    .slice(0, count)
}
