import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import type { ChooseResults } from '@fallline/race'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { runCommand } from '../../src/command/program.ts'

const command = fileURLToPath(new URL('../../src/command.ts', import.meta.url))
const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/${name}.ts`, import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'fallline-choose-command-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs the command inside this process, which is quick. */
async function inside(parameters: readonly string[]): Promise<Ended> {
  const text = { stdout: '', stderr: '' }
  const spies = (['stdout', 'stderr'] as const).map((stream) =>
    vi.spyOn(process[stream], 'write').mockImplementation((chunk) => {
      text[stream] += stripVTControlCharacters(String(chunk))
      return true
    }),
  )
  try {
    return { code: await runCommand(parameters), ...text }
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}

/** Runs the command as a user would; `watch` sees the error stream as it grows. */
function fallline(
  parameters: readonly string[],
  watch?: (stderr: string, child: ChildProcess) => void,
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const node = ['--import', 'tsx', '--conditions=@fallline/source', command, ...parameters]
    const child = spawn(process.execPath, node, {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      env: { ...process.env, NO_COLOR: '1' },
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (text) => {
      stdout += text
    })
    child.stderr.on('data', (text) => {
      stderr += text
      watch?.(stderr, child)
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}

const small = ['--runs', '26', '--optimizers', 'sgd,lion', '--workers', '0']
const out = (name: string) => ['--out', join(directory, name)]
const stored = (name: string) => JSON.parse(readFileSync(join(directory, name, 'choose.json'), 'utf8')) as ChooseResults

function comparable({ runs, decisions, fresh, pick, confirmation, answer, fingerprint }: ChooseResults) {
  return {
    runs: runs.map(({ milliseconds, ...run }) => run),
    fresh: fresh!.runs.map(({ milliseconds, ...run }) => run),
    decisions,
    pick,
    confirmation,
    sentence: answer!.sentence,
    fingerprint,
  }
}

describe('fallline choose', () => {
  it.each([
    [['choose', '--optimizer', 'sgd'], 2, "unknown option '--optimizer'\n(Did you mean --optimizers?)"],
    [['choose', '--optimizers', 'sgd,adanW'], 2, "unknown optimizer 'adanW'. Did you mean 'adamW'?"],
    [['choose', '--optimizers', 'cautius(sgd)'], 2, "unknown wrapper 'cautius'. Did you mean 'cautious'?"],
    [['choose', '--baseline', 'adanW'], 2, "unknown optimizer 'adanW'. Did you mean 'adamW'?"],
    [['choose', 'digit-mlp'], 2, "unknown task 'digit-mlp'. Did you mean 'digits-mlp'?"],
    [['choose', '--runs', 'many'], 2, "argument 'many' is invalid. It must be a whole number from 1 on."],
    [['choose', '--minutes', '0'], 2, 'It must be a number above 0.'],
    [['choose', '--non-finite', 'ignore'], 2, "It must be 'stop' or 'skip'."],
    [['choose', fixture('quadratic'), '--runs', '5', ...out('none')], 2, 'runs is 5; with 8 fresh seeds'],
    [['choose', fixture('quadratic'), '--runs', '30', '--minutes', '1', ...out('none')], 2, 'both given'],
    [
      ['choose', fixture('quadratic'), '--seeds', '2', ...out('none')],
      2,
      'seeds is 2; it must be a whole number from 5',
    ],
    [['choose', fixture('quadratic'), '--more', '20', ...out('none')], 2, 'there is none in'],
    [['choose', fixture('quadratic'), '--optimizers', 'sgd,nobody', ...out('none')], 2, 'nobody'],
    [['choose', './no/such/task.ts', ...out('none')], 3, "task module './no/such/task.ts' is not a file"],
    [['choose', fixture('no-task'), ...out('none')], 3, 'has no default export'],
    [['choose', fixture('quadratic'), '--out', command], 3, 'cannot be made'],
  ] as const)('%j ends with code %i and says why', async (parameters, code, message) => {
    const ended = await inside(parameters)
    expect(ended.stderr).toContain(message)
    expect(ended.stderr).not.toContain('    at ')
    expect(ended.code).toBe(code)
  })

  it('refuses a task that does not work, with what it threw and where', async () => {
    const ended = await inside(['choose', fixture('throwing'), ...small, ...out('none')])
    expect(ended.code).toBe(3)
    expect(ended.stderr).toContain("gradient of task 'throwing' threw an error: the data file has no row 7")
  })

  it('explains itself', async () => {
    const help = await inside(['--help'])
    const choose = await inside(['choose', '--help'])
    expect([help.code, choose.code]).toEqual([0, 0])
    expect(help.stdout).toContain('choose')
    const options = 'optimizers baseline runs minutes seeds seed steps workers non-finite out fresh more'.split(' ')
    for (const name of [...options.map((option) => `--${option}`), 'digits-mlp', 'Exit codes:']) {
      expect(choose.stdout).toContain(name)
    }
  })

  it('prints the progress, the sentence, the code and where the report is', async () => {
    const ended = await inside(['choose', fixture('quadratic'), ...small, ...out('plain')])
    expect(ended.stderr).toMatch(/^3 optimizers checked/m)
    expect(ended.stderr).toMatch(/^rung 1 of \d: \d+ runs; ahead: .*learningRate /m)
    expect(ended.stderr).toMatch(/^fresh run 8\/(8|16): .*, seed \d+: validation .*, test /m)
    expect(ended.stdout).toMatch(/(Use|Stay with) .* with learning rate .*fresh runs/)
    expect(ended.stdout).toMatch(/import { .*compile.* } from 'fallline'/)
    expect(ended.stdout).toContain(join(directory, 'plain', 'choose.html'))
    expect(ended.code).toBe(0)
    expect(stored('plain')).toMatchObject({ complete: true, format: 'fallline choose results', version: 1 })
    expect(readFileSync(join(directory, 'plain', 'choose.html'), 'utf8')).toMatch(/^<!doctype html>/)
    const again = await inside(['choose', fixture('quadratic'), ...small, ...out('plain')])
    expect(again.code).toBe(0)
    expect(again.stdout).toContain('already finished')
    expect(again.stderr).toBe('')
    const more = await inside(['choose', fixture('quadratic'), ...small, '--more', '20', ...out('plain')])
    expect(more.code).toBe(0)
    expect(stored('plain').protocol).toMatchObject({ runs: 46, added: [20] })
  })

  it('ends with code 4 when a contender that was named cannot take part, and goes on with the others', async () => {
    const parameters = ['choose', fixture('refusing'), '--runs', '26', '--workers', '0']
    const named = await inside([...parameters, '--optimizers', 'lion,refusing', ...out('refusing')])
    expect(named.code).toBe(4)
    expect(named.stdout).toContain('refusing: this optimizer refuses')
    expect(stored('refusing')).toMatchObject({ complete: true, excluded: [{ name: 'refusing' }] })
    expect(readFileSync(join(directory, 'refusing', 'choose.html'), 'utf8')).toContain('this optimizer refuses')
  })

  it('ends with code 5 when nothing finished, and says so', async () => {
    const parameters = ['choose', fixture('steep'), '--runs', '26', '--optimizers', 'sgd', '--baseline', 'sgd']
    const ended = await inside([...parameters, '--workers', '0', ...out('steep')])
    expect(ended.stdout).toContain('Nothing can be recommended')
    expect(ended.code).toBe(5)
    expect(readFileSync(join(directory, 'steep', 'choose.html'), 'utf8')).toContain('diverged')
  })

  it('keeps what was done when interrupted or killed, and the same command goes on to the same answer', async () => {
    const parameters = ['choose', fixture('slow'), '--runs', '26', '--optimizers', 'sgd,lion', '--workers']
    const whole = fallline([...parameters, '0', ...out('whole')])
    const stop = (when: string, signal: NodeJS.Signals) => {
      let sent = false
      return (stderr: string, child: ChildProcess) => {
        if (sent || !stderr.includes(when)) return
        sent = true
        child.kill(signal)
      }
    }
    const interrupted = await fallline([...parameters, '1', ...out('parts')], stop('rung 1 of', 'SIGINT'))
    expect(interrupted.code).toBe(130)
    expect(interrupted.stderr).toMatch(/Interrupted: \d+ runs are kept in .*the same command resumes/)
    const kept = stored('parts')
    expect(kept.complete).toBe(false)
    expect(kept.runs.some(({ state }) => state.step > 0)).toBe(true)
    const killed = await fallline([...parameters, '1', ...out('parts')], stop('fresh run 3/', 'SIGKILL'))
    expect(killed.code).toBeNull()
    expect(stored('parts').complete).toBe(false)
    const resumed = await fallline([...parameters, '1', ...out('parts')])
    expect(resumed.code).toBe(0)
    expect(resumed.stderr).not.toContain('rung 1 of')
    expect((await whole).code).toBe(0)
    expect(comparable(stored('parts'))).toEqual(comparable(stored('whole')))
    // What was kept is what is in the end, to the millisecond: it was not run again.
    for (const before of kept.runs.filter(({ state }) => state.outcome !== null)) {
      const after = stored('parts').runs.find(
        ({ candidate, seed }) => candidate === before.candidate && seed === before.seed,
      )
      expect(after).toEqual(before)
    }
    const checkpoints = join(directory, 'parts', 'checkpoints')
    const referred = stored('parts').runs.flatMap(({ checkpoint }) => (checkpoint === null ? [] : [checkpoint]))
    expect(existsSync(checkpoints) ? readdirSync(checkpoints).sort() : []).toEqual(referred.sort())
  })
})
