import type { Json } from '../json.ts'
import type { Sampler } from '../samplers/sampler.ts'
import { choice, float, integer, variant } from '../space/domain.ts'
import { type Space, space } from '../space/space.ts'
import { memoryStorage } from '../storage/memory.ts'
import type { Outcome } from '../study/outcome.ts'
import type { Trial } from '../study/run.ts'
import { openStudy, type Study } from '../study/study.ts'
import { isEnd, type TrialRecord } from '../study/trial.ts'

/** Registers a test: that of Vitest, of `node:test` and of others. */
export type RegisterTest = (name: string, body: () => Promise<void>) => unknown

const everyKind = space({
  plain: float(-2, 3),
  log: float(1e-5, 10, { scale: 'log' }),
  stepped: float(0, 1, { step: 0.1 }),
  whole: integer(3, 9),
  logWhole: integer(1, 1000, { scale: 'log' }),
  only: choice(['one']),
  still: float(2, 2),
  model: variant({ linear: {}, network: { layers: integer(1, 3), rate: float(0, 0.5) } }),
})
const numbers = space({ x: float(-5, 5), y: float(-5, 5) })
const choices = space({ a: choice(['p', 'q', 'r']), b: choice([true, false]), c: choice([1, 2, 4, 8]) })
/** A sampler may end by itself, but not before. */
const leastTrials = 15
const resource = { name: 'epoch', minimum: 1, maximum: 9 }

type Evaluate = (trial: Trial<unknown>) => number

/**
 * Checks what every sampler must keep to: values inside their domains, the same study from the same seed, and whatever a study can
 * meet with. Made for the test framework that registers them, so that those who write a sampler can check theirs.
 *
 * ```ts
 * import { test } from 'node:test'
 * import { randomSearch } from '@fallline/search'
 * import { testSampler } from '@fallline/search/testing'
 *
 * testSampler(() => randomSearch(), test)
 * ```
 *
 * @param make makes the sampler with the options that are to be checked
 */
export function testSampler(make: () => Sampler, test: RegisterTest): void {
  const { severalObjectives, needsResource } = make()

  const open = (searched: Space, seed = 1, more: { several?: boolean; sampler?: Sampler } = {}) =>
    openStudy<unknown>({
      space: searched,
      seed,
      sampler: more.sampler ?? make(),
      storage: memoryStorage(),
      ...(needsResource && { resource }),
      ...(more.several && { objectives: { first: 'minimize', second: 'maximize' } as const }),
    })
  const run = async (study: Study, trials: number, evaluate: (trial: Trial<unknown>) => Outcome, parallel = 1) => {
    const objective = async (trial: Trial<unknown>) => {
      const outcome = evaluate(trial)
      if (needsResource) {
        for (let epoch = trial.from + 1; epoch <= (trial.until ?? resource.maximum); epoch++) {
          await trial.report(epoch, typeof outcome === 'number' ? outcome : 1)
        }
      }
      return outcome
    }
    const enough = {
      name: 'enough',
      reached: (view: { ended: readonly unknown[]; open: readonly unknown[] }) => {
        return view.ended.length + view.open.length >= trials ? 'enough trials' : null
      },
    }
    await study.optimize(objective, { stop: [enough], parallel, failures: 'continue' })
    return study.trials()
  }
  const sum: Evaluate = ({ record }) =>
    Object.values(record.parameters).reduce<number>(
      (total, value) => total + (typeof value === 'number' ? value : 0),
      0,
    )
  const parametersOf = (records: readonly TrialRecord[]) => JSON.stringify(records.map(({ parameters }) => parameters))

  test('keeps to the domains of every kind of parameter', async () => {
    const records = await run(await open(everyKind), 40, sum)
    ensure(records.length >= leastTrials, `it gave ${records.length} trials, fewer than ${leastTrials}`)
    for (const { parameters, point } of records) {
      ensure(
        JSON.stringify(everyKind.parameters(everyKind.point(parameters))) === JSON.stringify(parameters),
        `${JSON.stringify(parameters)} is not in the space`,
      )
      ensure(
        point.every((coordinate, index) => (coordinate === null) === !everyKind.exists(index, point)),
        `${point} has what does not exist`,
      )
    }
  })

  for (const [name, evaluate] of Object.entries({ 'any objective': sum, 'a constant objective': () => 1 })) {
    test(`gives the same study from the same seed, and another from another one: ${name}`, async () => {
      const first = parametersOf(await run(await open(everyKind, 5), 30, evaluate))
      ensure(
        parametersOf(await run(await open(everyKind, 5), 30, evaluate)) === first,
        'two studies of one seed differ',
      )
      ensure(
        parametersOf(await run(await open(numbers, 5), 30, evaluate)) !==
          parametersOf(await run(await open(numbers, 6), 30, evaluate)) || make().name === 'grid',
        'studies of two seeds are equal',
      )
    })
  }

  test('goes on from its state after it has been written and read', async () => {
    const whole = parametersOf(await run(await open(numbers, 2), 24, sum))
    const sampler = make()
    const reread: Sampler = {
      ...sampler,
      propose: (view, request) => {
        const before = JSON.stringify(view)
        const proposal = make().propose(view, { ...request, state: JSON.parse(JSON.stringify(request.state)) as Json })
        ensure(JSON.stringify(view) === before, 'it changed the view')
        return proposal
      },
    }
    ensure(
      parametersOf(await run(await open(numbers, 2, { sampler: reread }), 24, sum)) === whole,
      'it depends on more than its state',
    )
  })

  test('bears trials that fail, values that are infinite, and pruned ones', async () => {
    const wild: Evaluate = (trial) => {
      const [x] = trial.record.point as [number]
      if (trial.number % 3 === 0) throw new Error('no result')
      return x < 0.5 ? Infinity : x < 0.6 ? -Infinity : x
    }
    for (const searched of [numbers, everyKind]) await run(await open(searched, 3), 30, wild)
    const failing = await open(numbers, 4)
    await run(failing, 10, () => {
      throw new Error('no result')
    })
  })

  test('gives different points to eight who ask before anybody tells', async () => {
    if (needsResource) return
    const study = await open(numbers, 7)
    await run(study, 12, sum)
    const trials = []
    for (let index = 0; index < 8; index++) trials.push(await study.ask())
    ensure(new Set(trials.map(({ record }) => record.point.join())).size === 8, 'two of eight got the same point')
    for (const trial of trials) await study.tell(trial, 1)
  })

  test('runs with four at the same time', async () => {
    const records = await run(await open(everyKind, 8), 32, sum, 4)
    ensure(records.length >= leastTrials, `it gave ${records.length} trials, fewer than ${leastTrials}`)
    ensure(
      records.every(({ state }) => isEnd(state) || state === 'paused'),
      'a trial was left behind',
    )
  })

  test('searches among choices alone, and in spaces with constraints', async () => {
    await run(await open(choices, 9), 20, ({ record }) => (record.parameters.a === 'q' ? 0 : 1))
    const bounded = space({ a: float(0, 1), b: float(0, 1) }, [{ name: 'a below b', allows: ({ a, b }) => a <= b }])
    for (const { parameters } of await run(await open(bounded, 10), 20, sum)) {
      ensure((parameters.a as number) <= (parameters.b as number), 'a constraint is broken')
    }
  })

  test('takes in what others proposed', async () => {
    const study = await open(numbers, 11)
    await study.enqueue({ x: 1, y: 2 }, { x: 5, y: -5 })
    await run(study, 16, sum)
  })

  test(severalObjectives ? 'weighs several objectives' : 'refuses several objectives', async () => {
    if (severalObjectives) {
      const outcome = (trial: Trial<unknown>) => [sum(trial), -(sum(trial) ** 2)]
      const study = await open(numbers, 12, { several: true })
      await run(study, 30, outcome)
      ensure((await study.front()).length > 0, 'there is no front')
      return
    }
    const error = await open(numbers, 12, { several: true }).then(
      () => null,
      (thrown: unknown) => thrown,
    )
    ensure(error instanceof RangeError, 'it took several objectives')
  })
}

function ensure(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise)
}
