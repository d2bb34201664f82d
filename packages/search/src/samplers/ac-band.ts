import { wholeFrom } from '../check.ts'
import type { Json } from '../json.ts'
import type { Resource, SeenTrial, View } from '../study/view.ts'
import { lossNow } from './parts/rungs.ts'
import { randomSearch } from './random.ts'
import type { Proposal, Sampler } from './sampler.ts'

/** Options of `acBand`. */
export interface AcBandOptions {
  /** The points that count as good enough are this share of all. Default: 0.05. */
  readonly alpha?: number
  /** The chance that none of the points is. Default: 0.05. */
  readonly delta?: number
  /** How many are compared with each other at a time. Default: 4. */
  readonly group?: number
}

/** What is noted with a trial: where it came in, and what it had at the amounts of the resource that it has left. */
interface Note {
  readonly epoch: number
  readonly past: readonly (readonly [until: number, loss: number])[]
}

/** One epoch: how many take part, and how far they go in its rounds. */
export interface Epoch {
  readonly size: number
  readonly untils: readonly number[]
}

/**
 * AC-Band (Brandt, Schede, Haddenhorst, Bengs, Huellermeier and Tierney 2023, AC-Band: A Combinatorial Bandit-Based Approach to Algorithm
 * Configuration, AAAI, arXiv 2212.00333). With N = ceil(log delta / log(1 - alpha)) points one is among the best share alpha with
 * probability 1 - delta. They are spread over ceil(log2(N + 1)) epochs, of which epoch e has ceil((N + 1) / 2^e) new ones and the best so
 * far. In a round of an epoch groups of `group` are compared, and floor(group e / (e + group - 1)) of each stay, at least one: many are
 * dropped at once in the first epochs and few in the last. What is too few for a group goes on with those that stay, until one is left.
 *
 * The paper runs a group on fresh instances and counts who is first; here steps of the resource are the instances, the trials of a group
 * are at the same step, and their losses there decide. That step is raised evenly from the minimum in the first round to the maximum in
 * the last, so that later epochs, with fewer trials, get more each. After the last epoch the winner has gone to the end, and it is over.
 *
 * @throws RangeError for alpha and delta that are not between 0 and 1, and for groups that are not a whole number from 2
 */
export function acBand({ alpha = 0.05, delta = 0.05, group = 4 }: AcBandOptions = {}): Sampler<null> {
  for (const [name, value] of Object.entries({ alpha, delta })) {
    if (!(value > 0 && value < 1)) throw new RangeError(`acBand: ${name} must be between 0 and 1, not ${value}`)
  }
  wholeFrom('acBand', 'group', group, 2)
  return {
    name: 'acBand',
    needsResource: true,
    async propose(view, request): Promise<Proposal<null>> {
      const epochs = epochsOf(view.resource!, alpha, delta, group)
      let winner: SeenTrial | null = null
      for (const [epoch, { size, untils }] of epochs.entries()) {
        const begun: SeenTrial[] = trialsOf(view, epoch)
        if (begun.length < size - 1) {
          const proposal = await randomSearch().propose(view, request)
          if (proposal.kind !== 'trial') return proposal
          const note: Note = { epoch, past: [] }
          return { kind: 'trial', point: proposal.point, until: untils[0]!, note: note as unknown as Json }
        }
        let active: SeenTrial[] = winner === null ? begun : [winner, ...begun]
        for (const [round, until] of untils.entries()) {
          const behind: SeenTrial | undefined = active.find((trial) => trial.state === 'paused' && trial.until! < until)
          if (behind) return goOn(behind, until)
          const busy = active.filter(
            ({ state, until: end }) => (state === 'running' || state === 'waiting') && end! <= until,
          )
          if (busy.length > 0) {
            const reason = `round ${round} of epoch ${epoch} waits for ${busy.length} of ${active.length} trials`
            return { kind: 'wait', reason }
          }
          active = survivors(active, until, epoch + 1, group)
        }
        winner = active[0] ?? null
      }
      if (winner?.state === 'paused') return goOn(winner, view.resource!.maximum)
      return { kind: 'end', reason: 'all epochs are through' }
    },
  }
}

function noteOf({ note }: SeenTrial): Note | null {
  return note !== null && typeof note === 'object' && 'epoch' in note ? (note as unknown as Note) : null
}

function trialsOf(view: View, epoch: number): SeenTrial[] {
  return [...view.ended, ...view.open]
    .filter((trial) => noteOf(trial)?.epoch === epoch)
    .sort((a, b) => a.number - b.number)
}

function goOn(trial: SeenTrial, until: number): Proposal<null> {
  const { epoch, past } = noteOf(trial)!
  const note: Note = { epoch, past: [...past, [trial.until!, lossNow(trial)]] }
  return { kind: 'continue', trial: trial.number, until, note: note as unknown as Json }
}

/** The loss of a trial at a step; `null` when it has none and never will. */
function lossAtStep(trial: SeenTrial, step: number): number | null {
  const left = noteOf(trial)!.past.find(([until]) => until >= step)
  if (left) return left[1]
  return trial.state === 'paused' || trial.state === 'complete' ? lossNow(trial) : null
}

function survivors(active: readonly SeenTrial[], until: number, epoch: number, group: number): SeenTrial[] {
  const known = active.flatMap((trial) => {
    const loss = lossAtStep(trial, until)
    return loss === null ? [] : [{ trial, loss }]
  })
  const size = Math.min(group, known.length)
  const kept = stays(size, epoch, group)
  const stay: SeenTrial[] = []
  let first = 0
  for (; first + size <= known.length && size > 0; first += size) {
    const members = known.slice(first, first + size)
    members.sort((a, b) => a.loss - b.loss || a.trial.number - b.trial.number)
    stay.push(...members.slice(0, kept).map(({ trial }) => trial))
  }
  return [...stay, ...known.slice(first).map(({ trial }) => trial)]
}

/** How many of a group stay. */
function stays(size: number, epoch: number, group: number): number {
  return Math.max(1, Math.floor((size * epoch) / (epoch + group - 1)))
}

/** The epochs over a resource. */
export function epochsOf({ minimum, maximum }: Resource, alpha: number, delta: number, group: number): Epoch[] {
  const points = Math.ceil(Math.log(delta) / Math.log(1 - alpha) - 1e-9) + 1
  const sizes: { size: number; rounds: number }[] = []
  for (let epoch = 1; 2 ** (epoch - 1) < points; epoch++) {
    const size = Math.ceil(points / 2 ** epoch) + 1
    let [left, rounds] = [size, 0]
    for (; left > 1; rounds++) {
      const inGroup = Math.min(left, group)
      left = stays(inGroup, epoch, group) * Math.floor(left / inGroup) + (left % inGroup)
    }
    sizes.push({ size, rounds })
  }
  const total = sizes.reduce((sum, { rounds }) => sum + rounds, 0)
  const whole = Number.isInteger(minimum) && Number.isInteger(maximum)
  let round = 0
  return sizes.map(({ size, rounds }) => ({
    size,
    untils: Array.from({ length: rounds }, () => {
      const until = minimum + ((maximum - minimum) * round++) / Math.max(1, total - 1)
      return whole ? Math.round(until) : Math.min(until, maximum)
    }),
  }))
}
