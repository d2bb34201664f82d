import type { SeenTrial } from '../study/view.ts'
import { type AshaOptions, promoted, waitOrEnd } from './asha.ts'
import { bracketsOf, checkEta, levelsOf, lossAt, promotion, ranked, rungNote } from './parts/rungs.ts'
import { begin, inside, type ScheduleState } from './parts/schedule.ts'
import { randomSearch } from './random.ts'
import type { Sampler } from './sampler.ts'

/**
 * PASHA (Bohdal, Balles, Wistuba, Ermis, Archambeau and Zappella 2023, PASHA: Efficient HPO and NAS with Progressive Resource Allocation,
 * arXiv 2207.06940): `asha` with the two lowest rungs above the first to begin with, which gets another rung only while the trials of the
 * highest one are ranked otherwise there than at the rung below. Losses that differ by no more than epsilon count as equal; epsilon is
 * the 90th percentile of the differences, at the last step that both have reported, of trials of the highest rung whose curves have
 * crossed twice or more, and 0 without any. When all trials have been begun and none can go on, the best goes to the end.
 *
 * The highest rung is read from the trials: one that has become unstable and stable again before anybody went there is not added.
 *
 * @throws RangeError for eta that is not a whole number from 2, and for fewer trials than 1
 */
export function pasha({ eta = 3, inner = randomSearch(), trials = 256 }: AshaOptions = {}): Sampler<ScheduleState> {
  checkEta('pasha', eta)
  if (!(trials >= 1)) throw new RangeError(`pasha: trials must be 1 or more, not ${trials}`)
  const source = inside(inner)
  return {
    name: 'pasha',
    needsResource: true,
    async propose(view, request) {
      const levels = levelsOf(view.resource!, eta)
      const last = levels.length - 1
      const mine = bracketsOf(view).get(0) ?? []
      const reached = Math.min(last, Math.max(1, ...mine.map((trial) => rungNote(trial)!.losses.length)))
      const top = reached < last && !isStable(mine, reached) ? reached + 1 : reached
      const closes = mine.some((trial) => trial.until === levels[last] && rungNote(trial)!.losses.length < last)
      if (closes) return waitOrEnd(mine, 'the best trial has gone to the end')
      const step = promoted(mine, levels.slice(0, top + 1), eta)
      if (step.kind === 'continue') return step
      const close = () => {
        const standing = waitOrEnd(mine, 'no trial can go on any more')
        const highest = ranked(mine, reached).find(({ state }) => state === 'paused')
        const best = highest ?? ranked(mine, 0).find(({ state }) => state === 'paused')
        const isNeeded = standing.kind === 'end' && best && !mine.some(({ state }) => state === 'complete')
        if (!isNeeded) return standing
        const final = promotion(best, levels[last]!)
        return final.kind === 'continue' ? final : standing
      }
      if (mine.length >= trials) return close()
      const proposal = await begin(source, view, request, { until: levels[0]!, bracket: 0, first: 0 })
      return proposal.kind === 'end' ? close() : proposal
    },
  }
}

/** Whether the trials that have been at a rung are ranked there as at the rung below, up to epsilon. */
export function isStable(trials: readonly SeenTrial[], rung: number): boolean {
  const here = ranked(trials, rung)
  const below = ranked(here, rung - 1)
  const epsilon = noise(here)
  return below.every((trial, place) => {
    const difference = (lossAt(trial, rung) as number) - (lossAt(here[place]!, rung) as number)
    return Math.abs(difference) <= epsilon
  })
}

/** How far apart curves are that cross twice or more. */
function noise(trials: readonly SeenTrial[]): number {
  const differences: number[] = []
  for (const [index, a] of trials.entries()) {
    const values = new Map(a.reports.map(({ step, value }) => [step, value]))
    for (const b of trials.slice(0, index)) {
      const apart = b.reports.flatMap(({ step, value }) => (values.has(step) ? [values.get(step)! - value] : []))
      const signs = apart.filter((difference) => difference !== 0).map(Math.sign)
      const crossings = signs.filter((sign, place) => place > 0 && sign !== signs[place - 1]).length
      if (crossings >= 2 && Number.isFinite(apart.at(-1))) differences.push(Math.abs(apart.at(-1)!))
    }
  }
  differences.sort((a, b) => a - b)
  return differences[Math.ceil(0.9 * differences.length) - 1] ?? 0
}
