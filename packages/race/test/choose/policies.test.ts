import { random } from '@fallline/search/internal'
import { describe, expect, it } from 'vitest'
import { guaranteedRuns, halving, ladderFor, risingBandit, trials } from '../../src/search/policies/index.ts'
import { agreementOf, metricAt, spread } from '../../src/search/policies/measure.ts'
import type { CandidateRun, Job, Policy, Proposal, Snapshot } from '../../src/search/policy.ts'

const horizon = 100
const evaluateEvery = 5

/** A study in which candidate c ends at `ends[c]`, a little higher or lower by seed, and falls there from 10 above. */
class Study {
  readonly runs = new Map<string, CandidateRun>()
  readonly candidates: Snapshot['candidates']
  spent = 0
  #proposals = 0

  constructor(
    readonly ends: readonly number[],
    readonly budget: number,
    readonly options: { guaranteed?: number; prior?: (candidate: number) => number | null; perGroup?: number } = {},
  ) {
    const { prior = () => null, perGroup = 4 } = options
    this.candidates = ends.map((_, index) => ({
      group: index < perGroup ? 'baseline' : `group ${Math.floor(index / perGroup)}`,
      setting: { learningRate: 1 },
      prior: prior(index),
    }))
  }

  get snapshot(): Snapshot {
    return {
      candidates: this.candidates,
      runs: [...this.runs.values()],
      horizon,
      budget: this.budget * horizon,
      evaluateEvery,
      baseline: { group: 'baseline', guaranteed: this.options.guaranteed ?? guaranteedRuns(this.budget) },
    }
  }

  perform({ candidate, seed, until }: Job): void {
    const key = `${candidate} ${seed}`
    const from = this.runs.get(key)?.gradients ?? 0
    expect(until).toBeGreaterThan(from)
    const gradients = Math.min(horizon, until)
    this.spent += (gradients - from) / horizon
    const end = this.ends[candidate]!
    const lost = end === Infinity && gradients >= 50
    const times = Array.from(
      { length: Math.floor(gradients / evaluateEvery) },
      (_, index) => (index + 1) * evaluateEvery,
    )
    const shown = lost ? times.filter((time) => time < 50) : times
    const metric = shown.map((time) =>
      end === Infinity ? 20 : end + 10 * (1 - time / horizon) + Math.sin(seed) / 1000,
    )
    const outcome = lost ? 'diverged' : gradients < horizon ? 'paused' : 'finished'
    this.runs.set(key, { candidate, seed, gradients, outcome, curve: { gradients: shown, metric } })
  }

  /** Runs a policy to its end, the jobs of each proposal in the order that `order` makes of them. */
  run<State>(
    policy: Policy<State>,
    order: (jobs: readonly Job[]) => readonly Job[] = (jobs) => jobs,
    seed = 1,
  ): Proposal<State> {
    let state = policy.start(this.snapshot, seed)
    for (;;) {
      // States are plain JSON, and the same question has the same answer.
      const copy = JSON.parse(JSON.stringify(state)) as State
      const proposal = policy.next(state, this.snapshot)
      expect(policy.next(copy, this.snapshot)).toEqual(proposal)
      expect(++this.#proposals).toBeLessThan(100)
      if (proposal.jobs.length === 0) return proposal
      expect(proposal.pick).toBeNull()
      for (const job of order(proposal.jobs)) this.perform(job)
      state = proposal.state
    }
  }
}

const searches = [halving(), risingBandit()] as Policy<unknown>[]
const ends = random(1, 'ends')
const many = Array.from({ length: 400 }, () => 1 + ends.uniform())
const best = many.indexOf(Math.min(...many))

describe.each(searches)('$name', (policy) => {
  it.each([3, 5, 10, 14, 23, 46, 92, 200])('keeps to %i full runs, and uses them', (budget) => {
    const study = new Study(many, budget)
    const { pick, pickOfBaseline } = study.run(policy)
    expect(study.spent).toBeLessThanOrEqual(budget + 1e-9)
    if (policy.name === 'halving') expect(study.spent).toBeGreaterThan(0.85 * Math.min(budget, 100))
    expect(pick).not.toBeNull()
    expect(pickOfBaseline).not.toBeNull()
  })

  it.each([10, 23, 46])('gives the baseline its runs and the finalists further seeds (%i)', (budget) => {
    // The baseline is the worst of all, and gets its runs nevertheless.
    const study = new Study(
      many.map((end, index) => (index < 4 ? end + 50 : end)),
      budget,
    )
    const { pickOfBaseline, pick } = study.run(policy)
    const finished = [...study.runs.values()].filter(({ outcome }) => outcome === 'finished')
    const own = finished.filter(({ candidate }) => candidate < 4)
    const expected = Math.min(4, guaranteedRuns(budget))
    expect(new Set(own.map(({ candidate }) => candidate)).size).toBe(expected)
    expect(pickOfBaseline).toBeLessThan(4)
    expect(finished.filter(({ candidate }) => candidate === pick).length).toBeGreaterThan(1)
  })

  it('does not depend on the order in which jobs end', () => {
    const one = new Study(many, 46, { prior: (index) => (index * 7) % 11 })
    const other = new Study(many, 46, { prior: (index) => (index * 7) % 11 })
    expect(one.run(policy)).toEqual(other.run(policy, (jobs) => [...jobs].reverse()))
    expect(one.spent).toBeCloseTo(other.spent)
  })

  it('picks nothing where nothing finishes, and never what diverged', () => {
    const nothing = new Study(Array(40).fill(Infinity), 20).run(policy)
    expect(nothing).toMatchObject({ pick: null, pickOfBaseline: null })
    // What diverges looks best until then.
    const some = new Study(
      many.map((end, index) => (index % 2 === 1 ? Infinity : end)),
      46,
    ).run(policy)
    expect(some.pick! % 2).toBe(0)
  })

  it('takes up a study again with a larger budget and pays for no run twice', () => {
    const study = new Study(many, 20)
    study.run(policy)
    const before = study.spent
    const larger = new Study(many, 60)
    for (const [key, run] of study.runs) larger.runs.set(key, run)
    larger.run(policy)
    expect(before + larger.spent).toBeLessThanOrEqual(60 + 1e-9)
  })

  it('finds the best when there are few, and starts elsewhere with another seed', () => {
    const few = many.slice(0, 24).map((end, index) => (index === 13 ? 0.5 : end))
    expect(new Study(few, 60).run(policy).pick).toBe(13)
    const first = policy.start(new Study(many, 23).snapshot, 1)
    expect(policy.start(new Study(many, 23).snapshot, 1)).toEqual(first)
    expect(policy.start(new Study(many, 23).snapshot, 2)).not.toEqual(first)
  })
})

describe('the prior in halving', () => {
  const good = (index: number) => many[index]!

  it('leads to the best when it agrees with what is seen', () => {
    const study = new Study(many, 14, { prior: good })
    expect(study.run(halving()).pick).toBe(best)
  })

  it('is dropped when it contradicts it', () => {
    const picks = (prior: (index: number) => number | null) => {
      const ranks = Array.from({ length: 20 }, (_, seed) => {
        const { pick } = new Study(many, 23, { prior }).run(halving(), undefined, seed)
        return many.filter((end) => end < many[pick!]!).length
      })
      return ranks.reduce((sum, rank) => sum + rank, 0) / ranks.length
    }
    const [right, none, wrong] = [picks(good), picks(() => null), picks((index) => -good(index))]
    expect(right).toBeLessThan(none / 2)
    expect(wrong).toBeLessThan(1.5 * none + 2)
  })
})

describe('trials', () => {
  it('tries what it was told to, and runs the best on further seeds', () => {
    const study = new Study(many, 0)
    const { pick } = study.run(trials({ name: 'groups', groups: ['group 1', 'group 2'], ladder: [2, 1] }))
    const ends = many.slice(4, 12)
    expect(pick).toBe(4 + ends.indexOf(Math.min(...ends)))
    expect(study.spent).toBe(8 + 3)
    const drawn = new Study(many, 0)
    drawn.run(trials({ name: 'drawn', count: 10 }))
    expect(drawn.runs.size).toBe(10)
  })
})

describe('what policies measure with', () => {
  const run = (outcome: CandidateRun['outcome'], gradients: number): CandidateRun => ({
    candidate: 0,
    seed: 0,
    gradients,
    outcome,
    curve: { gradients: [10, 20, 30], metric: [3, 2, 1] },
  })

  it('reads a metric where a run was, and Infinity after it broke', () => {
    expect([5, 10, 25, 30].map((at) => metricAt(run('paused', 30), at))).toEqual([Infinity, 3, 2, 1])
    expect([20, 30, 40].map((at) => metricAt(run('diverged', 35), at))).toEqual([2, 1, Infinity])
    expect(metricAt(undefined, 10)).toBe(Infinity)
  })

  it('knows how far two orders agree', () => {
    const items = [0, 1, 2, 3, 4]
    const itself = (index: number) => index
    expect(agreementOf(items, itself, (index) => index ** 3)).toBeCloseTo(1)
    expect(agreementOf(items, itself, (index) => -index)).toBeCloseTo(-1)
    // Ranks 2, 1, 4, 3, 5: 1 - 6 * 4 / (5 * 24).
    expect(agreementOf(items, itself, (index) => [1, 0, 3, 2, 4][index]!)).toBeCloseTo(0.8)
    expect(agreementOf([3], itself, itself)).toBe(0)
  })

  it('spreads candidates over the groups', () => {
    const { snapshot } = new Study(many, 10)
    const order = spread(
      snapshot,
      many.map((_, index) => index),
      random(1, 'spread'),
    )
    expect(new Set(order).size).toBe(400)
    for (const start of [0, 100, 200, 300]) {
      expect(new Set(order.slice(start, start + 100).map((index) => snapshot.candidates[index]!.group)).size).toBe(100)
    }
  })

  it('makes ladders that fit', () => {
    expect([0, 1, 2, 4, 5, 9, 20].map(ladderFor)).toEqual([[], [], [2], [2], [3, 2], [4, 3, 2], [8, 5, 3, 2]])
    for (let runs = 0; runs < 60; runs++) {
      const ladder = ladderFor(runs)
      expect(ladder.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(runs)
      expect([...ladder].sort((a, b) => b - a)).toEqual(ladder)
    }
    expect([1, 2, 3, 10, 23, 24, 46, 200].map(guaranteedRuns)).toEqual([1, 1, 1, 3, 7, 8, 8, 8])
  })
})
