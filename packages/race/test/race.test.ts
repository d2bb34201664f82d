import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { adamW, compile, type HyperValue, sgd } from 'fallline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Contender,
  fileNames,
  RaceInterrupted,
  type RaceOptions,
  type RaceResults,
  race,
  raceSchedule,
  renderReport,
  StorageError,
} from '../src/index.ts'
import { enter } from '../src/training/contenders.ts'
import { quadratic } from './fixtures/quadratic.ts'

const task = quadratic('quadratic', 4)
const small = { trials: 4, seeds: 4, seed: 7 } as const
const gentle = { learningRate: { scale: 'log', minimum: 0.01, maximum: 0.3 } } as const

/** Results without what differs from run to run of the same race: clocks and dates. */
export function timeless(results: RaceResults) {
  const runs = results.runs.map(({ milliseconds, ...run }) => run)
  return {
    ...results,
    runs,
    costs: null,
    analysis: results.analysis?.steps,
    startedAt: '',
    finishedAt: '',
    machine: null,
    contenders: results.contenders.map(({ name }) => name),
  }
}

describe('race', () => {
  let results: RaceResults
  const contenders: (string | Contender)[] = [
    { name: 'sgd', optimizer: sgd, search: gentle },
    {
      name: 'half',
      title: 'Half-speed SGD',
      optimizer: (hyper: Record<string, HyperValue>) =>
        sgd({ learningRate: (step) => at(hyper.learningRate!, step) / 3 }),
      search: gentle,
    },
    'adamW',
  ]
  beforeAll(async () => {
    results = await race({ task, optimizers: contenders, ...small })
  })

  it('gives every contender equally many trials at the shared points, and the selected setting fresh seeds', () => {
    const { tuningSeeds, reportSeeds, trials } = results.protocol
    expect(tuningSeeds.filter((seed) => reportSeeds.includes(seed))).toEqual([])
    for (const { name } of results.contenders) {
      const mine = results.runs.filter((run) => run.contender === name)
      const tuning = mine.filter(({ phase }) => phase === 'tuning')
      const report = mine.filter(({ phase }) => phase === 'report')
      expect(tuning.map(({ trial }) => trial)).toEqual([0, 1, 2, 3])
      expect(new Set(tuning.map(({ seed }) => seed))).toEqual(new Set(tuningSeeds))
      expect(tuning.length).toBe(trials)
      expect(report.map(({ seed }) => seed)).toEqual(reportSeeds)
      expect(tuning.every(({ test }) => test === null)).toBe(true)
      expect(report.every(({ test, validation }) => Math.abs(test! - 1.1 * validation!) < 1e-6)).toBe(true)
      // The selected trial is the one with the best validation metric at the end.
      const best = [...tuning].sort((a, b) => a.validation! - b.validation!)[0]!
      expect(results.analysis!.summaries[name]!.trial).toBe(best.trial)
      expect(report.every(({ setting }) => setting.learningRate === best.setting.learningRate)).toBe(true)
    }
    const rates = (name: string) =>
      results.runs
        .filter((run) => run.contender === name && run.phase === 'tuning')
        .map(({ setting }) => setting.learningRate)
    expect(rates('sgd')).toEqual(rates('half'))
  })

  it('trains as the optimizer itself does, with 5% warm-up and cosine to the horizon', async () => {
    const run = results.runs.find(({ contender, phase }) => contender === 'sgd' && phase === 'report')!
    const learningRate = raceSchedule(run.setting.learningRate!, 60, 'cosine')
    expect(learningRate.at(3)).toBeCloseTo(run.setting.learningRate!, 12)
    expect(learningRate.at(60)).toBeCloseTo(0, 12)
    const optimizer = await compile(sgd({ learningRate }), task.parameters)
    const parameters = optimizer.parameters as Record<string, Float32Array>
    task.initialize(parameters, run.seed)
    const curve: number[] = []
    for (let step = 1; step <= 60; step++) {
      task.gradient(parameters, optimizer.gradients as Record<string, Float32Array>, { seed: run.seed, step })
      optimizer.step()
      if (step % 2 === 0) curve.push(task.metric(parameters, 'validation') as number)
    }
    optimizer.dispose()
    expect(run.curve.validation).toEqual(curve)
    expect(run.stepsToTarget).toEqual(
      task.targets.map((target) => {
        const index = curve.findIndex((value) => value <= target)
        return index < 0 ? null : 2 * (index + 1)
      }),
    )
  })

  it('finds the planted winner by steps', () => {
    const { steps } = results.analysis!
    const pair = steps.pairs.find(({ first, second }) => first === 'sgd' && second === 'half')!
    expect(pair.ahead).toBe('sgd')
    expect(pair.low).toBeGreaterThan(1.1)
  })

  it('measures step costs apart from compiling', () => {
    const { costs, contenders } = results
    expect(costs!.gradient.length).toBeGreaterThanOrEqual(7)
    for (const { name, compileMilliseconds } of contenders) {
      expect(costs!.step[name]!.length).toBe(costs!.gradient.length)
      // One compilation per setting: four trials and the selected one.
      expect(compileMilliseconds.length).toBe(5)
      const { wholeStep, optimizerStep } = results.analysis!.summaries[name]!
      expect(wholeStep).toBeGreaterThan(optimizerStep!)
    }
  })

  it('repeats to the bit for a seed, and differs for another', async () => {
    const again = await race({ task, optimizers: contenders, ...small })
    expect(timeless(again)).toEqual(timeless(results))
    const other = await race({ task, optimizers: contenders, ...small, seed: 8 })
    expect(other.runs[0]!.setting).not.toEqual(results.runs[0]!.setting)
  })

  it('races an optimizer against itself without a winner', async () => {
    const twins = ['one', 'two'].map((name) => ({ name, optimizer: adamW, search: gentle }))
    const { analysis } = await race({ task, optimizers: twins, ...small })
    expect(analysis!.steps.winner).toBeNull()
    expect(analysis!.steps.pairs[0]).toMatchObject({ ratio: 1, ahead: null })
    expect(analysis!.steps.verdict).toContain('No evidence of a difference between one and two')
  })

  it('alarms when the best setting lies at the edge of its range', async () => {
    // All of the range is too small, so the largest learning rate is best; 40 points come within 5% of the bound.
    const search = { learningRate: { scale: 'log', minimum: 1e-5, maximum: 1e-3 } } as const
    const { analysis } = await race({
      task,
      optimizers: [{ name: 'timid', optimizer: sgd, search }],
      trials: 40,
      seeds: 1,
      steps: 10,
    })
    expect(analysis!.edgeAlarms).toMatchObject([
      { contender: 'timid', hyperparameter: 'learningRate', bound: 'maximum', limit: 1e-3 },
    ])
    expect(analysis!.remarks.join()).toContain('The best learning rate is the largest that was tried: timid (')
  })

  it('goes on when a contender diverges or throws, and counts its misses', async () => {
    const wild = { learningRate: { scale: 'log', minimum: 1e30, maximum: 1e38 } } as const
    const faulty = (): never => {
      throw new Error('no such rule')
    }
    const { analysis, runs } = await race({
      task,
      optimizers: [
        { name: 'good', optimizer: sgd, search: gentle },
        { name: 'wild', optimizer: sgd, search: wild },
        { name: 'faulty', optimizer: faulty, search: gentle },
      ],
      ...small,
    })
    const { summaries, steps, time, remarks } = analysis!
    expect(summaries.good).toMatchObject({ failure: null, diverged: 0, failed: 0 })
    expect(summaries.wild!.failure).toMatch(/^diverged in every trial: the .* was (NaN|Infinity)/)
    expect(summaries.faulty!.failure).toBe('failed in every trial: no such rule')
    expect(runs.filter(({ contender }) => contender === 'wild').every(({ outcome }) => outcome === 'diverged')).toBe(
      true,
    )
    expect(runs.filter(({ contender, phase }) => contender === 'faulty' && phase === 'report')).toEqual([])
    expect(steps.medians).toMatchObject({ wild: [null, null, null, null], faulty: [null, null, null, null] })
    expect(steps.scores).toMatchObject({ wild: 0, faulty: 0 })
    expect(steps.winner).toBe('good')
    expect(time!.winner).toBe('good')
    expect(remarks.join()).toContain('no such rule')
  })

  it('goes on when a task throws now and then', async () => {
    let calls = 0
    const moody = {
      ...task,
      gradient(...parameters: Parameters<typeof task.gradient>) {
        calls++
        if (calls === 5) throw new Error('moody')
        return task.gradient(...parameters)
      },
    }
    const { runs, analysis } = await race({
      task: moody,
      optimizers: [{ name: 'good', optimizer: sgd, search: gentle }],
      ...small,
    })
    expect(runs.filter(({ outcome }) => outcome === 'failed')).toMatchObject([
      { message: 'moody', stepsTaken: 4, validation: null },
    ])
    expect(analysis!.summaries.good).toMatchObject({ failed: 1, failure: null })
  })

  it('takes steps and targets from the options, and says so', async () => {
    const {
      task: used,
      analysis,
      runs,
    } = await race({ task, optimizers: ['sgd'], trials: 1, seeds: 1, steps: 9, targets: [5, 2] })
    expect(used).toMatchObject({ steps: 9, targets: [5, 2], targetsFrom: 'options' })
    expect(runs[0]!.curve.step).toEqual([2, 4, 6, 8, 9])
    expect(analysis!.remarks.join()).toContain('The targets were given for this race')
  })

  it('maximizes a metric that asks for it', async () => {
    const upwards = {
      ...task,
      metric: (parameters: Record<string, Float32Array>) => -(task.metric(parameters, 'validation') as number),
      direction: 'maximize' as const,
      targets: [-10, -1],
    }
    const options = { optimizers: [{ name: 'sgd', optimizer: sgd, search: gentle }], ...small }
    const [up, down] = [await race({ task: upwards, ...options }), await race({ task, ...options, targets: [10, 1] })]
    expect(up.analysis!.summaries.sgd!.trial).toBe(down.analysis!.summaries.sgd!.trial)
    expect(up.analysis!.steps.medians).toEqual(down.analysis!.steps.medians)
    expect(() => renderReport(up)).not.toThrow()
  })

  it.each([
    [{ optimizers: [] }, 'at least one optimizer'],
    [{ optimizers: ['adamW', 'adamw'] }, "'adamW' is entered twice"],
    [{ optimizers: ['adamX'] }, "unknown optimizer 'adamX'"],
    [{ trials: 0 }, 'trials is 0; it must be a whole number from 1'],
    [{ seeds: 1.5 }, 'seeds is 1.5'],
    [{ steps: -1 }, 'steps is -1'],
    [{ targets: [1, 2] }, "field 'targets' of task 'quadratic'"],
    [{ optimizers: [{ name: 'mine', optimizer: () => sgd() }] }, 'mine: search ranges are missing'],
    [{ optimizers: [{ name: 'mine', optimizer: sgd, search: {} }] }, 'mine: no search range for learningRate'],
    [
      {
        optimizers: [
          { name: 'mine', optimizer: sgd, search: { learningRate: { scale: 'log', minimum: 0, maximum: 1 } } },
        ],
      },
      'from 0 to 1 is no log range; it needs a minimum greater than 0',
    ],
  ] satisfies [Partial<RaceOptions>, string][])('refuses %o', async (options, message) => {
    await expect(race({ task, optimizers: ['sgd'], ...options })).rejects.toThrow(message)
  })
})

function at(value: unknown, step: number): number {
  return typeof value === 'object' ? (value as { at(step: number): number }).at(step) : (value as number)
}

describe('resuming', () => {
  const directory = mkdtempSync(join(tmpdir(), 'fallline-race-'))
  afterAll(() => rmSync(directory, { recursive: true, force: true }))
  const options = (out: string) => ({ task, optimizers: ['sgd', 'lion'], ...small, out: join(directory, out) })
  const stored = (out: string) =>
    JSON.parse(readFileSync(join(directory, out, fileNames.results), 'utf8')) as RaceResults

  it('keeps what was done when it is aborted, at any time, and gives the same results in the end', async () => {
    const whole = await race(options('whole'))
    const starts: number[] = []
    for (const stopAfter of [0, 3, 5, 4, 100]) {
      const controller = new AbortController()
      let started = 0
      let finished = 0
      const attempt = race({
        ...options('parts'),
        signal: controller.signal,
        onProgress(progress) {
          if (progress.step === 0 && progress.phase !== 'cost') started++
          if (progress.finished && ++finished === stopAfter) controller.abort()
          if (stopAfter === 0) controller.abort()
        },
      })
      if (stopAfter === 100) {
        expect(timeless(await attempt)).toEqual(timeless(whole))
      } else {
        const error = await attempt.then(
          () => null,
          (reason: unknown) => reason,
        )
        expect(error).toBeInstanceOf(RaceInterrupted)
        expect(stored('parts').complete).toBe(false)
        expect(stored('parts').runs).toEqual((error as RaceInterrupted).results.runs)
      }
      starts.push(started)
    }
    // Nothing that was finished was run again: 16 runs, and one for each interruption.
    expect(starts.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(16 + 4)
    expect(timeless(stored('parts'))).toEqual(timeless(whole))
    expect(readFileSync(join(directory, 'parts', fileNames.report), 'utf8')).toContain('id="verdict"')
  })

  it('shows a finished race without running it, starts over when told to or when the settings differ', async () => {
    const count = async (changed: Partial<RaceOptions>) => {
      let runs = 0
      await race({ ...options('again'), ...changed, onProgress: ({ finished }) => finished && runs++ })
      return runs
    }
    expect(await count({})).toBe(16)
    expect(await count({})).toBe(0)
    expect(await count({ fresh: true })).toBe(16)
    expect(await count({ seeds: 3 })).toBe(14)
    const previous = JSON.parse(readFileSync(join(directory, 'again', fileNames.previous), 'utf8')) as RaceResults
    expect(previous.protocol.reportSeeds.length).toBe(4)
  })

  it('takes a damaged file for no results, and says when a directory cannot be used', async () => {
    await race(options('damaged'))
    writeFileSync(join(directory, 'damaged', fileNames.results), '{"format": "fallline race res')
    expect((await race(options('damaged'))).complete).toBe(true)
    const file = join(directory, 'damaged', fileNames.report)
    await expect(race({ ...options('x'), out: file })).rejects.toThrow(StorageError)
  })
})

describe('report', () => {
  it('has every section, needs no network or script, and escapes what it is given', async () => {
    const results = await race({
      task: { ...task, title: 'Bowl <script>alert(1)</script> & "more"' },
      optimizers: [{ name: 'sgd', optimizer: sgd, search: gentle }, 'lion', 'muon'],
      ...small,
    })
    const report = renderReport(results)
    for (const id of [
      'verdict',
      'alarms',
      'standings',
      'curves',
      'targets',
      'comparison',
      'profile',
      'sensitivity',
      'cost',
      'protocol',
      'runs',
    ]) {
      expect(report).toContain(`id="${id}"`)
    }
    expect(report).not.toMatch(
      /<script|<link|<img|<iframe|<object|@import|url\(|\ssrc=|\ssrcset=|xlink:href|http-equiv/i,
    )
    expect(report).toContain('Bowl &lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;more&quot;')
    // Every chart is drawn, at two widths.
    expect(report.match(/<svg [^>]*class="wide"/g)?.length).toBe(5)
    expect(report.match(/<svg [^>]*class="narrow"/g)?.length).toBe(5)
    expect(report).not.toMatch(/NaN|undefined|\[object/)
    for (const text of [
      results.analysis!.steps.verdict,
      ...results.protocol.reportSeeds.map(String),
      ...results.protocol.tuningSeeds.map(String),
      results.fingerprint,
      '0.01 to 0.3, logarithmic',
      'linear warm-up over 3 steps, then cosine to zero at step 60',
      'Cranley-Patterson',
      results.machine.processor,
    ]) {
      expect(report).toContain(text)
    }
  })

  it('shows a race in which everything failed', async () => {
    const broken = {
      ...task,
      initialize: () => {
        throw new Error('no data')
      },
    }
    const results = await race({ task: broken, optimizers: ['sgd', 'lion'], trials: 2, seeds: 2 })
    expect(results.costs).toBeNull()
    const report = renderReport(results)
    expect(report).toContain('no data')
    expect(report).not.toMatch(/NaN|undefined|\[object/)
  })

  it('is refused for a race that is not complete', async () => {
    const results = await race({ task, optimizers: ['sgd'], trials: 1, seeds: 1 })
    expect(() => renderReport({ ...results, complete: false, analysis: null })).toThrow('the race is not complete')
  })
})

describe('the schedule of a contender', () => {
  it('falls to zero unless the optimizer says that it would lose by it, or the contender says otherwise', () => {
    const named = { name: 'mine', optimizer: sgd, schedule: 'constant' as const }
    const found = enter(['adamW', 'ftrl', 'scheduleFreeSGD', named]).map(({ name, schedule }) => [name, schedule])
    expect(found).toEqual([
      ['adamW', 'cosine'],
      ['ftrl', 'constant'],
      ['scheduleFreeSGD', 'constant'],
      ['mine', 'constant'],
    ])
  })
})
