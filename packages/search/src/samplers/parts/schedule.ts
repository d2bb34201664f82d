import type { Json } from '../../json.ts'
import type { SeenTrial, View } from '../../study/view.ts'
import type { Proposal, Request, Sampler } from '../sampler.ts'
import { advance, bracketsOf, type Rung, rungNote } from './rungs.ts'

/** What a scheduler keeps: what the sampler of its points does. */
export type ScheduleState = { readonly inner: Json }

/** Where the points of new trials come from. */
export type Source = (view: View, request: Request<Json>) => Proposal<Json> | Promise<Proposal<Json>>

/** The points of another sampler, which sees the notes that it made itself. */
export function inside(sampler: Sampler): Source {
  return (view, request) => {
    const seen = (trial: SeenTrial): SeenTrial => ({ ...trial, note: rungNote(trial)?.inner ?? null })
    const trial = (number: number) => {
      const found = view.trial(number)
      return found && seen(found)
    }
    return sampler.propose({ ...view, ended: view.ended.map(seen), open: view.open.map(seen), trial }, request)
  }
}

/** A new trial with what its scheduler and its source keep. */
export async function begin(
  source: Source,
  view: View,
  request: Request<ScheduleState>,
  { until, bracket, first }: { readonly until: number; readonly bracket: number; readonly first: number },
): Promise<Proposal<ScheduleState>> {
  const proposal = await source(view, { ...request, state: request.state?.inner ?? null })
  const state = proposal.state === undefined ? {} : { state: { inner: proposal.state } }
  if (proposal.kind === 'continue') throw new Error('the sampler inside of a scheduler cannot continue trials')
  if (proposal.kind !== 'trial') return { kind: proposal.kind, reason: proposal.reason, ...state }
  return {
    kind: 'trial',
    point: proposal.point,
    until,
    note: { bracket, first, losses: [], inner: proposal.note ?? null },
    ...state,
  }
}

/** One bracket as it is to be filled. */
export interface Bracket {
  readonly bracket: number
  readonly first: number
  readonly rungs: readonly Rung[]
}

/**
 * A sampler that works through brackets in their order.
 *
 * @param plan the brackets; one can come again, wider and longer, and goes on from where it was
 * @param overlap whether the next bracket is begun while one waits for trials that run
 */
export function schedule(
  name: string,
  source: Source,
  plan: (view: View) => Iterable<Bracket>,
  overlap: boolean,
): Sampler<ScheduleState> {
  return {
    name,
    needsResource: true,
    async propose(view, request) {
      const trials = bracketsOf(view)
      const work = async (mayStart: boolean, end: string): Promise<Proposal<ScheduleState>> => {
        let reason: string | null = null
        const waiting = new Set<number>()
        for (const { bracket, first, rungs } of plan(view)) {
          const members = trials.get(bracket) ?? []
          if (!mayStart && members.length === 0) break
          // A later stage of a bracket begins when the earlier one is through.
          if (waiting.has(bracket)) continue
          const step = advance(bracket, members, rungs, mayStart)
          if (step.kind === 'continue') return step
          if (step.kind === 'new') {
            const proposal = await begin(source, view, request, { until: step.until, bracket, first })
            return proposal.kind === 'end' ? work(false, proposal.reason) : proposal
          }
          if (step.kind === 'done') continue
          reason ??= step.reason
          waiting.add(bracket)
          if (!overlap) break
        }
        return reason === null ? { kind: 'end', reason: end } : { kind: 'wait', reason }
      }
      return work(true, 'all brackets are through')
    },
  }
}
