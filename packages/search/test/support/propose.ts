import { type Json, type Point, type Proposal, random, type Sampler, type View } from '../../src/index.ts'

/** What a sampler proposes first in a view, asked twice to see that it answers the same and changes nothing. */
export async function proposed<State extends Json>(
  sampler: Sampler<State>,
  view: View,
  state: State | null = null,
): Promise<Proposal<State>> {
  const number = view.ended.length + view.open.length
  const before = JSON.stringify([view.ended, view.open, state])
  const ask = () => sampler.propose(view, { number, random: random(view.seed, `trial ${number}`), state })
  const proposal = await ask()
  const again = await ask()
  if (JSON.stringify(again) !== JSON.stringify(proposal))
    throw new Error(`${sampler.name} answers one thing and then another`)
  if (JSON.stringify([view.ended, view.open, state]) !== before) throw new Error(`${sampler.name} changes what it sees`)
  return proposal
}

/** Points that a sampler proposes one after the other while nothing ends. */
export async function pointsOf<State extends Json>(
  sampler: Sampler<State>,
  view: View,
  count: number,
): Promise<Point[]> {
  const points: Point[] = []
  let state: State | null = null
  while (points.length < count) {
    const proposal: Proposal<State> = await proposed(sampler, view, state)
    if (proposal.kind !== 'trial') throw new Error(`${sampler.name}: ${proposal.kind}`)
    points.push(proposal.point)
    state = proposal.state ?? state
  }
  return points
}
