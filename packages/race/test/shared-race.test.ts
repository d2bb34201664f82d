import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStorage, type Storage, type Study } from '@fallline/search'
import { type HyperValue, sgd } from 'fallline'
import { afterAll, describe, expect, it } from 'vitest'
import { type Contender, helpRace, RaceInterrupted, type RaceResults, race } from '../src/index.ts'
import { quadratic } from './fixtures/quadratic.ts'
import { fallline, fixture } from './support/command.ts'

const directory = mkdtempSync(join(tmpdir(), 'fallline-shared-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const search = { learningRate: { scale: 'log', minimum: 0.05, maximum: 0.45 } } as const

/** SGD that throws at every larger rate, and so is stopped somewhere in the middle. */
const moody: Contender = {
  name: 'moody',
  optimizer: (hyper: Record<string, HyperValue>) => {
    const rate = (hyper.learningRate as unknown as { at(step: number): number }).at(3)
    if (rate > 0.25) throw new Error('moody')
    return sgd(hyper)
  },
  search,
}
const options = {
  task: quadratic('quadratic', 4),
  optimizers: [{ name: 'sgd', optimizer: sgd, search }, moody, 'lion'],
  studies: 3,
  trials: 4,
  seed: 7,
} as const

const times = [
  'milliseconds',
  'compileMilliseconds',
  'stack',
  'startedAt',
  'finishedAt',
  'at',
  'costs',
  'machine',
  'analysis',
]

/** Results without clocks and dates, and without what follows from them. */
const timeless = (results: RaceResults) =>
  JSON.parse(JSON.stringify(results, (key, value) => (times.includes(key) ? undefined : value)))

/** The storage as a process has it that dies when it ends a trial for the second time. */
function deadly(storage: Storage): Storage {
  let ends = 0
  return {
    ...storage,
    async end(name, lease, ending) {
      if (++ends === 2) throw new Error('the process has died')
      return storage.end(name, lease, ending)
    },
  }
}

describe('a race that several work on', () => {
  it('has the results of one, whoever does which run and whoever dies', async () => {
    const alone = await race(options)
    const failures = alone.runs.filter(({ outcome }) => outcome === 'failed')
    expect(failures.map(({ contender }) => contender)).toEqual(['moody', 'moody'])
    expect(alone.runs.filter(({ contender }) => contender === 'moody').length).toBeGreaterThan(2)
    const storage = memoryStorage()
    const shared = { ...options, patience: 200 }
    const helpers: Promise<number>[] = []
    const studies: Study[] = []
    const together = await race({
      ...shared,
      storage,
      onStudy(study) {
        studies.push(study)
        helpers.push(
          helpRace({ ...shared, storage }),
          helpRace({ ...shared, storage: deadly(storage) }).catch((error: Error) => {
            expect(error.message).toBe('the process has died')
            return 1
          }),
        )
      },
    })
    const done = await Promise.all(helpers)
    expect(done.every((count) => count > 0)).toBe(true)
    expect(timeless(together)).toEqual(timeless(alone))
    const trials = await studies[0]!.trials()
    expect(trials.filter(({ lost }) => lost > 0)).toHaveLength(1)
    expect(trials.every(({ state }) => state === 'complete' || state === 'failed')).toBe(true)
    // Every run once; those of the contender that was stopped may have been under way.
    expect(trials.length).toBeLessThanOrEqual(alone.runs.length + 2)
    const best = trials.find(({ parameters }) => parameters.contender === 'sgd')!
    const { setting } = alone.runs.find(({ contender, phase }) => contender === 'sgd' && phase === 'tuning')!
    expect(best.parameters['contender.sgd.learningRate']).toBe(setting.learningRate)
  })

  it('is continued from its study, and from its results where the study is gone', async () => {
    const [storage, out] = [memoryStorage(), join(directory, 'parts')]
    const stop = new AbortController()
    let finished = 0
    const attempt = race({
      ...options,
      storage,
      signal: stop.signal,
      onProgress: (progress) => progress.finished && ++finished === 7 && stop.abort(),
    })
    await expect(attempt).rejects.toBeInstanceOf(RaceInterrupted)
    let later = 0
    const counted = { ...options, onProgress: ({ step }: { step: number }) => void (step === 1 && later++) }
    const rest = await race({ ...counted, storage, out })
    // Runs that throw before their first step are not counted.
    expect(later).toBeLessThanOrEqual(rest.runs.length - 7)
    later = 0
    const grown = await race({ ...counted, storage: memoryStorage(), out, studies: 4 })
    expect(later).toBeLessThanOrEqual(grown.runs.length - rest.runs.length)
    expect(timeless({ ...grown, looks: [] })).toEqual(
      timeless({ ...(await race({ ...options, studies: 4 })), looks: [] }),
    )
  })

  it('says which races there are when there is nothing to help with', async () => {
    const storage = memoryStorage()
    await expect(helpRace({ ...options, storage })).rejects.toThrow(
      /there is no race race-quadratic-[0-9a-f]{8} to help with, but no race at all: options, the module/,
    )
    await expect(race({ ...options, patience: 0 })).rejects.toThrow('patience is 0; it must be')
  })

  it.runIf(process.env.FALLLINE_TEST_ALL === '1')(
    'is helped by workers of other processes, one of them killed, from the command line',
    async () => {
      const small = [fixture('slow'), '--optimizers', 'sgd,lion', '--studies', '3', '--trials', '4']
      const results = (name: string) =>
        timeless(JSON.parse(readFileSync(join(directory, name, 'results.json'), 'utf8')) as RaceResults)
      expect(await fallline(['race', ...small, '--out', join(directory, 'alone')])).toMatchObject({ code: 0 })
      process.env.GRADIENT_MILLISECONDS = '40'
      const place = ['--study', join(directory, 'studies')]
      const workers: ReturnType<typeof fallline>[] = []
      const help = (watch?: Parameters<typeof fallline>[1]) =>
        workers.push(fallline(['race', 'worker', ...place, '--patience', '2'], watch))
      const ran = await fallline(
        ['race', ...small, ...place, '--patience', '2', '--out', join(directory, 'together')],
        (stderr) => {
          if (workers.length > 0 || !/race worker --study/.test(stderr)) return
          help((said, child) => /tuning \d+\//.test(said) && child.kill('SIGKILL'))
          help()
        },
      )
      expect(ran).toMatchObject({ code: 0 })
      delete process.env.GRADIENT_MILLISECONDS
      const [killed, helped] = await Promise.all(workers)
      expect({ ...killed, stderr: '' }).toEqual({ code: null, stdout: '', stderr: '' })
      expect(helped).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^\d+ runs? of race-slow-.* done here\n$/),
      })
      expect(results('together')).toEqual(results('alone'))
    },
    300_000,
  )
})
