import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { families, registry } from 'fallline'
import { afterAll, describe, expect, it } from 'vitest'
import { everything } from '../../core/test/support/sample.ts'
import type { RaceResults } from '../src/index.ts'
import { command, fallline, fixture, inside } from './support/command.ts'

const directory = mkdtempSync(join(tmpdir(), 'fallline-command-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const small = ['--studies', '3', '--trials', '1', '--optimizers', 'sgd,lion']
const out = (name: string) => ['--out', join(directory, name)]
const stored = (name: string) => JSON.parse(readFileSync(join(directory, name, 'results.json'), 'utf8')) as RaceResults

describe('fallline', () => {
  it.each([
    [['rase'], 2, "unknown command 'rase'"],
    [['race', '--optimizer', 'sgd'], 2, "unknown option '--optimizer'\n(Did you mean --optimizers?)"],
    [['race', '--optimizers', 'sgd,adanW'], 2, "unknown optimizer 'adanW'. Did you mean 'adamW'?"],
    [['race', 'digit-mlp'], 2, "unknown task 'digit-mlp'. Did you mean 'digits-mlp'?"],
    [['race', '--trials', 'many'], 2, "argument 'many' is invalid. It must be a whole number from 1 on."],
    [['race', '--optimizers', 'cautios(adamw)'], 2, "unknown wrapper 'cautios'. Did you mean 'cautious'?"],
    [['race', '--claim', 'taste'], 2, 'Allowed choices are optimizers, settings'],
    [['race', '--range', 'adamW.learningRate=1..2..3'], 2, '--range adamW.learningRate=1..2..3 is no range'],
    [['race', '--range', 'adamW=3'], 2, '--range adamW=3 is no range: write CONTENDER.HYPERPARAMETER=MINIMUM..MAXIMUM'],
    [
      ['race', fixture('quadratic'), '--range', 'muon.learningRate=1..2', ...out('none')],
      2,
      "ranges are given for 'muon'",
    ],
    [['race', fixture('quadratic'), '-o', 'multiadam', ...out('none')], 2, 'multiAdam cannot be raced'],
    [['race', fixture('quadratic'), '-o', 'nobody', ...out('none')], 2, "unknown optimizer 'nobody'"],
    [['race', '--targets', '0.1,x'], 2, 'numbers with commas between'],
    [['race', fixture('quadratic'), '--targets', '1,2', ...out('none')], 2, "field 'targets' of task 'quadratic'"],
    [['race', './no/such/task.ts', ...out('none')], 3, "task module './no/such/task.ts' is not a file"],
    [['race', fixture('no-task'), ...out('none')], 3, 'has no default export'],
    [['race', fixture('quadratic'), '--out', command], 3, 'the output directory'],
    [['explain', 'lyon'], 2, "Did you mean 'lion'?"],
    [['explain'], 2, "missing required argument 'name'"],
  ] as const)('%j ends with code %i and says why', async (parameters, code, message) => {
    const ended = await inside(parameters)
    expect(ended.stderr).toContain(message)
    expect(ended.stderr).not.toContain('    at ')
    expect(ended.code).toBe(code)
  })

  it('passes its exit code on to the shell', async () => {
    expect(await fallline(['race', 'nowhere'])).toMatchObject({ code: 2, stdout: '' })
  })

  it('explains itself', async () => {
    const help = await inside(['--help'])
    const race = await inside(['race', '--help'])
    expect(help.code).toBe(0)
    for (const name of ['race', 'list', 'explain', 'Exit codes:']) expect(help.stdout).toContain(name)
    expect(race.code).toBe(0)
    for (const name of [
      '--optimizers',
      '--trials',
      '--studies',
      '--claim',
      '--range',
      '--horizons',
      '--non-finite',
      '--seeds',
      '--targets',
      '--steps',
      '--seed',
      '--out',
      '--fresh',
      'digits-mlp',
      'Exit codes:',
    ]) {
      expect(race.stdout).toContain(name)
    }
  })

  it('lists the optimizers and explains one', async () => {
    const list = await inside(['list'])
    const json = await inside(['list', '--json'])
    const lion = await inside(['explain', 'LION'])
    const wgsl = await inside(['explain', 'lion', '--wgsl'])
    expect([list.code, json.code, lion.code, wgsl.code]).toEqual([0, 0, 0, 0])
    expect(wgsl.stdout).toContain('// lion, level 0: a pass over elements')
    const entries = JSON.parse(json.stdout) as Record<string, unknown>[]
    expect(entries.map(({ name }) => name)).toEqual(registry.map(({ definition }) => definition.name))
    for (const entry of entries) {
      expect(entry).toMatchObject({
        title: expect.any(String),
        kind: expect.any(String),
        stateBytesPerParameter: expect.any(Number),
        bytesPerParameter: expect.any(Number),
      })
      expect(entry.paper).toMatchObject({ title: expect.any(String), year: expect.any(Number) })
      expect(entry.hyper).toHaveProperty('learningRate')
      expect(list.stdout).toContain(entry.name)
    }
    expect(lion.stdout).toContain('Lion')
    const lines = list.stdout.split('\n').map((line) => line.trimEnd())
    for (const [family, title] of Object.entries(families)) {
      const members = entries.filter((entry) => entry.family === family)
      const heading = lines.indexOf(`${title} (${members.length})`)
      if (members.length === 0) expect(list.stdout).not.toContain(title)
      else {
        const below = lines.slice(heading + 1, heading + 1 + members.length)
        expect(below.map((line) => line.split(' ')[0])).toEqual(members.map(({ name }) => name))
      }
    }
  })

  it('races, prints verdict and table, writes results and report', async () => {
    const ended = await inside(['race', fixture('quadratic'), ...small, ...out('plain')])
    expect(ended.stderr).toMatch(/tuning \d+\/12, study 3: \S+.*learningRate .*: validation .* left\)/)
    expect(ended.stderr).toContain('fresh run 12/12')
    expect(ended.stdout).toMatch(/^(Nobody is ahead|\S+ is ahead of \S+) by gradients/)
    expect(ended.stdout).toMatch(/contender .* score .* score by time .* gradients to/)
    expect(ended.code).toBe(0)
    expect(stored('plain')).toMatchObject({ complete: true, format: 'fallline race results', version: 2 })
    expect(readFileSync(join(directory, 'plain', 'report.html'), 'utf8')).toMatch(/^<!doctype html>/)
    const again = await inside(['race', fixture('quadratic'), ...small, ...out('plain')])
    expect(again.code).toBe(0)
    expect(again.stdout).toContain('already finished')
    expect(again.stderr).not.toContain('tuning')
    // One more contender runs alone; the others are there already.
    const more = ['--studies', '3', '--trials', '1', '--optimizers', 'sgd,lion,adamW']
    const continued = await inside(['race', fixture('quadratic'), ...more, ...out('plain')])
    expect(continued.stderr.split('\n').filter((line) => line.includes('validation')).length).toBe(6)
    expect(continued.stderr).not.toContain('SGD')
    expect(continued.stdout).toContain('This is look 2 at a growing race')
  })

  it.runIf(everything)('races all optimizers', async () => {
    const short = ['--studies', '1', '--trials', '1', '--steps', '2']
    const all = await inside(['race', fixture('quadratic'), ...short, '-o', 'all', ...out('all')])
    // Some may diverge in two steps; those that the task cannot feed are left out, and nobody twice.
    expect([0, 4]).toContain(all.code)
    const { contenders, leftOut } = stored('all')
    expect(leftOut.map(({ name }) => name)).toContain('multiAdam')
    expect([...contenders, ...leftOut].map(({ name }) => name).sort()).toEqual(
      registry.map(({ definition }) => definition.name).sort(),
    )
  })

  it('races families, wrapped optimizers, ranges, and what a task module exports', async () => {
    const quick = ['--studies', '1', '--trials', '1', '--steps', '4']
    const family = await inside(['race', fixture('quadratic'), ...quick, '-o', 'sign,lion', ...out('family')])
    expect(family.code).toBe(0)
    const members = registry
      .filter(({ definition }) => definition.family === 'sign')
      .map(({ definition }) => definition.name)
    expect(stored('family').contenders.map(({ name }) => name)).toEqual(members)
    const wrapped = await inside([
      'race',
      fixture('quadratic'),
      ...quick,
      '-o',
      'Cautious(clipByGlobalNorm(adamw)),adamw',
      '--range',
      'adamW.learningRate=0.01..0.02',
      '-r',
      'cautious(clipByGlobalNorm(adamW)).weightDecay=0|0.5',
      ...out('wrapped'),
    ])
    expect(wrapped.code).toBe(0)
    const [cautious, plain] = stored('wrapped').contenders
    expect(cautious).toMatchObject({
      name: 'cautious(clipByGlobalNorm(adamW))',
      code: 'cautious(clipByGlobalNorm(adamW(SETTING)))',
      kind: 'global',
      bytesPerParameter: expect.any(Number),
      search: { weightDecay: { scale: 'choice', values: [0, 0.5] } },
    })
    expect(plain!.search.learningRate).toEqual({ scale: 'log', minimum: 0.01, maximum: 0.02 })
    const path = join(directory, 'module.ts')
    writeFileSync(
      path,
      `${readFileSync(fixture('quadratic'), 'utf8').replace("quadratic('quadratic', 4)", "quadratic('bowl-of-mine', 4)")}
import { adamW, logUniform } from 'fallline'
export const contenders = [{ name: 'mine', optimizer: (hyper) => adamW({ ...hyper, amsgrad: true }), search: { learningRate: logUniform(0.1, 0.2) } }]
export const ranges = { sgd: { learningRate: logUniform(0.03, 0.04) } }
`,
    )
    const before = process.cwd()
    process.chdir(directory)
    const own = await inside(['race', path, ...quick, '-o', 'mine,sgd']).finally(() => process.chdir(before))
    expect(own.code).toBe(0)
    const results = stored('.fallline/bowl-of-mine')
    expect(results.contenders.map(({ name }) => name)).toEqual(['mine', 'sgd'])
    expect(results.contenders[1]!.search.learningRate).toEqual({ scale: 'log', minimum: 0.03, maximum: 0.04 })
  })

  it('goes on without a contender that diverges, with code 4', async () => {
    const ended = await inside([
      'race',
      fixture('steep'),
      '--trials',
      '2',
      '--studies',
      '3',
      '--optimizers',
      'sgd,adamW',
      ...out('steep'),
    ])
    expect(ended.code).toBe(4)
    expect(ended.stdout).toMatch(/SGD .* diverged/)
    expect(ended.stdout).toContain('SGD took no part in the comparison: it diverged in every trial')
    expect(stored('steep').analysis!.summaries.adamW!.failure).toBeNull()
    expect(readFileSync(join(directory, 'steep', 'report.html'), 'utf8')).toContain('id="absent"')
  })

  it('refuses a task that throws, with the place, and one that draws numbers of its own, with code 3', async () => {
    const thrown = await inside(['race', fixture('throwing'), ...small, ...out('throwing')])
    expect(thrown.code).toBe(3)
    expect(thrown.stderr).toContain("gradient of task 'throwing' threw an error: the data file has no row 7")
    expect(thrown.stderr).toContain('fixtures/throwing.ts')
    const path = join(directory, 'lottery.ts')
    writeFileSync(
      path,
      readFileSync(fixture('quadratic'), 'utf8').replace('0.05 * noise(seed, step, index)', 'Math.random()'),
    )
    const random = await inside(['race', path, ...small, ...out('lottery')])
    expect(random.code).toBe(3)
    expect(random.stderr).toContain('for the same arguments; a task must give the same result every time')
  })

  it('ends with code 5 when nobody gets through', async () => {
    const ended = await inside([
      'race',
      fixture('steep'),
      '--trials',
      '2',
      '--studies',
      '1',
      '--optimizers',
      'sgd',
      ...out('nobody'),
    ])
    expect(ended.code).toBe(5)
    expect(ended.stdout).toContain('No contender finished a trial')
  })

  it('enters a name that occurs twice against itself', async () => {
    const parameters = ['--trials', '2', '--studies', '3', '--optimizers', 'sgd,sgd']
    const ended = await inside(['race', fixture('quadratic'), ...parameters, ...out('twins')])
    expect(ended.code).toBe(0)
    expect(ended.stdout).toContain('Nobody is ahead by gradients')
    expect(ended.stdout).toContain('SGD (2)')
  })

  it('keeps what was done when interrupted, and the same command resumes it to the same results', async () => {
    const parameters = ['race', fixture('slow'), ...small]
    const whole = fallline([...parameters, ...out('whole')])
    let sent = false
    const interrupted = await fallline([...parameters, ...out('parts')], (stderr, child) => {
      if (sent || !stderr.includes(' 4/12')) return
      sent = true
      child.kill('SIGINT')
    })
    expect(interrupted.code).toBe(130)
    expect(interrupted.stderr).toMatch(/Interrupted: \d+ of 12 runs are kept in .*the same command resumes/)
    const kept = stored('parts')
    expect(kept.complete).toBe(false)
    expect(kept.runs.length).toBeGreaterThanOrEqual(4)
    expect(kept.runs.length).toBeLessThan(12)
    const resumed = await fallline([...parameters, ...out('parts')])
    expect(resumed.code).toBe(0)
    expect(resumed.stderr).not.toContain(' 1/12')
    expect((await whole).code).toBe(0)
    const comparable = ({ runs, analysis, fingerprint }: RaceResults) => ({
      fingerprint,
      runs: runs.map(({ milliseconds, ...run }) => run),
      medians: analysis!.gradients.medians,
    })
    expect(comparable(stored('parts'))).toEqual(comparable(stored('whole')))
    // What was kept is what is in the end, to the millisecond: it was not run again.
    for (const run of kept.runs) expect(stored('parts').runs).toContainEqual(run)
  })

  it.each(['a path', 'a file URL'])('notices when the module of a task, given as %s, has changed', async (how) => {
    const path = join(directory, 'own.ts')
    const text = readFileSync(fixture('quadratic'), 'utf8')
    writeFileSync(path, text)
    const given = how === 'a path' ? path : pathToFileURL(path).href
    const parameters = ['race', given, '--studies', '1', '--trials', '1', '--optimizers', 'sgd', ...out(`own ${how}`)]
    expect((await inside(parameters)).stderr).toContain('tuning 1/2')
    writeFileSync(path, text.replace('0.05 * noise', '0.06 * noise'))
    expect((await inside(parameters)).stderr).toContain('tuning 1/2')
  })
})
