import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { adamW, cautious, compile, type HyperValue, lion, logUniform, multiAdam, sgd, uDoG, zoRankSGD } from 'fallline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { analyse } from '../src/analysis.ts'
import { summaryOf } from '../src/command/summary.ts'
import {
  BrokenTaskError,
  type Contender,
  defineTask,
  RaceInterrupted,
  type RaceOptions,
  type RaceResults,
  type RunRecord,
  race,
  renderReport,
  StorageError,
} from '../src/index.ts'
import { matchedHorizons } from '../src/race.ts'
import { colourOf, dashOf } from '../src/report/figure.ts'
import { levelOfLook } from '../src/statistics/comparison.ts'
import { fileNames } from '../src/store.ts'
import { enter, raceSchedule } from '../src/training/contenders.ts'
import { quadratic } from './fixtures/quadratic.ts'

const task = quadratic('quadratic', 4)
const tiny = { studies: 3, trials: 2, seed: 7 } as const
const gentle = { learningRate: { scale: 'log', minimum: 0.05, maximum: 0.45 } } as const

const rateAt = (hyper: Record<string, HyperValue>, step: number) =>
  (hyper.learningRate as unknown as { at(step: number): number }).at(step)

/** SGD that stands still in every other step, so that it needs twice as many gradients. */
const half: Contender = {
  name: 'half',
  title: 'Half-speed SGD',
  optimizer: (hyper: Record<string, HyperValue>) =>
    sgd({ learningRate: (step) => (step % 2 === 0 ? rateAt(hyper, step) : 0) }),
  search: gentle,
}
const whole: Contender = { name: 'sgd', optimizer: sgd, search: gentle }
const faulty: Contender = {
  name: 'faulty',
  optimizer: () => {
    throw new Error('no such rule')
  },
  search: gentle,
}
const wild: Contender = { name: 'wild', optimizer: sgd, search: { learningRate: logUniform(1e30, 1e38) } }

/** The bowl, seen after every gradient, at rates that take a while: differences are not hidden by the spacing of the evaluations. */
const slow = defineTask({ ...task, name: 'slow-bowl', budget: { steps: 60, evaluateEvery: 1 } })
const slower: Contender[] = [whole, half].map((contender) => ({
  ...contender,
  search: { learningRate: logUniform(0.06, 0.12) },
}))

/**
 * Results without what differs from run to run of the same race: clocks and dates. The levels of Holm's procedure depend on the clock
 * of time too.
 */
function timeless(results: RaceResults) {
  const { gradients, summaries, edges } = results.analysis!
  return {
    fingerprint: results.fingerprint,
    task: results.task,
    protocol: results.protocol,
    contenders: results.contenders.map(({ compileMilliseconds, ...contender }) => contender),
    runs: results.runs.map(({ milliseconds, stack, ...run }) => run),
    medians: gradients.medians,
    scores: gradients.scores,
    pairs: gradients.pairs.map(({ first, second, ratio, p, targets }) => ({ first, second, ratio, p, targets })),
    summaries: Object.fromEntries(
      Object.entries(summaries).map(([name, { wholeStep, optimizerStep, ...summary }]) => [name, summary]),
    ),
    edges,
  }
}

const of = (results: RaceResults, contender: string, phase: RunRecord['phase'], study?: number) =>
  results.runs.filter(
    (run) => run.contender === contender && run.phase === phase && (study === undefined || run.study === study),
  )

describe('race', () => {
  let results: RaceResults
  const options = { task, optimizers: [whole, half, 'adamW'], studies: 6, trials: 4, seed: 7 }
  beforeAll(async () => {
    results = await race(options)
  })

  it('gives every contender equally many trials in every study, on seeds that all share', () => {
    const names = results.contenders.map(({ name }) => name)
    const seeds = new Map<number, number>()
    for (let study = 0; study < 6; study++) {
      for (const name of names) {
        const tuning = of(results, name, 'tuning', study)
        const fresh = of(results, name, 'report', study)
        expect(tuning.map(({ trial }) => trial)).toEqual([0, 1, 2, 3])
        expect(fresh.length).toBe(1)
        expect(tuning.every(({ test }) => test === null)).toBe(true)
        expect(fresh.every(({ test, validation }) => Math.abs(test! - 1.1 * validation!) < 1e-6)).toBe(true)
        const { trial, setting } = results.analysis!.summaries[name]!.selected[study]!
        expect(fresh[0]).toMatchObject({ trial, setting })
        expect(tuning[trial]!.setting).toEqual(setting)
      }
      const first = names.map((name) => of(results, name, 'tuning', study).map(({ seed }) => seed))
      const fresh = names.map((name) => of(results, name, 'report', study).map(({ seed }) => seed))
      expect(new Set(first.flat()).size).toBe(1)
      expect(new Set(fresh.flat()).size).toBe(1)
      for (const seed of [first[0]![0]!, fresh[0]![0]!]) seeds.set(seed, study)
    }
    // No seed is used twice, whether in another study or for another purpose.
    expect(seeds.size).toBe(12)
    expect(results.runs.length).toBe(6 * 3 * 5)
  })

  it('tunes every contender at points of its own in every study', () => {
    const rates = (name: string, study: number) =>
      of(results, name, 'tuning', study).map((run) => run.setting.learningRate)
    expect(rates('sgd', 0)).not.toEqual(rates('half', 0))
    expect(rates('sgd', 0)).not.toEqual(rates('sgd', 1))
  })

  it('trains as the optimizer itself does, with 5% warm-up and cosine to the horizon', async () => {
    const run = of(results, 'sgd', 'report')[0]!
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
    expect(run.curve.gradients).toEqual(run.curve.step)
    expect(run.gradientsToTarget).toEqual(
      task.targets.map((target) => {
        const index = curve.findIndex((value) => value <= target)
        return index < 0 ? null : 2 * (index + 1)
      }),
    )
  })

  it('finds the planted contender that is slower', async () => {
    const found = await race({ task: slow, optimizers: slower, studies: 6, trials: 3, seed: 7 })
    const { gradients } = found.analysis!
    const pair = gradients.pairs.find(({ first, second }) => first === 'sgd' && second === 'half')!
    expect(pair.ahead).toBe('sgd')
    expect(pair.ratio).toBeGreaterThan(1.4)
    expect(pair.ratio).toBeLessThan(2.6)
    expect(pair.low).toBeGreaterThan(1)
    expect(gradients.scores.sgd).toBeGreaterThan(gradients.scores.half!)
  })

  it('measures step costs apart from compiling', () => {
    const { costs, contenders } = results
    expect(costs!.gradient.length).toBe(9)
    for (const { name, compileMilliseconds } of contenders) {
      expect(costs!.step[name]!.length).toBe(costs!.gradient.length)
      // One compilation per run.
      expect(compileMilliseconds.length).toBe(6 * 5)
      const { wholeStep, optimizerStep } = results.analysis!.summaries[name]!
      expect(wholeStep).toBeGreaterThan(optimizerStep!)
    }
    expect(results.costFailure).toBeNull()
    expect(results.analysis!.time!.clock).toBe('time')
  })

  it('records its first look, and what it may spend', () => {
    expect(results.looks).toMatchObject([{ contenders: ['sgd', 'half', 'adamW'], studies: 6, seeds: 1 }])
    expect(results.analysis).toMatchObject({ look: 1, level: levelOfLook(1) })
    expect(analyse(results, 3).level).toBe(levelOfLook(3))
  })

  it('repeats to the bit for a seed, and differs for another', async () => {
    const small = { task, optimizers: [whole, half], ...tiny }
    const [first, second, other] = [await race(small), await race(small), await race({ ...small, seed: 8 })]
    expect(timeless(second)).toEqual(timeless(first))
    expect(other.runs[0]!.setting).not.toEqual(first.runs[0]!.setting)
    expect(other.runs[0]!.seed).not.toBe(first.runs[0]!.seed)
  })

  it('has the same runs of a contender whoever else is there', async () => {
    const alone = await race({ ...options, optimizers: [half], studies: 2 })
    const bare = ({ milliseconds, ...run }: RunRecord) => run
    expect(alone.runs.map(bare)).toEqual(
      results.runs.filter(({ contender, study }) => contender === 'half' && study < 2).map(bare),
    )
    expect(alone.analysis!.gradients.verdict).toContain('only one contender')
  })

  it('races an optimizer against itself without a winner', async () => {
    const twins = ['one', 'two'].map((name) => ({ name, optimizer: adamW, search: gentle }))
    const { analysis } = await race({ task, optimizers: twins, studies: 4, trials: 3 })
    expect(analysis!.gradients.winner).toBeNull()
    expect(analysis!.gradients.finding).toBe('none')
    expect(analysis!.gradients.pairs[0]!.ahead).toBeNull()
    expect(analysis!.gradients.verdict).toContain('Nobody is ahead by gradients')
  })

  it('extends a range that is far too low, and says that the best still lies at its edge', async () => {
    const timid: Contender = { name: 'timid', optimizer: sgd, search: { learningRate: logUniform(1e-4, 1e-2) } }
    const found = await race({ task, optimizers: [whole, timid], studies: 3, trials: 4 })
    const { analysis, runs } = found
    expect(
      Math.max(...runs.filter(({ contender }) => contender === 'timid').map(({ setting }) => setting.learningRate!)),
    ).toBeGreaterThan(0.01)
    expect(analysis!.edges).toMatchObject([
      { contender: 'timid', hyperparameter: 'learningRate', side: 'maximum', of: 3 },
    ])
    const [edge] = analysis!.edges
    expect(edge!.studies).toBeGreaterThanOrEqual(2)
    expect(edge!.value).toBeGreaterThan(0.008)
    expect(analysis!.gradients).toMatchObject({ winner: 'sgd', finding: 'edge' })
    expect(analysis!.gradients.verdict).toContain('Not settled: the best settings of timid')
    const words = `timid: the best learningRate is the largest that was tried in ${edge!.studies} of 3 studies, ${edge!.value} in the median`
    expect(renderReport(found)).toContain(words)
    expect(summaryOf(found)).toContain(words)
  })

  it('mends a range that is slightly off by going beyond it', async () => {
    const low: Contender = { name: 'low', optimizer: sgd, search: { learningRate: logUniform(0.02, 0.12) } }
    const { analysis } = await race({ task: slow, optimizers: [low], studies: 4, trials: 12 })
    const rates = analysis!.summaries.low!.selected.map((each) => each!.setting.learningRate!)
    expect(rates.filter((rate) => rate > 0.12).length).toBeGreaterThanOrEqual(3)
    expect(rates.every((rate) => rate < 0.6)).toBe(true)
  })

  it('takes ranges from the options, and never leaves what is valid', async () => {
    const ranges = { ADAMW: { beta1: { scale: 'linear', minimum: 0.5, maximum: 0.999 } } } as const
    const { contenders, runs } = await race({ task, optimizers: ['adamW'], ranges, studies: 1, trials: 8 })
    expect(contenders[0]!.search).toMatchObject({ beta1: ranges.ADAMW.beta1, learningRate: { scale: 'log' } })
    expect(runs.every(({ setting }) => setting.beta1! < 1 && setting.beta1! >= 0)).toBe(true)
    expect(runs.every(({ outcome }) => outcome === 'finished')).toBe(true)
  })

  it('goes on when a contender diverges or throws, stops it after two errors, and counts misses', async () => {
    const found = await race({ task, optimizers: [whole, wild, faulty], ...tiny })
    const { summaries, gradients, time, remarks } = found.analysis!
    expect(summaries.sgd).toMatchObject({ failure: null, diverged: 0, failed: 0 })
    expect(summaries.wild!.failure).toMatch(/^diverged in every trial: the .* was (NaN|Infinity|not finite)/)
    expect(summaries.faulty!.failure).toBe('failed: no such rule')
    const failed = found.runs.filter(({ contender }) => contender === 'faulty')
    expect(failed).toHaveLength(2)
    expect(failed[0]).toMatchObject({ outcome: 'failed', message: 'no such rule', steps: 0, validation: null })
    expect(failed[0]!.stack).toContain('race.test.ts')
    const diverged = found.runs.filter(({ contender }) => contender === 'wild')
    expect(diverged.map(({ phase, outcome }) => `${phase} ${outcome}`)).toEqual(Array(6).fill('tuning diverged'))
    expect(diverged.every(({ gradientsToTarget }) => gradientsToTarget.every((by) => by === null))).toBe(true)
    expect(gradients.scores).toEqual({ sgd: 1, wild: null, faulty: null })
    expect(gradients.pairs).toEqual([])
    expect(gradients.verdict).toBe('There is only one contender, so there is nothing to compare.')
    expect(time!.scores).toEqual({ sgd: 1, wild: null, faulty: null })
    expect(remarks).toContain('faulty took no part in the comparison: it failed: no such rule.')
    const report = renderReport(found)
    expect(report).toContain('id="absent"')
    expect(report).toContain('failed: no such rule')
    expect(report).toContain('race.test.ts')
    expect(report).not.toMatch(/NaN|undefined|\[object/)
  })

  it('goes on with a contender that fails once', async () => {
    const moody: Contender = {
      name: 'moody',
      optimizer: (hyper: Record<string, HyperValue>) => {
        if (rateAt(hyper, 3) === 0.4) throw new Error('moody')
        return sgd(hyper)
      },
      search: { learningRate: { scale: 'choice', values: [0.1, 0.2, 0.3, 0.4] } },
    }
    const { runs, analysis } = await race({ task, optimizers: [moody], studies: 1, trials: 4 })
    expect(runs.map(({ outcome }) => outcome).sort()).toEqual([
      'failed',
      'finished',
      'finished',
      'finished',
      'finished',
    ])
    expect(runs.find(({ outcome }) => outcome === 'failed')).toMatchObject({
      setting: { learningRate: 0.4 },
      message: 'moody',
    })
    expect(analysis!.summaries.moody).toMatchObject({ failed: 1, failure: null })
    expect(analysis!.remarks).toContain('moody: 1 run failed (moody).')
  })

  it('counts a run that diverges as missing every target', async () => {
    const risky: Contender = {
      name: 'risky',
      optimizer: sgd,
      search: { learningRate: { scale: 'choice', values: [0.1, 1e30] } },
    }
    const found = await race({ task, optimizers: [risky, whole], studies: 3, trials: 2 })
    const lost = found.runs.filter(({ outcome }) => outcome === 'diverged')
    expect(lost.length).toBe(3)
    for (const run of lost) expect(run).toMatchObject({ validation: null, gradientsToTarget: [null, null, null, null] })
    expect(found.analysis!.summaries.risky!.selected.every((each) => each!.setting.learningRate === 0.1)).toBe(true)
    expect(found.analysis!.remarks.join()).toContain('risky: 3 runs diverged, which counts as missing every target.')
  })

  it('refuses a task that gives other numbers for the same arguments, or throws', async () => {
    const lucky = defineTask({
      ...task,
      gradient(parameters, gradients, batch) {
        const loss = task.gradient(parameters, gradients, batch) as number
        gradients.x![0]! += 0.01 * Math.random()
        return loss
      },
    })
    const attempt = (given: typeof task) =>
      race({ task: given, optimizers: ['sgd'], ...tiny }).then(
        () => null,
        (error: unknown) => error as Error,
      )
    const error = await attempt(lucky)
    expect(error).toBeInstanceOf(BrokenTaskError)
    expect(error!.message).toMatch(/^the gradient of step 1 \(parameter 'x', element 0\) of task 'quadratic': /)
    const cause = new Error('no row 7')
    const broken = await attempt(
      defineTask({
        ...task,
        gradient() {
          throw cause
        },
      }),
    )
    expect(broken).toBeInstanceOf(BrokenTaskError)
    expect(broken).toMatchObject({ message: "gradient of task 'quadratic' threw an error: no row 7", cause })
    const [start, metric, loss] = [
      await attempt(defineTask({ ...task, initialize: (parameters) => parameters.x!.fill(Math.random()) })),
      await attempt(defineTask({ ...task, metric: () => Math.random() })),
      await attempt(defineTask({ ...task, loss: () => 0.125 })),
    ]
    expect(start!.message).toMatch(/^the initial values \(parameter 'x', element 0\)/)
    expect(metric!.message).toMatch(/^the validation metric of task 'quadratic': /)
    expect(loss!.message).toMatch(
      /^loss and gradient of task 'quadratic' disagree about the loss of step 1: 0.125 and /,
    )
  })

  it('refuses by name an optimizer that the task cannot feed, or leaves it out', async () => {
    await expect(race({ task, optimizers: [whole, 'multiAdam'], ...tiny })).rejects.toThrow(
      /^multiAdam cannot be raced on 'quadratic': /,
    )
    const found = await race({ task, optimizers: [whole, multiAdam], ...tiny, leaveOut: true })
    expect(found.contenders.map(({ name }) => name)).toEqual(['sgd'])
    expect(found.leftOut).toMatchObject([{ name: 'multiAdam', reason: expect.stringContaining('input') }])
    expect(found.analysis!.remarks.join()).toContain('multiAdam was not raced: ')
    expect(renderReport(found)).toMatch(/id="absent".*multiAdam/s)
    await expect(race({ task, optimizers: [multiAdam], ...tiny, leaveOut: true })).rejects.toThrow(
      'multiAdam cannot be raced',
    )
  })

  it('skips steps whose numbers are not finite and counts them, where that is asked for', async () => {
    const torn = defineTask({
      ...task,
      gradient(parameters, gradients, batch) {
        const loss = task.gradient(parameters, gradients, batch) as number
        if (batch.step === 7) gradients.x![3] = Number.NaN
        return loss
      },
    })
    const stopped = await race({ task: torn, optimizers: [whole], ...tiny })
    expect(stopped.analysis!.summaries.sgd!.failure).toBe(
      'diverged in every trial: the gradient of x was not finite at step 7',
    )
    const { protocol, runs, analysis } = await race({ task: torn, optimizers: [whole], ...tiny, nonFinite: 'skip' })
    expect(protocol.nonFinite).toBe('skip')
    expect(runs.every(({ outcome, skipped }) => outcome === 'finished' && skipped === 1)).toBe(true)
    expect(analysis!.summaries.sgd!.skipped).toBe(runs.length)
    expect(analysis!.remarks).toContain(`SGD: ${runs.length} steps left out, because a number was not finite.`)
  })

  it('gives as many gradients to all, whatever a step needs', async () => {
    const cheap = defineTask({ ...task, loss: (parameters) => task.metric(parameters, 'validation') })
    const { runs, contenders, analysis } = await race({
      task: cheap,
      optimizers: [whole, uDoG, zoRankSGD],
      ...tiny,
      studies: 1,
    })
    expect(contenders.map(({ gradientsPerStep }) => gradientsPerStep)).toEqual([1, 2, expect.closeTo(8 / 3, 9)])
    const taken = (name: string) => {
      const { steps, gradients, curve } = runs.find(({ contender }) => contender === name)!
      expect(curve.step.at(-1)).toBe(steps)
      expect(curve.gradients.at(-1)).toBe(gradients)
      return { steps, gradients }
    }
    expect(taken('sgd')).toEqual({ steps: 60, gradients: 60 })
    expect(taken('uDoG')).toEqual({ steps: 30, gradients: 60 })
    expect(taken('zoRankSGD')).toEqual({ steps: 22, gradients: 58.667 })
    const ahead = runs.filter(({ contender }) => contender === 'uDoG')
    expect(ahead.every(({ curve }) => curve.gradients.every((count, index) => count === 2 * curve.step[index]!))).toBe(
      true,
    )
    expect(contenders[1]!.schedule).toContain('step 30')
    expect(analysis!.remarks.join()).toContain('U-DoG computes 2 gradients a step')
    const dear = await race({ task, optimizers: ['zoRankSGD'], ...tiny, studies: 1 })
    expect(dear.contenders[0]!.gradientsPerStep).toBe(8)
    expect(dear.runs[0]).toMatchObject({ steps: 8, gradients: 64 })
  })

  it('makes claims about settings, which it prints', async () => {
    const found = await race({ task: slow, optimizers: slower, claim: 'settings', trials: 4, seeds: 4, seed: 7 })
    expect(found.protocol).toMatchObject({
      claim: 'settings',
      studies: 1,
      trials: 4,
      finalists: 3,
      finalSeeds: 2,
      seeds: 4,
    })
    for (const name of ['sgd', 'half']) {
      expect([
        of(found, name, 'tuning').length,
        of(found, name, 'final').length,
        of(found, name, 'report').length,
      ]).toEqual([4, 6, 4])
      const { setting } = found.analysis!.summaries[name]!
      expect(of(found, name, 'report').every((run) => run.setting.learningRate === setting!.learningRate)).toBe(true)
    }
    const { gradients, summaries } = found.analysis!
    const rate = (name: string) => summaries[name]!.setting!.learningRate!
    expect(gradients.winner).toBe('sgd')
    expect(gradients.verdict).toContain(`as sgd({ learningRate: ${rate('sgd')} }) is ahead of`)
    expect(gradients.verdict).toContain(`half({ learningRate: ${rate('half')} })`)
    expect(renderReport(found)).toContain('The verdict is about the settings that one tuning found')
  })

  it('takes the horizon that reaches a target first, where horizons are matched', async () => {
    const fixed: Contender = {
      name: 'fixed',
      optimizer: sgd,
      search: { learningRate: { scale: 'choice', values: [0.15] } },
    }
    const found = await race({ task, optimizers: [fixed], studies: 3, trials: 1, horizons: 'matched' })
    expect(found.protocol.horizons).toEqual(matchedHorizons)
    expect(matchedHorizons.at(-1)).toBe(0.25)
    const studies = [0, 1, 2].map((study) => of(found, 'fixed', 'report', study))
    for (const runs of studies) {
      expect(runs.map(({ horizon }) => horizon)).toEqual(matchedHorizons)
      expect(runs.map(({ steps }) => steps)).toEqual(matchedHorizons.map((share) => Math.round(60 * share)))
      expect(new Set(runs.map(({ seed }) => seed)).size).toBe(1)
    }
    const first = (runs: RunRecord[], target: number) =>
      Math.min(...runs.map((run) => run.gradientsToTarget[target] ?? Infinity))
    const middle = (values: number[]) => [...values].sort((a, b) => a - b)[1]!
    const { medians } = found.analysis!.gradients
    expect(medians.fixed).toEqual(task.targets.map((_, target) => middle(studies.map((runs) => first(runs, target)))))
    const full = task.targets.map((_, target) =>
      middle(studies.map(([run]) => run!.gradientsToTarget[target] ?? Infinity)),
    )
    expect(medians.fixed!.some((by, target) => by! < full[target]!)).toBe(true)
    expect(found.analysis!.remarks.join()).toContain('Horizons are matched')
  })

  it('takes steps and targets from the options, and says so', async () => {
    const {
      task: used,
      analysis,
      runs,
    } = await race({
      task,
      optimizers: ['sgd'],
      trials: 1,
      studies: 1,
      steps: 9,
      targets: [5, 2],
    })
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
    const small = { optimizers: [whole], ...tiny }
    const [up, down] = [await race({ task: upwards, ...small }), await race({ task, ...small, targets: [10, 1] })]
    expect(up.analysis!.summaries.sgd!.selected).toEqual(down.analysis!.summaries.sgd!.selected)
    expect(up.analysis!.gradients.medians).toEqual(down.analysis!.gradients.medians)
    expect(up.analysis!.summaries.sgd!.validation).toBeCloseTo(-down.analysis!.summaries.sgd!.validation!, 12)
    expect(() => renderReport(up)).not.toThrow()
  })

  it('accepts names, factories, definitions and contenders of your own', async () => {
    const mine = {
      name: 'mine',
      optimizer: (hyper: Record<string, HyperValue>) => cautious(sgd(hyper)),
      search: gentle,
    }
    const { contenders } = await race({
      task,
      optimizers: ['SGD', lion, adamW.definition, mine],
      studies: 1,
      trials: 1,
    })
    expect(contenders.map(({ name }) => name)).toEqual(['sgd', 'lion', 'adamW', 'mine'])
  })

  it.each([
    [{ optimizers: [] }, 'at least one optimizer'],
    [{ optimizers: ['adamW', 'adamw'] }, "'adamW' is entered twice"],
    [{ optimizers: ['adamX'] }, "unknown optimizer 'adamX'"],
    [{ optimizers: [adamW()] as never }, 'give its factory (adamW rather than adamW())'],
    [{ optimizers: [cautious] as never }, 'a transform without an optimizer is no contender'],
    [{ optimizers: [() => sgd()] as never }, 'is no contender: give a factory such as adamW'],
    [{ optimizers: [3] as never }, '3 is no contender: give the name of an optimizer, its factory, or'],
    [{ optimizers: [null] as never }, 'null is no contender'],
    [{ optimizers: [{ name: 'mine' }] as never }, 'a contender needs a name and an optimizer'],
    [{ optimizers: [{ name: ' ', optimizer: sgd }] }, 'a contender needs a name and an optimizer'],
    [{ trials: 0 }, 'trials is 0; it must be a whole number from 1'],
    [{ studies: 0 }, 'studies is 0; it must be a whole number from 1'],
    [{ studies: 2.5 }, 'studies is 2.5'],
    [{ seeds: 1.5 }, 'seeds is 1.5'],
    [{ seed: -1 }, 'seed is -1; it must be a whole number from 0'],
    [{ steps: -1 }, 'steps is -1'],
    [{ claim: 'taste' as never }, "claim is 'taste'; it must be 'optimizers' or 'settings'"],
    [{ claim: 'settings', studies: 3 }, "studies is 3; the claim 'settings' is about one tuning"],
    [{ horizons: 'long' as never }, "horizons is 'long'; it must be 'full' or 'matched'"],
    [{ nonFinite: 'ignore' as never }, "nonFinite is 'ignore'; it must be 'stop' or 'skip'"],
    [{ targets: [1, 2] }, "field 'targets' of task 'quadratic'"],
    [{ ranges: { lion: gentle } }, "ranges are given for 'lion', which is not in the race: sgd"],
    [
      { ranges: { sgd: { momentun: logUniform(0.1, 1) } } },
      "sgd has no hyperparameter 'momentun'; it has learningRate",
    ],
    [
      { ranges: { sgd: { learningRate: logUniform(1, 2), weightDecay: { scale: 'choice', values: [] } } } },
      'values must be',
    ],
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
  ] satisfies [Partial<RaceOptions>, string][])('refuses %o', async (wrong, message) => {
    const error = await race({ task, optimizers: ['sgd'], ...wrong }).then(
      () => null,
      (reason: unknown) => reason as Error,
    )
    expect(error?.message).toContain(message)
    expect(error instanceof RangeError || error instanceof TypeError).toBe(true)
  })
})

describe('resuming', () => {
  const directory = mkdtempSync(join(tmpdir(), 'fallline-race-'))
  afterAll(() => rmSync(directory, { recursive: true, force: true }))
  const options = (out: string) => ({ task, optimizers: [whole, 'lion'], ...tiny, out: join(directory, out) })
  const stored = (out: string) =>
    JSON.parse(readFileSync(join(directory, out, fileNames.results), 'utf8')) as RaceResults
  /** The race with its number of runs. */
  const counted = async (out: string, changed: Partial<RaceOptions> = {}) => {
    let runs = 0
    const results = await race({ ...options(out), ...changed, onProgress: ({ finished }) => finished && runs++ })
    return { results, runs }
  }

  it('keeps what was done when it is aborted, at any time, and gives the same results in the end', async () => {
    const complete = await race(options('whole'))
    let started = 0
    for (const stopAfter of [0, 3, 5, 4, 100]) {
      const controller = new AbortController()
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
        expect(timeless(await attempt)).toEqual(timeless(complete))
      } else {
        const error = await attempt.then(
          () => null,
          (reason: unknown) => reason,
        )
        expect(error).toBeInstanceOf(RaceInterrupted)
        expect((error as RaceInterrupted).planned).toBe(18)
        expect(stored('parts').complete).toBe(false)
        expect(stored('parts').runs).toEqual((error as RaceInterrupted).results.runs)
      }
    }
    // Nothing that was finished was run again: 18 runs, and one for each interruption.
    expect(started).toBeLessThanOrEqual(18 + 4)
    expect(timeless(stored('parts'))).toEqual(timeless(complete))
    expect(stored('parts').looks).toHaveLength(1)
    expect(readFileSync(join(directory, 'parts', fileNames.report), 'utf8')).toContain('id="verdict"')
  })

  it('can be interrupted while costs are measured', async () => {
    const controller = new AbortController()
    const attempt = race({
      ...options('costs'),
      signal: controller.signal,
      onProgress: ({ phase }) => phase === 'cost' && controller.abort(),
    })
    await expect(attempt).rejects.toThrow('the race was interrupted after 18 of 18 runs')
    const { results, runs } = await counted('costs')
    expect(runs).toBe(0)
    expect(results.costs!.gradient).toHaveLength(9)
  })

  it('shows a finished race without running it, and starts over when told to or when the settings differ', async () => {
    const first = await counted('again')
    expect(first.runs).toBe(18)
    const shown = await counted('again')
    expect(shown.runs).toBe(0)
    expect(JSON.stringify(shown.results)).toBe(JSON.stringify(first.results))
    expect((await counted('again', { fresh: true })).runs).toBe(18)
    expect((await counted('again', { trials: 3 })).runs).toBe(24)
    const previous = JSON.parse(readFileSync(join(directory, 'again', fileNames.previous), 'utf8')) as RaceResults
    expect(previous.protocol.trials).toBe(2)
  })

  it('continues with more studies, contenders and seeds at a stricter level, and shows an earlier look as it was', async () => {
    const first = await counted('grow')
    const more = await counted('grow', { studies: 4 })
    expect(more.runs).toBe(6)
    const bare = (runs: readonly RunRecord[]) => runs.map((run) => JSON.stringify(run)).sort()
    const kept = bare(first.results.runs)
    expect(bare(more.results.runs).filter((run) => kept.includes(run))).toEqual(kept)
    expect(more.results.looks.map(({ studies }) => studies)).toEqual([3, 4])
    expect(more.results.analysis).toMatchObject({ look: 2, level: levelOfLook(2) })
    expect(more.results.analysis!.level).toBeLessThan(first.results.analysis!.level)
    expect(more.results.analysis!.remarks.join()).toContain('This is look 2 at a growing race')
    const field = await counted('grow', { studies: 4, optimizers: [whole, 'lion', half] })
    expect(field.runs).toBe(12)
    expect(field.results.analysis!.look).toBe(3)
    const seeds = await counted('grow', { studies: 4, optimizers: [whole, 'lion', half], seeds: 2 })
    expect(seeds.runs).toBe(12)
    expect(seeds.results.analysis!.look).toBe(4)
    const back = await counted('grow')
    expect(back.runs).toBe(0)
    expect(back.results.analysis).toMatchObject({ look: 1, level: levelOfLook(1) })
    const { fingerprint, runs: _, ...earlier } = timeless(first.results)
    expect(timeless(back.results)).toMatchObject(earlier)
    expect(back.results.looks).toHaveLength(4)
    // What is not shown is kept.
    expect(back.results.runs.length).toBe(48)
    expect((await counted('grow', { studies: 4, optimizers: [whole, 'lion', half], seeds: 2 })).runs).toBe(0)
  })

  it('gives the same results by growing as at once', async () => {
    await counted('steps')
    const grown = await counted('steps', { studies: 4, seeds: 2 })
    const once = await counted('once', { studies: 4, seeds: 2 })
    expect(timeless(grown.results)).toEqual(timeless(once.results))
  })

  it('runs a contender again that has changed, and nobody else', async () => {
    await counted('changed')
    const wider = { ...whole, search: { learningRate: logUniform(0.04, 0.45) } }
    const { runs, results } = await counted('changed', { optimizers: [wider, 'lion'] })
    expect(runs).toBe(9)
    expect(results.runs.filter(({ contender }) => contender === 'sgd')).toHaveLength(9)
  })

  it('takes a damaged file for no results, and says when a directory cannot be used', async () => {
    await race(options('damaged'))
    writeFileSync(join(directory, 'damaged', fileNames.results), '{"format": "fallline race res')
    expect((await counted('damaged')).runs).toBe(18)
    expect(readFileSync(join(directory, 'damaged', fileNames.previous), 'utf8')).toBe('{"format": "fallline race res')
    const file = join(directory, 'damaged', fileNames.report)
    await expect(race({ ...options('x'), out: file })).rejects.toThrow(StorageError)
  })
})

describe('report', () => {
  let results: RaceResults
  beforeAll(async () => {
    results = await race({
      task: { ...task, title: 'Bowl <script>alert(1)</script> & "more"' },
      optimizers: [{ ...whole, title: 'Plain <b>SGD</b>' }, 'lion', 'muon'],
      ...tiny,
    })
  })

  it('has every section, needs no network or script, and escapes what it is given', () => {
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
    expect(report).not.toContain('id="absent"')
    expect(report).not.toMatch(
      /<script|<link|<img|<iframe|<object|@import|url\(|\ssrc=|\ssrcset=|xlink:href|http-equiv/i,
    )
    expect(report).toContain('Bowl &lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;more&quot;')
    expect(report).toContain('Plain &lt;b&gt;SGD&lt;/b&gt;')
    expect(report).not.toContain('<b>SGD')
    // Every chart is drawn, at two widths: two curves, two profiles, sensitivity.
    expect(report.match(/<svg [^>]*class="wide"/g)?.length).toBe(5)
    expect(report.match(/<svg [^>]*class="narrow"/g)?.length).toBe(5)
    expect(report).not.toMatch(/NaN|undefined|\[object/)
    for (const text of [
      ...results.runs.map(({ seed }) => String(seed)),
      results.fingerprint,
      '0.05 to 0.45, logarithmic',
      'linear warm-up over 3 steps, then cosine to zero at step 60',
      '3 independent studies, each of 2 tuning trials and 1 fresh run',
      'Sobol points with a random shift of their own',
      results.machine.processor,
    ]) {
      expect(report).toContain(text)
    }
  })

  it('shows a race in which everything failed', async () => {
    const found = await race({ task, optimizers: [wild, faulty], ...tiny })
    expect(found.costs).toBeNull()
    expect(found.analysis!.time).toBeNull()
    expect(found.analysis!.gradients.verdict).toBe('No contender finished a trial, so there is nothing to compare.')
    const report = renderReport(found)
    expect(report).toContain('failed: no such rule')
    expect(report).toContain('diverged in every trial')
    expect(report).not.toMatch(/NaN|undefined|\[object/)
  })

  it('is refused for a race that is not complete', () => {
    expect(() => renderReport({ ...results, complete: false, analysis: null })).toThrow('the race is not complete')
  })

  it('stays small for a large field', () => {
    const count = 113
    const name = (index: number) => `contender-${index}`
    const sources = results.contenders
    const field: RaceResults = {
      ...results,
      contenders: Array.from({ length: count }, (_, index) => {
        const source = sources[index % sources.length]!
        return { ...source, name: name(index), title: `${source.title} ${index}` }
      }),
      runs: Array.from({ length: count }, (_, index) => {
        const source = sources[index % sources.length]!
        return results.runs
          .filter(({ contender }) => contender === source.name)
          .map((run) => ({ ...run, contender: name(index) }))
      }).flat(),
      costs: {
        ...results.costs!,
        step: Object.fromEntries(
          Array.from({ length: count }, (_, index) => [
            name(index),
            results.costs!.step[sources[index % sources.length]!.name]!,
          ]),
        ),
      },
    }
    field.analysis = analyse(field)
    expect(field.analysis.gradients.pairs).toHaveLength((count * (count - 1)) / 2)
    const report = renderReport(field)
    expect(Buffer.byteLength(report)).toBeLessThan(1_000_000)
    expect(report).toContain(`The best 12 of ${count} are drawn.`)
    for (let index = 0; index < count; index++) expect(report).toContain(` ${index}</th>`)
    expect(field.analysis.gradients.verdict.length).toBeLessThan(2000)
  })

  it('tells lines apart by colour and pattern together', () => {
    const looks = Array.from({ length: 200 }, (_, index) => `${colourOf(index)} ${dashOf(index)}`)
    expect(new Set(looks).size).toBe(200)
    // Neighbours differ in both.
    for (let index = 1; index < 200; index++) {
      expect(colourOf(index)).not.toBe(colourOf(index - 1))
      expect(dashOf(index)).not.toBe(dashOf(index - 1))
    }
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
