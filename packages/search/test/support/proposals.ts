import type { Point, Proposal, Sampler, SeenTrial, Space, View } from '../../src/index.ts'
import { choice, float, integer, openStudy, space, variant } from '../../src/index.ts'
import { random } from '../../src/random.ts'
import type { TestFunction } from './functions.ts'
import { seen as seenTrial, viewOf as viewOfTrials } from './view.ts'

/** A space with all that a space can have. */
export const mixed = space({
  rate: float(1e-4, 1, { scale: 'log' }),
  layers: integer(1, 4),
  only: integer(3, 3),
  optimizer: variant({ sgd: { momentum: float(0, 0.99) }, adam: { beta2: choice([0.99, 0.999]) } }),
  share: float(0, 1, { step: 0.1 }),
})

/** A trial as samplers see it, complete with a loss of 0 unless said otherwise. */
export function seen(number: number, point: Point, changes: Partial<SeenTrial> = {}): SeenTrial {
  return seenTrial(number, { point, losses: [0], ...changes })
}

/** A view of trials, which has as many objectives as the first that has losses. */
export function viewOf(space: Space, ended: readonly SeenTrial[], open: readonly SeenTrial[] = []): View {
  const count = ended.find(({ losses }) => losses)?.losses?.length ?? 1
  const objectives = Array.from({ length: count }, (_, index) => ({
    name: `loss ${index}`,
    direction: 'minimize' as const,
  }))
  return { ...viewOfTrials(space, [...ended, ...open], { seed: 1 }), objectives, ended, open }
}

/** Points drawn evenly. */
export function points(space: Space, count: number, seed = 1): Point[] {
  const numbers = random(seed, 'points')
  return Array.from({ length: count }, () => space.fromCube(space.dimensions.map(() => numbers.uniform())))
}

/** What a sampler proposes for a view. */
export async function proposal(sampler: Sampler, view: View, seed = 1): Promise<Proposal<unknown>> {
  const number = view.ended.length + view.open.length
  return await sampler.propose(view, { number, random: random(seed, 'proposal'), state: null })
}

/** The settled point that a sampler proposes for a view. */
export async function proposed(sampler: Sampler, view: View, seed = 1): Promise<Point> {
  const answer = await proposal(sampler, view, seed)
  if (answer.kind !== 'trial') throw new Error(`a trial was expected, not ${answer.kind}`)
  return view.space.settle(answer.point)
}

/** Views of `mixed` that a sampler must bear, by what is odd about them. */
export function oddViews(): Record<string, View> {
  const some = points(mixed, 30)
  const trials = (changes: (index: number) => Partial<SeenTrial>, count = some.length) =>
    some.slice(0, count).map((point, index) => seen(index, point, changes(index)))
  const loss = (index: number) => ({ losses: [Math.sin(index)] })
  return {
    'no trials': viewOf(mixed, []),
    'one trial': viewOf(mixed, trials(loss, 1)),
    'equal losses': viewOf(
      mixed,
      trials(() => ({})),
    ),
    'the same point again and again': viewOf(
      mixed,
      trials(loss).map((trial) => ({ ...trial, point: some[0]! })),
    ),
    'some infinite losses': viewOf(
      mixed,
      trials((index) => ({ losses: [index % 3 ? Math.sin(index) : Infinity] })),
    ),
    'only infinite losses': viewOf(
      mixed,
      trials(() => ({ losses: [Infinity] })),
    ),
    'losses of minus infinity': viewOf(
      mixed,
      trials((index) => ({ losses: [index % 3 ? index : -Infinity] })),
    ),
    'losses of very different size': viewOf(
      mixed,
      trials((index) => ({ losses: [10 ** (20 * Math.sin(index))] })),
    ),
    'only failed trials': viewOf(
      mixed,
      trials(() => ({ state: 'failed', losses: null })),
    ),
    'only pruned trials': viewOf(
      mixed,
      trials((index) => ({
        state: 'pruned',
        losses: null,
        reports: index % 2 ? [{ step: index, value: index % 3 ? index : Number.NaN }] : [],
      })),
    ),
    'only infeasible trials': viewOf(
      mixed,
      trials((index) => ({ ...loss(index), violations: [1 + Math.cos(index)] })),
    ),
    'costs and constraints': viewOf(
      mixed,
      trials((index) => ({ ...loss(index), violations: [Math.cos(index), -1], cost: index % 5 ? 1 + index : null })),
    ),
    'many open trials': viewOf(mixed, trials(loss, 12), trials(() => ({ state: 'running', losses: null })).slice(12)),
  }
}

/** Smallest loss of a function above its minimum after so many trials of a study. */
export async function regrets(
  sampler: Sampler,
  test: TestFunction,
  after: readonly number[],
  seed: number,
): Promise<number[]> {
  const study = await openStudy({ space: space(test.definition), sampler, seed })
  await study.optimize(({ parameters }) => test.value(parameters as Record<string, number>), { trials: after.at(-1)! })
  const values = (await study.trials()).map((record) => record.values![0]!)
  return after.map((count) => Math.min(...values.slice(0, count)) - test.minimum)
}

/** The regrets of seeds from 1 on, each the median over them. */
export async function medianRegrets(
  sampler: () => Sampler,
  test: TestFunction,
  after: readonly number[],
  seeds: number,
): Promise<number[]> {
  const all: number[][] = []
  for (let seed = 1; seed <= seeds; seed++) all.push(await regrets(sampler(), test, after, seed))
  return after.map((_, index) => {
    const sorted = all.map((row) => row[index]!).toSorted((a, b) => a - b)
    return (sorted[(seeds - 1) >> 1]! + sorted[seeds >> 1]!) / 2
  })
}
