import { compareLosses, firstFront } from '../../study/dominance.ts'
import { type SeenTrial, violation } from '../../study/view.ts'
import { leastCrowded } from './crowding.ts'
import type { Table } from './domination.ts'

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
  const lossesOf = ({ losses }: SeenTrial) => losses!
  const chosen: SeenTrial[] = []
  let left = trials
    .filter((trial) => trial.state === 'complete' && violation(trial) === 0)
    .sort((a, b) => compareLosses(lossesOf(a), lossesOf(b)))
  while (left.length > 0 && chosen.length < count) {
    const { front, others } = firstFront(left, lossesOf)
    const room = count - chosen.length
    if (front.length <= room) chosen.push(...front)
    else
      chosen.push(...leastCrowded(plainTable(front.map(lossesOf)), range(front.length), room).map((row) => front[row]!))
    left = others
  }
  return chosen
}

/** Losses as they are, infinite ones included. */
function plainTable(rows: readonly (readonly number[])[]): Table {
  const objectives = rows[0]!.length
  return {
    count: rows.length,
    objectives,
    losses: Float64Array.from(rows.flat()),
    violations: new Float64Array(rows.length),
  }
}

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index)
