import { describe, expect, expectTypeOf, test } from 'vitest'
import {
  choice,
  float,
  integer,
  memoryStorage,
  NothingToTry,
  openStudy,
  type Sampler,
  space,
  variant,
  whenNoGain,
  whenReached,
} from '../src/index.ts'

const network = space({
  learningRate: float(1e-4, 1, { scale: 'log' }),
  layers: integer(1, 4),
  optimizer: variant({ sgd: { momentum: float(0, 0.99) }, adam: { beta2: choice([0.99, 0.999]) } }),
  data: { augment: choice([true, false]), share: float(0, 1, { step: 0.1 }) },
})
const line = space({ x: float(0, 10) })

describe('spaces', () => {
  test('have the types of their values', () => {
    type Values = ReturnType<typeof network.values>
    const optimizers: Values['optimizer'][] = [
      { kind: 'sgd', momentum: 0.9 },
      { kind: 'adam', beta2: 0.999 },
    ]
    expect(optimizers).toHaveLength(2)
    // @ts-expect-error: sgd has no beta2.
    optimizers.push({ kind: 'sgd', beta2: 0.99 })
    expectTypeOf<Values['data']['augment']>().toEqualTypeOf<boolean>()
  })

  test('lay groups and variants flat and nest them again', () => {
    const point = network.fromCube([0.5, 0.99, 0, 0.25, 0.7, 0, 0.999])
    const parameters = network.parameters(point)
    expect(parameters).toEqual({
      learningRate: expect.closeTo(0.01, 12),
      layers: 4,
      optimizer: 'sgd',
      'optimizer.sgd.momentum': expect.closeTo(0.2475, 12),
      'data.augment': true,
      'data.share': 1,
    })
    expect(network.values(point)).toEqual({
      learningRate: parameters.learningRate,
      layers: 4,
      optimizer: { kind: 'sgd', momentum: parameters['optimizer.sgd.momentum'] },
      data: { augment: true, share: 1 },
    })
    const again = network.point(parameters)
    expect(network.parameters(again)).toEqual(parameters)
    expect(again[4]).toBe(null)
  })

  test('give equal parts to numbers with steps, decimal as they are written', () => {
    const tenths = space({ share: float(0, 1, { step: 0.1 }) })
    const values = Array.from({ length: 11 }, (_, index) => tenths.values(tenths.fromCube([(index + 0.5) / 11])).share)
    expect(values).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
    const whole = space({ units: integer(16, 256, { step: 16 }) })
    expect(whole.size).toBe(16)
    expect(whole.values([0]).units).toBe(16)
    expect(whole.values([1]).units).toBe(256)
  })

  test('round to digits, and never beyond their bounds', () => {
    const rounded = space({ rate: float(1.23444e-5, 1, { scale: 'log', digits: 4 }), x: float(0, 1, { digits: 2 }) })
    expect(rounded.values([0, 1 / 3])).toEqual({ rate: 1.23444e-5, x: 0.33 })
    for (let index = 0; index < 100; index++) {
      const at = rounded.parameters([index / 100, (index % 10) / 9])
      expect(Number((at.rate as number).toPrecision(4)) === at.rate || index === 0).toBe(true)
      expect(rounded.parameters(rounded.point(at))).toEqual(at)
    }
    expect(JSON.stringify(space({ x: float(0, 1) }).dimensions)).not.toContain('digits')
    expect(() => float(0, 1, { digits: 0 })).toThrow(/digits must be a whole number from 1 to 17, not 0/)
    expect(() => float(0, 1, { digits: 2, step: 0.1 })).toThrow(/values with a step have no digits, 2 were given/)
  })

  test('count their points, variants apart', () => {
    const counted = space({ a: choice([1, 2, 3]), b: variant({ x: { c: integer(1, 5) }, y: {} }) })
    expect(counted.size).toBe(3 * (5 + 1))
    expect(network.size).toBe(Infinity)
  })

  test('name what is wrong', () => {
    expect(() => network.point({ learnRate: 1 })).toThrow(
      /'learnRate' is no parameter of this space: learningRate, layers/,
    )
    const good = network.parameters(network.fromCube([0.5, 0.5, 0, 0.5, 0.5, 0.5, 0.5]))
    expect(() => network.point({ ...good, layers: 2.5 })).toThrow(/layers: 2.5 is not 1 plus a multiple of 1/)
    expect(() => network.point({ ...good, layers: 9 })).toThrow(/layers: 9 is not a number from 1 to 4/)
    expect(() => network.point({ ...good, optimizer: 'lion' })).toThrow(/"lion" is not one of "sgd", "adam"/)
    expect(() => network.point({ ...good, 'optimizer.adam.beta2': 0.99 })).toThrow(
      /exists only where optimizer is 'adam'/,
    )
    expect(() => float(1, 0)).toThrow(/from 1 to 0 is no range/)
    expect(() => float(0, 1, { scale: 'log' })).toThrow(/log scale needs a minimum above 0, not 0/)
    expect(() => choice(['a', 'a'])).toThrow(/"a" is there twice/)
    expect(() => space({ 'a.b': float(0, 1) })).toThrow(/cannot be called 'a.b'/)
    expect(() => space({})).toThrow(/at least one parameter/)
  })
})

describe('studies', () => {
  const objective = ({ parameters: { x } }: { parameters: { x: number } }) => (x - 3) ** 2

  test('run an objective until enough trials have a result, and go on from there', async () => {
    const storage = memoryStorage()
    const study = await openStudy({ space: line, storage })
    await study.optimize(objective, { trials: 10 })
    const { reason, best } = await (await openStudy({ space: line, storage })).optimize(objective, {
      trials: 25,
      parallel: 4,
    })
    expect(reason).toBe('25 trials have a result')
    expect(best!.of).toBe(25)
    const records = await study.trials()
    expect(records.map(({ number }) => number)).toEqual(Array.from({ length: 25 }, (_, index) => index))
    expect(best!.value).toBe(Math.min(...records.map(({ values }) => values![0]!)))
  })

  test('bring exactly as many results as were asked for when several run it', async () => {
    const storage = memoryStorage()
    const studies = await Promise.all(Array.from({ length: 4 }, () => openStudy({ space: line, storage })))
    const slow = async (trial: { number: number; parameters: { x: number } }) => {
      await new Promise((resolve) => setTimeout(resolve, trial.number % 3))
      return objective(trial)
    }
    await Promise.all(studies.map((study) => study.optimize(slow, { trials: 30, parallel: 3 })))
    const records = await studies[0]!.trials()
    expect(records.map(({ state }) => state)).toEqual(Array(30).fill('complete'))
  })

  test('maximize, and know which trials a proposal saw', async () => {
    const study = await openStudy({ space: line, objectives: 'maximize' })
    await study.optimize(objective, { trials: 5 })
    expect((await study.trials()).map(({ seen }) => seen)).toEqual([0, 1, 2, 3, 4])
    expect((await study.best())!.value).toBe(Math.max(...(await study.trials()).map(({ values }) => values![0]!)))
  })

  test('refuse what is told twice, to another study, or is no number, and lose nothing', async () => {
    const study = await openStudy({ space: line })
    const other = await openStudy({ space: line, name: 'other' })
    const trial = await study.ask()
    await expect(other.tell(trial, 1)).rejects.toThrow(/trial 0 was not asked of this study, 'other'/)
    await expect(study.tell(trial, 'good' as unknown as number)).rejects.toThrow(/value must be a number, not "good"/)
    await expect(study.tell(trial, Number.NaN)).rejects.toThrow(/value is NaN/)
    await expect(study.tell(trial, [1, 2])).rejects.toThrow(/2 values for 1 objectives, value/)
    expect((await study.trial(0)).state).toBe('running')
    await study.tell(trial, 0.25)
    await expect(study.tell(trial, 0.5)).rejects.toThrow(/trial 0 of 'study' has ended already: complete with 0.25/)
    expect((await study.best())!.value).toBe(0.25)
    await expect(study.trial(7)).rejects.toThrow(/there is no trial 7 in 'study', which has 1/)
  })

  test('refuse a space, objectives or a seed that have changed', async () => {
    const storage = memoryStorage()
    await openStudy({ space: line, storage, seed: 1 })
    await expect(openStudy({ space: space({ x: float(0, 11) }), storage })).rejects.toThrow(/another space: .*10.*11/)
    await expect(openStudy({ space: line, storage, seed: 2 })).rejects.toThrow(/another seed/)
    await expect(openStudy({ space: line, storage, objectives: 'maximize' })).rejects.toThrow(/another objectives/)
    expect((await openStudy({ space: line, storage })).record.seed).toBe(1)
  })

  test('keep failures apart, and stop on them unless told otherwise', async () => {
    const study = await openStudy({ space: line })
    const broken = () => {
      throw new Error('no memory')
    }
    await expect(study.optimize(broken, { trials: 3 })).rejects.toThrow('no memory')
    expect(await study.trials()).toMatchObject([{ state: 'failed', error: 'no memory', values: null }])
    let calls = 0
    const flaky = () => (calls++ % 2 === 0 ? broken() : 1)
    await study.optimize(flaky, { trials: 3, failures: 'continue' })
    const states = (await study.trials()).map(({ state }) => state)
    expect(states.filter((state) => state === 'complete')).toHaveLength(3)
    expect(states.filter((state) => state === 'failed')).toHaveLength(4)
    await expect(study.optimize(() => Number.NaN, { trials: 4, failures: 'continue' })).rejects.toThrow(/value is NaN/)
    expect((await study.trials()).filter(({ state }) => state === 'failed')).toHaveLength(4 + 20)
  })

  test('try what was enqueued first, and what is tried again', async () => {
    const study = await openStudy({ space: line })
    await study.enqueue({ x: 3 }, { x: 4 })
    await expect(study.enqueue({ x: 1 }, { y: 3 })).rejects.toThrow(/'y' is no parameter/)
    await study.optimize(objective, { trials: 3 })
    expect((await study.trials()).map(({ parameters }) => parameters.x).slice(0, 2)).toEqual([3, 4])
    expect(await study.best()).toMatchObject({ value: 0, of: 3, trial: { number: 0, seen: null } })
    const again = await study.retry(1)
    expect((await study.ask()).parameters).toEqual({ x: 4 })
    expect((await study.trial(again)).attributes).toEqual({ retryOf: 1 })
  })

  test('take over trials whose workers are silent, and refuse what these tell', async () => {
    let now = 0
    const storage = memoryStorage(() => now)
    const options = { space: line, storage, patience: 1000, attempts: 2 }
    const zombie = await openStudy({ ...options, worker: 'zombie' })
    const lost = await zombie.ask()
    now = 2000
    const heir = await openStudy({ ...options, worker: 'heir' })
    const taken = await heir.ask()
    expect(taken.record).toMatchObject({
      number: 0,
      attempt: 2,
      lost: 1,
      worker: 'heir',
      parameters: lost.record.parameters,
    })
    expect(await zombie.beat(lost)).toBe(false)
    await expect(zombie.tell(lost, 1)).rejects.toThrow(/has been taken over: this is attempt 1 and it is in 2/)
    now = 2500
    expect(await heir.beat(taken)).toBe(true)
    now = 3400
    await heir.ask()
    expect((await heir.trial(0)).state).toBe('running')
    now = 9000
    await zombie.ask()
    expect(await heir.trial(0)).toMatchObject({ state: 'stale', error: 'no sign of life in 2 attempts' })
    await expect(heir.tell(taken, 1)).rejects.toThrow(/has ended already: stale/)
  })

  test('give back what an abort interrupts', async () => {
    const study = await openStudy({ space: line })
    const abort = new AbortController()
    const { reason } = await study.optimize(
      async ({ number }) => {
        if (number === 2) abort.abort()
        return 1
      },
      { trials: 10, signal: abort.signal },
    )
    expect(reason).toBe('aborted')
    expect((await study.trials()).map(({ state }) => state)).toEqual(['complete', 'complete', 'waiting'])
    await study.optimize(() => 1, { trials: 3 })
    expect(await study.trial(2)).toMatchObject({ state: 'complete', attempt: 2, lost: 0 })
  })

  test('give the same study in parallel whoever is faster, when told to', async () => {
    const greedy: Sampler = {
      name: 'greedy',
      propose({ ended }, { random }) {
        const best = ended.reduce(
          (a, b) => ((b.losses?.[0] ?? Infinity) < (a?.losses?.[0] ?? Infinity) ? b : a),
          ended[0],
        )
        const near = best ? (best.point[0] as number) + 0.1 * random.normal() : random.uniform()
        return { kind: 'trial', point: [near] }
      },
    }
    const pointsWith = async (parallel: number, delays: readonly number[]) => {
      const study = await openStudy({ space: line, sampler: greedy, seed: 3 })
      const slow = async (trial: { number: number; parameters: { x: number } }) => {
        await new Promise((resolve) => setTimeout(resolve, delays[trial.number % delays.length]))
        return objective(trial)
      }
      await study.optimize(slow, { trials: 40, parallel, deterministic: true })
      return (await study.trials()).map(({ point }) => point[0])
    }
    const first = await pointsWith(8, [1, 5, 0, 3])
    expect(await pointsWith(8, [4, 0, 2])).toEqual(first)
    expect(await pointsWith(1, [0])).not.toEqual(first)
  })

  test('draw again what breaks a constraint, and say which one cannot be met', async () => {
    const square = { a: integer(1, 10), b: integer(1, 10) }
    const small = space(square, [{ name: 'a * b is at most 6', allows: ({ a, b }) => a * b <= 6 }])
    const study = await openStudy({ space: small })
    await study.optimize(({ parameters: { a, b } }) => a * b, { trials: 12 })
    for (const { parameters } of await study.trials()) {
      expect((parameters.a as number) * (parameters.b as number)).toBeLessThanOrEqual(6)
    }
    await expect(study.enqueue({ a: 9, b: 9 })).rejects.toThrow(/breaks a constraint: a \* b is at most 6/)
    const never = space(square, [{ name: 'never', allows: () => false }])
    await expect((await openStudy({ space: never })).ask()).rejects.toThrow(/meets the constraint 'never'/)
  })

  test('never give the same point to two who work at the same time', async () => {
    const study = await openStudy({ space: space({ a: integer(1, 6) }) })
    const trials = await Promise.all(Array.from({ length: 6 }, () => study.ask()))
    expect(trials.map(({ parameters }) => parameters.a).sort()).toEqual([1, 2, 3, 4, 5, 6])
  })

  test('say the best of how many, and run it again on fresh seeds', async () => {
    const study = await openStudy({ space: line })
    // Noise from a seed of the trial alone: the best is best by luck.
    const noisy = ({ seed }: { seed: number }) => (seed % 1000) / 1000
    await study.optimize(noisy, { trials: 50 })
    const best = (await study.best())!
    expect(best.of).toBe(50)
    const [confirmation] = await study.confirm(noisy, { seeds: 20 })
    expect(confirmation).toMatchObject({ selected: best.value, of: 50 })
    expect(confirmation!.mean).toBeGreaterThan(0.3)
    expect(confirmation!.interval[0]).toBeLessThan(confirmation!.mean)
    expect((await study.trial(best.trial.number)).attributes.confirmation).toMatchObject({ mean: confirmation!.mean })
    await expect(study.confirm(noisy, { seeds: 1 })).rejects.toThrow(/seeds must be a whole number from 2/)
  })

  test('have a front of several objectives under constraints', async () => {
    const study = await openStudy({ space: line, objectives: { near: 'minimize', far: 'maximize' } })
    await study.enqueue({ x: 1 }, { x: 2 }, { x: 3 }, { x: 4 }, { x: 5 })
    const outcomes = [
      { values: [1, 1] },
      { values: [2, 2] },
      { values: [2, 1] },
      { values: [0, 5], constraints: { memory: 1 } },
      { values: [1, 1] },
    ]
    for (const outcome of outcomes) await study.tell(await study.ask(), outcome)
    expect((await study.front()).map(({ number }) => number)).toEqual([0, 1, 4])
    await expect(study.best()).rejects.toThrow(/several objectives/)
  })

  test('are copied and merged, a change of direction included', async () => {
    const storage = memoryStorage()
    const study = await openStudy({ space: line, storage })
    await study.optimize(objective, { trials: 4 })
    const copy = await study.copy({ name: 'copy' })
    const strip = ({ ended, ...record }: { ended: unknown }) => record
    expect((await copy.trials()).map(strip)).toEqual((await study.trials()).map(strip))
    await expect(study.copy({ name: 'copy' })).rejects.toThrow(/there is a study 'copy' already/)
    const gain = await openStudy({ space: line, objectives: 'maximize', name: 'gain' })
    expect(await gain.add(study)).toBe(4)
    expect((await gain.best())!.value).toBe(-(await study.best())!.value)
    const elsewhere = await openStudy({ space: space({ z: float(0, 1) }), name: 'elsewhere' })
    expect(await elsewhere.add(study)).toBe(0)
  })

  test('check their budgets and their reports', async () => {
    const resource = { name: 'epoch', minimum: 1, maximum: 9 }
    const study = await openStudy({ space: line, resource })
    await expect(study.optimize(objective, {})).rejects.toThrow(/a budget needs trials, seconds, resource/)
    await expect(study.optimize(objective, { trials: -1 })).rejects.toThrow(/trials must be 0 or more, not -1/)
    const trial = await study.ask()
    expect(await trial.report(1, 5)).toBe('continue')
    await expect(trial.report(1, 4)).rejects.toThrow(/step 1 must be above the last one, 1, and at most 9 \(epoch\)/)
    await expect(trial.report(10, 4)).rejects.toThrow(/step 10 must be above/)
    await study.tell(trial, 4)
    expect((await study.trial(0)).reports).toEqual([{ step: 1, value: 5 }])
  })

  test('stop by rules', async () => {
    const study = await openStudy({ space: line })
    const { reason } = await study.optimize(objective, { stop: [whenReached(0.5)] })
    expect(reason).toMatch(/trial \d+ has reached 0.5/)
    const flat = await openStudy({ space: line })
    expect((await flat.optimize(() => 1, { stop: [whenNoGain(6)] })).reason).toBe('no gain in 6 trials')
    expect(await flat.trials()).toHaveLength(7)
  })

  test('stop for all who work on them, until they are resumed', async () => {
    const storage = memoryStorage()
    const open = () => openStudy({ space: line, storage })
    const [mine, other] = [await open(), await open()]
    const reasons = await Promise.all([
      mine.optimize(
        async ({ number }) => {
          if (number === 2) await other.stop('enough')
          await new Promise((resolve) => setTimeout(resolve, 20))
          return number
        },
        { trials: 1000 },
      ),
      other.optimize(() => new Promise((resolve) => setTimeout(() => resolve(1), 20)), { trials: 1000 }),
    ])
    for (const { reason } of reasons) expect(reason).toBe('the study was stopped (enough), resume lets it go on')
    const ended = await mine.trials()
    expect(ended.length).toBeLessThan(200)
    expect(ended.every(({ state }) => state === 'complete')).toBe(true)
    await mine.resume()
    expect((await other.optimize(() => 1, { trials: ended.length + 1 })).reason).toContain('trials have a result')
  })

  test('end when a sampler has nothing more, and say why', async () => {
    const two: Sampler = {
      name: 'two',
      propose: (_, { number }) =>
        number < 2 ? { kind: 'trial', point: [number] } : { kind: 'end', reason: 'both ends were tried' },
    }
    const study = await openStudy({ space: line, sampler: two })
    expect((await study.optimize(objective, { trials: 5 })).reason).toBe('two: both ends were tried')
    await expect(study.ask()).rejects.toThrow(NothingToTry)
  })
})
