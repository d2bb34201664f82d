import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'

/** Directories that may have `initdb` and `postgres`. */
const directories = [
  ...(existsSync('/usr/lib/postgresql')
    ? readdirSync('/usr/lib/postgresql').map((version) => `/usr/lib/postgresql/${version}/bin`)
    : []),
  ...(process.env.PATH ?? '').split(':'),
]
const programs = directories.find((directory) =>
  ['initdb', 'postgres'].every((name) => existsSync(join(directory, name))),
)

/** Whether there is PostgreSQL to test with. */
export const hasPostgres = programs !== undefined
if (!hasPostgres)
  console.error('TESTS ON POSTGRESQL ARE LEFT OUT: no initdb and postgres were found; install postgresql')

/** A PostgreSQL server in a temporary directory, without durability beyond what survives a crash of its processes. */
export interface Server {
  /** A new database on it. */
  database(): Promise<string>
  /** Kills it as a crash does, at once. */
  kill(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

/** PostgreSQL does not run as root. */
const isRoot = process.getuid?.() === 0

export async function startServer(): Promise<Server> {
  const directory = mkdtempSync(join(tmpdir(), 'fallline-postgres-'))
  const data = join(directory, 'data')
  const as = (name: string, ...given: readonly string[]): [string, string[]] =>
    isRoot
      ? ['runuser', ['-u', 'postgres', '--', join(programs!, name), ...given]]
      : [join(programs!, name), [...given]]
  if (isRoot) execFileSync('chown', ['postgres', directory])
  execFileSync(...as('initdb', '-D', data, '-U', 'postgres', '--auth=trust', '--no-sync', '-E', 'UTF8', '--locale=C'), {
    stdio: 'pipe',
    cwd: '/',
  })
  const port = await freePort()
  const url = (name: string) => `postgres://postgres@127.0.0.1:${port}/${name}`
  let child: ChildProcess
  let count = 0
  const admin = async (statement: string) => {
    const client = new pg.Client(url('postgres'))
    client.on('error', () => {})
    await client.connect()
    try {
      await client.query(statement)
    } finally {
      await client.end()
    }
  }
  const ended = () =>
    new Promise<void>((resolve) =>
      child.exitCode === null && child.signalCode === null ? child.once('exit', () => resolve()) : resolve(),
    )
  const server: Server = {
    async database() {
      const name = `database${count++}`
      await admin(`create database ${name}`)
      return url(name)
    },
    async start() {
      const options = [
        '-D',
        data,
        '-p',
        `${port}`,
        '-h',
        '127.0.0.1',
        '-k',
        directory,
        '-c',
        'max_connections=200',
        '-c',
        'fsync=off',
      ]
      child = spawn(...as('postgres', ...options), { stdio: 'ignore', cwd: '/' })
      for (let tries = 0; ; tries++) {
        try {
          await admin('select 1')
          return
        } catch (error) {
          if (tries >= 100 || child.exitCode !== null) throw error
          await new Promise((resolve) => setTimeout(resolve, 100))
        }
      }
    },
    async kill() {
      // All processes of the server, as a machine that fails does; its first line is the identity of the one that begins them.
      const first = processOf(data)
      const all = execFileSync('ps', ['-o', 'pid=', '--ppid', `${first}`])
        .toString()
        .trim()
        .split(/\s+/)
        .map(Number)
      for (const one of [first, ...all]) {
        try {
          process.kill(one, 'SIGKILL')
        } catch {
          // It has ended with the first.
        }
      }
      await ended()
    },
    async stop() {
      if (child.exitCode === null && child.signalCode === null) process.kill(processOf(data), 'SIGINT')
      await ended()
      rmSync(directory, { recursive: true, force: true })
    },
  }
  await server.start()
  return server
}

function processOf(data: string): number {
  return Number(execFileSync('head', ['-1', join(data, 'postmaster.pid')]))
}

export async function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
