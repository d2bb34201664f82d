import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ChooseInterrupted, type ChooseOptions, type ChooseResults, choose, helpChoose } from '@fallline/race'
import { memoryStorage } from '@fallline/search'
import { afterAll, describe, expect, it } from 'vitest'
import { quadratic } from '../fixtures/quadratic.ts'
import { fallline, fixture } from '../support/command.ts'
import { inCompany } from '../support/company.ts'

const directory = mkdtempSync(join(tmpdir(), 'fallline-shared-choice-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const options: ChooseOptions = {
  task: quadratic('quadratic', 4),
  optimizers: ['sgd', 'lion', 'adan'],
  runs: 30,
  seeds: 6,
  steps: 40,
  workers: 0,
}

/** What does not depend on who did what: a run that somebody else goes on with may be computed from its beginning. */
function comparable({
  runs,
  decisions,
  fresh,
  pick,
  pickOfBaseline,
  confirmation,
  answer,
  fingerprint,
}: ChooseResults) {
  const plain = {
    runs: runs.map(({ candidate, seed, state: { stack, ...state } }) => ({ candidate, seed, state })),
    fresh: fresh!.runs.map(({ milliseconds, ...run }) => run),
    decisions: decisions.map(({ spent, ...decision }) => decision),
    pick,
    pickOfBaseline,
    confirmation,
    sentence: answer!.sentence,
    code: answer!.code,
    fingerprint,
  }
  return JSON.parse(JSON.stringify(plain))
}

describe('a choice that several work on', () => {
  it('is the choice of one, whoever does which run and whoever dies', async () => {
    const alone = await choose(options)
    const { results: together, study } = await inCompany(
      (shared) => choose({ ...options, ...shared }),
      (shared) => helpChoose({ ...options, ...shared }),
    )
    expect(comparable(together)).toEqual(comparable(alone))
    const trials = await study.trials()
    expect(trials.filter(({ state }) => state !== 'complete')).toEqual([])
    const jobs = alone.decisions.reduce((sum, { jobs }) => sum + jobs.length, 0)
    expect(trials).toHaveLength(jobs + alone.fresh!.runs.length)
    const { candidate, ...first } = trials[0]!.parameters
    const { group, setting } = together.candidates[candidate as number]!
    expect(first).toMatchObject({ contender: group, [`contender.${group}.learningRate`]: setting.learningRate })
  })

  it('goes on with what its study has', async () => {
    const storage = memoryStorage()
    const stop = new AbortController()
    const attempt = choose({
      ...options,
      storage,
      signal: stop.signal,
      onProgress: ({ stage, index }) => stage.startsWith('rung 2') && index === 3 && stop.abort(),
    })
    const { results } = (await attempt.catch((error: unknown) => error)) as ChooseInterrupted
    const rest = await choose({ ...options, storage })
    expect(comparable(rest)).toEqual(comparable(await choose(options)))
    // Without its results all is taken from the study, to the millisecond.
    const before = results.runs.find(({ state }) => state.outcome === 'finished')!
    const after = rest.runs.find(({ candidate, seed }) => candidate === before.candidate && seed === before.seed)!
    expect(after.milliseconds).toBe(before.milliseconds)
    const again = await choose({ ...options, storage, fresh: true })
    expect(again.runs[0]!.milliseconds).not.toBe(rest.runs[0]!.milliseconds)
    await expect(helpChoose({ ...options, storage: memoryStorage() })).rejects.toThrow(
      /there is no choice choose-quadratic-[0-9a-f]{8} to help with, but none at all: options, the module/,
    )
  })

  it.runIf(process.env.FALLLINE_TEST_ALL === '1')(
    'is helped by workers of other processes, one of them killed, from the command line',
    async () => {
      const small = [fixture('slow'), '--optimizers', 'sgd,lion', '--runs', '26', '--workers']
      const results = (name: string) =>
        comparable(JSON.parse(readFileSync(join(directory, name, 'choose.json'), 'utf8')) as ChooseResults)
      const alone = await fallline(['choose', ...small, '0', '--out', join(directory, 'alone')])
      expect(alone).toMatchObject({ code: 0 })
      process.env.GRADIENT_MILLISECONDS = '40'
      const place = ['--study', join(directory, 'studies')]
      const workers: ReturnType<typeof fallline>[] = []
      const help = (watch?: Parameters<typeof fallline>[1]) =>
        workers.push(fallline(['choose', 'worker', ...place, '--patience', '2', '--workers', '0'], watch))
      const ran = await fallline(
        ['choose', ...small, '0', ...place, '--patience', '2', '--out', join(directory, 'together')],
        (stderr) => {
          if (workers.length > 0 || !/choose worker --study/.test(stderr)) return
          help((said, child) => /^helping/.test(said) && setTimeout(() => child.kill('SIGKILL'), 500))
          help()
        },
      )
      delete process.env.GRADIENT_MILLISECONDS
      expect(ran).toMatchObject({ code: 0 })
      const [killed, helped] = await Promise.all(workers)
      expect({ ...killed, stderr: '' }).toEqual({ code: null, stdout: '', stderr: '' })
      expect(helped).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^\d+ runs? of choose-slow-.* done here\n$/),
      })
      expect(results('together')).toEqual(results('alone'))
    },
    300_000,
  )
})
