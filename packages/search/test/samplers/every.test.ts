import { expect, test } from 'vitest'
import {
  choice,
  float,
  integer,
  openStudy,
  pruners,
  type Sampler,
  type SeenTrial,
  Stopped,
  samplers,
  space,
  type TrialState,
  variant,
} from '../../src/index.ts'
import { proposed } from '../support/propose.ts'
import { small } from '../support/small.ts'
import { curve, seen, viewOf } from '../support/view.ts'

const mixed = space({
  rate: float(1e-4, 1, { scale: 'log' }),
  layers: integer(1, 4),
  model: variant({ tree: { depth: integer(1, 8), leaf: float(0, 1) }, line: {} }),
  kind: choice(['a', 'b', 'c']),
})
const resource = { name: 'epoch', minimum: 1, maximum: 9 }
const point = (number: number) =>
  mixed.fromCube([0.1, 0.3, 0.5, 0.7, 0.9, 0.2].map((value) => (value + 0.13 * number) % 1))
const trialsOf = (losses: readonly number[], state: TrialState = 'complete'): SeenTrial[] =>
  losses.map((loss, number) =>
    seen(number, { point: point(number), state, losses: state === 'complete' ? [loss] : null }),
  )
const views = {
  'no trials': [],
  'all equal': trialsOf(Array(12).fill(1)),
  infinite: trialsOf([Infinity, -Infinity, 1, Infinity, 2, -Infinity, 3, 4, 5, 6, 7, 8]),
  'failed only': trialsOf(Array(12).fill(0), 'failed'),
  'stale, abandoned and running': [
    ...trialsOf([0, 0], 'stale'),
    ...trialsOf([0, 0, 0, 0], 'abandoned').slice(2),
    ...trialsOf([0, 0, 0, 0, 0, 0], 'running').slice(4),
  ],
}
const all = Object.entries(samplers).map(
  ([name, make]) => [name, () => (make as (options: object) => Sampler)(small)] as const,
)

test.each(all)('%s answers odd views twice the same, with points that can be settled', async (name, make) => {
  expect(make().name).toBe(name)
  for (const [kind, trials] of Object.entries(views)) {
    // Of a resource that has one level only, every trial goes to the end.
    for (const minimum of [1, 9]) {
      const proposal = await proposed(make(), viewOf(mixed, trials, { resource: { ...resource, minimum } }))
      expect(proposal.kind, kind).toBe('trial')
      if (proposal.kind === 'trial') expect(mixed.settle(proposal.point).join(), kind).not.toMatch(/NaN/)
    }
  }
})

test.each(all)('%s serves 4 workers, with failures, a trial that was enqueued and a constraint', async (_, make) => {
  const constrained = space({ x: float(0, 1), y: float(0, 1), kind: choice(['a', 'b']) }, [
    { name: 'x + y is at most 1', allows: ({ x, y }) => x + y <= 1 },
  ])
  const study = await openStudy({ space: constrained, sampler: make(), resource, seed: 2 })
  await study.enqueue({ x: 0.5, y: 0.25, kind: 'a' })
  await study.optimize(
    async ({ number, until, from, parameters: { x, y }, report }) => {
      await new Promise((resolve) => setTimeout(resolve, number % 3))
      if (number % 7 === 5) throw new Error('it fails')
      for (let step = from + 1; step <= (until ?? 9); step++) await report(step, x + y + 1 / step)
      return x + y + 1 / (until ?? 9)
    },
    { resource: 150, parallel: 4, failures: 'continue' },
  )
  const trials = await study.trials()
  const states = new Set(trials.map(({ state }) => state))
  expect([...states].every((state) => ['complete', 'failed', 'paused'].includes(state))).toBe(true)
  expect(trials.every(({ parameters }) => (parameters.x as number) + (parameters.y as number) <= 1)).toBe(true)
  expect(trials.filter(({ state }) => state === 'complete').length).toBeGreaterThan(0)
})

test.each(Object.entries(pruners))(
  '%s is pure, bears odd reports, and stops nobody who is alone',
  async (name, make) => {
    const pruner = make()
    expect(pruner.name).toBe(name)
    const ended = [
      ...[1, 2, 3, 4, 5, 6].map((loss, number) => curve(number, [loss + 2, loss + 1, loss], { losses: [loss] })),
      curve(6, [NaN, Infinity], { state: 'pruned' }),
      curve(7, [], { state: 'failed' }),
      curve(8, [Infinity, Infinity, Infinity], { losses: [Infinity] }),
    ]
    const view = viewOf(mixed, ended, { resource })
    const before = JSON.stringify(ended)
    for (const values of [
      [],
      [1],
      [1, 1, 1],
      [NaN],
      [NaN, NaN, NaN],
      [Infinity, -Infinity],
      [9, 8, 7, 6, 5, 4, 3, 2],
    ]) {
      const trial = curve(9, values, { state: 'running' })
      expect(pruner.decide(view, trial)).toBe(pruner.decide(view, trial))
    }
    expect(JSON.stringify(ended)).toBe(before)
    expect(pruner.decide(viewOf(mixed, [], { resource }), curve(0, [3, 2, 1], { state: 'running' }))).toBe('continue')
    const study = await openStudy({ space: mixed, pruner, resource })
    await study.optimize(
      async ({ parameters: { rate, layers }, report }) => {
        for (let step = 1; step <= 9; step++)
          if ((await report(step, layers + rate + 1 / step)) === 'stop') throw new Stopped()
        return layers + rate
      },
      { trials: 24, parallel: 4 },
    )
    expect((await study.best())!.value).toBeLessThan(2.1)
  },
)
