import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { studyServer } from '../../search/src/sql.ts'
import { hasPostgres, type Server, startServer } from '../../search/test/support/server.ts'
import { command, fixture, inside } from './support/command.ts'

const parabola = fixture('parabola-study')
const directory = mkdtempSync(join(tmpdir(), 'fallline-template-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const template = async (kind: string, study: string, ...options: readonly string[]) =>
  (await inside(['study', 'template', kind, parabola, '--study', study, ...options])).stdout

describe('fallline study template', () => {
  // A shell, YAML and Python would each read something else into it.
  const odd = `postgres://me:it's"$(x)@host/studies`

  it('writes a script for Slurm that bash can read, its places quoted', async () => {
    const text = await template('slurm', odd, '--machines', '7', '--workers', '3')
    execFileSync('bash', ['-n'], { input: text })
    expect(text).toContain('#SBATCH --array=1-7\n#SBATCH --cpus-per-task=3\n')
    const said = execFileSync('bash', ['-c', `exec() { printf '%s\\n' "$@"; }\n${text}`]).toString()
    expect(said.split('\n')).toEqual([
      ...['fallline', 'study', 'worker', parabola, '--study', odd, '--name', 'study'],
      ...['--trials', '100', '--workers', '3', ''],
    ])
  })

  it('writes objects of Kubernetes', async () => {
    const [secret, job] = parseAllDocuments(await template('kubernetes', odd, '--image', 'studies:1')).map((each) =>
      each.toJS(),
    )
    expect(secret).toMatchObject({ kind: 'Secret', stringData: { url: odd } })
    expect(job).toMatchObject({ kind: 'Job', spec: { parallelism: 4 } })
    const [container] = job.spec.template.spec.containers
    expect(container).toMatchObject({ image: 'studies:1', resources: { requests: { cpu: 1 } } })
    expect(container.args).toContain('100')
  })

  it('writes Python that compiles', async () => {
    const path = join(directory, 'compiled.py')
    writeFileSync(path, await template('ray', odd))
    execFileSync('python3', ['-m', 'py_compile', path])
  })

  it('refuses a folder, which no other machine reaches', async () => {
    expect(await inside(['study', 'template', 'ray', parabola, '--study', 'here'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('the URL of a PostgreSQL server, not here'),
    })
  })
})

describe.runIf(hasPostgres && process.env.FALLLINE_TEST_ALL === '1')('what templates start', () => {
  let server: Server
  let study: string
  const programs = join(directory, 'programs')
  beforeAll(async () => {
    server = await startServer()
    study = await server.database()
    expect((await inside(['study', 'create', parabola, '--study', study])).code).toBe(0)
    mkdirSync(programs)
    const node = [process.execPath, '--import', import.meta.resolve('tsx'), '--conditions=@fallline/source', command]
    writeFileSync(join(programs, 'fallline'), `#!/bin/sh\nexec ${node.map((part) => `'${part}'`).join(' ')} "$@"\n`)
    chmodSync(join(programs, 'fallline'), 0o755)
    // Ray, as far as the template needs it: every task runs at once.
    writeFileSync(
      join(programs, 'ray.py'),
      'def init(): pass\ndef get(values): return values\ndef remote(**_):\n  def decorate(task):\n    task.remote = task\n    return task\n  return decorate\n',
    )
  })
  afterAll(() => server.stop())

  /** Runs something where `fallline` and `ray` are found; `watch` sees the error stream. */
  const run = (
    program: string,
    given: readonly string[],
    environment: object = {},
    watch?: (text: string, end: () => void) => void,
  ) =>
    new Promise<number | null>((resolve) => {
      const child = spawn(program, given, {
        cwd: fileURLToPath(new URL('..', import.meta.url)),
        stdio: ['ignore', 'ignore', 'pipe'],
        env: {
          ...process.env,
          PATH: [programs, process.env.PATH].join(delimiter),
          PYTHONPATH: programs,
          ...environment,
        },
      })
      let text = ''
      child.stderr.on('data', (part) => {
        text += part
        watch?.(text, () => child.kill('SIGTERM'))
      })
      child.once('close', resolve)
    })
  const states = async () => {
    const storage = await studyServer(study)
    const { trials } = await storage.changes('study', 0)
    await storage.close()
    return trials.map(({ state }) => state)
  }
  const complete = (count: number) => new Array(count).fill('complete')

  it('brings the trials that were asked for, under Slurm, Kubernetes and Ray', async () => {
    const script = join(directory, 'slurm.sh')
    writeFileSync(script, await template('slurm', study, '--trials', '2'))
    expect(await run('bash', [script])).toBe(0)
    expect(await states()).toEqual(complete(2))

    const [secret, job] = parseAllDocuments(await template('kubernetes', study, '--trials', '4')).map((each) =>
      each.toJS(),
    )
    const [container] = job.spec.template.spec.containers
    const [shell, ...rest] = [...container.command, ...container.args] as [string, ...string[]]
    const given = rest.map((part) => part.replace('$(FALLLINE_STUDY)', secret.stringData.url))
    expect(await run(shell, given)).toBe(0)
    expect(await states()).toEqual(complete(4))

    const python = join(directory, 'ray-job.py')
    writeFileSync(python, await template('ray', study, '--trials', '6', '--machines', '1'))
    expect(await run('python3', [python])).toBe(0)
    expect(await states()).toEqual(complete(6))
  })

  it('gives its trial back at once when the machine is taken away', async () => {
    const script = join(directory, 'slurm.sh')
    writeFileSync(script, await template('slurm', study, '--trials', '8'))
    const slow = { TRIAL_MILLISECONDS: '4000' }
    const code = await run(
      'bash',
      [script],
      slow,
      (text, end) => /trial 6: complete/.test(text) && setTimeout(end, 500),
    )
    expect(code).toBe(143)
    expect(await states()).toEqual([...complete(7), 'waiting'])
  })
})
