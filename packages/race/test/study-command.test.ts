import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { type Ended, fallline, fixture, inside } from './support/command.ts'

const everything = process.env.FALLLINE_TEST_ALL === '1'
const directory = mkdtempSync(join(tmpdir(), 'fallline-study-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))
const place = ['--study', join(directory, 'studies')]
const parabola = fixture('parabola-study')

/** Runs `fallline study tell` with lines on its standard input. */
const tell = (lines: readonly object[]): Promise<Ended> =>
  fallline(['study', 'tell', ...place], undefined, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))

describe('fallline study', () => {
  // One after the other on one folder, because each goes on from what is there.
  it('runs a study with two workers, and shows and exports it', async () => {
    const asked = ['--trials', '6', '--workers', '2', '--as', everything ? 'process' : 'thread']
    const ran = await inside(['study', 'optimize', parabola, ...place, ...asked])
    expect(ran.stderr).toMatch(/trial 0: complete \d/)
    expect(ran).toMatchObject({ code: 0, stdout: expect.stringContaining('6 trials have a result') })
    const shown = await inside(['study', 'show', ...place])
    expect(shown.stdout).toMatch(/^study: 6 trials: 6 complete\nbest of 6: .*, trial \d: {"x":/)
    const csv = (await inside(['study', 'export', ...place])).stdout.trim().split('\n')
    expect(csv[0]).toBe('number,state,attempt,value,parameter x,cost,worker,started,ended,error')
    expect(csv).toHaveLength(7)
    const records = JSON.parse((await inside(['study', 'export', '--format', 'json', ...place])).stdout)
    expect((await inside(['study', 'export', '--format', 'html', ...place])).stdout).toContain('The best of 6')
    for (const { state, values, parameters, reports } of records) {
      expect({ state, values, reports }).toEqual({
        state: 'complete',
        values: [(parameters.x - 3) ** 2],
        reports: [{ step: 1, value: parameters.x }],
      })
    }
  })

  it('asks and tells in lines of JSON, and refuses what is told twice', async () => {
    const asked = JSON.parse((await inside(['study', 'ask', parabola, ...place])).stdout)
    expect(asked).toMatchObject({ number: 6, until: null, from: 0, lease: { trial: 6, attempt: 1 } })
    const { lease } = asked
    const told = await tell([{ lease, values: 1.5 }, { lease, values: 2 }, { values: 3 }, { lease: 5, values: 4 }])
    expect(
      told.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { accepted: true, trial: 6 },
      { accepted: false, reason: expect.stringContaining('has ended already: complete with 1.5') },
      { accepted: false, reason: expect.stringContaining('the lease that ask has given is missing') },
      { accepted: false, reason: expect.stringMatching(/^a lease must be as ask has given it, .*, not 5$/) },
    ])
    expect(told).toMatchObject({ code: 2, stderr: expect.stringContaining('3 of the outcomes were refused') })
  })

  it('says what is wrong with a place, a port and an address', async () => {
    const nowhere = join(directory, 'nowhere')
    const wrong: readonly (readonly [readonly string[], string])[] = [
      [['serve', '--study', nowhere], `there is no folder of studies at ${nowhere}`],
      [['serve', '--study', parabola], `${parabola} is a file; studies need a folder`],
      [['serve', '--port', '80x'], "argument '80x' is invalid. It must be a whole number from 0 to 65535"],
      [
        ['study', 'show', '--study', 'postgres://bad host/'],
        'the URL of the PostgreSQL server is none: write postgres://',
      ],
    ]
    for (const [parameters, message] of wrong) {
      expect(await inside(parameters)).toMatchObject({ code: 2, stderr: expect.stringContaining(message) })
    }
    expect(existsSync(nowhere)).toBe(false)
  })

  it.runIf(everything)('says why a study cannot go on', async () => {
    const failing = await fallline([
      'study',
      'optimize',
      fixture('failing-study'),
      ...place,
      '--name',
      'failing',
      '--trials',
      '3',
    ])
    expect(failing).toMatchObject({
      code: 5,
      stdout: 'failing: 20 trials: 20 failed\n',
      stderr: expect.stringMatching(/error: one trial after the other failed, the last one with: no GPU\n$/),
    })
  })

  it.runIf(everything)('serves a folder until it is interrupted', async () => {
    let page = ''
    const served = await fallline(['serve', ...place, '--port', '0'], undefined, undefined, async (stdout, child) => {
      page = await (await fetch(stdout.trim())).text()
      child.kill('SIGINT')
    })
    expect(served).toMatchObject({ code: 130, stderr: '' })
    expect(page).toContain('href="/studies/study"')
  })

  it('makes no folder to show what is not there', async () => {
    const nowhere = join(directory, 'nowhere')
    for (const command of [
      ['study', 'show'],
      ['study', 'export'],
      ['study', 'finish'],
      ['study', 'tell'],
    ]) {
      const shown = await inside([...command, '--study', nowhere])
      expect(shown).toMatchObject({ code: 2, stderr: expect.stringContaining(`there are no studies in ${nowhere}`) })
    }
    expect(existsSync(nowhere)).toBe(false)
  })

  it('imports studies of Optuna, and says what is no file of it', async () => {
    const journal = fileURLToPath(new URL('../../search/test/optuna/studies.log', import.meta.url))
    const imported = await inside(['study', 'import', journal, ...place])
    expect(imported).toMatchObject({
      code: 0,
      stdout: 'conditional: 8 trials, 2 left out\nseveral: 3 trials\nempty: 0 trials\n',
      stderr: expect.stringContaining('conditional: trial 8 is left out: it was running'),
    })
    const refused = await inside(['study', 'import', parabola, ...place])
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('this is no journal of Optuna') })
  })

  it.runIf(everything)('gives trials back when it is told to end, and a worker goes on with them', async () => {
    process.env.TRIAL_MILLISECONDS = '3000'
    const stopped = await fallline(['study', 'optimize', parabola, ...place, '--trials', '9'], (stderr, child) => {
      if (/trial 7: complete/.test(stderr)) child.kill('SIGTERM')
    })
    process.env.TRIAL_MILLISECONDS = '1'
    expect(stopped).toMatchObject({
      code: 143,
      stdout: expect.stringMatching(/aborted\nstudy: 9 trials: 8 complete, 1 waiting/),
    })
    const helped = await fallline(['study', 'worker', parabola, ...place, '--trials', '9'])
    expect(helped).toMatchObject({ code: 0, stdout: expect.stringContaining('9 trials: 9 complete') })
    const none = await fallline(['study', 'worker', parabola, ...place, '--name', 'other', '--trials', '9'])
    expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining("there is no study 'other' here: study") })
  })
})
